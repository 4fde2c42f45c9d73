//! How does an answer grow firm: provisional, final, revised, over restarts and changes of the plan?

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use support::scenario::Scenario;
use support::{Delivery, Driver, plans, world};
use uitwijk_judge::{Live, Revision};
use uitwijk_model::{Millis, Plan, ServiceId, SlotLength, WallTime};

fn exchange() -> ServiceId {
    plans::service_id("exchange")
}

/// NL refuses everything from 100 s to 200 s, in slots of 1 s; `more` goes wrong besides.
fn outage(more: &[serde_json::Value]) -> (Scenario, Plan, Vec<Delivery>) {
    let down = json!({"from_s": 100, "to_s": 200, "scope": {"target_region": "NL"},
                      "effect": {"kind": "down", "params": {"mode": "refused"}}});
    let faults: Vec<_> = std::iter::once(down).chain(more.iter().cloned()).collect();
    let s: Scenario =
        serde_json::from_value(json!({"id": "outage", "active_region": "NL", "duration_s": 500, "faults": faults}))
            .unwrap();
    let mut plan = s.plan();
    plan.slot = SlotLength::new(Millis::from_secs(1)).unwrap();
    plan.policy = plan.policy.scaled(1, 10);
    let deliveries = world::play(&s, &plan, 5);
    (s, plan, deliveries)
}

fn told(s: &Scenario, revisions: &[Revision]) -> Vec<String> {
    let at = |t: WallTime| t.micros_since(s.at(0)) / 1_000_000;
    let end = |r: &Revision| r.to.map_or("open".to_owned(), |t| at(t).to_string());
    let one = |r: &Revision| {
        let complete = if r.complete { "complete" } else { "incomplete" };
        format!(
            "{} r{} {} {}..{} {} {} {complete}",
            r.episode,
            r.revision,
            r.kind,
            at(r.from),
            end(r),
            r.cause,
            r.execution
        )
    };
    revisions.iter().map(one).collect()
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

#[test]
fn an_outage_is_provisional_then_needed_then_final() {
    let (s, plan, deliveries) = outage(&[]);
    let mut driver = Driver::new(Live::new(&plan, &exchange()).unwrap(), s.at(0));
    let revisions = drive(&mut driver, &deliveries, s.at(505));
    insta::assert_snapshot!(told(&s, &revisions).join("\n"));
}

/// Silence of one side and failure seen by the other fits two worlds: a dead region, or a broken way to it.
#[test]
fn records_after_the_horizon_revise_what_was_final() {
    let (mut s, mut plan, _) = outage(&[]);
    s.faults = serde_json::from_value(json!([
        {"from_s": 100, "to_s": 200, "scope": {"target_region": "NL", "vantage_region": "NL"},
         "effect": {"kind": "down", "params": {"mode": "refused"}}},
        {"from_s": 90, "to_s": 400, "scope": {"vantage_region": "IE", "path": "vantage->collector"},
         "effect": {"kind": "partition", "params": {"replay_spread_s": 0}}}
    ]))
    .unwrap();
    plan.policy.horizon = Millis::from_secs(150);
    let deliveries = world::play(&s, &plan, 5);
    let mut driver = Driver::new(Live::new(&plan, &exchange()).unwrap(), s.at(0));
    let revisions = drive(&mut driver, &deliveries, s.at(505));
    insta::assert_snapshot!(told(&s, &revisions).join("\n"));
}

#[test]
fn a_restart_goes_on_with_names_and_numbers() {
    let (s, plan, deliveries) = outage(&[]);
    let half = deliveries.iter().position(|d| d.arrived > s.at(150)).unwrap();
    let mut before = Driver::new(Live::new(&plan, &exchange()).unwrap(), s.at(0));
    let published = drive(&mut before, &deliveries[..half], s.at(150));
    let mut live = Live::new(&plan, &exchange()).unwrap();
    live.restore(&published);
    for d in &deliveries[..half] {
        live.observe(&d.agent, &d.measurement, d.arrived);
    }
    assert_eq!(told(&s, &live.advance(s.at(151))), Vec::<String>::new(), "nothing new was learned");
    let mut after = Driver::new(live, s.at(151));
    let first = told(&s, &drive(&mut after, &deliveries[half..], s.at(505))).remove(0);
    let last = told(&s, &published).pop().unwrap();
    assert!(last.starts_with("exchange/2026-03-02T08:01:40Z r2 provisional 100..open region_down"), "{last}");
    assert!(first.starts_with("exchange/2026-03-02T08:01:40Z r3 provisional 100..200 region_down"), "{first}");
}

#[test]
fn a_new_plan_keeps_the_episode() {
    let (s, plan, deliveries) = outage(&[]);
    let half = deliveries.iter().position(|d| d.arrived > s.at(150)).unwrap();
    let mut driver = Driver::new(Live::new(&plan, &exchange()).unwrap(), s.at(0));
    drive(&mut driver, &deliveries[..half], s.at(150));
    let mut next = plan.clone();
    next.revision += 1;
    next.policy.samples_min += 1;
    driver.live.set_plan(&next).unwrap();
    let revisions = told(&s, &drive(&mut driver, &deliveries[half..], s.at(505)));
    assert!(revisions.iter().all(|r| r.starts_with("exchange/2026-03-02T08:01:40Z")), "{revisions:#?}");
    assert!(revisions.last().unwrap().contains("final 100..200 region_down missed complete"), "{revisions:#?}");
}

/// The judge under a new plan has only the evidence that the windows need; the outage is older than that, and was told last
/// when it was confirmed.
#[test]
fn a_new_plan_in_a_long_outage_keeps_the_episode() {
    let (mut s, plan, _) = outage(&[]);
    s.duration_s = 2000;
    s.faults = serde_json::from_value(json!([{"from_s": 100, "to_s": 1600, "scope": {"target_region": "NL"},
                                              "effect": {"kind": "down", "params": {"mode": "refused"}}}]))
    .unwrap();
    let deliveries = world::play(&s, &plan, 5);
    let part = deliveries.iter().position(|d| d.arrived > s.at(1200)).unwrap();
    let mut driver = Driver::new(Live::new(&plan, &exchange()).unwrap(), s.at(0));
    drive(&mut driver, &deliveries[..part], s.at(1200));
    let mut next = plan.clone();
    next.revision += 1;
    next.policy.samples_min += 1;
    driver.live.set_plan(&next).unwrap();
    let revisions = told(&s, &drive(&mut driver, &deliveries[part..], s.at(2005)));
    assert!(revisions.iter().all(|r| r.starts_with("exchange/2026-03-02T08:01:40Z")), "{revisions:#?}");
    assert!(revisions.last().unwrap().contains("final 100..1600 region_down missed complete"), "{revisions:#?}");
}
