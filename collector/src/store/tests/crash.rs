//! Is everything that was acknowledged there after `kill -9`?

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use uitwijk_model::SystemClock;

use super::{all_rows, stored};
use crate::store::{DiskOptions, Store, Writes};
use crate::testing::{row, slot_now};

const DIR: &str = "UITWIJK_TEST_CRASH_DIR";

/// What the process does that is killed: it prints the number of each group after its sync.
fn child(dir: &Path) {
    let store = Store::open(dir, DiskOptions::default(), Arc::new(SystemClock)).unwrap();
    let first = all_rows(&store).len() as u64;
    for i in first.. {
        let mut writes = Writes::default();
        writes.batch(&stored("nl-1", i, &[row("a", slot_now() - i64::try_from(i).unwrap(), 0, i)]));
        store.hot().write(&writes).unwrap();
        println!("synced {i}");
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn what_was_synced_outlives_the_process() {
    // It starts itself, to be killed.
    if let Some(dir) = std::env::var_os(DIR) {
        return child(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut promised = 0;
    for kills in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::crash::what_was_synced_outlives_the_process", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let synced = lines.map_while(Result::ok).filter_map(|line| line.split_once("synced ")?.1.parse().ok());
        promised = synced.take(40).last().unwrap_or(0u64);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(promised >= kills * 30, "group {promised} after start {kills}");
    }
    let store = Store::open(dir.path(), DiskOptions::default(), Arc::new(SystemClock)).unwrap();
    let mut totals: Vec<u64> = all_rows(&store).iter().map(|m| m.total.unwrap().as_micros()).collect();
    totals.sort_unstable();
    let there: Vec<u64> = (0..totals.len() as u64).collect();
    assert_eq!(totals, there, "each once, without a gap");
    assert!(totals.len() as u64 > promised);
}
