//! How do old measurements go?
//!
//! A task looks every so often and removes records in small steps, so that the committer never waits long for the journal. The
//! space comes back when fjall next compacts.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio_util::sync::CancellationToken;
use uitwijk_model::{Clock, Millis};

use super::Store;

/// How often the task looks.
const EVERY: Duration = Duration::from_secs(60);
/// Rest between two steps.
const REST: Duration = Duration::from_millis(20);

/// Removes what is older than `keep`, until it is told to stop. A store that fails is tried again at the next look; the
/// committer tells of it.
pub async fn remove_old(
    store: Store,
    clock: Arc<dyn Clock>,
    keep: Millis,
    removed: Counter,
    stopping: CancellationToken,
) {
    while !stopping.is_cancelled() {
        let steps = remove_all_before(&store, clock.wall().minus(keep), &removed, &stopping);
        if let Err(error) = steps.await {
            tracing::warn!(%error, "old measurements stay for now");
        }
        tokio::select! {
            () = stopping.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn remove_all_before(
    store: &Store,
    moment: uitwijk_model::WallTime,
    removed: &Counter,
    stopping: &CancellationToken,
) -> Result<(), super::StoreError> {
    while !stopping.is_cancelled() {
        let store = store.clone();
        let step = tokio::task::spawn_blocking(move || store.remove_before(moment)).await;
        match step.map_err(|e| super::StoreError::Write(e.to_string()))?? {
            0 => break,
            records => removed.inc_by(records as u64),
        };
        tokio::time::sleep(REST).await;
    }
    Ok(())
}
