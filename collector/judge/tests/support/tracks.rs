//! How are deliveries judged in both tracks, and held against what an expert would say?

use std::collections::BTreeMap;

use uitwijk_judge::{Cause, Evidence, Live, Revision, Sample, Segment, Timeline, Topology, judge};
use uitwijk_model::{Millis, Plan, ServiceId, WallTime};

use super::scenario::{Expect, Scenario};
use super::{Delivery, Driver};

pub fn final_track(plan: &Plan, service: &ServiceId, deliveries: &[Delivery], end: WallTime) -> Timeline {
    let topology = Topology::of(plan, service).unwrap();
    let mut evidence = Evidence::new(&topology);
    for d in deliveries {
        evidence.add(&topology, &Sample::of(&d.agent, &d.measurement, d.arrived));
    }
    judge(&topology, &evidence, end)
}

/// What was said about each slot when it was judged first.
pub fn live_track(plan: &Plan, service: &ServiceId, deliveries: &[Delivery], end: WallTime) -> (Vec<Segment>, Live) {
    let live = Live::new(plan, service).unwrap();
    let mut driver = Driver::new(live, deliveries[0].arrived.minus(Millis(1)));
    let mut said: Vec<Segment> = Vec::new();
    let mut note = |live: &mut Live, now: WallTime| {
        live.advance(now);
        let slot = plan.slot;
        let judged = slot.slot_of(now.minus(plan.policy.grace));
        let from = slot.start_of(judged.plus(-1));
        said.extend(live.timeline(from, slot.start_of(judged)));
    };
    for d in deliveries {
        driver.deliver(d, &mut note);
    }
    driver.run_until(end.plus(plan.policy.grace).plus(Millis::from_secs(10)), &mut note);
    (said, driver.live)
}

/// The rule for a labelled interval: after the tolerance every slot has the need; the cause that most of the slots have
/// that are not plain healthy is the labelled one (healthy: no other cause at all); some segment has the execution.
pub fn verdict_on(expect: &Expect, s: &Scenario, segments: &[Segment], last: bool) -> Result<(), String> {
    let (from, to) = (s.at(expect.from_s + expect.tolerance_s), s.at(expect.to_s));
    let inside: Vec<&Segment> = segments.iter().filter(|g| g.to > from && g.from < to).collect();
    if inside.is_empty() {
        return Err("nothing was said".to_owned());
    }
    let mut slots: BTreeMap<Cause, i64> = BTreeMap::new();
    for g in &inside {
        if g.need.label() != expect.need.to_lowercase() {
            return Err(format!("{} {} from {} to {}", g.need, g.cause, g.from, g.to));
        }
        *slots.entry(g.cause).or_default() += g.to.min(to).micros_since(g.from.max(from));
    }
    let told = slots
        .iter()
        .filter(|(c, _)| **c != Cause::Healthy)
        .max_by_key(|(_, n)| **n)
        .map_or("healthy", |(c, _)| c.label());
    if told != expect.cause {
        return Err(format!("cause {told}, wanted {}: {slots:?}", expect.cause));
    }
    let executed = inside.iter().any(|g| g.execution.label() == expect.executed);
    if last && !executed {
        return Err(format!("execution {:?}", inside.iter().map(|g| g.execution.label()).collect::<Vec<_>>()));
    }
    Ok(())
}

/// Every revision that was published, in order, until all is settled.
pub fn live_revisions(plan: &Plan, service: &ServiceId, deliveries: &[Delivery], end: WallTime) -> Vec<Revision> {
    let Some(first) = deliveries.first() else { return Vec::new() };
    let mut driver = Driver::new(Live::new(plan, service).unwrap(), first.arrived.minus(Millis(1)));
    let mut all = Vec::new();
    let mut note = |live: &mut Live, now: WallTime| all.extend(live.advance(now));
    for d in deliveries {
        driver.deliver(d, &mut note);
    }
    driver.run_until(end.plus(plan.policy.grace).plus(plan.slot.millis()), &mut note);
    all
}
