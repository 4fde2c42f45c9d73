//! Does each story of the demo end in its verdict, on both collectors, with real processes?
//!
//! The demo is run as a newcomer runs it; its exit code says whether the verdict is the one that the story must give.

use std::process::Command;
use std::sync::{Condvar, Mutex, PoisonError};

/// Fleets that run at a time: each has nine processes.
const FLEETS_MAX: u32 = 2;

static RUNNING: Mutex<u32> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// Plays one story at the demo's pace.
fn check(outage: &str) {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    while *running == FLEETS_MAX {
        running = ENDED.wait(running).unwrap_or_else(PoisonError::into_inner);
    }
    *running += 1;
    drop(running);

    let dir = tempfile::tempdir().expect("a directory can be made");
    let demo = Command::new(env!("CARGO_BIN_EXE_uitwijk-fleet"))
        .args(["demo", "--exit", "--outage", outage, "--dir"])
        .arg(dir.path())
        .output();
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    ENDED.notify_one();

    let demo = demo.expect("the demo can be started");
    let (out, err) = (String::from_utf8_lossy(&demo.stdout), String::from_utf8_lossy(&demo.stderr));
    assert!(demo.status.success(), "story {outage}: {}\n{out}\n{err}", demo.status);
    assert!(out.contains("both collectors reached the same verdict"), "{out}");
    let wide: Vec<_> = out.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.is_empty(), "lines wider than 80 columns: {wide:#?}");
}

#[test]
fn a_region_that_goes_down_needs_a_failover_that_was_missed() {
    check("region");
}

#[test]
fn a_region_that_goes_down_needs_a_failover_that_was_executed() {
    check("failover");
}

#[test]
fn a_zone_that_goes_down_is_absorbed() {
    check("zone");
}

#[test]
fn a_partner_that_goes_down_is_no_reason_to_switch() {
    check("partner");
}

#[test]
fn a_vantage_that_sees_everything_fail_blames_nobody_else() {
    check("vantage");
}

#[test]
fn two_regions_that_go_down_make_a_switch_futile() {
    check("both");
}
