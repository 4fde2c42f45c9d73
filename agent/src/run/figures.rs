//! Which figures are looked up now and then rather than told?

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uitwijk_identity::Credentials;
use uitwijk_model::Elapsed;
use uitwijk_telemetry::Health;

use crate::buffer::{self, Books, Buffer};
use crate::metrics::{AgentMetrics, CollectorMetrics};
use crate::selfcheck::SelfCheck;

const EVERY: Duration = Duration::from_secs(1);

/// What is looked at.
pub(super) struct Figures {
    pub(super) buffer: Buffer,
    pub(super) selfcheck: Arc<SelfCheck>,
    pub(super) credentials: Arc<Credentials>,
    pub(super) metrics: Arc<AgentMetrics>,
    pub(super) collectors: Vec<CollectorMetrics>,
    pub(super) health: Health,
}

impl Figures {
    /// Looks until the stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.look();
        }
    }

    fn look(&self) {
        let counts = self.buffer.counts();
        self.metrics.buffer_bytes.set(i64::try_from(counts.disk_bytes).unwrap_or(i64::MAX));
        self.metrics.buffer_memory_bytes.set(i64::try_from(counts.memory_bytes).unwrap_or(i64::MAX));
        self.metrics.buffer_failures.set(i64::try_from(counts.failures).unwrap_or(i64::MAX));
        self.metrics.loop_lag.set(seconds(self.selfcheck.observer().loop_lag));
        self.metrics.certificate_expires(self.credentials.expires());
        for collector in &self.collectors {
            show_books(collector, &self.buffer.books(collector.name()));
        }
        self.health.set("buffer", buffer_state(self.buffer.health()));
    }
}

/// The agent works on without its disk, but whoever looks should know.
pub(super) fn buffer_state(health: buffer::Health) -> Result<(), String> {
    match health {
        buffer::Health::Disk => Ok(()),
        buffer::Health::Full => Err("the disk takes no more; new measurements wait in memory".to_owned()),
        buffer::Health::Memory => Err("there is no usable disk; measurements wait in memory".to_owned()),
    }
}

#[allow(clippy::cast_precision_loss, reason = "a lag is far below 2^52 microseconds")]
fn seconds(elapsed: Elapsed) -> f64 {
    elapsed.as_micros() as f64 / 1e6
}

fn show_books(metrics: &CollectorMetrics, books: &[Books]) {
    let sum = |of: fn(&Books) -> u64| books.iter().map(of).fold(0, u64::saturating_add);
    metrics.backlog.set(i64::try_from(sum(|b| b.buffered)).unwrap_or(i64::MAX));
    metrics.lost("expired", sum(|b| b.expired));
    metrics.lost("unwritable", sum(|b| b.unwritable));
    metrics.lost("unreadable", sum(|b| b.unreadable));
}
