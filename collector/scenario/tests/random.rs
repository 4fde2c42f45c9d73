//! Are random worlds what they say, and is the judge right about them?

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use uitwijk_judge::{Execution, Need};
use uitwijk_model::PolicyOverrides;
use uitwijk_replay::Track;
use uitwijk_scenario::format::{EffectKind, Fault, FaultPath, Regions};
use uitwijk_scenario::random::{quiet, random};
use uitwijk_scenario::score::{Contest, Contestant, Tally, in_parallel, score_world};
use uitwijk_scenario::{Scenario, plan, simulate};

fn worlds() -> usize {
    std::env::var("UITWIJK_WORLDS").map_or(60, |n| n.parse().unwrap())
}

fn contest(many: usize, make: impl Fn(u64) -> Scenario + Sync, who: &[Contestant]) -> Contest {
    let (mut contest, policy) = (Contest::default(), PolicyOverrides::default());
    for one in in_parallel(many, |n| score_world(&make(n as u64 + 1), n as u64 + 1, who, &policy)) {
        contest.merge(one);
    }
    contest
}

fn tally(contest: &Contest, who: &Contestant, track: Track) -> Tally {
    contest.tallies.get(&(who.clone(), track)).cloned().unwrap_or_default()
}

#[test]
fn a_seed_is_a_world_and_its_labels() {
    assert_eq!(random(7), random(7));
    assert_ne!(random(7).faults, random(8).faults);
    assert!((1..200).any(|seed| random(seed).faults.len() > 2) && (1..200).any(|seed| random(seed).faults.is_empty()));
}

#[test]
fn every_fault_is_drawn_and_every_need_is_labelled() {
    let worlds: Vec<Scenario> = (1..400).map(random).collect();
    let needs: BTreeSet<Need> = worlds.iter().flat_map(|s| &s.expect).map(|e| e.label.need).collect();
    assert_eq!(needs, BTreeSet::from([Need::NotNeeded, Need::Needed, Need::Futile]));
    let executed: BTreeSet<Execution> = worlds.iter().flat_map(|s| &s.expect).map(|e| e.label.executed).collect();
    assert_eq!(executed.len(), 4);
    let kinds: BTreeSet<String> = worlds
        .iter()
        .flat_map(|s| &s.faults)
        .map(|f| format!("{:?}", f.effect.kind).split_whitespace().next().unwrap().to_owned())
        .collect();
    assert_eq!(kinds.len(), 11, "{kinds:?}");
    assert!(worlds.iter().any(|s| !s.failovers.is_empty()) && worlds.iter().any(|s| !s.maintenance.is_empty()));
}

#[test]
fn labels_lie_one_after_another_within_the_world() {
    for seed in 1..200 {
        let s = random(seed);
        for spec in &s.services {
            let mine: Vec<_> = s.expect.iter().filter(|e| s.service_of(e) == &spec.id).collect();
            assert!(mine.windows(2).all(|pair| pair[0].to <= pair[1].from), "{seed}");
            assert!(mine.iter().all(|e| e.from.0 + e.tolerance.0 < e.to.0 && e.to <= s.duration), "{seed}");
        }
    }
}

/// Worlds in which users see one fault, which takes the whole active region for long: the label is the one that anybody
/// would give.
#[test]
fn plain_worlds_have_the_plain_label() {
    let checked: usize = in_parallel(2000, |n| usize::from(plain_world(n as u64))).into_iter().sum();
    assert!(checked >= 5, "{checked}");
}

fn plain_world(seed: u64) -> bool {
    let s = random(seed);
    let users =
        |f: &&Fault| f.scope.vantage_region.is_none() && f.scope.path == FaultPath::Target && f.scope.control.is_none();
    let seen: Vec<&Fault> = s.faults.iter().filter(users).collect();
    let [fault] = seen.as_slice() else { return false };
    let scope = &fault.scope;
    let here = scope.target_region == Some(Regions::These([s.active_region.clone()].into()));
    let whole =
        scope.services.is_empty() && scope.endpoints.is_empty() && scope.target_zones.is_empty() && !scope.regional;
    let down = match fault.effect.kind {
        EffectKind::Down { rate, .. } | EffectKind::Error { rate, .. } | EffectKind::WrongBody { rate } => rate > 0.8,
        _ => false,
    };
    let steady =
        fault.effect.cycle.is_none() && !fault.effect.ramp && s.failovers.is_empty() && s.maintenance.is_empty();
    let long = fault.to.0 - fault.from.0 > 500_000 && fault.to.0 + 100_000 < s.duration.0;
    if !(here && whole && down && steady && long) {
        return false;
    }
    let needed: Vec<_> = s.expect.iter().filter(|e| e.label.need == Need::Needed).collect();
    assert_eq!(needed.len(), s.services.len(), "{seed}");
    for e in needed {
        assert!(e.from.0.abs_diff(fault.from.0) <= 10_000 && e.to.0 + 60_000 > fault.to.0, "{seed}");
        assert_eq!((e.tolerance.0, e.label.executed), (300_000, Execution::Missed), "{seed}");
    }
    true
}

#[test]
fn quiet_worlds_yield_no_need() {
    let contest = contest(worlds(), quiet, &[Contestant::Judge]);
    for track in [Track::Live, Track::Final] {
        let t = tally(&contest, &Contestant::Judge, track);
        assert_eq!((t.right, t.quiet_needed), (t.intervals, 0), "{:?}", contest.wrong);
        assert!(t.intervals >= worlds() as u64);
    }
}

#[test]
fn the_judge_is_right_and_more_often_than_any_peer() {
    let all = Contestant::all(&plan(&random(1)));
    let contest = contest(worlds(), random, &all);
    for track in [Track::Live, Track::Final] {
        let ours = tally(&contest, &Contestant::Judge, track);
        assert!(ours.right * 100 >= ours.intervals * 95, "{} of {}", ours.right, ours.intervals);
        let by_need = tally(&contest, &Contestant::JudgeByNeed, track);
        for peer in all.iter().filter(|c| matches!(c, Contestant::Peer(_))) {
            let peer_tally = tally(&contest, peer, track);
            assert_eq!(peer_tally.intervals, by_need.intervals);
            assert!(peer_tally.right < by_need.right, "{peer} {track:?}: {} {}", peer_tally.right, by_need.right);
        }
    }
}

#[test]
fn a_random_world_is_a_stream_in_order_of_arrival() {
    let records = simulate(&random(3), 3);
    assert!(records.len() > 10_000 && records.windows(2).all(|pair| pair[0].arrived <= pair[1].arrived));
}
