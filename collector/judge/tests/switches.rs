//! Are switches that are reported believed, checked, and taken back when they are not so?

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "the number of worlds may be set from outside")]

mod support;

use serde_json::{Value, json};
use support::scenario::Scenario;
use support::world::{self, Dice};
use support::{Delivery, Driver, plans};
use uitwijk_judge::{
    Evidence, Execution, Live, Need, Revision, Sample, Segment, Switch, Taken, Timeline, Topology, judge,
};
use uitwijk_model::{Millis, Plan, ServiceId, SlotLength, WallTime};

fn exchange() -> ServiceId {
    plans::service_id("exchange")
}

/// Slots of 1 s and a policy of a tenth: NL is down from 100 s to 300 s of 420 s.
fn world_of(failovers: &Value, faults: &Value, seed: u64) -> (Scenario, Plan, Vec<Delivery>) {
    let s: Scenario = serde_json::from_value(json!({
        "id": "switch", "active_region": "NL", "duration_s": 420, "faults": faults, "actual_failovers": failovers,
    }))
    .unwrap();
    let mut plan = s.plan();
    plan.slot = SlotLength::new(Millis::from_secs(1)).unwrap();
    plan.policy = plan.policy.scaled(1, 10);
    let deliveries = world::play(&s, &plan, seed);
    (s, plan, deliveries)
}

fn down(from: u64, to: u64) -> Value {
    json!([{"from_s": from, "to_s": to, "scope": {"target_region": "NL"}, "effect": {"kind": "error"}}])
}

fn to(s: &Scenario, at: u64, from: &str, to: &str) -> Switch {
    Switch { at: s.at(at), from: plans::region(from), to: plans::region(to) }
}

fn batch(plan: &Plan, deliveries: &[Delivery], switches: &[Switch], end: WallTime) -> Timeline {
    let topology = Topology::of(plan, &exchange()).unwrap();
    let mut evidence = Evidence::new(&topology);
    switches.iter().for_each(|x| _ = evidence.add_switch(&topology, x));
    for d in deliveries {
        evidence.add(&topology, &Sample::of(&d.agent, &d.measurement, d.arrived));
    }
    judge(&topology, &evidence, end)
}

fn codes(r: &Revision) -> Vec<&str> {
    r.findings.iter().map(|f| f.code.as_str()).filter(|code| code.starts_with("switch_log")).collect()
}

#[test]
fn a_report_says_when_it_was_done() {
    let moved = json!([{"at_s": 150, "from": "NL", "to": "IE", "ttl_s": 6}]);
    let (s, plan, deliveries) = world_of(&moved, &down(100, 300), 1);
    let without = batch(&plan, &deliveries, &[], s.at(420));
    let with = batch(&plan, &deliveries, &[to(&s, 150, "NL", "IE")], s.at(420));
    let needed = |t: &Timeline| t.episodes.iter().find(|e| e.need == Need::Needed).unwrap().clone();
    assert_eq!((needed(&without).execution, needed(&with).execution), (Execution::Executed, Execution::Executed));
    assert!(codes(&needed(&without)).is_empty());
    assert_eq!(codes(&needed(&with)), ["switch_logged"]);
    assert_eq!((needed(&with).from, needed(&with).to), (s.at(100), Some(s.at(150))));
}

/// Nothing that answers tells who serves; the report does.
#[test]
fn a_report_is_believed_when_nothing_is_told() {
    let moved = json!([{"at_s": 150, "from": "NL", "to": "IE", "ttl_s": 6}]);
    let (s, plan, mut deliveries) = world_of(&moved, &json!([]), 2);
    deliveries.iter_mut().for_each(|d| d.measurement.served = None);
    let served = |t: &Timeline, at: u64| {
        let segment = t.segments.iter().find(|g| g.from <= s.at(at) && s.at(at) < g.to).unwrap();
        segment.served_region.as_ref().unwrap().as_str().to_owned()
    };
    let without = batch(&plan, &deliveries, &[], s.at(420));
    let with = batch(&plan, &deliveries, &[to(&s, 150, "NL", "IE")], s.at(420));
    assert_eq!(
        (served(&without, 300), served(&with, 140), served(&with, 300)),
        ("NL".into(), "NL".into(), "IE".into())
    );
    assert_eq!(with.episodes[0].execution, Execution::Unnecessary);
}

