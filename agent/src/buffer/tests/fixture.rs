//! Is a buffer that version 1 wrote still read?
//!
//! `fixture-v1/` was written by [`write`] when the format was made, and stays as it is for good; each test works on a copy.
//! It holds one boot with the sequences 1 to 55, of which 41 to 45 found no room. `col-nl` acknowledged everything
//! below 16, `col-ie` nothing.

use std::fs;

use super::*;

fn fixture() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/buffer/tests/fixture-v1")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Writes the fixture where the variable says; for the next version of the format, not for this one.
#[tokio::test]
async fn write() {
    let Some(dir) = std::env::var_os("UITWIJK_TEST_BUFFER_FIXTURE") else { return };
    let options = options(Path::new(&dir), &["col-ie", "col-nl"]);
    let (buffer, _) = Buffer::open(BufferOptions { waiting_rows_max: 10, ballast_bytes: 0, ..options }).unwrap();
    for count in [10, 10, 10, 15, 10] {
        buffer.append(measurements(count));
        assert!(buffer.sync().await);
    }
    buffer.acknowledge("col-nl", buffer.boot(), 16);
    until("acknowledged", || buffer.cursor("col-nl", buffer.boot()) == Some(16)).await;
    buffer.close().await;
}

fn sequences(set: &BTreeSet<(BootId, u64)>) -> Vec<u64> {
    set.iter().map(|(_, sequence)| *sequence).collect()
}

#[tokio::test]
async fn version_1_is_read() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(), dir.path());
    let (buffer, report) = open(dir.path(), &["col-ie", "col-nl"]);
    assert!(report.moved_aside.is_none() && report.forgotten.is_empty());
    let (ie, nl) = (buffer.books("col-ie")[0], buffer.books("col-nl")[0]);
    assert_eq!((ie.started, ie.delivered, ie.buffered, ie.unwritable), (55, 0, 50, 5));
    assert_eq!((nl.started, nl.delivered, nl.buffered, nl.unwritable), (55, 15, 35, 5));
    let ie = drain(&buffer, "col-ie").await;
    assert_eq!(sequences(&ie.told), [41, 42, 43, 44, 45]);
    assert_eq!(sequences(&ie.rows), (1..=40).chain(46..=55).collect::<Vec<_>>());
    // The second record, 11 to 20, is only acknowledged in part, and comes again in whole.
    let nl = drain(&buffer, "col-nl").await;
    assert_eq!(sequences(&nl.rows), (11..=40).chain(46..=55).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_books_of_version_1_are_read_when_its_store_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(), dir.path());
    fs::remove_dir_all(dir.path().join("buffer/store")).unwrap();
    let (buffer, _) = open(dir.path(), &["col-ie", "col-nl"]);
    assert_eq!(sequences(&drain(&buffer, "col-nl").await.told), (16..=55).collect::<Vec<_>>());
}
