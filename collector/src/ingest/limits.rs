//! How much may one agent ask for?

use uitwijk_model::Millis;
use uitwijk_proto::columns::{Limits, ROWS_MAX};

/// What a stream may hold, and how old or new a row may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IngestLimits {
    /// Bytes of one batch as it comes.
    pub batch_bytes_max: usize,
    /// Bytes of one batch, unpacked.
    pub batch_unpacked_bytes_max: usize,
    /// Rows of one batch.
    pub batch_rows_max: u32,
    /// Batches of one stream that are not acknowledged yet. Beyond it the collector does not read on. Acknowledgements come 20 ms
    /// apart, so with 1 a stream moves 50 batches a second at most.
    pub unacknowledged_batches_max: u32,
    /// Rows per second of one stream, on average; 0 means any. Beyond it the collector does not read on.
    pub rows_per_second_max: u32,
    /// How far ahead a row may be scheduled.
    pub future_max: Millis,
    /// How long rows are kept; older ones are refused.
    pub retention: Millis,
    /// A stream that says nothing for so long is ended.
    pub silence_max: Millis,
    /// After so long without a word, an agent may be succeeded by another process of the same identity. Agents send a
    /// heartbeat every few seconds.
    pub takeover_after: Millis,
    /// Messages that may wait for the committer, all streams together.
    pub queue_messages_max: usize,
    /// Memory of decoded rows that wait for the committer, all streams together.
    pub queue_bytes_max: usize,
    /// Rows of one group; the batch that goes over is the last.
    pub group_rows_max: usize,
    /// Memory of the bitmaps of slots.
    pub dedup_bytes_max: usize,
}

impl Default for IngestLimits {
    fn default() -> Self {
        Self {
            batch_bytes_max: 1 << 20,
            batch_unpacked_bytes_max: 4 << 20,
            batch_rows_max: 8192,
            unacknowledged_batches_max: 16,
            rows_per_second_max: 0,
            future_max: Millis::from_secs(3600),
            retention: Millis(35 * 86_400_000),
            silence_max: Millis::from_secs(60),
            takeover_after: Millis::from_secs(10),
            queue_messages_max: 1024,
            queue_bytes_max: 256 << 20,
            group_rows_max: 65_536,
            dedup_bytes_max: 512 << 20,
        }
    }
}

impl IngestLimits {
    pub(super) fn columns(&self) -> Limits {
        let rows_max = (self.batch_rows_max as usize).min(ROWS_MAX);
        Limits { bytes_max: self.batch_bytes_max, unpacked_bytes_max: self.batch_unpacked_bytes_max, rows_max }
    }
}