#[test]
fn a_report_that_is_not_so_is_taken_back_and_told() {
    // A part of the answers is right, and tells that NL still serves.
    let mut faults = down(100, 300);
    faults[0]["effect"]["params"] = json!({"rate": 0.4});
    let (s, plan, deliveries) = world_of(&json!([]), &faults, 3);
    let t = batch(&plan, &deliveries, &[to(&s, 150, "NL", "IE")], s.at(420));
    let needed: Vec<&Revision> = t.episodes.iter().filter(|e| e.need == Need::Needed).collect();
    assert_eq!(needed.len(), 1, "{:#?}", t.segments);
    assert_eq!(needed[0].execution, Execution::Missed);
    assert_eq!(codes(needed[0]), ["switch_log_disagrees"]);
    assert!(
        t.segments.iter().all(|g| g.served_region.as_ref().is_none_or(|r| r.as_str() == "NL")),
        "{:#?}",
        t.segments
    );
}

#[test]
fn reports_of_nowhere_are_foreign_and_repeats_are_known() {
    let (s, plan, _) = world_of(&json!([]), &json!([]), 4);
    let mut live = Live::new(&plan, &exchange()).unwrap();
    assert_eq!(live.switch(&to(&s, 9, "NL", "FR")), Taken::Foreign);
    assert!(matches!(live.switch(&to(&s, 9, "NL", "IE")), Taken::Changed { .. }));
    assert_eq!(live.switch(&to(&s, 9, "NL", "IE")), Taken::Known);
}

/// Segments without the names of episodes, joined where they say the same.
fn bare(segments: &[Segment], until: WallTime) -> Vec<Segment> {
    let mut joined: Vec<Segment> = Vec::new();
    for s in segments.iter().filter(|s| s.from < until) {
        let s = Segment { episode: None, revision: 0, to: s.to.min(until), ..s.clone() };
        let said = |s: &Segment| (s.cause, s.execution, s.served_region.clone());
        match joined.last_mut() {
            Some(last) if said(last) == said(&s) => last.to = s.to,
            _ => joined.push(s),
        }
    }
    joined
}

/// With true, false and late reports in it, live ends where everything at once ends.
#[test]
fn live_with_reports_equals_everything_at_once() {
    let worlds: u64 = std::env::var("LAWS").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    for seed in 0..worlds {
        let mut dice = Dice(seed ^ 0xabc);
        let moved = 60 + dice.below(150);
        let failovers =
            if dice.chance(0.6) { json!([{"at_s": moved, "from": "NL", "to": "IE", "ttl_s": 6}]) } else { json!([]) };
        let start = 40 + dice.below(150);
        let faults = if dice.chance(0.7) { down(start, start + 10 + dice.below(150)) } else { json!([]) };
        let (s, plan, deliveries) = world_of(&failovers, &faults, seed);
        let mut reports: Vec<(WallTime, Switch)> = Vec::new();
        for _ in 0..=dice.below(3) {
            let at = if dice.chance(0.5) { moved } else { 30 + dice.below(300) };
            let (from, into) = if dice.chance(0.7) { ("NL", "IE") } else { ("IE", "NL") };
            reports.push((s.at((at + dice.below(60)).min(400)), to(&s, at, from, into)));
        }
        reports.sort_by_key(|(heard, _)| *heard);
        let switches: Vec<Switch> = reports.iter().map(|(_, x)| x.clone()).collect();
        let end = s.at(420);
        let settled = batch(&plan, &deliveries, &switches, end);
        let mut driver = Driver::new(Live::new(&plan, &exchange()).unwrap(), s.at(0));
        let mut due = reports.into_iter().peekable();
        let mut finals: Vec<Revision> = Vec::new();
        let mut note = |live: &mut Live, now: WallTime| {
            while let Some((_, switch)) = due.next_if(|(heard, _)| *heard <= now) {
                live.switch(&switch);
            }
            finals.extend(live.advance(now));
        };
        for d in &deliveries {
            driver.deliver(d, &mut note);
        }
        driver.run_until(end, &mut note);
        driver.live.advance(end.plus(plan.policy.grace));
        let until = end.minus(Millis::from_secs(2));
        let live = driver.live.timeline(s.at(0), until);
        assert_eq!(bare(&live, until), bare(&settled.segments, until), "seed {seed}: {switches:?}");
    }
}
