//! Does a store go on when a full disk has space again?
//!
//! A limit on the size of files plays the full disk: it needs no rights, and is lifted from outside while the process runs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use uitwijk_model::SystemClock;

use super::{EVER, Writes};
use crate::store::{DiskOptions, RecordKey, ScanLimits, Store};
use crate::testing::{NOW, agent_id};

const DIR: &str = "UITWIJK_TEST_FULL_DIR";
/// Bytes. The journal is opened with more and may then be filled to here.
const FILE_BYTES_MAX: u32 = 8 << 20;

fn group(serial: u64) -> Writes {
    let boot = uitwijk_model::BootId(1);
    let key = RecordKey { from: NOW, agent: agent_id("nl-1"), boot, first_sequence: 1, serial, span_us: 0 };
    Writes { batches: vec![(key.encode(), vec![0x55; 1 << 20])], small: Vec::new() }
}

fn say(text: &str) {
    println!("said {text}");
    std::io::stdout().flush().unwrap();
}

/// What the process does whose disk is full: it writes each group until it is taken, as the committer does.
fn child(dir: &Path) {
    let store = Store::open(dir, DiskOptions::default(), Arc::new(SystemClock)).unwrap();
    say("open");
    // The limit comes from outside now; a line of the parent tells that it is there.
    std::io::stdin().lines().next().unwrap().unwrap();
    let mut failures = 0;
    for serial in 1..=100 {
        while let Err(error) = store.hot().write(&group(serial)) {
            failures += 1;
            if failures == 3 {
                assert!(store.hot().scan(&[0][..]..&[0xff][..], &|_| false, SCAN).is_ok(), "reads go on");
                say(&error.to_string());
            }
            assert!(failures < 2000, "{error}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    assert!(failures >= 3, "the disk was never full");
    let (mut keys, from) = (0, super::super::key::key_at(EVER.0));
    let mut next = Some(bytes::Bytes::copy_from_slice(&from));
    while let Some(start) = next.take() {
        let part = store.hot().scan(&start[..]..&[0xff; 9][..], &|_| true, SCAN).unwrap();
        keys += part.entries.len();
        next = part.next;
    }
    say(&format!("{keys} records"));
}

const SCAN: ScanLimits = ScanLimits { keys_max: 64, bytes_max: 8 << 20 };

#[test]
fn a_full_disk_refuses_groups_until_it_has_space_again() {
    // It starts itself, with a limit.
    if let Some(dir) = std::env::var_os(DIR) {
        return child(Path::new(&dir));
    }
    if Command::new("prlimit").arg("--version").output().is_err() {
        println!("skipped: there is no prlimit here to lift the limit");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // Over the limit a process gets a signal, which a shell can have ignored for it, and then the error.
    let mut child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "store::tests::full::a_full_disk_refuses_groups_until_it_has_space_again", "--nocapture"])
        .env(DIR, dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let child_id = child.id().to_string();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut said = lines.filter_map(|line| Some(line.split_once("said ")?.1.to_owned()));
    let limit = |soft: &str| {
        let fsize = format!("--fsize={soft}:");
        assert!(Command::new("prlimit").args(["--pid", &child_id, &fsize]).status().unwrap().success());
    };
    assert_eq!(said.next().as_deref(), Some("open"));
    limit(&FILE_BYTES_MAX.to_string());
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let failure = said.next().unwrap_or_default();
    assert!(failure.starts_with("cannot write to the store: "), "{failure:?}");
    limit("unlimited");
    assert_eq!(said.next().as_deref(), Some("100 records"));
    assert!(child.wait().unwrap().success());
}
