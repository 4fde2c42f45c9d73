//! How many streams are open?

use prometheus_client::metrics::gauge::Gauge;

/// Counts open streams.
#[derive(Debug, Clone, Default)]
pub struct Watching(Gauge);

/// One open stream; counted until it is dropped.
#[derive(Debug)]
pub(super) struct Guard(Gauge);

impl Watching {
    /// Counts into a gauge.
    #[must_use]
    pub fn new(gauge: Gauge) -> Self {
        Self(gauge)
    }

    pub(super) fn join(&self) -> Guard {
        self.0.inc();
        Guard(self.0.clone())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.dec();
    }
}
