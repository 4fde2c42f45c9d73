//! What time is it?
//!
//! This is the one file of the project that reads a clock. Everything else is handed a [`Clock`], so
//! that a test can hand it another.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::time::{Elapsed, WallTime};

/// Two clocks for two purposes: one that names moments, one that measures durations.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The moment now. May step in either direction.
    fn wall(&self) -> WallTime;
    /// Time since some fixed moment in the life of the process. Never goes back.
    fn elapsed(&self) -> Elapsed;
}

/// The clocks of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> WallTime {
        let us = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us),
        };
        WallTime::from_micros(us)
    }

    fn elapsed(&self) -> Elapsed {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed().into()
    }
}
