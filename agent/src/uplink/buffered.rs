//! How does the buffer stand before an uplink?

use std::collections::BTreeMap;

use prost::Message as _;
use uitwijk_model::BootId;
use uitwijk_proto::columns::to_bytes;
use uitwijk_proto::v1;

use super::backlog::{Backlog, BatchLimits, Piece};
use crate::buffer::{Books, Buffer, Delivery, Reader};

/// The buffer as one collector is concerned.
#[derive(Debug)]
pub struct Buffered {
    buffer: Buffer,
    reader: Reader,
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
        Some(Self { buffer, reader, collector: collector.to_owned(), acknowledged })
    }
}

impl Backlog for Buffered {
    fn boot(&self) -> u64 {
        self.buffer.boot().0
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
    }

    async fn next(&mut self, limits: BatchLimits) -> Piece {
        let rows_max = u32::try_from(limits.rows_max).unwrap_or(u32::MAX);
        match self.reader.next(rows_max, limits.bytes_max).await {
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
