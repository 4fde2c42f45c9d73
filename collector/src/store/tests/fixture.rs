//! Are files and a manifest that version 1 wrote still read?
//!
//! `collector/tests/fixtures/cold-1` was written by the first release that sealed hours and is never written again. Should the
//! format get another version, its fixture stands beside it: the test writes the one that is not there, and fails, so that it is
//! looked at and committed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cold_files::contents;
use super::sealing::seal_all;
use super::{EVER, in_memory_with, stored, write};
use crate::store::{Filter, HotStore as _, MemoryStore, Objects, Store, Writes};
use crate::testing::{row, slot_now, vantage};
use uitwijk_model::{Elapsed, Fault, Hop, Outcome, ServedBy, WallTime};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cold-1")
}

/// Two hours, one of them in two generations, with a value in every column.
fn made() -> (Arc<MemoryStore>, Objects, Store) {
    let (hot, objects, store) = in_memory_with();
    let mut full = row("exchange/default@NL", slot_now() - 1, 1, 17_000);
    full.started = WallTime::from_micros(full.started.as_micros() + 250);
    full.outcome = Outcome::Down(Fault::HttpStatus);
    let us = |n| Some(Elapsed::from_micros(n));
    full.phases =
        uitwijk_model::Phases { dns: us(1), connect: us(2), tls: us(3), send: us(4), wait: us(5), transfer: us(6) };
    full.http_status = Some(503);
    let place = vantage("IE", "2");
    full.served = Some(ServedBy { region: place.region, zone: Some(place.zone) });
    full.hops = vec![Hop { http_status: 301, elapsed: Elapsed::from_micros(7) }];
    full.certificate_expires = Some(WallTime::from_millis(1_900_000_000_000));
    full.observer.clock_offset_us = Some(-400);
    full.observer.loop_lag = Elapsed::from_micros(8);
    (full.observer.controls_failed, full.observer.controls_seen) = (1, 3);
    write(&store, &[stored("nl-1", 1, &[full, row("chain:idp", slot_now(), 0, 5)])]);
    write(&store, &[stored("ie-1", 2, &[row("exchange/default@NL", slot_now(), 0, 6)])]);
    seal_all(&store, 100);
    write(&store, &[stored("ie-1", 3, &[row("exchange/default@IE", slot_now() + 1, 0, 7)])]);
    seal_all(&store, 100);
    (hot, objects, store)
}

fn write_fixture() {
    let (hot, objects, _) = made();
    let mut manifest = String::new();
    for (key, value) in hot.small().unwrap() {
        writeln!(manifest, "{} {}", hex(&key), hex(&value)).unwrap();
    }
    std::fs::create_dir_all(folder()).unwrap();
    std::fs::write(folder().join("manifest.txt"), manifest).unwrap();
    for path in objects.list("").unwrap() {
        let file = folder().join(&path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, objects.get(&path).unwrap()).unwrap();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[i * 2..i * 2 + 2], 16).unwrap()).collect()
}

#[test]
fn files_of_version_1_are_read() {
    if !folder().exists() {
        write_fixture();
        panic!("there was no {}; it has been written, review and commit it", folder().display());
    }
    let hot = Arc::new(MemoryStore::default());
    let text = std::fs::read_to_string(folder().join("manifest.txt")).unwrap();
    let entries = text.lines().map(|line| line.split_once(' ').unwrap());
    let small = entries.map(|(key, value)| (unhex(key), Some(unhex(value)))).collect();
    hot.write(&Writes { batches: Vec::new(), small }).unwrap();
    let store = Store::joined(hot, Objects::folder(&folder()).unwrap()).unwrap();
    let (_, _, now) = made();
    assert_eq!(contents(&store), contents(&with_hot_removed(now)));
    assert_eq!(contents(&store).len(), 4);
    let rollups: BTreeMap<_, _> = store.rollups(&Filter::default(), EVER.0, EVER.1).unwrap();
    assert_eq!(rollups.values().map(|cell| cell.up + cell.down).sum::<u64>(), 4);
    assert_eq!(store.small().unwrap().serial, 3);
    assert_eq!(store.damaged_records(), 0);
}

fn with_hot_removed(store: Store) -> Store {
    super::sealing::remove_covered(&store);
    store
}
