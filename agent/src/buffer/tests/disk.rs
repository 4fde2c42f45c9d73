//! Full, failing, foreign and damaged disks.

use std::fs;

use super::*;
use crate::buffer::inbox::{Chunk, Work};
use crate::buffer::ledger::Ledger;
use crate::buffer::open::begin_boot;
use crate::buffer::owner::Owner;
use crate::buffer::reading::{Limits, Place, ReadRequest};
use crate::buffer::shelf::Shelf;
use crate::buffer::{Health, OpenError};

#[tokio::test]
async fn a_full_disk_is_lived_through_and_recovered_from() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path(), &["col-nl"]);
    let disk = options.faults.clone();
    let (buffer, _) = Buffer::open(options).unwrap();
    buffer.append(measurements(10));
    assert!(buffer.sync().await);
    disk.set_full(true);
    buffer.append(measurements(10));
    assert!(!buffer.sync().await);
    assert_eq!(buffer.health(), Health::Full);
    assert!(!dir.path().join("buffer/ballast").exists());
    assert_eq!(running(&buffer, "col-nl").buffered, 20);
    disk.set_full(false);
    until("the disk is used again", || buffer.health() == Health::Disk).await;
    assert!(buffer.sync().await);
    assert!(dir.path().join("buffer/ballast").exists());
    let received = drain(&buffer, "col-nl").await;
    assert_eq!((received.rows.len(), received.told.len()), (20, 0));
}

#[test]
fn two_agents_do_not_share_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (_buffer, _) = open(dir.path(), &["col-nl"]);
    let error = Buffer::open_or_memory(options(dir.path(), &["col-nl"])).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
}

#[test]
fn a_newer_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), &["col-nl"]));
    fs::write(dir.path().join("buffer/format"), "2\n").unwrap();
    let error = Buffer::open_or_memory(options(dir.path(), &["col-nl"])).unwrap_err();
    assert!(matches!(error, OpenError::NewerFormat { .. }), "{error}");
}

#[tokio::test]
async fn a_memory_that_is_full_drops_its_oldest_and_tells() {
    let dir = tempfile::tempdir().unwrap();
    let options = BufferOptions { memory_bytes_max: 20_000, ..options(dir.path(), &["col-nl"]) };
    let disk = options.faults.clone();
    let (buffer, _) = Buffer::open(options).unwrap();
    buffer.append(measurements(100));
    assert!(buffer.sync().await);
    disk.set_full(true);
    for _ in 0..30 {
        buffer.append(measurements(256));
        assert!(!buffer.sync().await);
    }
    let books = running(&buffer, "col-nl");
    assert!(books.unwritable > 0 && buffer.counts().memory_bytes <= 20_000, "{books:?}");
    disk.set_full(false);
    until("the disk is used again", || buffer.health() == Health::Disk).await;
    let received = drain(&buffer, "col-nl").await;
    assert_eq!(received.told.len() as u64, books.unwritable);
    assert_eq!(received.rows.len() + received.told.len(), 100 + 30 * 256);
    assert!(received.rows.contains(&(buffer.boot(), 1)), "what was on disk is still there");
    assert!(received.rows.contains(&(buffer.boot(), 100 + 30 * 256)), "the newest is kept");
}

#[tokio::test]
async fn a_full_buffer_drops_the_oldest_and_tells_only_who_lacks_them() {
    let dir = tempfile::tempdir().unwrap();
    let options = BufferOptions { disk_bytes_max: 60_000, ..options(dir.path(), &["col-ie", "col-nl"]) };
    let (buffer, _) = Buffer::open(options).unwrap();
    buffer.append(measurements(256));
    assert!(buffer.sync().await);
    assert_eq!(drain(&buffer, "col-nl").await.rows.len(), 256);
    for _ in 0..20 {
        buffer.append(measurements(256));
        assert!(buffer.sync().await);
    }
    assert!(buffer.counts().raw_bytes <= 20_000);
    let (ie, nl) = (running(&buffer, "col-ie"), running(&buffer, "col-nl"));
    assert_eq!(ie.expired, nl.expired + 256);
    let ie_received = drain(&buffer, "col-ie").await;
    assert_eq!(ie_received.told, (1..=ie.expired).map(|sequence| (buffer.boot(), sequence)).collect());
    assert_eq!(ie_received.rows.len() as u64, ie.started - ie.expired);
    assert_eq!(drain(&buffer, "col-nl").await.told.len() as u64, nl.expired);
}

#[tokio::test]
async fn rows_on_their_way_that_expire_here_count_as_delivered_when_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let options = BufferOptions { disk_bytes_max: 60_000, ..options(dir.path(), &["col-nl"]) };
    let (buffer, _) = Buffer::open(options).unwrap();
    buffer.append(measurements(256));
    assert!(buffer.sync().await);
    let mut reader = buffer.reader("col-nl").unwrap();
    next(&mut reader).await;
    for _ in 0..20 {
        buffer.append(measurements(256));
        assert!(buffer.sync().await);
    }
    let expired = running(&buffer, "col-nl").expired;
    buffer.acknowledge("col-nl", buffer.boot(), 257);
    until("acknowledged", || running(&buffer, "col-nl").delivered == 256).await;
    assert_eq!(running(&buffer, "col-nl").expired, expired - 256);
    assert!(matches!(next(&mut reader).await, Delivery::Tombstone(told) if told.first_sequence == 257));
}

