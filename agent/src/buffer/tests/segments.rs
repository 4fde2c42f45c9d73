//! Is what stands at the seams of sled's log still found after the power went?

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use crate::buffer::options::Faults;
use crate::buffer::segments::{self, SEGMENT_BYTES, Segment};
use crate::buffer::store::Store;

/// As large as one gets.
const RECORD: usize = 6 * 1024;

fn record(key: u64) -> Vec<u8> {
    let noise = key.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    noise.into_iter().cycle().take(RECORD).collect()
}

fn open(dir: &Path) -> Store {
    Store::open(&dir.join("store"), &Arc::new(Faults::default())).unwrap()
}

fn data(dir: &Path) -> File {
    File::options().read(true).write(true).open(dir.join("store/db")).unwrap()
}

fn segments(dir: &Path) -> Vec<Segment> {
    segments::all(&data(dir)).unwrap()
}

/// Puts a header where it says that it is.
fn write(data: &File, segment: Segment) {
    data.write_all_at(&segment.header(), segment.slot * SEGMENT_BYTES as u64).unwrap();
}

/// What is in a store, by number.
fn content(store: &Store) -> Vec<u64> {
    let next = |from: &u64| store.at_or_after(from + 1).unwrap().map(|(key, _)| key);
    let keys: Vec<u64> = std::iter::successors(next(&0), next).collect();
    for key in &keys {
        assert_eq!(store.at_or_after(*key).unwrap().unwrap().1, record(*key), "{key}");
    }
    keys
}

/// Puts records in and takes those out that are older than `keep`, and syncs now and then.
fn fill(store: &Store, keys: std::ops::RangeInclusive<u64>, keep: u64) {
    for key in keys {
        store.insert(key, &record(key)).unwrap();
        if key > keep {
            store.remove(key - keep).unwrap();
        }
        if key % 7 == 0 {
            store.sync().unwrap();
        }
    }
    store.sync().unwrap();
}

/// What is left of a store when the process is killed.
fn killed(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir_all(copy.path().join("store/blobs")).unwrap();
    for name in ["db", "conf"] {
        fs::copy(dir.join("store").join(name), copy.path().join("store").join(name)).unwrap();
    }
    copy
}

#[test]
fn the_newest_segment_is_marked_and_all_before_it_in_the_chain_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut newest = 0;
    for key in 1..=3000 {
        fill(&store, key..=key, 100);
        let segments = segments(dir.path());
        let last = segments.last().unwrap();
        assert!(last.is_marked(), "{segments:?}");
        assert!(last.at - newest <= SEGMENT_BYTES as i64, "one at a time: {newest} to {}", last.at);
        newest = last.at;
    }
    assert!(newest > 20 * SEGMENT_BYTES as i64, "{newest}");
    let (data, segments) = (data(dir.path()), segments(dir.path()));
    let (last, before) = segments.split_last().unwrap();
    assert!(!last.is_whole(&data).unwrap());
    assert!(before.iter().all(|segment| segment.is_whole(&data).unwrap()), "{before:?}");
}

#[test]
fn much_at_once_is_synced_in_between() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut newest = 0;
    for key in 1..=2000 {
        store.insert(key, &record(key)).unwrap();
        let segments = segments(dir.path());
        let marked = segments.iter().rposition(|segment| segment.is_marked()).unwrap();
        assert!(segments.len() - marked <= 2, "{} wait for a sync: {segments:?}", segments.len() - marked);
        newest = segments[marked].at;
    }
    assert!(newest > 20 * SEGMENT_BYTES as i64, "{newest}");
}

/// Of records of the greatest size, removed in the order in which they came, as after a long outage.
#[test]
fn a_backlog_that_drains_is_synced_in_between() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    // First as a buffer that is full: it takes what the options count with.
    fill(&store, 1..=10_000, 2000);
    assert!(store.disk_bytes() < 3 * 2000 * RECORD as u64, "{}", store.disk_bytes());
    for key in 8001..=9800 {
        store.remove(key).unwrap();
        let segments = segments(dir.path());
        let waiting = segments.iter().rev().take_while(|segment| !segment.is_marked()).count();
        assert!(waiting <= 1, "{waiting} wait for a sync after {key}");
    }
    store.sync().unwrap();
    let copy = killed(dir.path());
    assert_eq!(content(&open(copy.path())), (9801..=10_000).collect::<Vec<_>>());
    assert_eq!(fs::read_dir(dir.path().join("store/blobs")).unwrap().count(), 0, "every page is in the log");
}

/// The pages that sled moves to tidy up are large, and what has it move them is small.
#[test]
fn small_changes_beside_large_records_are_synced_in_between() {
    let dir = tempfile::tempdir().unwrap();
    let small = |key: u64| record(key)[..300].to_vec();
    let store = open(dir.path());
    for key in 1..=2000 {
        store.insert(key, &small(key)).unwrap();
    }
    // Half of the large ones go again, so that there is something to tidy up.
    for key in 2001..=5000 {
        store.insert(key, &record(key)).unwrap();
    }
    for key in (2001..=5000).filter(|key| key % 17 < 9) {
        store.remove(key).unwrap();
    }
    store.sync().unwrap();
    drop(store);
    let store = open(dir.path());
    let newest = || segments(dir.path()).iter().rfind(|segment| segment.is_marked()).unwrap().at;
    let (begun, mut last) = (newest(), newest());
    for key in 1..=2000_u64 {
        store.remove(key).unwrap();
        store.put_meta(&[b"boot/".as_slice(), &(key % 500).to_be_bytes()].concat(), &[7; 100]).unwrap();
        let now = newest();
        assert!(
            now - last <= SEGMENT_BYTES as i64,
            "{} segments at once after {key}",
            (now - last) / SEGMENT_BYTES as i64
        );
        last = now;
    }
    assert!(last - begun > 3 * SEGMENT_BYTES as i64, "{}", (last - begun) / SEGMENT_BYTES as i64);
}

