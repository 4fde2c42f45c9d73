//! What does the same evidence say under another policy than the plan's?

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use support::scenario::Scenario;
use support::{Driver, plans, world};
use uitwijk_judge::{Evidence, Live, Need, Revision, Sample, Topology, judge};
use uitwijk_model::{Millis, Policy};

/// NL refuses everything from 300 s to 600 s.
fn outage() -> Scenario {
    let down = json!({"from_s": 300, "to_s": 600, "scope": {"target_region": "NL"},
                      "effect": {"kind": "down", "params": {"mode": "refused"}}});
    serde_json::from_value(json!({"id": "outage", "active_region": "NL", "duration_s": 1500, "faults": [down]}))
        .unwrap()
}

#[test]
fn another_policy_says_something_else_of_the_same_evidence_and_names_itself() {
    let s = outage();
    let (plan, exchange) = (s.plan(), plans::service_id("exchange"));
    let deliveries = world::play(&s, &plan, 5);
    let patient = Policy { hard_duration: Millis::from_secs(400), ..plan.policy.clone() };
    for (policy, expected) in [(plan.policy.clone(), vec![Need::Needed]), (patient, Vec::new())] {
        let topology = Topology::under(&plan, &exchange, &policy).unwrap();
        let mut evidence = Evidence::new(&topology);
        for d in &deliveries {
            evidence.add(&topology, &Sample::of(&d.agent, &d.measurement, d.arrived));
        }
        let at_once = judge(&topology, &evidence, s.at(1500)).episodes;
        let mut driver = Driver::new(Live::around(topology), s.at(0));
        let mut live: Vec<Revision> = Vec::new();
        deliveries.iter().for_each(|d| driver.deliver(d, &mut |live_judge, now| live.extend(live_judge.advance(now))));
        driver.run_until(s.at(1600), &mut |live_judge, now| live.extend(live_judge.advance(now)));
        for told in [&at_once, &live] {
            let mut needs: Vec<Need> = told.iter().map(|r| r.need).filter(|n| *n == Need::Needed).collect();
            needs.dedup();
            assert_eq!(needs, expected);
            assert!(!told.is_empty());
            assert!(told.iter().all(|r| r.plan_version == plan.version() && r.policy_version == policy.version()));
        }
    }
}

#[test]
fn a_change_of_the_policy_alone_judges_again_what_is_kept() {
    let s = outage();
    let (plan, exchange) = (s.plan(), plans::service_id("exchange"));
    let patient = Policy { hard_duration: Millis::from_secs(400), ..plan.policy.clone() };
    let mut live = Live::around(Topology::under(&plan, &exchange, &patient).unwrap());
    for d in world::play(&s, &plan, 5) {
        live.observe(&d.agent, &d.measurement, d.arrived);
    }
    assert!(live.advance(s.at(1600)).iter().all(|r| r.need != Need::Needed));
    live.set_topology(Topology::of(&plan, &exchange).unwrap());
    assert!(live.advance(s.at(1600)).iter().any(|r| r.need == Need::Needed));
}
