//! Can a person read once, at three at night, what was decided and why?

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "tests read fixtures from disk")]

mod support;

use std::fs::File;
use std::path::PathBuf;

use serde_json::{Value, json};
use support::scenario::Scenario;
use support::tracks::final_track;
use support::{plans, world};
use uitwijk_judge::{Cause, Evidence, Language, Revision, Sample, Topology, explain, judge};
use uitwijk_replay::{Reader, Reading};
use uitwijk_scenario::{plan, read_file};

/// The one episode of a service in a recorded example.
fn episode(id: &str, service: &str) -> Revision {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let s = read_file(folder.join("examples.jsonl")).unwrap().into_iter().find(|s| s.id == id).unwrap();
    let plan = plan(&s);
    let service = plan.services.keys().find(|name| name.as_str() == service).unwrap();
    let topology = Topology::of(&plan, service).unwrap();
    let mut evidence = Evidence::new(&topology);
    let stream = File::open(folder.join(format!("streams/{id}.jsonl.zst"))).unwrap();
    for record in Reader::new(stream, Reading::default()).unwrap() {
        let record = record.unwrap();
        let sample = Sample::of(&record.watcher.agent, &record.measurement(plan.slot), record.arrived);
        evidence.add(&topology, &sample);
    }
    let mut timeline = judge(&topology, &evidence, s.end());
    assert_eq!(timeline.episodes.len(), 1, "{:?}", timeline.segments);
    timeline.episodes.remove(0)
}

fn told(r: &Revision) -> String {
    let both = [Language::English, Language::Dutch].map(|language| explain(r, language));
    for line in both.iter().flat_map(|text| text.lines()) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    // Hashes and versions change whenever a default of the plan does; who reads this does not look at them.
    let hash =
        |word: &str| word.len() >= 16 && word.trim_end_matches([',', ':']).bytes().all(|b| b.is_ascii_hexdigit());
    let masked = |text: &String| {
        let words = text.split_inclusive([' ', '\n']);
        words
            .map(|w| if hash(w.trim_end()) { w.replace(w.trim_end(), "HASH") } else { w.to_owned() })
            .collect::<String>()
    };
    both.iter().map(masked).collect::<Vec<_>>().join("\n---\n\n")
}

#[test]
fn a_region_that_was_left() {
    insta::assert_snapshot!(told(&episode("example-2-region-down", "exchange")));
}

#[test]
fn a_zone_that_was_absorbed() {
    insta::assert_snapshot!(told(&episode("example-3-zone-absorbed", "exchange")));
}

#[test]
fn a_vantage_that_was_sick() {
    insta::assert_snapshot!(told(&episode("example-4-sick-vantage-late-data", "exchange")));
}

#[test]
fn a_partner_that_failed() {
    insta::assert_snapshot!(told(&episode("example-5-chain-partner", "exchange")));
}

#[test]
fn both_regions_that_failed() {
    insta::assert_snapshot!(told(&episode("example-6-both-regions", "exchange")));
}

#[test]
fn an_announced_outage() {
    insta::assert_snapshot!(told(&episode("example-1-quiet-and-maintenance", "portal")));
}

/// A world that yields each cause, and the service that it is about.
fn worlds() -> Vec<(Cause, Value)> {
    let fault = |scope: Value, effect: Value| json!({"faults": [{"from_s": 900, "to_s": 2400, "scope": scope, "effect": effect}]});
    let error = |rate: f64| json!({"kind": "error", "params": {"rate": rate}});
    let slow = |ms: u64, rate: f64| json!({"kind": "slow", "params": {"add_ms": ms, "rate": rate}});
    let nl = || json!({"target_region": "NL"});
    let off = |region: &str, zones: &[u64]| {
        json!({"from_s": 900, "to_s": 2400, "effect": {"kind": "down"},
               "scope": {"vantage_region": region, "vantage_zones": zones, "path": "agent"}})
    };
    let mut brief = fault(nl(), error(1.0));
    brief["faults"][0]["to_s"] = json!(1020);
    let mut announced = fault(nl(), error(1.0));
    announced["maintenance"] =
        json!([{"from_s": 600, "to_s": 2700, "kind": "planned", "announced_working_days_before": 12}]);
    let mut endpoints = fault(json!({"target_region": "NL", "endpoint": "admin"}), error(1.0));
    endpoints["services"] = json!([{"id": "exchange", "class": "webservice", "endpoints": [
        {"name": "main", "weight": 5}, {"name": "admin", "weight": 1}]}]);
    vec![
        (Cause::Healthy, json!({"actual_failovers": [{"at_s": 900, "from": "NL", "to": "IE"}]})),
        (Cause::ZoneAbsorbed, fault(json!({"target_region": "NL", "target_zones": [2]}), json!({"kind": "down"}))),
        (Cause::Transient, brief),
        (Cause::VantageFault, fault(json!({"vantage_region": "IE", "vantage_zones": [2]}), json!({"kind": "down"}))),
        (Cause::PathFault, fault(json!({"vantage_region": "NL", "target_region": "NL"}), error(1.0))),
        (Cause::Maintenance, announced),
        (
            Cause::ChainPartner,
            fault(
                json!({"chain_partner": "idp"}),
                json!({"kind": "error", "params": {"rate": 0.9, "service_impact": 0.9}}),
            ),
        ),
        (Cause::SlowWithinObjective, fault(nl(), slow(600, 1.0))),
        (Cause::MinorDegradation, fault(nl(), error(0.07))),
        (Cause::EndpointFault, endpoints),
        (Cause::StandbyDown, fault(json!({"target_region": "IE"}), error(1.0))),
        (Cause::DiagnosticOnly, fault(json!({"target_region": "NL", "regional": true}), error(1.0))),
        (Cause::RegionDown, fault(nl(), error(1.0))),
        (Cause::RegionDegraded, fault(nl(), error(0.25))),
        (Cause::RegionSlow, fault(nl(), slow(3000, 0.6))),
        (Cause::GlobalFault, fault(json!({"target_region": "ALL"}), error(0.8))),
        (Cause::FrontDoor, fault(json!({"global": true}), error(0.9))),
        (Cause::DnsGlobal, fault(json!({"global": true}), json!({"kind": "dns"}))),
        (Cause::InsufficientEvidence, json!({"faults": [off("NL", &[1, 2, 3]), off("IE", &[1, 2])]})),
        (Cause::NoData, json!({"faults": [off("NL", &[1, 2, 3]), off("IE", &[1, 2, 3])]})),
    ]
}

