//! How well is the observer itself?
//!
//! ```text
//!   control targets ---- saw() -----> controls.rs  how many failed in the last round
//!   heartbeat replies -- heard() ---> offset.rs    agent's clock minus the collectors', and how sure
//!   a short sleep ------ run() -----> lag.rs       how late the event loop ran in the last second
//!                                        |
//!                                     observer() --> every measurement
//! ```
//!
//! The agent does not decide that it is sick, and never stops probing for it. It says how it was, with each measurement,
//! and the judge weighs. So this module only remembers and reports; silence of a source is reported as absence.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;
use uitwijk_model::{Clock, Measurement, Observer, SlotLength, TargetId};

mod controls;
mod lag;
mod offset;

pub use offset::{ClockOffset, Exchange};

use controls::Controls;
use lag::Lag;
use offset::Offsets;

/// What the agent knows of itself.
#[derive(Debug)]
pub struct SelfCheck {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    controls: Controls,
    offsets: Offsets,
    lag: Lag,
}

impl SelfCheck {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The plan names these control targets, probed once per slot.
    pub fn set_controls(&self, controls: impl IntoIterator<Item = TargetId>, slot: SlotLength) {
        let controls: BTreeSet<TargetId> = controls.into_iter().collect();
        self.state().controls.set(controls, slot);
    }

    /// An attempt ended. Only those of control targets matter; all may be told.
    pub fn saw(&self, measurement: &Measurement) {
        let now = self.clock.elapsed();
        self.state().controls.saw(measurement, now);
    }

    /// A collector answered a heartbeat.
    pub fn heard(&self, collector: &str, exchange: Exchange) {
        let (wall, elapsed) = (self.clock.wall(), self.clock.elapsed());
        self.state().offsets.heard(collector, exchange, wall, elapsed);
    }

    /// The agent's clock against one collector's, for the heartbeat to that collector.
    #[must_use]
    pub fn clock_offset_to(&self, collector: &str) -> Option<ClockOffset> {
        let (wall, elapsed) = (self.clock.wall(), self.clock.elapsed());
        self.state().offsets.to(collector, wall, elapsed)
    }

    /// The agent's clock against those of most collectors.
    #[must_use]
    pub fn clock_offset(&self) -> Option<ClockOffset> {
        let (wall, elapsed) = (self.clock.wall(), self.clock.elapsed());
        self.state().offsets.agreed(wall, elapsed)
    }

    /// How the agent is now, for the measurements that it makes now.
    #[must_use]
    pub fn observer(&self) -> Observer {
        let (wall, elapsed) = (self.clock.wall(), self.clock.elapsed());
        let state = self.state();
        let (controls_failed, controls_seen) = state.controls.last_round(elapsed);
        Observer {
            clock_offset_us: state.offsets.agreed(wall, elapsed).map(|offset| offset.us),
            loop_lag: state.lag.worst(elapsed),
            controls_failed,
            controls_seen,
        }
    }

    /// Samples the lag of the event loop until `stop`. To be run on the runtime that probes.
    pub async fn run(&self, stop: CancellationToken) {
        loop {
            self.state().lag.sleeping(self.clock.elapsed());
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(lag::EVERY) => {}
            }
            self.state().lag.woke(self.clock.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uitwijk_model::{Elapsed, SystemClock};

    use super::*;

    #[test]
    fn an_agent_that_knows_nothing_says_nothing() {
        assert_eq!(SelfCheck::new(Arc::new(SystemClock)).observer(), Observer::default());
    }

    #[tokio::test]
    async fn a_blocked_event_loop_shows() {
        let check = Arc::new(SelfCheck::new(Arc::new(SystemClock)));
        let stop = CancellationToken::new();
        let running = tokio::spawn({
            let (check, stop) = (Arc::clone(&check), stop.clone());
            async move { check.run(stop).await }
        });
        tokio::task::yield_now().await;
        std::thread::sleep(lag::EVERY + Duration::from_millis(60));
        // The sampler has not run since, and the lag shows all the same.
        assert!(check.observer().loop_lag >= Elapsed::from_micros(50_000), "{:?}", check.observer());
        stop.cancel();
        running.await.unwrap();
    }
}
