//! How does the buffer stand before an uplink?
//!
//! ```text
//!   no backlog     1 2 3 4 5                          in order, as they come
//!   a backlog      1 2 [7] 3 4 [8] 5 [9] 6 | 10 11    what is measured from the reconnect on goes ahead, the rest behind it
//! ```
//!
//! After hours without a collector the measurements of now are worth most: a verdict on what happens waits for them. They are few and
//! go first; the backlog gets all the room that they leave, so neither starves. Boots and sequences stay in order otherwise.

use std::collections::BTreeMap;

use prost::Message as _;
use uitwijk_model::BootId;
use uitwijk_proto::columns::to_bytes;
use uitwijk_proto::v1;

use super::backlog::{Backlog, BatchLimits, Piece};
use crate::buffer::{Books, Buffer, Delivery, Health, Reader};

/// So many rows are a backlog, past which the measurements of now go ahead.
const BACKLOG_ROWS: u64 = 1024;
/// Pieces of a backlog that may be on their way while something goes ahead: on a slow line it stands behind them.
const BEHIND_MAX: usize = 2;
/// Streams of one boot that may look ahead. Each leaves an island at the collector, which takes only so many.
const AHEAD_MAX: u32 = 32;

/// The buffer as one collector is concerned.
#[derive(Debug)]
pub struct Buffered {
    buffer: Buffer,
    reader: Reader,
    /// Reads what is measured from the last reconnect on, while there is a backlog.
    ahead: Option<Reader>,
    /// Streams that looked ahead.
    aheads: u32,
    collector: String,
    /// The highest acknowledgement per boot, to count news only.
    acknowledged: BTreeMap<u64, u64>,
}

impl Buffered {
    /// `None` when the buffer does not know the collector.
    #[must_use]
    pub fn new(buffer: Buffer, collector: &str) -> Option<Self> {
        let reader = buffer.reader(collector)?;
        let held = buffer.ranges(collector);
        let acknowledged = held.iter().map(|range| (range.boot, range.first_sequence)).collect();
        Some(Self { buffer, reader, ahead: None, aheads: 0, collector: collector.to_owned(), acknowledged })
    }

    fn has_backlog(&self) -> bool {
        let books = self.buffer.books(&self.collector);
        books.iter().map(|books| books.buffered).sum::<u64>() > BACKLOG_ROWS
    }

    /// What goes ahead, if anything does; waits for it.
    async fn look_ahead(ahead: &mut Option<Reader>, limits: BatchLimits) -> v1::Batch {
        let Some(reader) = ahead else { return std::future::pending().await };
        match reader.next(rows_max(limits), limits.bytes_max).await {
            Some(Delivery::Batch(batch)) => batch,
            // It tells of no gaps, and the buffer is closed when there is nothing.
            Some(Delivery::Tombstone(_)) | None => std::future::pending().await,
        }
    }
}

impl Backlog for Buffered {
    fn boot(&self) -> u64 {
        self.buffer.boot().0
    }

    fn knows_all(&self) -> bool {
        self.buffer.health() != Health::Memory
    }

    async fn held(&self) -> Vec<v1::BootRange> {
        self.buffer.ranges(&self.collector)
    }

    async fn books(&self) -> (Vec<v1::Books>, u64) {
        let books = self.buffer.books(&self.collector);
        (books.iter().map(Books::to_wire).collect(), self.buffer.counts().disk_bytes)
    }

    async fn rewind(&mut self) {
        self.reader.rewind();
        self.ahead = None;
        if self.has_backlog() && self.aheads < AHEAD_MAX {
            self.aheads += 1;
            self.ahead = self.buffer.reader_ahead(&self.collector);
        }
    }

    async fn next(&mut self, limits: BatchLimits) -> Piece {
        if self.ahead.is_some() && !self.has_backlog() {
            self.ahead = None;
        }
        let behind = self.ahead.is_none() || limits.in_flight < BEHIND_MAX;
        let next = tokio::select! {
            biased;
            batch = Self::look_ahead(&mut self.ahead, limits) => {
                return Piece::Ahead(packed(batch, limits.compression));
            }
            next = self.reader.next(rows_max(limits), limits.bytes_max), if behind => next,
        };
        match next {
            Some(Delivery::Batch(batch)) => Piece::Batch(packed(batch, limits.compression)),
            Some(Delivery::Tombstone(tombstone)) => Piece::Tombstone(tombstone),
            // The buffer is closed, so the agent is about to end; there is nothing to send until then.
            None => std::future::pending().await,
        }
    }

    async fn acknowledge(&mut self, boot: u64, next_sequence: u64) -> u64 {
        self.buffer.acknowledge(&self.collector, BootId(boot), next_sequence);
        let before = self.acknowledged.entry(boot).or_insert(1);
        let news = next_sequence.saturating_sub(*before);
        *before = next_sequence.max(*before);
        news
    }
}

fn rows_max(limits: BatchLimits) -> u32 {
    u32::try_from(limits.rows_max).unwrap_or(u32::MAX)
}

/// Records are on disk unpacked; they are packed on their way, where that pays.
fn packed(mut batch: v1::Batch, how: v1::Compression) -> v1::Batch {
    if batch.compression() == how {
        return batch;
    }
    match v1::Columns::decode(batch.columns.as_ref()) {
        Ok(columns) => {
            batch.columns = to_bytes(&columns, how);
            batch.compression = how.into();
        }
        // The collector refuses and counts what nobody can read.
        Err(error) => tracing::error!(%error, boot = batch.boot, "batch cannot be packed and goes as it is"),
    }
    batch
}
