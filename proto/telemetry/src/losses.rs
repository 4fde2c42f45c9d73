//! How much of what the process had to tell was lost?

use std::fmt::Error;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use crate::traces::TraceCounts;
use crate::writer::Lines;

/// `uitwijk_log_lines_dropped_total`, and with traces on `uitwijk_trace_spans_total{state}`; get it from
/// [`crate::logging::Guard::metrics`] and register it with `Registry::register_collector`.
#[derive(Debug)]
pub struct LossMetrics {
    pub(crate) lines: Lines,
    pub(crate) spans: Option<Arc<TraceCounts>>,
}

impl Collector for LossMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let help = "Log lines dropped because nobody read them";
        let dropped = encoder.encode_descriptor("uitwijk_log_lines_dropped", help, None, MetricType::Counter)?;
        ConstCounter::new(self.lines.dropped()).encode(dropped)?;
        let Some(spans) = &self.spans else { return Ok(()) };
        let help = "Spans ended, exported, and failed to be exported; the difference waits or was dropped";
        let mut family = encoder.encode_descriptor("uitwijk_trace_spans", help, None, MetricType::Counter)?;
        for (state, count) in [("ended", spans.ended()), ("exported", spans.exported()), ("failed", spans.failed())] {
            ConstCounter::new(count).encode(family.encode_family(&[("state", state)])?)?;
        }
        Ok(())
    }
}
