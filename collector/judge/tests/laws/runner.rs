//! Over how many worlds is a law tried, and which ones are never forgotten?
//!
//! A case is one world under one law. A run of the tests has [`CASES`] of them; `LAWS=1000000` asks for so many instead, and
//! `LAWS_FROM=n` begins at another world. The worlds of `seeds.txt` failed once and go first.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Cases of a run of all laws together.
const CASES: u64 = 10_000;

/// How many laws share them.
const LAWS: u64 = 15;

const SEEDS: &str = include_str!("../seeds.txt");

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|n| n.parse().ok())
}

/// Tries one or more laws, which share a world, on every world of this run. All that fail are told, the first ten by seed.
pub fn hold(name: &str, check: impl Fn(u64)) {
    let kept = SEEDS.lines().filter_map(|line| line.split_once(' ')).filter(|(law, _)| *law == name);
    let kept = kept.map(|(_, rest)| {
        rest.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{rest}"))
    });
    let worlds = number("LAWS").unwrap_or(CASES).div_ceil(LAWS);
    let first = number("LAWS_FROM").unwrap_or(0);
    let mut failed = Vec::new();
    let mut tried = 0u64;
    for seed in kept.chain(first..first + worlds) {
        tried += 1;
        if catch_unwind(AssertUnwindSafe(|| check(seed))).is_err() {
            eprintln!("{name} {seed}");
            failed.push(seed);
        }
        if failed.len() >= 10 {
            break;
        }
    }
    eprintln!("{name}: {tried} worlds, {} failed", failed.len());
    assert!(
        failed.is_empty(),
        "{name} does not hold in these worlds; keep them in collector/judge/tests/seeds.txt: {failed:?}"
    );
}
