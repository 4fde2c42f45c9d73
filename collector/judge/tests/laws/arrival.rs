//! Does it matter when, how often, in which order and in which batches records come, or when the judge is woken or restarted?

use uitwijk_judge::{Cause, Live, Revision, RevisionKind};

use crate::courts::{Bench, Case, bare, said};
use crate::runner::hold;
use crate::support::world::Dice;
use crate::world::World;

#[test]
fn order_repeats_and_batches_change_nothing() {
    hold("order", |seed| {
        let case = Case::new(World::any(seed));
        let mut dice = Dice(seed ^ 1);
        let straight = case.settled();
        let mut any = case.any_order(&mut dice);
        let again: Vec<_> = any.iter().filter(|_| dice.chance(0.2)).copied().collect();
        any.extend(again);
        assert_eq!(straight, case.judge(any.iter().copied()), "order and repeats");

        // In batches of any size, in any order, judged after each: as far as the slots go, not as the records do.
        let mut bench = Bench::new(&case);
        let mut left = &any[..];
        while !left.is_empty() {
            let (batch, rest) = left.split_at(left.len().min(1 + dice.below(any.len() as u64 / 3) as usize));
            batch.iter().for_each(|shot| bench.observe(shot));
            let slots = dice.below(case.world.slots as u64) as i64;
            bench.advance(case.told.at(slots * 1_000_000).max(case.told.at(0)));
            left = rest;
        }
        bench.advance(case.end().plus(case.plan.policy.grace));
        assert_eq!(bare(&straight.segments), bare(&bench.timeline()), "batches");
    });
}

#[test]
fn live_ends_where_judging_everything_at_once_ends() {
    hold("live", |seed| {
        let case = Case::new(World::any(seed));
        let settled = case.settled();
        let mut bench = Bench::new(&case);
        bench.play(&case.arrivals());
        bench.finish(true);
        assert_eq!(bare(&settled.segments), bare(&bench.timeline()), "the end");

        // The proof that a clock leads moves what came before it, up to two hard windows back: that may revise what was final.
        let told: Vec<_> = settled.episodes.iter().map(said).collect();
        for r in bench.published.iter().filter(|_| case.world.is_steady()) {
            assert!(r.kind != RevisionKind::Revised, "nothing came after the watermark: {r:?}");
            let settled = r.kind != RevisionKind::Final || r.cause == Cause::Healthy || told.contains(&said(r));
            assert!(settled, "{:#?}\nis not among\n{told:#?}", said(r));
        }
        for (i, b) in bench.published.iter().enumerate() {
            let before = bench.published[..i].iter().rev().find(|a| a.episode == b.episode);
            assert_eq!(before.map_or(0, |a| a.revision) + 1, b.revision, "{b:?}");
        }
    });
}

#[test]
fn a_restart_goes_on() {
    hold("restart", |seed| {
        let case = Case::new(World::any(seed));
        let mut dice = Dice(seed ^ 2);
        let arrivals = case.arrivals();
        let (before, after) = arrivals.split_at(dice.below(arrivals.len() as u64 + 1) as usize);
        let mut straight = Bench::new(&case);
        straight.play(before);
        let at = straight.now();
        straight.advance(at);
        let known = straight.published.len();

        let mut bench = Bench::new(&case);
        bench.live = Live::around(case.topology.clone());
        bench.live.restore(&straight.published);
        before.iter().for_each(|shot| bench.deliver(shot));
        assert_eq!(bench.advance(at), [], "nothing is news to who knew it");
        for b in [&mut straight, &mut bench] {
            b.play(after);
            b.finish(true);
        }
        // What came in before the restart cannot be told apart any more.
        let plain = |r: &Revision| Revision { since: None, ..r.clone() };
        let news: Vec<_> = straight.published[known..].iter().map(plain).collect();
        assert_eq!(news, bench.published.iter().map(plain).collect::<Vec<_>>());
        assert_eq!(straight.timeline(), bench.timeline());
    });
}