#[tokio::test]
async fn an_unreadable_store_is_moved_aside_and_its_rows_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let (buffer, first) = open(dir.path(), &["col-nl"]);
    buffer.append(measurements(500));
    assert!(buffer.sync().await);
    buffer.close().await;
    drop(buffer);
    garble(dir.path());

    let (buffer, report) = open(dir.path(), &["col-nl"]);
    let (aside, _) = report.moved_aside.expect("it was moved aside");
    assert!(aside.join("db").exists());
    assert_eq!(buffer.counts().moved_aside, 1);
    buffer.append(measurements(5));
    let received = drain(&buffer, "col-nl").await;
    assert!(received.told.iter().copied().eq((1..=500).map(|sequence| (first.boot, sequence))));
    assert_eq!(received.rows.len(), 5);
}

#[tokio::test]
async fn a_snapshot_that_was_left_unfinished_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (buffer, _) = open(dir.path(), &["col-nl"]);
    buffer.append(measurements(500));
    assert!(buffer.sync().await);
    drop(buffer);
    let unfinished = dir.path().join("buffer/store/snap.00000000000FFFFF.generating");
    fs::write(&unfinished, b"torn").unwrap();
    let (buffer, report) = open(dir.path(), &["col-nl"]);
    assert!(report.moved_aside.is_none() && !unfinished.exists(), "{report:?}");
    assert_eq!(drain(&buffer, "col-nl").await.rows.len(), 500);
}

#[test]
fn only_the_newest_unreadable_stores_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..4 {
        drop(open(dir.path(), &["col-nl"]));
        garble(dir.path());
    }
    drop(open(dir.path(), &["col-nl"]));
    let entries = fs::read_dir(dir.path().join("buffer")).unwrap();
    let asides = entries.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with("aside-"));
    assert_eq!(asides.count(), 2);
}

/// Writes over the data file and its settings as a failing disk might.
fn garble(dir: &Path) {
    let store = dir.join("buffer/store");
    let length = fs::metadata(store.join("db")).unwrap().len();
    let garbage: Vec<u8> = (0..length).map(|i| u8::try_from(i * 31 % 253).unwrap()).collect();
    fs::write(store.join("db"), garbage).unwrap();
    fs::write(store.join("conf"), b"not what sled wrote, but long enough").unwrap();
}

#[tokio::test]
async fn without_a_disk_the_buffer_is_in_memory_until_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let (buffer, _) = open(dir.path(), &["col-nl"]);
    buffer.append(measurements(7));
    assert!(buffer.sync().await);
    let old = buffer.boot();
    drop(buffer);

    let options = options(dir.path(), &["col-nl"]);
    let disk = options.faults.clone();
    disk.set_full(true);
    let error = Buffer::open(options.clone()).unwrap_err();
    assert!(matches!(error, OpenError::Full { .. }), "{error}");
    let (buffer, report) = Buffer::open_or_memory(options).unwrap();
    assert!(report.in_memory.is_some());
    assert_eq!(buffer.health(), Health::Memory);
    buffer.append(measurements(20));
    assert!(!buffer.sync().await);
    let mut reader = buffer.reader("col-nl").unwrap();
    assert!(matches!(next(&mut reader).await, Delivery::Batch(batch) if batch.count == 20));
    buffer.acknowledge("col-nl", buffer.boot(), 21);
    buffer.append(measurements(5));
    until("the first rows left memory", || buffer.cursor("col-nl", buffer.boot()) == Some(21)).await;

    disk.set_full(false);
    until("the disk is used", || buffer.health() == Health::Disk).await;
    assert!(buffer.sync().await);
    let received = drain(&buffer, "col-nl").await;
    assert_eq!(received.rows.iter().filter(|(boot, _)| *boot == old).count(), 7);
    let fresh: Vec<u64> = received.rows.iter().filter(|(boot, _)| *boot == buffer.boot()).map(|row| row.1).collect();
    assert_eq!(fresh, [21, 22, 23, 24, 25]);
}

/// The owner of a buffer in memory, whose turns are made by hand.
fn owner_in_memory(options: BufferOptions) -> Owner {
    let (mut shelf, mut ledger) = (Shelf::in_memory(), Ledger::default());
    begin_boot(&mut shelf.head, &mut ledger, BootId(7), &options.collectors);
    shelf.head.positions = options.collectors.iter().map(|name| (name.clone(), 1)).collect();
    Owner::new(options, BootId(7), None, shelf, ledger)
}

