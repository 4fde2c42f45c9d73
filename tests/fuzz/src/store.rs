//! What stands in the store of a collector: records of batches, and files of sealed hours.
//!
//! What cannot be read is counted as damage and left out; what is beside it can be read.

use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};
use prost::Message as _;
use uitwijk_collector::store::{Filter, HotStore, Hour, MemoryStore, Objects, Sealing, Store, StoreError, Writes};
use uitwijk_model::WallTime;

const FROM: WallTime = WallTime::from_micros(i64::MIN);
const TO: WallTime = WallTime::from_micros(i64::MAX);
/// 2026-03-02T07:00:00Z.
const HOUR: i64 = 492_343;

/// A key (its length first) and the record under it.
pub(crate) fn stored(data: &[u8]) {
    let Some((length, rest)) = data.split_first() else { return };
    let Some((key, value)) = rest.split_at_checked(usize::from(*length)) else { return };
    let hot = Arc::new(MemoryStore::default());
    let writes = Writes { batches: vec![(key.to_vec(), value.to_vec())], small: Vec::new() };
    hot.write(&writes).expect("memory");
    let store = Store::over(hot);
    read_all(&store);
    // What can be read can be sealed, and says the same then.
    let rows = |store: &Store| store.recover(FROM).filter_map(Result::ok).flat_map(|part| part.rows).count();
    let before = rows(&store);
    let Ok(hours) = store.unsealed(TO) else { return };
    for (hour, ..) in hours.into_iter().take(3) {
        let how = Sealing { collector: "c", plan_version: "p", now: TO, file_rows_max: 1000, give_up: &|| false };
        let _ = store.seal(hour, &how);
    }
    assert_eq!(rows(&store), before, "sealing changes nothing");
}

/// A file of an hour.
pub(crate) fn sealed(data: &[u8]) {
    // A decoder that panics is a case that is provided for; what must not be is what comes of it.
    static QUIET: std::sync::Once = std::sync::Once::new();
    QUIET.call_once(|| {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.location().is_some_and(|at| !at.file().contains("parquet")) {
                told(info);
            }
        }));
    });
    let objects = Arc::new(InMemory::new());
    let payload = PutPayload::from(data.to_vec());
    super::answers::wait(async { drop(objects.put(&Path::from("hour.parquet"), payload).await.expect("memory")) });
    let file = |path: &str| FileRow {
        path: path.to_owned(),
        rows: 1,
        bytes: data.len() as u64,
        sha256: Vec::new(),
        from_us: HOUR * 3_600_000_000,
        to_us: HOUR * 3_600_000_000 + 3_599_999_999,
    };
    // As a file of measurements, and as one of rollups.
    let generation = Generation {
        number: 1,
        through_serial: 1,
        sealed_us: 1,
        files: vec![file("hour.parquet")],
        rollups: vec![file("hour.parquet")],
    };
    let key = [b"c/".as_slice(), &HOUR.wrapping_add(i64::MIN).cast_unsigned().to_be_bytes()].concat();
    let hour = HourRow { generations: vec![generation] };
    let hot = Arc::new(MemoryStore::default());
    let writes = Writes { batches: Vec::new(), small: vec![(key, Some(hour.encode_to_vec()))] };
    hot.write(&writes).expect("memory");
    let store = Store::joined(hot, Objects::over(objects)).expect("a manifest of ours");
    read_all(&store);
    let _ = store.rollups(&Filter::default(), Hour(HOUR).start(), Hour(HOUR).end());
}

/// Reads everything in every way; damage of a record or a file is no failure of the store.
fn read_all(store: &Store) {
    for part in store.recover(FROM) {
        match part {
            Ok(part) => assert_eq!(part.rows.len(), part.sequences.len()),
            Err(error) => assert!(!matches!(error, StoreError::Damaged(_)), "damage ends a walk: {error}"),
        }
    }
    let filters = [Filter::default(), Filter { target: Some("exchange/default@NL".to_owned()), ..Filter::default() }];
    for filter in filters {
        let page = store.query(&filter, FROM, TO, "", 100).expect("damage does not end a question");
        assert!(page.rows.len() <= 100);
    }
}

/// As `store/cold/manifest.rs` has them.
#[derive(Clone, PartialEq, prost::Message)]
struct FileRow {
    #[prost(string, tag = "1")]
    path: String,
    #[prost(uint64, tag = "2")]
    rows: u64,
    #[prost(uint64, tag = "3")]
    bytes: u64,
    #[prost(bytes = "vec", tag = "4")]
    sha256: Vec<u8>,
    #[prost(sint64, tag = "5")]
    from_us: i64,
    #[prost(sint64, tag = "6")]
    to_us: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Generation {
    #[prost(uint32, tag = "1")]
    number: u32,
    #[prost(uint64, tag = "2")]
    through_serial: u64,
    #[prost(sint64, tag = "3")]
    sealed_us: i64,
    #[prost(message, repeated, tag = "4")]
    files: Vec<FileRow>,
    #[prost(message, repeated, tag = "5")]
    rollups: Vec<FileRow>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HourRow {
    #[prost(message, repeated, tag = "1")]
    generations: Vec<Generation>,
}
