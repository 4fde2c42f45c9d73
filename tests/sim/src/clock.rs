//! What time is it in a simulation?

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uitwijk_model::{Clock, Elapsed, WallTime};

/// The runtime's paused time, with a name for each moment.
#[derive(Debug)]
pub(super) struct SimClock {
    began: Instant,
    start: WallTime,
}

impl SimClock {
    /// A clock that shows `start` now.
    pub(super) fn starting(start: WallTime) -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), start })
    }

    /// When the runtime gets to a moment.
    pub(super) fn instant(&self, at: WallTime) -> Instant {
        self.began + Duration::from_micros(u64::try_from(at.micros_since(self.start)).unwrap_or(0))
    }
}

impl Clock for SimClock {
    fn wall(&self) -> WallTime {
        let passed = i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX);
        WallTime::from_micros(self.start.as_micros().saturating_add(passed))
    }

    fn elapsed(&self) -> Elapsed {
        self.began.elapsed().into()
    }
}
