//! Does the judge say what an expert would say about the six recorded examples, live and afterwards?

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::scenario::{Expect, examples};
use support::stream;
use support::tracks::{final_track, live_track, verdict_on};
use uitwijk_model::WallTime;

#[test]
fn every_labelled_interval_is_right_in_both_tracks() {
    let mut wrong = Vec::new();
    for s in examples() {
        let plan = s.plan();
        let deliveries = stream::recorded(&s.id);
        let end = s.at(s.duration_s);
        for service in plan.services.keys() {
            let wanted: Vec<&Expect> =
                s.expect.iter().filter(|e| e.service.as_deref().unwrap_or("exchange") == service.as_str()).collect();
            if wanted.is_empty() {
                continue;
            }
            let settled = final_track(&plan, service, &deliveries, end);
            let (said, _) = live_track(&plan, service, &deliveries, end);
            if std::env::var_os("SHOW").is_some() {
                for g in &settled.segments {
                    let at = |t: WallTime| t.micros_since(s.at(0)) / 1_000_000;
                    println!("{} {service} {}..{} {} {} {}", s.id, at(g.from), at(g.to), g.need, g.cause, g.execution);
                }
            }
            for e in wanted {
                for (track, segments, last) in [("final", &settled.segments, true), ("live", &said, false)] {
                    if let Err(why) = verdict_on(e, &s, segments, last) {
                        wrong.push(format!("{} {service} {}..{} {track}: {why}", s.id, e.from_s, e.to_s));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
