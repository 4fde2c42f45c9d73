//! Who hears of a measurement?

use std::sync::Arc;

use uitwijk_model::{Measurement, Sequence};

use crate::buffer::Buffer;
use crate::metrics::AgentMetrics;
use crate::schedule::Recorder;
use crate::selfcheck::SelfCheck;

/// Tells the metrics and the self check, then hands over to the buffer.
pub(super) struct ToBuffer {
    pub(super) buffer: Buffer,
    pub(super) metrics: Arc<AgentMetrics>,
    pub(super) selfcheck: Arc<SelfCheck>,
}

impl Recorder for ToBuffer {
    async fn record(&mut self, rows: Vec<Measurement>) -> Sequence {
        for measurement in &rows {
            self.metrics.measured(measurement);
            self.selfcheck.saw(measurement);
        }
        let appended = self.buffer.append(rows);
        appended.first_sequence + appended.taken + appended.lost
    }
}
