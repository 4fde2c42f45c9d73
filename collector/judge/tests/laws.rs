//! What holds in every world, whatever happens in it?

#![allow(clippy::disallowed_methods, reason = "the number of worlds may be set from outside")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use proptest::prelude::*;
use serde_json::{Value, json};
use support::scenario::Scenario;
use support::tracks::{final_track, live_revisions, live_track};
use support::world::{self, Dice};
use support::{Delivery, plans};
use uitwijk_judge::{Cause, Evidence, Live, Need, Revision, RevisionKind, Sample, Segment, Topology, judge};
use uitwijk_model::{
    AgentId, Fault, Millis, Outcome, Plan, Region, ServedBy, ServiceId, Slot, SlotLength, TargetId, Unmeasured,
    WallTime,
};

/// Worlds per law; `LAWS=1000` tries more.
fn cases() -> u32 {
    std::env::var("LAWS").ok().and_then(|n| n.parse().ok()).unwrap_or(6)
}

fn exchange() -> ServiceId {
    plans::service_id("exchange")
}

/// Slots of 1 s and a policy of a tenth: worlds stay small.
fn quick(mut plan: Plan) -> Plan {
    plan.slot = SlotLength::new(Millis::from_secs(1)).unwrap();
    plan.policy = plan.policy.scaled(1, 10);
    plan.services.retain(|id, _| id.as_str() == "exchange");
    plan
}

fn any_fault(dice: &mut Dice) -> Value {
    let from = 40 + dice.below(120);
    let to = from + 5 + dice.below(150);
    let region = ["NL", "IE", "ALL"][usize::try_from(dice.below(3)).unwrap()];
    let zone = 1 + dice.below(3);
    let scope = match dice.below(9) {
        0 | 1 => json!({"target_region": region}),
        2 => json!({"target_region": region, "target_zones": [zone]}),
        3 => json!({"chain_partner": "idp"}),
        4 => json!({"global": true}),
        5 => json!({"vantage_region": region, "vantage_zones": [zone]}),
        6 => json!({"vantage_region": region, "target_region": "NL"}),
        7 => json!({"vantage_region": region, "vantage_zones": [zone], "path": "vantage->collector"}),
        _ => json!({"vantage_region": region, "vantage_zones": [zone], "path": "agent"}),
    };
    let rate = [0.15, 0.5, 1.0][usize::try_from(dice.below(3)).unwrap()];
    let effect = match (scope.get("path").and_then(Value::as_str), dice.below(4)) {
        (Some("agent"), 0) => json!({"kind": "skew", "params": {"offset_s": 7}}),
        (Some("agent"), _) => json!({"kind": "down"}),
        (Some(_), 0) => json!({"kind": "duplicate", "params": {"copies": 2, "every_s": 3, "p": 0.5}}),
        (Some(_), 1) => json!({"kind": "delay", "params": {"add_s": 5, "jitter_s": 9}}),
        (Some(_), _) => json!({"kind": "partition", "params": {"replay_spread_s": 10}}),
        (None, 0) => json!({"kind": "down", "params": {"mode": "refused", "rate": rate}}),
        (None, 1) => json!({"kind": "slow", "params": {"add_ms": 3000, "rate": rate}}),
        (None, _) => json!({"kind": "error", "params": {"rate": rate, "service_impact": rate}}),
    };
    json!({"from_s": from, "to_s": to, "scope": scope, "effect": effect})
}

/// A world in which up to three things go wrong.
fn any_world(seed: u64) -> (Scenario, Plan, Vec<Delivery>) {
    let mut dice = Dice(seed);
    let faults: Vec<Value> = (0..dice.below(4)).map(|_| any_fault(&mut dice)).collect();
    let at = 60 + dice.below(150);
    let failovers = match dice.below(3) {
        0 => json!([{"at_s": at, "from": "NL", "to": "IE", "ttl_s": 6}]),
        _ => json!([]),
    };
    let s: Scenario = serde_json::from_value(json!({
        "id": format!("world {seed}"), "active_region": "NL", "duration_s": 420, "faults": faults,
        "actual_failovers": failovers,
    }))
    .unwrap();
    let plan = quick(s.plan());
    let deliveries = world::play(&s, &plan, seed);
    (s, plan, deliveries)
}

/// What a revision says, without its name and without when and how firmly it was said.
fn said(r: &Revision) -> Value {
    let mut value = serde_json::to_value(r).unwrap();
    for key in ["episode", "revision", "kind", "decided", "complete", "since"] {
        value.as_object_mut().unwrap().remove(key);
    }
    value
}

