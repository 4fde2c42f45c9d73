//! Can a person read once, at three at night, what was decided and why?

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::scenario::examples;
use support::stream;
use support::tracks::final_track;
use uitwijk_judge::{Language, Revision, explain};

/// The one episode of a service in a recorded example.
fn episode(id: &str, service: &str) -> Revision {
    let s = examples().into_iter().find(|s| s.id == id).unwrap();
    let plan = s.plan();
    let service = plan.services.keys().find(|name| name.as_str() == service).unwrap();
    let mut timeline = final_track(&plan, service, &stream::recorded(id), s.at(s.duration_s));
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
