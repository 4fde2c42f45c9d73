//! Full, failing, foreign and damaged disks.

use std::fs;

use super::*;
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