/// Segments without the names of episodes.
fn bare(segments: &[Segment]) -> Vec<Segment> {
    let mut joined: Vec<Segment> = Vec::new();
    for s in segments {
        let s = Segment { episode: None, revision: 0, ..s.clone() };
        match joined.last_mut() {
            Some(last)
                if (last.cause, last.execution, &last.served_region) == (s.cause, s.execution, &s.served_region) =>
            {
                last.to = s.to;
            }
            _ => joined.push(s),
        }
    }
    joined
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn order_and_repeats_change_nothing(seed in any::<u64>()) {
        let (s, plan, deliveries) = any_world(seed);
        let end = s.at(s.duration_s);
        let straight = final_track(&plan, &exchange(), &deliveries, end);
        let mut dice = Dice(seed ^ 1);
        let mut shuffled: Vec<Delivery> = deliveries.iter().flat_map(|d| {
            std::iter::repeat_n(d.clone(), if dice.chance(0.2) { 2 } else { 1 })
        }).collect();
        for i in (1..shuffled.len()).rev() {
            let j = usize::try_from(dice.below(i as u64 + 1)).unwrap();
            shuffled.swap(i, j);
        }
        prop_assert_eq!(straight, final_track(&plan, &exchange(), &shuffled, end));
    }

    #[test]
    fn live_ends_where_judging_everything_at_once_ends(seed in any::<u64>()) {
        let (s, plan, deliveries) = any_world(seed);
        let end = s.at(s.duration_s);
        let settled = final_track(&plan, &exchange(), &deliveries, end);
        let (_, live) = live_track(&plan, &exchange(), &deliveries, end);
        let until = end.minus(Millis::from_secs(2));
        let both = [live.timeline(s.at(0), until), {
            let mut cut: Vec<Segment> = settled.segments.into_iter().filter(|g| g.from < until).collect();
            if let Some(last) = cut.last_mut() { last.to = last.to.min(until); }
            cut
        }];
        prop_assert_eq!(bare(&both[0]), bare(&both[1]));
    }

    #[test]
    fn final_means_final(seed in any::<u64>()) {
        let (s, plan, deliveries) = any_world(seed);
        let end = s.at(s.duration_s);
        let settled = final_track(&plan, &exchange(), &deliveries, end);
        let revisions = live_revisions(&plan, &exchange(), &deliveries, end);
        for r in &revisions {
            prop_assert!(r.kind != RevisionKind::Revised, "nothing came after the watermark: {r:?}");
        }
        for r in revisions.iter().filter(|r| r.kind == RevisionKind::Final && r.cause != Cause::Healthy) {
            let found = settled.episodes.iter().any(|e| said(e) == said(r));
            prop_assert!(found, "{:#}\nnot among\n{:#?}", said(r), settled.episodes.iter().map(said).collect::<Vec<_>>());
        }
        for (a, b) in revisions.iter().zip(revisions.iter().skip(1)).filter(|(a, b)| a.episode == b.episode) {
            prop_assert_eq!(a.revision + 1, b.revision);
        }
    }

    #[test]
    fn names_of_regions_do_not_matter(seed in any::<u64>()) {
        let (s, plan, deliveries) = any_world(seed);
        let end = s.at(s.duration_s);
        let other = |r: &Region| plans::region(if r.as_str() == "NL" { "IE" } else { "NL" });
        let mut swapped = plan.clone();
        for vantage in swapped.agents.values_mut() {
            vantage.region = other(&vantage.region);
        }
        swapped.services.values_mut().for_each(|x| x.active_region = other(&x.active_region));
        let mirrored: Vec<Delivery> = deliveries.iter().cloned().map(|mut d| {
            let target = d.measurement.target.as_str();
            let name = match target.split_once('@') {
                Some((stem, "NL")) => format!("{stem}@IE"),
                Some((stem, "IE")) => format!("{stem}@NL"),
                _ => target.to_owned(),
            };
            d.measurement.target = TargetId::from_wire(&name);
            d.measurement.served = d.measurement.served.map(|x| ServedBy { region: other(&x.region), zone: x.zone });
            d
        }).collect();
        let here = final_track(&plan, &exchange(), &deliveries, end);
        let there = final_track(&swapped, &exchange(), &mirrored, end);
        let back: Vec<Segment> = there.segments.iter().cloned().map(|mut g| {
            g.served_region = g.served_region.map(|r| other(&r));
            g
        }).collect();
        prop_assert_eq!(bare(&here.segments), bare(&back));
    }

    #[test]
    fn a_healthy_world_never_needs_a_failover_and_losing_a_vantage_does_not_change_that(seed in any::<u64>()) {
        let s: Scenario = serde_json::from_value(json!({"id": "healthy", "active_region": "NL", "duration_s": 300})).unwrap();
        let plan = quick(s.plan());
        let deliveries = world::play(&s, &plan, seed);
        let agents: Vec<Option<AgentId>> = plan.agents.keys().cloned().map(Some).chain([None]).collect();
        for gone in &agents {
            let left: Vec<Delivery> = deliveries.iter().filter(|d| Some(&d.agent) != gone.as_ref()).cloned().collect();
            let t = final_track(&plan, &exchange(), &left, s.at(300));
            prop_assert!(t.segments.iter().all(|g| g.need == Need::NotNeeded), "{gone:?} {:?}", t.segments);
        }
    }

    #[test]
    fn nothing_panics(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let (_, mut plan, mut deliveries) = any_world(seed);
        deliveries.truncate(400);
        let ends = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
        let pick = |dice: &mut Dice| ends[usize::try_from(dice.below(7)).unwrap()];
        for d in &mut deliveries {
            match dice.below(8) {
                0 => d.measurement.slot = Slot(pick(&mut dice)),
                1 => d.measurement.slot = Slot(dice.next().cast_signed() >> dice.below(64)),
                2 => d.arrived = WallTime::from_micros(pick(&mut dice)),
                3 => d.measurement.started = WallTime::from_micros(pick(&mut dice)),
                4 => d.measurement.observer.clock_offset_us = Some(pick(&mut dice)),
                5 => d.measurement.attempt = u8::try_from(dice.below(256)).unwrap(),
                6 => d.measurement.target = TargetId::from_wire("control:nothing"),
                _ => d.measurement.outcome = Outcome::Unmeasured(Unmeasured::Overload),
            }
        }
        if dice.chance(0.3) { plan.agents.retain(|id, _| id.as_str() == "nl-1"); }
        if dice.chance(0.3) { plan.controls.clear(); }
        if dice.chance(0.2) { plan.services.values_mut().for_each(|s| s.endpoints.clear()); }
        if dice.chance(0.2) { plan.agents.clear(); }
        if dice.chance(0.2) { plan.policy.hard_window = Millis(1); plan.policy.soft_duration = Millis(1); }
        let topology = Topology::of(&plan, &exchange()).unwrap();
        let mut evidence = Evidence::new(&topology);
        let mut live = Live::new(&plan, &exchange()).unwrap();
        for d in &deliveries {
            evidence.add(&topology, &Sample::of(&d.agent, &d.measurement, d.arrived));
            live.observe(&d.agent, &d.measurement, d.arrived);
            live.frontier(&d.agent, d.arrived);
            if dice.chance(0.02) {
                live.advance(WallTime::from_micros(pick(&mut dice)));
            }
        }
        for horizon in [i64::MIN, 0, i64::MAX] {
            let _ = judge(&topology, &evidence, WallTime::from_micros(horizon));
        }
        let _ = live.timeline(WallTime::from_micros(i64::MIN), WallTime::from_micros(i64::MAX));
    }
}

