//! Does the store keep what it promised, and say clearly when it cannot?

mod cold_files;
mod crash;
mod drops;
mod engine;
mod fixture;
mod frozen;
mod full;
mod open;
mod pages;
mod rollups;
pub(crate) mod sealing;
mod sealing_killed;

use std::sync::Arc;

use uitwijk_model::{BootId, Measurement, WallTime};
use uitwijk_proto::columns;
use uitwijk_proto::v1;

use super::{Mask, RecordKey, Store, StoredBatch, Writes, small};
use crate::testing::{NOW, agent_id, vantage};

/// A batch of one agent as the committer would store it.
pub(crate) fn stored(agent: &str, serial: u64, rows: &[Measurement]) -> StoredBatch {
    let columns = columns::encode(rows);
    let from = rows.iter().map(|m| m.scheduled).min().unwrap();
    let to = rows.iter().map(|m| m.scheduled).max().unwrap();
    StoredBatch {
        key: RecordKey {
            from,
            agent: agent_id(agent),
            boot: BootId(1),
            first_sequence: 1,
            serial,
            span_us: u32::try_from(to.micros_since(from)).unwrap(),
        },
        vantage: if agent.starts_with("nl") { vantage("NL", "1") } else { vantage("IE", "1") },
        arrived: NOW,
        count: columns.count,
        mask: Mask::all(),
        columns: columns::to_bytes(&columns, v1::Compression::Zstd),
        compression: v1::Compression::Zstd.into(),
    }
}

pub(crate) fn write(store: &Store, batches: &[StoredBatch]) {
    let mut writes = Writes::default();
    batches.iter().for_each(|batch| writes.batch(batch));
    let highest = batches.iter().map(|batch| batch.key.serial).max().unwrap_or(0);
    writes.small.push(small::serial(store.small().unwrap().serial.max(highest)));
    store.hot().write(&writes).unwrap();
}

const EVER: (WallTime, WallTime) = (WallTime::from_micros(i64::MIN), WallTime::from_micros(i64::MAX));

/// Every row, as the judge gets it after a start.
fn all_rows(store: &Store) -> Vec<Measurement> {
    store.recover(EVER.0).flat_map(|accepted| accepted.unwrap().rows).collect()
}

fn in_memory_with() -> (Arc<super::MemoryStore>, super::Objects, Store) {
    let (hot, objects) = (Arc::new(super::MemoryStore::default()), super::Objects::memory());
    (hot.clone(), objects.clone(), Store::joined(hot, objects).unwrap())
}

fn in_memory() -> (Arc<super::MemoryStore>, Store) {
    let hot = Arc::new(super::MemoryStore::default());
    (hot.clone(), Store::over(hot))
}
