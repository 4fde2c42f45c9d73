//! Does a replay say what an expert would say about the examples, recorded and played, live and afterwards?

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use uitwijk_judge::{Cause, Execution, Need};
use uitwijk_model::{Millis, ServiceId};
use uitwijk_replay::{Reader, Reading, Record, ReplayError, ReplaySegment, Track, Tracks, replay};
use uitwijk_scenario::format::Expect;
use uitwijk_scenario::{Scenario, plan, read_file, simulate};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios")
}

fn examples() -> Vec<Scenario> {
    read_file(folder().join("examples.jsonl")).unwrap()
}

fn recorded(id: &str) -> Vec<Record> {
    let file = File::open(folder().join(format!("streams/{id}.jsonl.zst"))).unwrap();
    Reader::new(file, Reading::default()).unwrap().collect::<Result<_, _>>().unwrap()
}

fn judged(s: &Scenario, records: &[Record]) -> Vec<ReplaySegment> {
    let plan = plan(s);
    replay(&plan, plan.services.keys(), records, Tracks::BOTH).unwrap()
}

/// After the tolerance every slot has the need; most of what is not plain healthy has the cause; some slot has the
/// execution (afterwards).
fn verdict_on(s: &Scenario, e: &Expect, track: Track, all: &[ReplaySegment]) -> Result<(), String> {
    let (from, to) = (s.at(Millis(e.from.0 + e.tolerance.0)), s.at(e.to));
    let service: &ServiceId = s.service_of(e);
    let inside = || all.iter().filter(|g| g.service == *service && g.track == track && g.to > from && g.from < to);
    let mut lengths: BTreeMap<Cause, i64> = BTreeMap::new();
    for g in inside() {
        if g.need != e.label.need {
            return Err(format!("{} {} from {} to {}", g.need, g.cause, g.from, g.to));
        }
        *lengths.entry(g.cause).or_default() += g.to.min(to).micros_since(g.from.max(from));
    }
    let troubled = lengths.iter().filter(|(cause, _)| **cause != Cause::Healthy);
    let told = troubled.max_by_key(|(_, n)| **n).map_or(Cause::Healthy, |(cause, _)| *cause);
    if told != e.label.cause {
        return Err(format!("cause {told}: {lengths:?}"));
    }
    if track == Track::Final && !inside().any(|g| g.executed == e.label.executed) {
        return Err("the execution is another".to_owned());
    }
    Ok(())
}

fn wrong(s: &Scenario, records: &[Record]) -> Vec<String> {
    let all = judged(s, records);
    let mut wrong = Vec::new();
    for track in [Track::Live, Track::Final] {
        for e in &s.expect {
            if let Err(why) = verdict_on(s, e, track, &all) {
                wrong.push(format!("{} {} {}..{}s: {why}", s.id, track.as_str(), e.from.0 / 1000, e.to.0 / 1000));
            }
        }
    }
    wrong
}

