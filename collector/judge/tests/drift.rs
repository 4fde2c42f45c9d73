//! Is it told when answers get clearly slower, and never when they do not?

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "the number of worlds may be set from outside")]

mod support;

use serde_json::{Value, json};
use support::scenario::Scenario;
use support::tracks::{final_track, live_track};
use support::{plans, world};
use uitwijk_judge::{Cause, Segment};
use uitwijk_model::{Millis, Plan, ServiceId};

fn exchange() -> ServiceId {
    plans::service_id("exchange")
}

fn world_of(seconds: u64, faults: &Value) -> (Scenario, Plan) {
    let s: Scenario =
        serde_json::from_value(json!({"id": "drift", "active_region": "NL", "duration_s": seconds, "faults": faults}))
            .unwrap();
    let mut plan = s.plan();
    plan.services.retain(|id, _| id.as_str() == "exchange");
    (s, plan)
}

fn slower(from: u64, to: u64, scope: &Value, params: &Value) -> Value {
    json!([{"from_s": from, "to_s": to, "scope": scope, "effect": {"kind": "slow", "params": params}}])
}

/// Where something other than healthy is told, in seconds from the start.
fn told(s: &Scenario, segments: &[Segment]) -> Vec<(Cause, i64, i64)> {
    let at = |t: uitwijk_model::WallTime| t.micros_since(s.at(0)) / 1_000_000;
    let worth = segments.iter().filter(|g| g.cause != Cause::Healthy);
    worth.map(|g| (g.cause, at(g.from), at(g.to))).collect()
}

fn judged(seconds: u64, faults: &Value, seed: u64) -> Vec<(Cause, i64, i64)> {
    let (s, plan) = world_of(seconds, faults);
    let deliveries = world::play(&s, &plan, seed);
    told(&s, &final_track(&plan, &exchange(), &deliveries, s.at(seconds)).segments)
}

#[test]
fn slower_answers_of_the_active_region_are_told_from_the_onset() {
    for (scope, params) in [
        (json!({"target_region": "NL"}), json!({"add_ms": 600})),
        (json!({"target_region": "NL"}), json!({"add_ms": 250})),
        (json!({"target_region": "NL", "service": "exchange"}), json!({"add_ms": 1000, "rate": 0.6})),
        (json!({"target_region": "ALL"}), json!({"add_ms": 500})),
        (json!({"global": true}), json!({"add_ms": 600})),
    ] {
        for seed in 1..=5 {
            let found = judged(3600, &slower(900, 2400, &scope, &params), seed);
            let one = matches!(found[..], [(Cause::SlowWithinObjective, from, to)]
                if (840..=960).contains(&from) && (2390..=2520).contains(&to));
            assert!(one, "{scope} {params} seed {seed}: {found:?}");
        }
    }
}

#[test]
fn live_it_is_told_once_it_has_held() {
    let (s, plan) = world_of(3600, &slower(900, 2400, &json!({"target_region": "NL"}), &json!({"add_ms": 600})));
    let deliveries = world::play(&s, &plan, 7);
    let (said, _) = live_track(&plan, &exchange(), &deliveries, s.at(3600));
    let found = told(&s, &said);
    assert!(found.iter().all(|f| f.0 == Cause::SlowWithinObjective), "{found:?}");
    let (from, to) = (found[0].1, found[found.len() - 1].2);
    assert!((1060..=1160).contains(&from) && (2390..=2520).contains(&to), "{from} {to}");
}

/// What is not a clear change of the service, seen by enough voices, is not worth a word.
#[test]
fn other_changes_are_not_told_as_slower() {
    for (scope, params) in [
        // The other region, which nobody uses.
        (json!({"target_region": "IE"}), json!({"add_ms": 600})),
        // One agent's own way, and one region's, references included.
        (json!({"vantage_region": "IE", "vantage_zones": [2]}), json!({"add_ms": 600})),
        (json!({"vantage_region": "NL"}), json!({"add_ms": 600})),
        // The way from one region only.
        (json!({"vantage_region": "NL", "target_region": "NL"}), json!({"add_ms": 600})),
        // A little.
        (json!({"target_region": "NL"}), json!({"add_ms": 30})),
        (json!({"target_region": "NL"}), json!({"add_ms": 600, "rate": 0.05})),
    ] {
        for seed in 1..=3 {
            let found = judged(3000, &slower(900, 2100, &scope, &params), seed);
            assert!(found.iter().all(|f| f.0 != Cause::SlowWithinObjective), "{scope} {params} seed {seed}: {found:?}");
        }
    }
    for seed in 1..=3 {
        let short = judged(3000, &slower(900, 1020, &json!({"target_region": "NL"}), &json!({"add_ms": 600})), seed);
        assert!(short.is_empty(), "{short:?}");
    }
}

/// Over the objective it is what the policy calls slow, with nothing beside it.
#[test]
fn over_the_objective_the_policy_decides() {
    for (rate, cause) in [(1.0, Cause::RegionSlow), (0.5, Cause::RegionSlow), (0.17, Cause::MinorDegradation)] {
        for seed in 1..=3 {
            let params = json!({"add_ms": 2500, "rate": rate});
            let found = judged(3600, &slower(900, 2400, &json!({"target_region": "NL"}), &params), seed);
            assert!(found.iter().any(|f| f.0 == cause), "{rate} seed {seed}: {found:?}");
            let beside: i64 = found.iter().filter(|f| f.0 == Cause::SlowWithinObjective).map(|f| f.2 - f.1).sum();
            // Until so much is over the objective that it is minor, it is slower.
            let most = if cause == Cause::RegionSlow { 0 } else { 240 };
            assert!(beside <= most, "{rate} seed {seed}: {found:?}");
        }
    }
}

/// Hours of ordinary noise, in which one answer in 250 takes six times as long, and a switch to a farther region.
#[test]
fn noise_is_never_told() {
    let worlds: u64 = std::env::var("LAWS").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    for seed in 0..worlds {
        let (mut s, plan) = world_of(4 * 3600, &json!([]));
        if seed % 2 == 1 {
            s.actual_failovers = serde_json::from_value(json!([{"at_s": 7000, "from": "NL", "to": "IE"}])).unwrap();
        }
        let deliveries = world::play(&s, &plan, seed ^ 0x5eed);
        let t = final_track(&plan, &exchange(), &deliveries, s.at(4 * 3600));
        assert!(
            t.segments.iter().all(|g| g.cause != Cause::SlowWithinObjective),
            "seed {seed}: {:?}",
            told(&s, &t.segments)
        );
    }
}

/// What lasts for longer than a baseline reaches is the usual.
#[test]
fn what_lasts_becomes_usual() {
    let faults = slower(900, 7200, &json!({"target_region": "NL"}), &json!({"add_ms": 600}));
    let (s, mut plan) = world_of(7200, &faults);
    plan.policy.drift_baseline = Millis::from_secs(2400);
    let deliveries = world::play(&s, &plan, 3);
    let found = told(&s, &final_track(&plan, &exchange(), &deliveries, s.at(7200)).segments);
    let one = matches!(found[..], [(Cause::SlowWithinObjective, from, to)]
        if (840..=960).contains(&from) && (3200..=3500).contains(&to));
    assert!(one, "{found:?}");
}
