//! Is every row there once after `kill -9` at any moment of sealing?

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use uitwijk_model::SystemClock;

use super::sealing::{HOW, remove_covered};
use super::{all_rows, stored, write};
use crate::store::{DiskOptions, Goes, Sealing, Store};
use crate::testing::{NOW, row, slot_now};

const DIR: &str = "UITWIJK_TEST_SEALING_DIR";
const ROUNDS: u64 = 12;

/// What the process does that is killed. One thread writes, one seals what was written, removes what is covered and takes away
/// what failed rounds left.
fn child(dir: &Path) {
    let store = Store::open(dir, DiskOptions::default(), Arc::new(SystemClock)).unwrap();
    let first = all_rows(&store).len() as u64;
    let sealing = store.clone();
    std::thread::spawn(move || {
        for round in 1u64.. {
            for (hour, ..) in sealing.unsealed(NOW).unwrap() {
                let sealed = sealing.seal(hour, &Sealing { file_rows_max: 50, ..HOW }).unwrap().unwrap();
                say(&format!("sealed {}", sealed.rows));
            }
            remove_covered(&sealing);
            // Nothing goes: hours that are not there.
            sealing.drop_hour(crate::store::Hour(i64::try_from(round).unwrap()), Goes::All).unwrap();
            sealing.remove_condemned().unwrap();
        }
    });
    for i in first.. {
        let slot = slot_now() - 400 - i64::try_from(i * 7 % 1000).unwrap();
        let serial = store.small().unwrap().serial + 1;
        write(&store, &[stored("nl-1", serial, &[row("a/x@NL", slot, 0, i)])]);
        say(&format!("synced {i}"));
    }
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "said {text}").and_then(|()| out.flush());
}

#[test]
fn a_kill_at_any_step_loses_nothing_and_doubles_nothing() {
    // It starts itself, to be killed.
    if let Some(dir) = std::env::var_os(DIR) {
        return child(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let (mut promised, mut sealed) = (0u64, 0u64);
    for round in 1..=ROUNDS {
        let name = "store::tests::sealing_killed::a_kill_at_any_step_loses_nothing_and_doubles_nothing";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Another number of lines each round, so that the kill falls elsewhere.
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let said = lines.filter_map(|line| Some(line.split_once("said ")?.1.to_owned()));
        for line in said.take(usize::try_from(20 + round * 37 % 101).unwrap()) {
            match line.split_once(' ') {
                Some(("synced", i)) => promised = i.parse().unwrap(),
                Some(("sealed", rows)) => sealed += rows.parse::<u64>().unwrap(),
                _ => panic!("{line}"),
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        check(dir.path(), promised);
    }
    assert!(sealed > 0, "nothing was ever sealed");
}

fn check(dir: &Path, promised: u64) {
    let store = Store::open(dir, DiskOptions::default(), Arc::new(SystemClock)).unwrap();
    let mut times: BTreeMap<u64, usize> = BTreeMap::new();
    for row in all_rows(&store) {
        *times.entry(row.total.unwrap().as_micros()).or_default() += 1;
    }
    assert!(times.values().all(|n| *n == 1), "doubled: {times:?}");
    let there: Vec<u64> = times.into_keys().collect();
    assert_eq!(there, (0..there.len() as u64).collect::<Vec<_>>(), "without a gap");
    assert!(there.len() as u64 > promised, "{} rows, {promised} was promised", there.len());
    assert_eq!(store.damaged_records(), 0);
}