#[test]
fn the_recorded_examples_are_judged_right() {
    let wrong: Vec<String> = examples().iter().flat_map(|s| wrong(s, &recorded(&s.id))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_examples_are_judged_right_as_they_are_played() {
    let wrong: Vec<String> = examples().iter().flat_map(|s| wrong(s, &simulate(s, 1))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn segments_are_adjacent_cover_the_stream_and_are_sorted() {
    for s in &examples() {
        let records = simulate(s, 2);
        let all = judged(s, &records);
        assert!(all.is_sorted_by_key(|g| (g.track, g.service.clone(), g.from)));
        for track in [Track::Live, Track::Final] {
            for spec in &s.services {
                let mine: Vec<_> = all.iter().filter(|g| g.track == track && g.service == spec.id).collect();
                assert_eq!((mine[0].from, mine[mine.len() - 1].to), (s.start, s.end()), "{} {track:?}", s.id);
                assert!(mine.windows(2).all(|w| w[0].to == w[1].from && *w[0] != *w[1]), "{}", s.id);
            }
        }
    }
}

#[test]
fn a_stream_of_nobody_the_plan_knows_is_no_data() {
    let s = &examples()[0];
    let mut plan = plan(s);
    let records = simulate(s, 1);
    plan.agents.clear();
    let mut judges = uitwijk_replay::Replay::new(&plan, plan.services.keys(), Tracks::BOTH).unwrap();
    for r in &records {
        judges.feed(r).unwrap();
    }
    assert_eq!((judges.foreign().records, judges.foreign().agents.len()), (records.len() as u64, 6));
    let all = judges.finish();
    assert_eq!(all.len(), 4);
    assert!(all.iter().all(|g| (g.need, g.cause, g.executed) == (Need::Inconclusive, Cause::NoData, Execution::None)));
    assert!(replay(&plan, plan.services.keys(), &[], Tracks::BOTH).unwrap().is_empty());
}

#[test]
fn the_live_track_needs_the_order_of_arrival_and_the_final_one_does_not() {
    let s = &examples()[1];
    let (plan, mut records) = (plan(s), simulate(s, 1));
    let service = &s.services[0].id;
    let sorted = uitwijk_replay::settled(&plan, service, &records).unwrap();
    records.reverse();
    assert!(matches!(uitwijk_replay::live(&plan, service, &records), Err(ReplayError::Unordered { .. })));
    assert_eq!(uitwijk_replay::settled(&plan, service, &records).unwrap(), sorted);
}

#[test]
fn a_silence_of_years_is_no_work() {
    let s = &examples()[0];
    let (plan, mut records) = (plan(s), simulate(s, 1));
    let service = &s.services[0].id;
    let mut later = records[records.len() - 1].clone();
    let years = Millis::from_secs(40 * 365 * 86_400);
    (later.scheduled, later.sent, later.arrived) =
        (later.scheduled.plus(years), later.sent.plus(years), later.arrived.plus(years));
    later.sequence += 1;
    records.push(later);
    let all = replay(&plan, [service], &records, Tracks::BOTH).unwrap();
    for track in [Track::Live, Track::Final] {
        let silent = all.iter().filter(|g| g.track == track && g.cause == Cause::NoData);
        assert!(silent.map(|g| g.to.micros_since(g.from)).max() > Some(39 * 365 * 86_400_000_000), "{track:?}");
    }
}

/// No answer tells who serves, so a failover seems missed, until somebody says that it was done.
#[test]
fn a_reported_switch_is_heard_in_both_tracks() {
    let s = examples().into_iter().find(|s| s.id == "example-2-region-down").unwrap();
    let (plan, service, moved) = (plan(&s), &s.services[0].id, &s.failovers[0]);
    let mut records = simulate(&s, 1);
    records.iter_mut().for_each(|record| record.served = None);
    let at = s.at(moved.at);
    let judged = |heard: Option<Millis>| {
        let mut judges = uitwijk_replay::Replay::new(&plan, [service], Tracks::BOTH).unwrap();
        let switch = uitwijk_judge::Switch { at, from: moved.from.clone(), to: moved.to.clone() };
        heard.iter().for_each(|after| judges.hear(service, &switch, at.plus(*after)));
        records.iter().for_each(|r| judges.feed(r).unwrap());
        let all = judges.finish();
        let done = |track| {
            let needed = all.iter().filter(|g| g.track == track && g.need == Need::Needed);
            let found: Vec<_> = needed.map(|g| (g.to.micros_since(at) / 1_000_000, g.executed)).collect();
            *found.last().unwrap()
        };
        (done(Track::Live), done(Track::Final))
    };
    assert_eq!(judged(None).1.1, Execution::Missed);
    let (live, settled) = judged(Some(Millis::from_secs(60)));
    assert_eq!(settled, (0, Execution::Executed));
    // Live it was needed until it was heard of.
    assert!((30..=90).contains(&live.0), "{live:?}");
    assert_eq!(judged(Some(Millis(0))).1, (0, Execution::Executed));
}
