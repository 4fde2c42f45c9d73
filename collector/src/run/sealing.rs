//! When is an hour sealed, and when do sealed hours go?
//!
//! ```text
//!   the hour ends ---- retention.hot ----> every agent's frontier has passed it, or cold.wait_max is over ----> sealed
//!   sealed ---- what comes in late waits retention.hot, then twice as long, … ----> another generation
//!   sealed ---- retention.measurements, or retention.disk_bytes_max is reached ----> measurements go
//!          ---- retention.rollups ----> rollups go
//! ```
//!
//! One look a minute, one hour after the other, in a thread that may wait for the disk; ingest never waits for it. The pause
//! between generations doubles, so that an hour has a dozen of them at most, however its measurements trickle in.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uitwijk_model::{AgentId, Clock, Millis, WallTime};
use uitwijk_telemetry::Health;

use super::ground::Ground;
use crate::cold_metrics::ColdMetrics;
use crate::config::Retention;
use crate::plans::Plans;
use crate::store::{FILE_ROWS_MAX, Goes, Hour, Sealed, Sealing, Store, StoreError};

/// The condition of [`Health`] that says whether hours are sealed as they should be.
pub(super) const HEALTH_CONDITION: &str = "sealing";
/// Between two looks.
const EVERY: Duration = Duration::from_secs(60);
/// Between two steps of removing hot records.
const PAUSE: Duration = Duration::from_millis(20);
/// Sealing that has failed for so long is told to whoever asks for health.
const FAILING_MAX: Millis = Millis::from_secs(1800);
/// Doublings of the pause between generations.
const DOUBLINGS_MAX: u32 = 16;

/// Moves hours from tier to tier until it is told to end.
#[derive(Clone)]
pub(super) struct Tiers {
    store: Store,
    plans: Arc<Plans>,
    clock: Arc<dyn Clock>,
    collector: String,
    keep: Retention,
    wait_max: Millis,
    metrics: ColdMetrics,
    health: Health,
    ending: CancellationToken,
}

impl Tiers {
    pub(super) fn of(ground: &Ground, health: Health, ending: CancellationToken) -> Self {
        health.set(HEALTH_CONDITION, Ok(()));
        Self {
            store: ground.store.clone(),
            plans: ground.plans.clone(),
            clock: ground.clock.clone(),
            collector: ground.name.clone(),
            keep: ground.config.retention.clone(),
            wait_max: ground.config.cold.wait_max,
            metrics: ground.metrics.cold.clone(),
            health,
            ending,
        }
    }

    pub(super) async fn run(self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failing_since = None;
        while self.ending.run_until_cancelled(ticks.tick()).await.is_some() {
            let this = self.clone();
            let mut look = tokio::task::spawn_blocking(move || this.look());
            let Some(looked) = self.ending.run_until_cancelled(&mut look).await else {
                // The place of the files may take long to answer, or never do.
                self.store.end_files();
                let _ = look.await;
                return;
            };
            let looked = looked.unwrap_or_else(|e| Err(StoreError::Write(e.to_string())));
            failing_since = self.note(looked, failing_since);
        }
        self.store.end_files();
    }

    /// Tells of a failure, and of its end.
    fn note(&self, looked: Result<(), StoreError>, since: Option<WallTime>) -> Option<WallTime> {
        let now = self.clock.wall();
        match looked {
            Ok(()) => {
                self.health.set(HEALTH_CONDITION, Ok(()));
                None
            }
            Err(error) => {
                self.metrics.failed(&error);
                tracing::warn!(%error, "hours were not moved, trying again");
                let since = since.unwrap_or(now);
                if now >= since.plus(FAILING_MAX) {
                    self.health.set(HEALTH_CONDITION, Err(format!("hours are not sealed since {since}: {error}")));
                }
                Some(since)
            }
        }
    }

    /// Everything that is due now.
    fn look(&self) -> Result<(), StoreError> {
        self.let_go()?;
        let mut failed = Ok(());
        for hour in self.due()? {
            if self.ending.is_cancelled() {
                break;
            }
            // One hour that cannot be sealed holds up no other.
            failed = failed.and(self.seal(hour));
            self.remove_covered()?;
        }
        self.remove_covered()?;
        self.metrics.show(&self.store.sealed_hours());
        failed
    }