/// A turn with the next measurement and a question.
fn turn(owner: &mut Owner, sequence: u64, place: Option<Place>) -> (Place, Option<Delivery>) {
    let (reply, mut answer) = tokio::sync::oneshot::channel();
    let limits = Limits { rows_max: 100, bytes_max: 1 << 20 };
    let request = ReadRequest { collector: "col-nl".to_owned(), place, epoch: 0, ahead: false, limits, reply };
    let chunk = Chunk { first: sequence, rows: measurements(1) };
    let next = Some(sequence + 1);
    owner.turn(Work { chunks: [chunk].into(), next, requests: vec![request], ..Work::default() });
    answer.try_recv().expect("an answer")
}

#[test]
fn a_question_that_was_on_its_way_when_a_disk_came_back_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path(), &["col-nl"]);
    options.faults.set_full(true);
    let disk = options.faults.clone();
    let mut owner = owner_in_memory(options);
    let mut place = None;
    for sequence in 1..=20 {
        let (reached, delivery) = turn(&mut owner, sequence, place);
        assert!(matches!(delivery, Some(Delivery::Batch(batch)) if batch.first_sequence == sequence));
        place = Some(reached);
        let acknowledged = [(("col-nl".to_owned(), BootId(7)), sequence + 1)].into();
        owner.turn(Work { acknowledged, ..Work::default() });
    }
    disk.set_full(false);
    owner.retry_at = owner.now();
    // The record of this measurement has a lower number on the disk than those before it had in memory.
    let (_, delivery) = turn(&mut owner, 21, place);
    assert_eq!(owner.health, Health::Disk);
    assert!(matches!(&delivery, Some(Delivery::Batch(batch)) if batch.first_sequence == 21), "{delivery:?}");
}

#[test]
fn a_folder_that_cannot_be_made_says_which_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "in the way").unwrap();
    let options = BufferOptions { dir: dir.path().join("file/buffer"), ..options(dir.path(), &["col-nl"]) };
    let error = Buffer::open(options).unwrap_err();
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}");
    assert!(error.to_string().contains("file/buffer") && error.to_string().contains("data_dir"), "{error}");
}

#[tokio::test]
async fn a_drained_store_that_grew_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let options = BufferOptions { recreate_bytes: 1 << 20, ..options(dir.path(), &["col-nl"]) };
    let (buffer, _) = Buffer::open(options).unwrap();
    while buffer.counts().disk_bytes <= 2 << 20 {
        buffer.append(measurements(8192));
        assert!(buffer.sync().await);
    }
    let rows = buffer.next_sequence() - 1;
    assert_eq!(drain(&buffer, "col-nl").await.rows.len() as u64, rows);
    until("the store is made anew", || buffer.counts().recreated == 1 && buffer.counts().disk_bytes < 1 << 20).await;
    buffer.append(measurements(3));
    assert!(buffer.sync().await);
    assert_eq!(running(&buffer, "col-nl").delivered, rows);
    buffer.close().await;
    drop(buffer);
    let (buffer, report) = open(dir.path(), &["col-nl"]);
    assert_eq!(report.rows_kept, 3);
    assert_eq!(drain(&buffer, "col-nl").await.rows.len(), 3);
}

/// Not a test of its own: lives under a limit on the size of its files, which is a disk that is really full.
/// Without its variable it does nothing.
#[tokio::test]
async fn under_a_file_limit() {
    let Some(dir) = std::env::var_os(LIMITED) else { return };
    let options = BufferOptions { memory_bytes_max: 50_000, ..options(Path::new(&dir), &["col-nl"]) };
    let (buffer, _) = Buffer::open(options).unwrap();
    while buffer.health() == Health::Disk {
        buffer.append(measurements(2048));
        buffer.sync().await;
    }
    for _ in 0..20 {
        buffer.append(measurements(2048));
        buffer.sync().await;
    }
    let all = buffer.next_sequence() - 1;
    let received = drain(&buffer, "col-nl").await;
    assert_eq!(received.rows.len() as u64 + received.told.len() as u64, all);
    assert!(received.rows.contains(&(buffer.boot(), 1)) && received.rows.contains(&(buffer.boot(), all)));
    until("the disk is used again", || buffer.health() == Health::Disk && buffer.counts().ballast).await;
    buffer.append(measurements(10));
    assert!(buffer.sync().await, "the drained store is made anew and takes data");
    println!("recovered after {} failures", buffer.counts().failures);
}

const LIMITED: &str = "UITWIJK_TEST_BUFFER_LIMITED";

#[test]
fn a_disk_that_is_really_full_is_drained_and_recovered_from() {
    let dir = tempfile::tempdir().unwrap();
    let test = std::env::current_exe().unwrap();
    // The signal would end the process; ignored, the write fails as on a full disk. The unit is 512 or 1024 bytes.
    let script =
        "trap '' XFSZ; ulimit -f 4096; exec \"$0\" --exact buffer::tests::disk::under_a_file_limit --nocapture";
    let output = std::process::Command::new("sh").args(["-c", script]).arg(test).env(LIMITED, dir.path()).output();
    let output = output.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("recovered after"), "{said}");
}
