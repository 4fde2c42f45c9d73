//! What time is it in a simulation?

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// The wall clock of one agent, which may be wrong; how fast time passes is never wrong.
#[derive(Debug)]
pub(super) struct AgentClock {
    right: Arc<SimClock>,
    /// By how many microseconds it is ahead since when, by the right clock; the first since ever.
    steps: Mutex<Vec<(WallTime, i64)>>,
}

impl AgentClock {
    /// A clock that is right.
    pub(super) fn new(right: Arc<SimClock>) -> Arc<Self> {
        Arc::new(Self { right, steps: Mutex::new(vec![(WallTime::from_micros(i64::MIN), 0)]) })
    }

    fn steps(&self) -> MutexGuard<'_, Vec<(WallTime, i64)>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it is so far ahead.
    pub(super) fn set(&self, ahead_us: i64) {
        if self.ahead(self.right.wall()) != ahead_us {
            self.steps().push((self.right.wall(), ahead_us));
        }
    }

    /// How far it was ahead at a moment, microseconds.
    pub(super) fn ahead(&self, at: WallTime) -> i64 {
        self.steps().iter().rfind(|(since, _)| *since <= at).map_or(0, |(_, ahead)| *ahead)
    }

    /// Whether it ever did.
    pub(super) fn went_back(&self) -> bool {
        self.steps().windows(2).any(|pair| pair[1].1 < pair[0].1)
    }

    /// What it showed at a moment.
    pub(super) fn shown(&self, at: WallTime) -> WallTime {
        WallTime::from_micros(at.as_micros().saturating_add(self.ahead(at)))
    }
}

impl Clock for AgentClock {
    fn wall(&self) -> WallTime {
        self.shown(self.right.wall())
    }

    fn elapsed(&self) -> Elapsed {
        self.right.elapsed()
    }
}
