//! What does an operator read when a store cannot be opened?

use std::fs;
use std::path::Path;
use std::sync::Arc;

use uitwijk_model::{Millis, SystemClock, WallTime};

use super::{EVER, all_rows, in_memory, stored, write};
use crate::store::{DiskOptions, HotStore as _, OpenError, Store, Writes};
use crate::testing::{NOW, row, slot_now};

fn open(dir: &Path) -> Result<Store, OpenError> {
    Store::open(dir, DiskOptions::default(), Arc::new(SystemClock))
}

#[test]
fn a_directory_that_cannot_be_used_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let mut texts = Vec::new();
    let mut refuse = |name: &str| {
        let error = open(&path(name)).expect_err(name).to_string();
        texts.push(error.replace(dir.path().to_str().unwrap(), "DIR"));
    };
    for (name, line) in [("newer", "uitwijk-collector store 3\n"), ("other", "sled\n")] {
        fs::create_dir(path(name)).unwrap();
        fs::write(path(name).join("format"), line).unwrap();
        refuse(name);
    }
    fs::create_dir(path("photos")).unwrap();
    fs::write(path("photos").join("cat.jpg"), "meow").unwrap();
    refuse("photos");
    fs::write(path("file"), "").unwrap();
    refuse("file");
    refuse("file/below");
    let held = open(&path("held")).unwrap();
    refuse("held");
    drop(held);
    open(&path("held")).unwrap();
    // A keyspace whose own format is of another time.
    fs::write(path("held").join("hot/version"), b"FJL\x09").unwrap();
    refuse("held");
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn a_first_start_that_was_cut_short_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("format.new"), "uitwijk-coll").unwrap();
    open(dir.path()).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("format")).unwrap(), "uitwijk-collector store 2\n");
}

#[test]
fn a_store_of_the_first_format_gets_the_second_when_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    fs::write(dir.path().join("format"), "uitwijk-collector store 1\n").unwrap();
    drop(open(dir.path()).unwrap());
    assert_eq!(fs::read_to_string(dir.path().join("format")).unwrap(), "uitwijk-collector store 2\n");
}

#[test]
fn what_was_written_is_there_after_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let rows = [row("a", slot_now(), 0, 1), row("b", slot_now(), 0, 2)];
    let store = open(dir.path()).unwrap();
    write(&store, &[stored("nl-1", 1, &rows)]);
    drop(store);
    let store = open(dir.path()).unwrap();
    assert_eq!(all_rows(&store), rows);
    assert!(store.disk_bytes() > 0);
}

#[test]
fn old_records_go_in_steps_and_those_that_reach_into_the_kept_time_stay() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let batches: Vec<_> =
        (0..600).map(|i| stored("nl-1", 600 - i, &[row("a", slot_now() - i.cast_signed(), 0, i)])).collect();
    write(&store, &batches);
    // 360 slots of 10 s are an hour, a record may reach 60 s on, and rows are due a second after the start of their slot.
    let moment = NOW.minus(Millis(3_600_000));
    let mut removed = 0;
    loop {
        match store.remove_before(moment).unwrap() {
            0 => break,
            step => {
                assert!(step <= 256);
                removed += step;
            }
        }
    }
    assert_eq!((removed, store.records(EVER.0, EVER.1).count()), (600 - 367, 367));
}

#[test]
fn damage_within_is_reported_and_its_neighbours_are_read() {
    let (hot, store) = in_memory();
    let good = stored("nl-1", 1, &[row("a", slot_now(), 0, 1)]);
    let mut bad = stored("nl-1", 2, &[row("b", slot_now(), 0, 2)]);
    bad.columns = bad.columns.slice(..bad.columns.len() - 1);
    write(&store, &[good, bad]);
    hot.write(&Writes { batches: vec![(vec![0x80; 12], vec![1, 2, 3])], small: Vec::new() }).unwrap();
    assert_eq!(all_rows(&store).len(), 1);
    assert_eq!(store.damaged_records(), 2);
    let page = store.query(&Default::default(), EVER.0, EVER.1, "", 10).unwrap();
    assert_eq!((page.rows.len(), page.damaged), (1, 2));
    assert_eq!(store.recover(WallTime::from_micros(NOW.as_micros() + 60_000_000)).count(), 0);
}
