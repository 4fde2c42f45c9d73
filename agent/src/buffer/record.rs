//! What is one record of the buffer?
//!
//! An encoded `Batch` of one boot with adjacent sequences, at most 6 KiB: exactly what goes to a collector, so
//! nothing is decoded on the way out unless several records are merged into one batch. One measurement per record
//! would be simpler, and was eighty times slower and took twenty times the memory.

use bytes::Bytes;
use prost::Message;
use uitwijk_model::{BootId, Measurement, Sequence};
use uitwijk_proto::{columns, v1};

/// Bytes that a record may take. A single measurement that takes more is kept all the same. sled keeps up to 20 records in a page
/// for a moment, and a page of 128 KiB and more in a file of its own, which it does not sync.
pub(super) const RECORD_BYTES_MAX: usize = 6 * 1024;
/// Rows that are tried first: of a usual row about twenty-five bytes remain.
const RECORD_ROWS_MAX: usize = 224;

/// What a record says of itself; the head of a `Batch`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct Extent {
    #[prost(uint64, tag = "1")]
    pub(super) boot: u64,
    #[prost(uint64, tag = "2")]
    pub(super) first: u64,
    #[prost(uint32, tag = "3")]
    pub(super) count: u32,
}

impl Extent {
    /// Reads only the head; `None` when it makes no sense.
    pub(super) fn of(record: &[u8]) -> Option<Self> {
        let extent = Self::decode(record).ok()?;
        let sane = extent.first > 0 && extent.count > 0 && extent.first.checked_add(extent.count.into()).is_some();
        sane.then_some(extent)
    }

    pub(super) const fn boot(&self) -> BootId {
        BootId(self.boot)
    }

    /// One past the last sequence.
    pub(super) fn end(&self) -> Sequence {
        self.first + u64::from(self.count)
    }
}

/// A record that is to be written.
#[derive(Debug, Clone)]
pub(super) struct Fresh {
    pub(super) extent: Extent,
    pub(super) bytes: Bytes,
}

/// Cuts adjacent rows into records.
pub(super) fn encode(boot: BootId, first: Sequence, rows: &[Measurement]) -> Vec<Fresh> {
    let mut records = Vec::with_capacity(rows.len() / RECORD_ROWS_MAX + 1);
    let mut first = first;
    for rows in rows.chunks(RECORD_ROWS_MAX) {
        encode_chunk(boot, first, rows, &mut records);
        first += rows.len() as u64;
    }
    records
}

fn encode_chunk(boot: BootId, first: Sequence, rows: &[Measurement], records: &mut Vec<Fresh>) {
    let batch = columns::batch(boot, first, &columns::encode(rows), v1::Compression::None);
    if batch.encoded_len() > RECORD_BYTES_MAX && rows.len() > 1 {
        let (front, back) = rows.split_at(rows.len() / 2);
        encode_chunk(boot, first, front, records);
        return encode_chunk(boot, first + front.len() as u64, back, records);
    }
    let extent = Extent { boot: boot.0, first, count: batch.count };
    records.push(Fresh { extent, bytes: batch.encode_to_vec().into() });
}

/// The batch of a record; `None` when it cannot be read.
pub(super) fn decode(record: &[u8]) -> Option<v1::Batch> {
    v1::Batch::decode(record).ok()
}

/// Joins adjacent batches of one boot; the first alone when they do not merge.
pub(super) fn merge(mut batches: Vec<v1::Batch>) -> Option<v1::Batch> {
    if batches.len() > 1 {
        match columns::merge(&batches) {
            Ok(merged) => {
                let first = &batches[0];
                let how = v1::Compression::None;
                return Some(columns::batch(BootId(first.boot), first.first_sequence, &merged, how));
            }
            Err(error) => tracing::warn!(%error, "records of the buffer do not merge, sending them one by one"),
        }
    }
    (!batches.is_empty()).then(|| batches.swap_remove(0))
}
