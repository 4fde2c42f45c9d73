//! Can a person read once, at three at night, what was decided and why?

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "tests read fixtures from disk")]

use std::fs::File;
use std::path::PathBuf;

use uitwijk_judge::{Evidence, Language, Revision, Sample, Topology, explain, judge};
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

#[test]
fn a_revision_survives_a_trip_through_json() {
    let r = episode("example-2-region-down", "exchange");
    let back: Revision = serde_json::from_str(&serde_json::to_string(&r).unwrap()).unwrap();
    assert_eq!(back, r);
}
