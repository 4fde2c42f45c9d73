//! When does an uplink log?
//!
//! When its state changes: the first failure after it worked, another kind of failure, and when it works again. A
//! collector that is away for a day makes two lines, not thousands; the tries are counted in the metrics.

use uitwijk_model::{Clock, Elapsed};

use crate::metrics::CollectorMetrics;

/// What is known about one collector.
#[derive(Debug)]
pub(super) struct Status {
    collector: String,
    metrics: CollectorMetrics,
    /// The kind of the failure that was logged last, and since when.
    failing: Option<(String, Elapsed)>,
}

impl Status {
    pub(super) fn new(collector: &str, metrics: CollectorMetrics) -> Self {
        Self { collector: collector.to_owned(), metrics, failing: None }
    }

    /// A stream is open.
    pub(super) fn connected(&mut self, clock: &dyn Clock) {
        self.metrics.connected.set(1);
        self.metrics.streams.inc();
        let away_s = self.failing.take().map_or(0, |(_, since)| clock.elapsed().since(since).as_millis() / 1000);
        tracing::info!(collector = self.collector, away_s, "stream to collector is open");
    }

    /// The stream is closed, or none could be opened. `kind` is the same for failures that differ only in detail.
    pub(super) fn failed(&mut self, kind: &str, detail: &str, clock: &dyn Clock) -> bool {
        self.metrics.connected.set(0);
        self.metrics.unacknowledged.set(0);
        self.metrics.failures.inc();
        let since = self.failing.as_ref().map(|(_, since)| *since);
        let news = self.failing.as_ref().is_none_or(|(known, _)| known != kind);
        if news {
            tracing::warn!(collector = self.collector, error = detail, "no stream to collector, trying on");
            self.failing = Some((kind.to_owned(), since.unwrap_or_else(|| clock.elapsed())));
        }
        news
    }

    /// The stream was closed by us, on purpose.
    pub(super) fn closed(&mut self) {
        self.metrics.connected.set(0);
        self.metrics.unacknowledged.set(0);
    }
}

#[cfg(test)]
mod tests {
    use uitwijk_model::SystemClock;

    use super::*;
    use crate::metrics::AgentMetrics;

    #[test]
    fn the_same_failure_is_told_once_until_it_works_again() {
        let metrics = AgentMetrics::default().collector("col");
        let mut status = Status::new("col", metrics.clone());
        let told: Vec<_> = ["refused", "refused", "timeout", "timeout", "refused"]
            .map(|kind| status.failed(kind, "", &SystemClock))
            .into();
        assert_eq!(told, [true, false, true, false, true]);
        status.connected(&SystemClock);
        assert_eq!(metrics.connected.get(), 1);
        assert!(status.failed("refused", "", &SystemClock));
        assert_eq!((metrics.connected.get(), metrics.failures.get()), (0, 6));
    }
}
