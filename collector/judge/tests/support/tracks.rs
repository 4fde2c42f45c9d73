//! How are deliveries judged in both tracks?

use uitwijk_judge::{Evidence, Live, Revision, Sample, Segment, Timeline, Topology, judge};
use uitwijk_model::{Millis, Plan, ServiceId, WallTime};

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
