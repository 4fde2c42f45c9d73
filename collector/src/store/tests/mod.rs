//! Does the store keep what it promised, and say clearly when it cannot?

mod crash;
mod full;
mod open;
mod pages;

use std::sync::Arc;

use uitwijk_model::{BootId, Measurement, WallTime};
use uitwijk_proto::columns;
use uitwijk_proto::v1;

use super::{Mask, RecordKey, Store, StoredBatch, Writes};
use crate::testing::{NOW, agent_id, vantage};

/// A batch of one agent as the committer would store it.
fn stored(agent: &str, serial: u64, rows: &[Measurement]) -> StoredBatch {
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

fn write(store: &Store, batches: &[StoredBatch]) {
    let mut writes = Writes::default();
    batches.iter().for_each(|batch| writes.batch(batch));
    store.hot().write(&writes).unwrap();
}

const EVER: (WallTime, WallTime) = (WallTime::from_micros(i64::MIN), WallTime::from_micros(i64::MAX));

/// Every row, as the judge gets it after a start.
fn all_rows(store: &Store) -> Vec<Measurement> {
    store.recover(EVER.0).flat_map(|accepted| accepted.unwrap().rows).collect()
}

fn in_memory() -> (Arc<super::MemoryStore>, Store) {
    let hot = Arc::new(super::MemoryStore::default());
    (hot.clone(), Store::over(hot))
}
