//! Does it matter when, how often, in which order and in which batches records come, or when the judge is woken or restarted?

use std::sync::atomic::{AtomicU64, Ordering};

use uitwijk_judge::{Cause, Live, Revision, RevisionKind};
use uitwijk_model::WallTime;

use crate::courts::{Bench, Case, bare, said};
use crate::runner::hold;
use crate::support::world::Dice;
use crate::world::{Shot, World};

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

#[test]
fn what_is_left_for_later_changes_nothing_that_is_said_meanwhile() {
    let ahead = AtomicU64::new(0);
    hold("ahead", |seed| {
        let mut world = World::any(seed);
        world.slots = 360;
        let case = Case::new(world);
        let mut dice = Dice(seed ^ 3);
        // A stretch of a few vantages comes so late that the slots of now do not feel it, and now and then again.
        let (from, slots) = (dice.below(120) as i64, 1 + dice.below(30) as i64);
        let late = 150 + dice.below(60) as i64;
        let (mut arrivals, mut all_in): (Vec<(i64, &Shot)>, i64) = (Vec::new(), 0);
        for shot in &case.shots {
            let is_late = (from..from + slots).contains(&shot.slot) && dice.chance(0.3);
            let arrives = shot.arrived + if is_late { late * 1_000_000 } else { 0 };
            all_in = all_in.max(if is_late { arrives } else { 0 });
            arrivals.push((arrives, shot));
        }
        arrivals.sort_by_key(|(arrives, _)| *arrives);

        let mut live = Live::around(case.topology.clone());
        let mut now = case.told.at(-1);
        for (arrives, shot) in arrivals {
            let at = case.told.at(arrives);
            while live.next_wakeup(now) <= at {
                now = live.next_wakeup(now);
                let mut whole = live.clone();
                let said = if dice.chance(0.05) { live.advance(now) } else { live.advance_ahead(now) };
                if live.is_behind() {
                    ahead.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(said, [], "who is behind says nothing");
                } else {
                    assert_eq!(said, whole.advance(now));
                }
            }
            live.observe(&case.names.agent[shot.agent], &case.told.measurement(shot), at);
            if shot.slot < from || arrives > all_in {
                live.frontier(&case.names.agent[shot.agent], case.told.at(shot.slot * 1_000_000));
            }
        }
        let end = case.end().plus(case.plan.policy.grace);
        live.advance_ahead(now.max(end));
        live.advance(now.max(end));
        assert!(!live.is_behind());
        let timeline = live.timeline(WallTime::from_micros(i64::MIN), case.end());
        assert_eq!(bare(&case.settled().segments), bare(&timeline), "the end");
    });
    assert!(ahead.into_inner() > 0, "no judge ever went ahead of what changed");
}
