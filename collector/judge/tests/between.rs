//! Does a revision say what came in since the one before, and nothing else?

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use support::scenario::Scenario;
use support::{BOOT, Delivery, Driver, plans, world};
use uitwijk_judge::{Live, Origin, Revision, RevisionKind, Since};
use uitwijk_model::{Millis, Plan, ServiceId, SlotLength, WallTime};

fn exchange() -> ServiceId {
    plans::service_id("exchange")
}

/// NL refuses what NL sends from 100 s to 200 s, and what IE measured from 90 s to 400 s comes after the horizon.
fn late() -> (Scenario, Plan, Vec<Delivery>) {
    let s: Scenario = serde_json::from_value(json!({
        "id": "late", "active_region": "NL", "duration_s": 500, "faults": [
            {"from_s": 100, "to_s": 200, "scope": {"target_region": "NL", "vantage_region": "NL"},
             "effect": {"kind": "down", "params": {"mode": "refused"}}},
            {"from_s": 90, "to_s": 400, "scope": {"vantage_region": "IE", "path": "vantage->collector"},
             "effect": {"kind": "partition", "params": {"replay_spread_s": 0}}}
    ]}))
    .unwrap();
    let mut plan = s.plan();
    plan.slot = SlotLength::new(Millis::from_secs(1)).unwrap();
    plan.policy = plan.policy.scaled(1, 10);
    plan.policy.horizon = Millis::from_secs(150);
    let deliveries = world::play(&s, &plan, 5);
    (s, plan, deliveries)
}

fn drive(driver: &mut Driver, deliveries: &[Delivery], until: WallTime) -> Vec<Revision> {
    let mut all = Vec::new();
    let mut note = |live: &mut Live, now: WallTime| all.extend(live.advance(now));
    for d in deliveries {
        driver.deliver(d, &mut note);
    }
    driver.run_until(until, &mut note);
    all
}

fn told(s: &Scenario, since: &Since) -> String {
    let at = |t: WallTime| t.micros_since(s.at(0)) / 1_000_000;
    let slot = |n: i64| n - s.at(0).as_millis() / 1000;
    let mut lines = vec![format!(
        "since {}: {}/{} {}, judged {}..{}",
        at(since.decided),
        since.before.need,
        since.before.cause,
        since.before.execution,
        slot(since.judged_from.0),
        slot(since.judged_to.0),
    )];
    for a in &since.arrivals {
        let ranges: Vec<String> = a.ranges.iter().map(|r| format!("{}..={}", r.from, r.to)).collect();
        let (ranges, boot) = (ranges.join(" "), a.boot.unwrap());
        let (first, last) = (at(a.first), at(a.last));
        lines.push(format!("{} {boot} {ranges}: {} ({} late) {first}..{last}", a.agent, a.changed, a.late));
    }
    for c in &since.cells {
        let slots = format!("{}..{}", slot(c.from_slot.0), slot(c.to_slot.0));
        lines.push(format!("{} {} {slots} {} -> {}", c.agent, c.target, c.before.label(), c.after.label()));
    }
    lines.push(format!("and {} measurements, {} cells", since.arrivals_more, since.cells_more));
    lines.join("\n")
}

#[test]
fn the_first_revision_has_nothing_before_it_and_the_others_tell_it_all() {
    let (s, plan, deliveries) = late();
    let mut driver = Driver::new(Live::new(&plan, &exchange()).unwrap(), s.at(0));
    let revisions = drive(&mut driver, &deliveries, s.at(505));
    for r in &revisions {
        assert_eq!(r.since.is_none(), r.revision == 1, "{} r{}", r.episode, r.revision);
    }
    let revised = revisions.iter().find(|r| r.kind == RevisionKind::Revised).unwrap();
    let since = revised.since.as_ref().unwrap();
    insta::assert_snapshot!(told(&s, since));
    let before = revisions.iter().find(|r| r.episode == revised.episode && r.revision + 1 == revised.revision).unwrap();
    assert_eq!((since.decided, since.before.cause), (before.decided, before.cause));
    // Whoever reads it can look the measurements up.
    for a in &since.arrivals {
        let names =
            |d: &&Delivery| d.agent == a.agent && a.ranges.iter().any(|r| (r.from..=r.to).contains(&d.sequence));
        let named: Vec<&Delivery> = deliveries.iter().filter(names).collect();
        let ours = named.iter().filter(|d| driver.live.rests_on(&d.measurement.target)).count();
        assert_eq!(u64::try_from(ours).unwrap(), a.changed, "{a:?}");
        assert!(named.iter().all(|d| d.arrived > since.decided && d.arrived <= revised.decided), "{a:?}");
    }
}

/// After a restart the time of arrival tells what came before which revision.
#[test]
fn a_restart_tells_the_same() {
    let (s, plan, deliveries) = late();
    let mut straight = Driver::new(Live::new(&plan, &exchange()).unwrap(), s.at(0));
    let all = drive(&mut straight, &deliveries, s.at(505));
    let revised = all.iter().find(|r| r.kind == RevisionKind::Revised).unwrap();
    let mut live = Live::new(&plan, &exchange()).unwrap();
    let published: Vec<Revision> = all.iter().filter(|r| r.decided < revised.decided).cloned().collect();
    live.restore(&published);
    for d in deliveries.iter().filter(|d| d.arrived <= revised.decided) {
        live.observe_from(&d.agent, &d.measurement, d.arrived, Some(Origin { boot: BOOT, sequence: d.sequence }));
    }
    let again = live.advance(revised.decided);
    let again = again.iter().find(|r| r.episode == revised.episode).unwrap();
    let (mut a, mut b) = (again.since.clone().unwrap(), revised.since.clone().unwrap());
    // Which cells were empty when the others came is no longer known.
    (a.cells, b.cells) = (Vec::new(), Vec::new());
    (a.cells_more, b.cells_more) = (0, 0);
    assert_eq!(told(&s, &a), told(&s, &b));
}

#[test]
fn long_lists_are_cut_and_counted() {
    let (s, plan, deliveries) = late();
    // Every other slot of IE is lost, so no two cells in a row change.
    let lost = |d: &Delivery| d.agent.as_str().starts_with("ie") && d.measurement.slot.0 % 2 == 0;
    let apart: Vec<Delivery> = deliveries.into_iter().filter(|d| !lost(d)).collect();
    let mut driver = Driver::new(Live::new(&plan, &exchange()).unwrap(), s.at(0));
    let revisions = drive(&mut driver, &apart, s.at(505));
    let sinces = || revisions.iter().filter_map(|r| r.since.as_ref());
    let listed: u64 = sinces().map(|x| x.cells.len() as u64).max().unwrap();
    let more: u64 = sinces().map(|x| x.cells_more).max().unwrap();
    assert_eq!(listed, 64);
    assert!(more > 500, "{more}");
}
