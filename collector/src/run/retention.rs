//! When do old measurements go?
//!
//! Once in a while, in small steps with pauses between them, so that no writer ever waits for the broom. Verdicts are kept
//! for good.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uitwijk_model::{Clock, Millis};

use super::ground::Ground;
use crate::ingest::IngestMetrics;
use crate::store::{Store, StoreError};

/// Between two looks for something old.
const EVERY: Duration = Duration::from_secs(300);
/// Between two steps of one look.
const PAUSE: Duration = Duration::from_millis(50);

/// Removes what is older than the retention until it is told to end.
pub(super) struct Retention {
    store: Store,
    clock: Arc<dyn Clock>,
    keep: Millis,
    metrics: IngestMetrics,
}

impl Retention {
    pub(super) fn of(ground: &Ground) -> Self {
        Self {
            store: ground.store.clone(),
            clock: ground.clock.clone(),
            keep: ground.config.retention.measurements,
            metrics: ground.metrics.ingest.clone(),
        }
    }

    pub(super) async fn run(self, ending: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while ending.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.sweep(&ending).await {
                tracing::warn!(%error, "old measurements were not removed, trying again later");
            }
        }
    }

    async fn sweep(&self, ending: &CancellationToken) -> Result<(), StoreError> {
        let before = self.clock.wall().minus(self.keep);
        while !ending.is_cancelled() {
            let store = self.store.clone();
            let step = tokio::task::spawn_blocking(move || store.remove_before(before)).await;
            let removed = step.unwrap_or_else(|e| Err(StoreError::Write(e.to_string())))?;
            self.metrics.records_removed.inc_by(removed as u64);
            if removed == 0 {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}