/// What would have changed it is told with the numbers of the episode, for every cause there is.
#[test]
fn every_cause_is_told_with_its_numbers() {
    let causes: Vec<Cause> = worlds().iter().map(|(cause, _)| *cause).collect();
    assert_eq!(causes, Cause::ALL);
    for (cause, mut world) in worlds() {
        for (key, value) in [("id", json!(cause.label())), ("active_region", json!("NL")), ("duration_s", json!(3600))]
        {
            world[key] = value;
        }
        let s: Scenario = serde_json::from_value(world).unwrap();
        let plan = s.plan();
        let service = plans::service_id("exchange");
        let deliveries = world::play(&s, &plan, 11);
        let timeline = final_track(&plan, &service, &deliveries, s.at(3600));
        let found = timeline.episodes.iter().find(|e| e.cause == cause);
        let found = found.unwrap_or_else(|| panic!("{cause}: {:#?}", timeline.segments));
        assert!(!found.would_change.is_empty(), "{cause}");
        for w in &found.would_change {
            let numbers = |text: &str| text.bytes().any(|b| b.is_ascii_digit()) || text.contains(" one ");
            assert!(numbers(&w.text), "{cause}: {}", w.text);
        }
        insta::assert_snapshot!(format!("cause_{cause}"), told(found));
    }
}

/// A clock that is wrong is told with its offset.
#[test]
fn a_clock_that_was_wrong() {
    for (offset, flagged) in [(7, true), (3, false)] {
        let s: Scenario = serde_json::from_value(json!({
            "id": "skew", "active_region": "NL", "duration_s": 2400, "faults": [
                {"from_s": 600, "to_s": 1500, "scope": {"target_region": "NL"}, "effect": {"kind": "error"}},
                {"from_s": 0, "to_s": 2400, "scope": {"vantage_region": "NL", "vantage_zones": [1], "path": "agent"},
                 "effect": {"kind": "skew", "params": {"offset_s": offset}}}]
        }))
        .unwrap();
        let plan = s.plan();
        let t = final_track(&plan, &plans::service_id("exchange"), &world::play(&s, &plan, 2), s.at(2400));
        let e = t.episodes.iter().find(|e| e.cause == Cause::RegionDown).unwrap();
        let clocks: Vec<&str> =
            e.findings.iter().filter(|f| f.code == "vantage_clock").map(|f| f.text.as_str()).collect();
        assert_eq!(clocks.len(), 1, "{clocks:?}");
        // A proof is as good as the quickest delivery: the lead is told a second short at most.
        let least = format!("The clock of nl-1 in NL/1 was up to {} s ahead", offset - 1);
        let most = format!("The clock of nl-1 in NL/1 was up to {offset} s ahead");
        assert!(clocks[0].starts_with(&least) || clocks[0].starts_with(&most), "{}", clocks[0]);
        assert_eq!(clocks[0].contains("flagged"), flagged, "{}", clocks[0]);
    }
}

/// A clock that is further off than the window that its offset is kept by is told of from the first record on, before
/// any of its own slots can have been taken for true ones.
#[test]
fn a_clock_that_was_wrong_by_minutes_is_told_of_at_once() {
    let s: Scenario = serde_json::from_value(json!({
        "id": "skew", "active_region": "NL", "duration_s": 2400, "faults": [
            {"from_s": 30, "to_s": 500, "scope": {"target_region": "NL"}, "effect": {"kind": "error"}},
            {"from_s": 0, "to_s": 2400, "scope": {"vantage_region": "NL", "vantage_zones": [1], "path": "agent"},
             "effect": {"kind": "skew", "params": {"offset_s": 900}}}]
    }))
    .unwrap();
    let plan = s.plan();
    let t = final_track(&plan, &plans::service_id("exchange"), &world::play(&s, &plan, 2), s.at(2400));
    let e = t.episodes.iter().find(|e| e.cause == Cause::RegionDown).unwrap();
    let clock = e.findings.iter().find(|f| f.code == "vantage_clock").unwrap();
    assert!(clock.text.starts_with("The clock of nl-1 in NL/1 was up to 15 min"), "{}", clock.text);
}

#[test]
fn a_revision_survives_a_trip_through_json() {
    let r = episode("example-2-region-down", "exchange");
    let back: Revision = serde_json::from_str(&serde_json::to_string(&r).unwrap()).unwrap();
    assert_eq!(back, r);
}
