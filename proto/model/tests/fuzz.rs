//! Can a plan be any text at all: broken, deep, swollen, with numbers at their ends?
//!
//! [`fuzz_plan`] takes bytes, as a target of a fuzzer does. No fuzzer that steers by coverage runs on the stable compiler, so here
//! the bytes come from the plans of the other tests, changed by chance: `FUZZ=n` tries n, a run of the tests 3000.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use uitwijk_model::Plan;
use uitwijk_model::plan::read::read_plan;

/// Reads a plan; one that is good is the same after a way over the wire.
fn fuzz_plan(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match read_plan(&text, &|_| None) {
        Ok(plan) => {
            let wire = serde_json::to_string(&plan).unwrap();
            let again: Plan = serde_json::from_str(&wire).unwrap();
            assert_eq!((&again, again.version()), (&plan, plan.version()));
        }
        Err(mistakes) => assert!(!mistakes.to_string().is_empty()),
    }
}

fn kept() -> Vec<Vec<u8>> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/plan");
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let plans = paths.iter().filter(|p| p.extension().is_some_and(|e| e == "yaml"));
    let mut all: Vec<Vec<u8>> = plans.map(|p| std::fs::read(p).unwrap()).collect();
    // Names for names for names: ten of them would make 10 GB.
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..10 {
        let part = vec![format!("*a{}", n - 1); 10].join(", ");
        bomb += &format!("a{n}: &a{n} [{part}]\n");
    }
    all.push(bomb.into_bytes());
    all.push(b"[".repeat(20_000));
    all.push("a:\n ".repeat(5000).into_bytes());
    all.push(b"? ? ? ? ?".to_vec());
    all.push(b"\xff\xfe\0\0".to_vec());
    all
}

/// Numbers that look like chance (splitmix64).
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn below(seed: &mut u64, n: usize) -> usize {
    usize::try_from(next(seed) % n.max(1) as u64).unwrap()
}

/// Lines moved, repeated and taken away; numbers and words replaced by others; single bytes.
fn change(data: &mut Vec<u8>, seed: &mut u64) {
    const WORDS: [&str; 14] = [
        "0",
        "-1",
        "18446744073709551616",
        "9223372036854775807",
        "99999999999999999999d",
        "0s",
        "0%",
        "100%",
        "1/0",
        "~",
        "*a",
        "&a [*a]",
        "{}",
        "\"\\0\"",
    ];
    for _ in 0..=below(seed, 3) {
        let mut lines: Vec<Vec<u8>> = data.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
        let (a, b) = (below(seed, lines.len()), below(seed, lines.len()));
        match below(seed, 6) {
            0 => lines.swap(a, b),
            1 => drop(lines.remove(a)),
            2 => lines.insert(a, lines[b].clone()),
            3 => lines[a].insert(0, b' '),
            4 => {
                if let Some(colon) = lines[a].iter().position(|&c| c == b':') {
                    lines[a].truncate(colon + 1);
                    lines[a].push(b' ');
                    lines[a].extend(WORDS[below(seed, WORDS.len())].bytes());
                }
            }
            _ => {
                let at = below(seed, lines[a].len());
                if let Some(byte) = lines[a].get_mut(at) {
                    *byte = next(seed).to_le_bytes()[0];
                }
            }
        }
        *data = lines.join(&b'\n');
    }
}

#[test]
fn any_plan_is_read_or_refused() {
    let tries = std::env::var("FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(3000);
    let kept = kept();
    kept.iter().for_each(|input| fuzz_plan(input));
    for n in 0..tries {
        let mut seed = n;
        let mut data = kept[below(&mut seed, kept.len())].clone();
        change(&mut data, &mut seed);
        let done = std::panic::catch_unwind(|| fuzz_plan(&data));
        assert!(done.is_ok(), "input {n}:\n{}", String::from_utf8_lossy(&data));
    }
}
