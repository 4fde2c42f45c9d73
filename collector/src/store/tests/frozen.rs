//! Does a moment of the store stay as it was, whatever happens meanwhile?

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use uitwijk_model::{BootId, Millis};

use super::sealing::{remove_covered, seal_all};
use super::{stored, write};
use crate::store::{DiskOptions, Entry, Examiner, Frozen, Goes, Ledger, Space, Store, StoreError, Writes, small};
use crate::testing::{NOW, TestClock, agent_id, row, slot_now};

const SLOTS_OF_AN_HOUR: i64 = 360;

fn open(dir: &TempDir) -> Store {
    Store::open(dir.path(), DiskOptions::default(), TestClock::at(NOW)).unwrap()
}

fn put(store: &Store, serial: u64, ago: i64) {
    let rows: Vec<_> = (0..5).map(|i| row("a/x@NL", slot_now() - ago + i, 0, serial * 10 + i.unsigned_abs())).collect();
    write(store, &[stored("nl-1", serial, &rows)]);
}

/// The rows of one boot as its ledger counts them.
fn count(store: &Store, rows: u64) {
    let mut ledger = Ledger::default();
    ledger.stored = rows;
    ledger.settle(1..rows + 1);
    let small = vec![small::ledger(&agent_id("nl-1"), BootId(1), Some(&ledger))];
    store.hot().write(&Writes { batches: Vec::new(), small }).unwrap();
}

fn entries(frozen: &Frozen, space: Space) -> Vec<Entry> {
    let mut all = Vec::new();
    let each = frozen.each(space, &mut |entry| -> Result<(), StoreError> {
        all.push(entry);
        Ok(())
    });
    each.unwrap();
    all
}

fn files(frozen: &Frozen) -> Vec<(String, Vec<u8>)> {
    let read = |file: crate::store::SealedFile| {
        let bytes = frozen.read(&file.path, 0..file.bytes).unwrap();
        assert_eq!(Sha256::digest(&bytes).to_vec(), file.sha256, "{}", file.path);
        (file.path, bytes.to_vec())
    };
    frozen.files().into_iter().map(read).collect()
}

#[test]
fn what_comes_goes_and_is_sealed_meanwhile_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    put(&store, 1, 5 * SLOTS_OF_AN_HOUR);
    seal_all(&store, 100);
    put(&store, 2, 3 * SLOTS_OF_AN_HOUR);
    count(&store, 10);

    let frozen = store.freeze().unwrap();
    let (small, batches, sealed) = (entries(&frozen, Space::Small), entries(&frozen, Space::Batches), files(&frozen));
    assert_eq!(
        (batches.len(), sealed.len()),
        (2, 2),
        "one record is covered and still there; measurements and rollups"
    );

    put(&store, 3, 5 * SLOTS_OF_AN_HOUR - 20);
    put(&store, 4, SLOTS_OF_AN_HOUR);
    count(&store, 20);
    seal_all(&store, 100);
    remove_covered(&store);
    for old in store.sealed_hours() {
        store.drop_hour(old.hour, Goes::All).unwrap();
    }
    assert!(!store.remove_condemned().unwrap(), "files wait for whoever holds the moment");
    store.remove_before(NOW.plus(Millis(1_000_000))).unwrap();

    assert_eq!(entries(&frozen, Space::Small), small);
    assert_eq!(entries(&frozen, Space::Batches), batches);
    assert_eq!(files(&frozen), sealed);
    let mut examiner = Examiner::of(&small).unwrap();
    batches.into_iter().for_each(|entry| examiner.record(entry));
    examiner.no_files();
    let found = examiner.finish();
    assert_eq!((found.told, found.counts.records, found.counts.sealed_rows), (vec![], 2, 5));

    drop(frozen);
    assert!(store.remove_condemned().unwrap(), "and go when it is let go");
}

#[test]
fn a_group_is_in_a_moment_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let writer = store.clone();
    let writing = std::thread::spawn(move || {
        for serial in 1..400 {
            put(&writer, serial, i64::try_from(serial).unwrap());
        }
    });
    while !writing.is_finished() {
        let frozen = store.freeze().unwrap();
        // A record and the serial that it was given stand in one group.
        assert_eq!(entries(&frozen, Space::Batches).len() as u64, frozen.small().serial);
    }
    writing.join().unwrap();
}

#[test]
fn everything_that_is_wrong_with_a_store_is_told() {
    let told = |spoil: &dyn Fn(&Store)| {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        put(&store, 1, 5 * SLOTS_OF_AN_HOUR);
        seal_all(&store, 100);
        put(&store, 2, SLOTS_OF_AN_HOUR);
        count(&store, 10);
        assert_eq!(store.examine().unwrap().told, Vec::<String>::new());
        spoil(&store);
        store.examine().unwrap().told.join("\n")
    };
    let boot = "nl-1 0000000000000001";
    assert_eq!(told(&|store| count(store, 9)), format!("ledger of {boot}: it counts 9 rows, 10 are here"));
    assert_eq!(told(&|store| count(store, 11)), format!("ledger of {boot}: it counts 11 rows, only 10 are here"));
    let stranger = |store: &Store| {
        let small = vec![small::ledger(&agent_id("nl-1"), BootId(1), None)];
        store.hot().write(&Writes { batches: Vec::new(), small }).unwrap();
    };
    assert_eq!(told(&stranger), format!("10 rows of {boot} are here and no ledger knows them"));
    let torn = |store: &Store| {
        let mut frozen = entries(&store.freeze().unwrap(), Space::Batches);
        let (key, value) = frozen.remove(0);
        let writes = Writes { batches: vec![(key.to_vec(), value[..value.len() - 3].to_vec())], small: Vec::new() };
        store.hot().write(&writes).unwrap();
    };
    assert!(told(&torn).contains("damaged record in the store: agent nl-1 at"), "{}", told(&torn));
}

#[test]
fn every_file_is_of_an_hour_that_is_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    for serial in 1..6 {
        put(&store, serial, i64::try_from(serial).unwrap() * SLOTS_OF_AN_HOUR);
    }
    seal_all(&store, 2);
    let frozen = store.freeze().unwrap();
    let rows: u64 = frozen.files().iter().filter_map(|file| file.rows).sum();
    assert_eq!((rows, frozen.small().sealed_hours()), (25, store.sealed_hours().len()));
}