/// A start makes a snapshot and zeroes the segments that are free, the one before the newest among them.
#[test]
fn a_start_whose_snapshot_is_lost_leaves_everything() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for round in 1..=10 {
        fill(&store, (round - 1) * 100 + 1..=round * 100, 5);
        let kept = content(&store);
        let copy = killed(dir.path());
        drop(open(copy.path()));
        let again = killed(copy.path());
        assert!(segments(again.path()).len() <= segments(dir.path()).len());
        assert_eq!(content(&open(again.path())), kept, "round {round}");
    }
}

#[test]
fn segments_without_a_mark_get_it_before_the_store_is_opened_and_those_behind_a_gap_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store, 1..=400, 1000);
    let kept = content(&store);
    let copy = killed(dir.path());
    let (data, all) = (data(copy.path()), segments(copy.path()));
    let [.., base, _, last] = all[..] else { panic!("{all:?}") };
    // The process died before it could mark the last two.
    all[all.len() - 2..].iter().for_each(|segment| write(&data, Segment { safe: segment.at - 1, ..*segment }));
    assert!(base.is_marked());
    // And of what it wrote behind a gap a header reached the disk.
    let stray = Segment { slot: all.len() as u64 + 1, at: last.at + 2 * SEGMENT_BYTES as i64, safe: last.at + 7 };
    write(&data, stray);
    segments::mend(&copy.path().join("store/db")).unwrap();
    assert_eq!(segments(copy.path()).last(), Some(&Segment { safe: last.at, ..last }));
    assert_eq!(content(&open(copy.path())), kept);
}

/// sled used the slots of segments again in which nothing was needed; the process died before the newest was marked.
#[test]
fn segments_behind_a_gap_that_sled_itself_would_pass_over_stay() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store, 1..=1000, 5);
    let kept = content(&store);
    let copy = killed(dir.path());
    let (data, all) = (data(copy.path()), segments(copy.path()));
    // A start zeroes what is not needed: so it is found out which those are.
    let probe = killed(dir.path());
    drop(open(probe.path()));
    let needed = segments(probe.path());
    let is_needed = |segment: &&Segment| needed.iter().any(|other| other.at == segment.at);
    // The oldest is marked, no later one, and the newest names the one before it.
    let (first, last) = (all[0], all[all.len() - 1]);
    let gone = |segment: &&Segment| !is_needed(segment) && segment.at < last.at - SEGMENT_BYTES as i64;
    let gaps: Vec<&Segment> = all[1..].iter().filter(gone).collect();
    assert!(!gaps.is_empty() && first.is_marked(), "{all:?}, needed {needed:?}");
    all[1..].iter().for_each(|segment| write(&data, Segment { safe: segment.at - 7, ..*segment }));
    for segment in &gaps {
        data.write_all_at(&[0; 20], segment.slot * SEGMENT_BYTES as u64).unwrap();
    }
    segments::mend(&copy.path().join("store/db")).unwrap();
    assert_eq!(segments(copy.path()).len(), all.len() - gaps.len());
    assert_eq!(content(&open(copy.path())), kept);
}

#[test]
fn a_store_that_is_open_is_not_mended() {
    let dir = tempfile::tempdir().unwrap();
    let _store = open(dir.path());
    assert!(segments::mend(&dir.path().join("store/db")).is_err());
}

#[test]
fn a_segment_behind_one_that_is_torn_goes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store, 1..=400, 1000);
    let copy = killed(dir.path());
    let (data, all) = (data(copy.path()), segments(copy.path()));
    let [.., before, last] = all[..] else { panic!("{all:?}") };
    write(&data, Segment { safe: last.at - 1, ..last });
    let middle = before.slot * SEGMENT_BYTES as u64 + SEGMENT_BYTES as u64 / 2;
    data.write_all_at(&[0; 512], middle / 512 * 512).unwrap();
    segments::mend(&copy.path().join("store/db")).unwrap();
    assert_eq!(segments(copy.path()).last(), Some(&before));
    // Numbers up to the tear are there, and none behind it.
    let kept = content(&open(copy.path()));
    assert!(!kept.is_empty() && kept.iter().copied().eq(1..=kept.len() as u64) && kept.len() < 400, "{kept:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever stands in a file: if anything is marked, the newest segment is after it, and nothing else is touched but headers behind it.
    #[test]
    fn what_is_left_ends_with_a_mark(
        headers in proptest::collection::vec((0..9_i64, 0..6_i64), 0..6),
        noise in proptest::collection::vec(any::<u8>(), 1..200),
        tail in 0..40_usize,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let length = headers.len() * SEGMENT_BYTES + tail;
        let bytes: Vec<u8> = noise.iter().copied().cycle().take(length).collect();
        fs::write(&path, &bytes).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        for (slot, (at, safe)) in (0..).zip(&headers) {
            let half = SEGMENT_BYTES as i64 / 2;
            let segment = Segment { slot, at: at * half, safe: at * half - (safe - 1) };
            write(&file, segment);
        }
        let before = segments::all(&file).unwrap();
        segments::mend(&path).unwrap();
        let after = segments::all(&file).unwrap();
        match before.iter().rposition(|segment| segment.is_marked()) {
            // What is noise is not whole, so nothing follows.
            Some(marked) => prop_assert_eq!(&after[..], &before[..=marked]),
            None => prop_assert_eq!(after, before),
        }
    }
}
