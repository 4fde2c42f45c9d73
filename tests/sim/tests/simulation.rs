//! Are the promises kept on an unkind network, for the seeds that once broke them and for some more?

use std::num::NonZero;

use uitwijk_sim as sim;

/// Seeds that failed once, one per line, with what was wrong; they are tried for good.
const KEPT: &str = include_str!("../seeds.txt");

fn kept() -> impl Iterator<Item = u64> {
    let lines = KEPT.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        line.split_whitespace().next().and_then(|seed| seed.parse().ok()).expect("a line begins with a seed")
    })
}

#[test]
fn seeds_that_failed_once_hold_now() {
    for seed in kept() {
        let report = sim::run(seed).unwrap();
        assert!(report.broken.is_empty(), "{report}\n{:#?}\n{:#?}", report.troubles, report.broken);
    }
}

/// `SIM=1000 SIM_FROM=1` tries more.
#[test]
fn nothing_is_lost_doubled_or_misjudged() {
    let number = |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (from, count) = (number("SIM_FROM", 1), number("SIM", 40));
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let sum = sim::many(from..from + count, threads, &|report| {
        if !report.broken.is_empty() {
            eprintln!(
                "{report}\n{:#?}\n{:#?}\nagain: cargo sim --seed {}",
                report.troubles, report.broken, report.seed
            );
        }
    });
    let sum = sum.unwrap();
    println!("{sum}");
    assert_eq!(sum.broken, 0, "{sum}");
    assert!(sum.started > count * 1000, "the worlds are not empty: {sum}");
}

#[test]
fn a_seed_plays_the_same_way_twice() {
    for seed in [3, 8] {
        let (one, two) = (sim::run(seed).unwrap(), sim::run(seed).unwrap());
        assert_eq!(one.digest, two.digest, "seed {seed}: {one} and {two}");
    }
}
