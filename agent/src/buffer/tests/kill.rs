//! Is everything that was said to be on disk there after the process was killed?
//!
//! The test binary starts itself as the victim: it appends without end and prints how far it is synced. It is
//! killed with SIGKILL at no particular moment, and what it said last is looked for.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;

const DIR: &str = "UITWIJK_TEST_BUFFER_DIR";

/// Not a test of its own: the process that is killed. Without its variable it does nothing.
#[tokio::test]
async fn victim() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let (buffer, _) = open(Path::new(&dir), &["col-nl"]);
    for turn in 0.. {
        buffer.append(measurements(1 + turn % 700));
        let started = buffer.next_sequence() - 1;
        if turn % 3 == 0 && buffer.sync().await {
            println!("synced {} {started}", buffer.boot().0);
            buffer.acknowledge("col-nl", buffer.boot(), started / 2);
        }
    }
}

fn start_victim(dir: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "buffer::tests::kill::victim", "--nocapture", "--test-threads=1"]);
    command.env(DIR, dir).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Lets the victim sync so many times, kills it, and returns what it said last.
fn kill_after(dir: &Path, syncs: usize) -> (BootId, u64) {
    let mut victim = start_victim(dir);
    let mut said = Vec::new();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    for line in lines {
        if let Some(numbers) = line.split_once("synced ").map(|(_, rest)| rest.to_owned()) {
            said.push(numbers);
        }
        if said.len() == syncs {
            victim.kill().unwrap();
        }
    }
    victim.wait().unwrap();
    let last = said.last().expect("the victim synced at least once");
    let (boot, started) = last.split_once(' ').unwrap();
    (BootId(boot.parse().unwrap()), started.parse().unwrap())
}

#[tokio::test]
async fn what_was_synced_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut lives = Vec::new();
    for syncs in [1, 7, 30] {
        lives.push(kill_after(dir.path(), syncs));
    }
    let (buffer, report) = open(dir.path(), &["col-nl"]);
    assert!(report.moved_aside.is_none());
    for &(boot, synced) in &lives {
        let books = buffer.books("col-nl").into_iter().find(|books| books.boot == boot).unwrap();
        assert!(books.balance() && books.started >= synced, "{books:?}, synced {synced}");
        assert!(books.delivered <= synced / 2, "{books:?}");
    }
    let cursors: Vec<u64> = lives.iter().map(|(boot, _)| buffer.cursor("col-nl", *boot).unwrap()).collect();
    let received = drain(&buffer, "col-nl").await;
    assert!(received.told.is_empty());
    for (&(boot, synced), cursor) in lives.iter().zip(cursors) {
        assert!((cursor..=synced).all(|sequence| received.rows.contains(&(boot, sequence))), "{boot}");
    }
}