#[test]
fn no_evidence_is_no_answer() {
    let plan = quick(plans::two_services(&["NL", "IE"]));
    let topology = Topology::of(&plan, &exchange()).unwrap();
    let t = judge(&topology, &Evidence::new(&topology), WallTime::from_millis(1_772_438_400_000));
    assert!(t.segments.is_empty() && t.episodes.is_empty());
    let mut live = Live::new(&plan, &exchange()).unwrap();
    assert!(live.advance(WallTime::from_millis(1_772_438_400_000)).is_empty());
}

#[test]
fn with_one_region_every_need_is_futile_and_says_so() {
    let s: Scenario = serde_json::from_value(json!({
        "id": "one", "active_region": "NL", "duration_s": 300,
        "faults": [{"from_s": 100, "to_s": 200, "scope": {"target_region": "NL"}, "effect": {"kind": "error"}}]
    }))
    .unwrap();
    let plan = quick(plans::two_services(&["NL"]));
    let t = final_track(&plan, &exchange(), &world::play(&s, &plan, 3), s.at(300));
    let e = t.episodes.iter().find(|e| e.need == Need::Futile).unwrap();
    assert!(e.findings.iter().any(|f| f.code == "no_other_region"), "{e:?}");
    assert!(t.segments.iter().all(|g| g.need != Need::Needed));
}

#[test]
fn the_first_attempt_of_a_slot_counts_and_retries_only_stand_in() {
    let plan = quick(plans::two_services(&["NL", "IE"]));
    let topology = Topology::of(&plan, &exchange()).unwrap();
    let s: Scenario = serde_json::from_value(json!({"id": "x", "active_region": "NL", "duration_s": 2})).unwrap();
    let base = world::play(&s, &plan, 1).into_iter().next().unwrap();
    let with = |attempt, outcome| {
        let mut d = base.clone();
        (d.measurement.attempt, d.measurement.outcome) = (attempt, outcome);
        Sample::of(&d.agent, &d.measurement, d.arrived)
    };
    let cells = |samples: &[Sample]| {
        let mut evidence = Evidence::new(&topology);
        samples.iter().for_each(|x| _ = evidence.add(&topology, x));
        let mut row = Vec::new();
        evidence.row(base.measurement.slot.0, &mut row);
        row
    };
    let (down, up) = (with(0, Outcome::Down(Fault::WaitTimeout)), with(1, Outcome::Up));
    let missed = with(0, Outcome::Unmeasured(Unmeasured::Overload));
    assert_eq!(cells(&[down.clone(), up.clone()]), cells(&[up.clone(), down.clone()]));
    assert_eq!(cells(&[down.clone(), up.clone()]), cells(&[down]));
    let both = cells(&[missed, up.clone()]);
    assert!(both.iter().any(|c| c.is_measured() && !c.is_failed()));
    assert_eq!(both, cells(&[up]));
}