    /// The hours that are to be sealed now, the oldest first.
    fn due(&self) -> Result<Vec<Hour>, StoreError> {
        let now = self.clock.wall();
        let frontiers = self.store.small()?.frontiers;
        let plan = self.plans.current();
        let delivered = |hour: Hour| {
            let passed = |agent: &AgentId| frontiers.iter().any(|(a, through)| a == agent && *through >= hour.end());
            plan.plan.agents.keys().all(passed)
        };
        let due = |(hour, _, sealed): &(Hour, u64, Option<WallTime>)| match sealed {
            _ if hour.end() <= now.minus(self.keep.measurements) => false,
            None => delivered(*hour) || hour.end().plus(self.wait_max) <= now,
            Some(sealed) => sealed.plus(self.pause_after(self.store.generations(*hour))) <= now,
        };
        let unsealed = self.store.unsealed(now.minus(self.keep.hot))?;
        Ok(unsealed.into_iter().filter(due).map(|(hour, ..)| hour).collect())
    }

    /// How long late measurements wait for the next generation.
    fn pause_after(&self, generations: usize) -> Millis {
        let doublings = u32::try_from(generations.saturating_sub(1)).unwrap_or(u32::MAX).min(DOUBLINGS_MAX);
        Millis(self.keep.hot.0.max(1000).saturating_mul(1 << doublings))
    }

    fn seal(&self, hour: Hour) -> Result<(), StoreError> {
        let began = self.clock.elapsed();
        let version = self.plans.current().version.to_string();
        let how = Sealing {
            collector: &self.collector,
            plan_version: &version,
            now: self.clock.wall(),
            file_rows_max: FILE_ROWS_MAX,
            give_up: &|| self.ending.is_cancelled(),
        };
        let Some(sealed) = self.store.seal(hour, &how)? else { return Ok(()) };
        let took = self.clock.elapsed().since(began);
        self.metrics.sealed(&sealed, took);
        let Sealed { rows, files, bytes, damaged } = sealed;
        tracing::info!(%hour, rows, files, bytes, damaged, elapsed_ms = took.as_millis(), "hour sealed");
        Ok(())
    }

    /// Removes hot records that files stand for, in steps.
    fn remove_covered(&self) -> Result<(), StoreError> {
        let mut from = Some(bytes::Bytes::new());
        while let Some(start) = from.filter(|_| !self.ending.is_cancelled()) {
            let (removed, next) = self.store.remove_covered(&start)?;
            self.metrics.hot_records_removed.inc_by(removed as u64);
            from = next;
            if removed > 0 {
                std::thread::sleep(PAUSE);
            }
        }
        Ok(())
    }

    /// Lets hours go that are too old, and the oldest while all of it takes too much of the disk.
    fn let_go(&self) -> Result<(), StoreError> {
        let now = self.clock.wall();
        for old in self.store.sealed_hours() {
            let past = |keep: Millis| old.hour.end() <= now.minus(keep);
            if past(self.keep.rollups) && past(self.keep.measurements) {
                self.drop_hour(old.hour, Goes::All, "age")?;
            } else if past(self.keep.measurements) {
                self.drop_hour(old.hour, Goes::Measurements, "age")?;
            }
        }
        self.keep_to_budget()?;
        self.store.remove_condemned().map(drop)
    }

    fn keep_to_budget(&self) -> Result<(), StoreError> {
        let Some(most) = self.keep.disk_bytes_max else { return Ok(()) };
        for old in self.store.sealed_hours().iter().filter(|old| old.rows > 0) {
            if self.store.disk_bytes() <= most {
                return Ok(());
            }
            self.drop_hour(old.hour, Goes::Measurements, "budget")?;
        }
        if self.store.disk_bytes() > most {
            tracing::warn!(
                most,
                used = self.store.disk_bytes(),
                "the disk budget is too small for what is not sealed yet"
            );
        }
        Ok(())
    }

    fn drop_hour(&self, hour: Hour, what: Goes, reason: &'static str) -> Result<(), StoreError> {
        let gone = self.store.drop_hour(hour, what)?;
        if gone.bytes > 0 {
            self.metrics.dropped(&gone, reason);
            tracing::info!(%hour, reason, rows = gone.rows, bytes = gone.bytes, "hour dropped");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
