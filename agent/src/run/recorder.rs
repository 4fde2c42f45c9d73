//! Who hears of a measurement?

use std::sync::Arc;

use uitwijk_model::{Measurement, Sequence};

use super::started::StartedFile;
use crate::buffer::Buffer;
use crate::metrics::AgentMetrics;
use crate::schedule::Recorder;
use crate::selfcheck::SelfCheck;

/// Tells the metrics, the self check and the record, then hands over to the buffer.
pub(super) struct ToBuffer {
    pub(super) buffer: Buffer,
    pub(super) metrics: Arc<AgentMetrics>,
    pub(super) selfcheck: Arc<SelfCheck>,
    /// Absent when nobody asked for one.
    pub(super) started: Option<StartedFile>,
}

impl Recorder for ToBuffer {
    async fn record(&mut self, rows: Vec<Measurement>) -> Sequence {
        for measurement in &rows {
            self.metrics.measured(measurement);
            self.selfcheck.saw(measurement);
        }
        if let Some(started) = &mut self.started {
            // Nobody else appends, so this is the number that the first row is about to get.
            started.write(self.buffer.next_sequence(), &rows).await;
        }
        let appended = self.buffer.append(rows);
        appended.first_sequence + appended.taken + appended.lost
    }
}
