//! Does each story of the world get the verdict that its operator would give, with slots of 10 s and of 1 s?

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use support::scenario::Scenario;
use support::tracks::{final_track, live_track};
use support::world;
use uitwijk_judge::Segment;
use uitwijk_model::{Millis, Plan, ServiceId, SlotLength, WallTime};

/// One told stretch: from and to in slots, and `need cause execution`.
fn told(s: &Scenario, slot: i64, segments: &[Segment]) -> Vec<String> {
    let at = |t: WallTime| t.micros_since(s.at(0)) / 1_000_000 / slot;
    let mut lines: Vec<(i64, i64, String)> = Vec::new();
    for g in segments {
        let says = format!("{} {} {}", g.need, g.cause, g.execution);
        match lines.last_mut() {
            Some(last) if last.2 == says => last.1 = at(g.to),
            _ => lines.push((at(g.from), at(g.to), says)),
        }
    }
    lines.into_iter().map(|(from, to, says)| format!("{from}..{to} {says}")).collect()
}

/// Plays a story in slots of a length, seconds given in slots of 10 s.
fn play(story: &serde_json::Value, slot: u64) -> (Scenario, Plan, Vec<support::Delivery>) {
    let mut text = story.clone();
    let shrink = |v: &mut serde_json::Value| {
        if let Some(n) = v.as_u64() {
            *v = json!(n * slot / 10);
        }
    };
    shrink(&mut text["duration_s"]);
    for list in ["faults", "actual_failovers", "maintenance"] {
        for item in text.get_mut(list).and_then(|l| l.as_array_mut()).into_iter().flatten() {
            for key in ["from_s", "to_s", "at_s", "ttl_s"] {
                if let Some(v) = item.get_mut(key) {
                    shrink(v);
                }
            }
            if let Some(params) = item.get_mut("effect").and_then(|e| e.get_mut("params")) {
                params["drain_s"] = json!(30 * slot / 10);
            }
        }
    }
    let s: Scenario = serde_json::from_value(text).unwrap();
    let mut plan = s.plan();
    plan.slot = SlotLength::new(Millis::from_secs(slot)).unwrap();
    plan.policy = plan.policy.scaled(slot, 10);
    let deliveries = world::play(&s, &plan, 7);
    (s, plan, deliveries)
}

/// The stretches that a story must have, in order, start and end within a few slots; between them it must be quiet.
fn check(name: &str, mut story: serde_json::Value, wanted: &[(i64, i64, &str)]) {
    for (key, value) in [("id", json!(name)), ("active_region", json!("NL")), ("duration_s", json!(4800))] {
        if story.get(key).is_none() {
            story[key] = value;
        }
    }
    // The demo's stories are also told with slots of 1 s.
    let demo = ["quiet", "region", "failover", "zone", "partner", "vantage", "both"].contains(&name);
    for &slot in if demo { &[10, 1][..] } else { &[10][..] } {
        let (s, plan, deliveries) = play(&story, slot);
        let service = ServiceId::new("exchange").unwrap();
        let end = s.at(s.duration_s);
        let settled = final_track(&plan, &service, &deliveries, end);
        let told = told(&s, i64::try_from(slot).unwrap(), &settled.segments);
        let loud: Vec<&String> = told.iter().filter(|l| !l.ends_with("not_needed healthy none")).collect();
        let fits = loud.len() == wanted.len()
            && loud.iter().zip(wanted).all(|(line, (from, to, says))| {
                let (span, rest) = line.split_once(' ').unwrap();
                let (a, b) = span.split_once("..").unwrap();
                let near = |x: &str, y: i64| (x.parse::<i64>().unwrap() - y).abs() <= 7;
                rest == *says && near(a, *from) && near(b, *to)
            });
        assert!(fits, "{name}, slots of {slot} s, wanted {wanted:?}, told\n{}", told.join("\n"));
        // Live, the last word on each episode is the settled one.
        let (_, mut live) = live_track(&plan, &service, &deliveries, end);
        let last = live.advance(end.plus(Millis::from_secs(2 * 86_400)));
        drop(last);
        let again = live.timeline(s.at(0), s.at(s.duration_s - 200 * slot));
        let cut = |segments: &[Segment]| -> Vec<String> {
            let until = s.at(s.duration_s - 200 * slot);
            let inside = segments.iter().filter(|g| g.from < until);
            inside.map(|g| format!("{} {} {} {}", g.from, g.to.min(until), g.cause, g.execution)).collect()
        };
        assert_eq!(cut(&again), cut(&settled.segments), "{name}, slots of {slot} s: live and settled");
    }
}

#[test]
fn a_quiet_world_says_nothing() {
    check("quiet", json!({}), &[]);
}

#[test]
fn region_down_and_nobody_switched() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 2400, "scope": {"target_region": "NL"}, "effect": {"kind": "down", "params": {"mode": "refused"}}}
    ]});
    check("region", story, &[(90, 240, "needed region_down missed")]);
}

#[test]
fn region_down_and_a_failover() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 3900, "scope": {"target_region": "NL"}, "effect": {"kind": "down", "params": {"mode": "refused"}}}
    ], "actual_failovers": [{"at_s": 1500, "from": "NL", "to": "IE", "ttl_s": 60}]});
    check("failover", story, &[(90, 153, "needed region_down executed")]);
}

#[test]
fn a_quick_failover_was_needed_all_the_same() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 3900, "scope": {"target_region": "NL"}, "effect": {"kind": "down", "params": {}}}
    ], "actual_failovers": [{"at_s": 960, "from": "NL", "to": "IE", "ttl_s": 20}]});
    check("quick failover", story, &[(90, 97, "needed region_down executed")]);
}

#[test]
fn zone_absorbed() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 2400, "scope": {"target_region": "NL", "target_zones": [2]}, "effect": {"kind": "down", "params": {}}}
    ]});
    check("zone", story, &[(90, 241, "not_needed zone_absorbed none")]);
}

#[test]
fn partner_drags_the_service_down() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 2400, "scope": {"chain_partner": "idp"},
         "effect": {"kind": "error", "params": {"rate": 1.0, "service_impact": 0.9}}}
    ]});
    check("partner", story, &[(90, 240, "not_needed chain_partner none")]);
}

#[test]
fn partner_fails_alone() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 2400, "scope": {"chain_partner": "idp"}, "effect": {"kind": "error", "params": {"rate": 1.0}}}
    ]});
    check("partner alone", story, &[]);
}

#[test]
fn a_vantage_loses_its_network() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 2400, "scope": {"vantage_region": "IE", "vantage_zones": [2]}, "effect": {"kind": "partition"}}
    ]});
    check("vantage", story, &[(91, 244, "not_needed vantage_fault none")]);
}

#[test]
fn both_regions_fail() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 2400, "scope": {"target_region": "ALL"}, "effect": {"kind": "error", "params": {"rate": 0.8}}}
    ]});
    check("both", story, &[(90, 240, "futile global_fault none")]);
}

#[test]
fn both_fail_and_one_recovers_first() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 2700, "scope": {"target_region": "NL"}, "effect": {"kind": "error", "params": {}}},
        {"from_s": 900, "to_s": 1800, "scope": {"target_region": "IE"}, "effect": {"kind": "error", "params": {}}}
    ]});
    check("one first", story, &[(90, 194, "futile global_fault none"), (194, 270, "needed region_down missed")]);
}

#[test]
fn the_entry_fails() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 2400, "scope": {"global": true}, "effect": {"kind": "error", "params": {}}}
    ]});
    check("entry", story, &[(90, 240, "futile front_door none")]);
}

#[test]
fn the_name_does_not_resolve() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 2400, "scope": {"global": true}, "effect": {"kind": "dns", "params": {}}}
    ]});
    check("dns", story, &[(90, 240, "futile dns_global none")]);
}

#[test]
fn a_blip_is_a_blip() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 1020, "scope": {"target_region": "NL"}, "effect": {"kind": "down", "params": {}}}
    ]});
    check("blip", story, &[(90, 102, "not_needed transient none")]);
}

#[test]
fn a_part_of_the_requests_fails() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 2700, "scope": {"target_region": "NL"}, "effect": {"kind": "error", "params": {"rate": 0.25}}}
    ]});
    check("part", story, &[(90, 270, "needed region_degraded missed")]);
}

#[test]
fn the_active_region_is_slow() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 2700, "scope": {"target_region": "NL"}, "effect": {"kind": "slow", "params": {"add_ms": 3000, "rate": 0.6}}}
    ]});
    check("slow", story, &[(90, 270, "needed region_slow missed")]);
}

#[test]
fn the_standby_is_down() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 2400, "scope": {"target_region": "IE"}, "effect": {"kind": "down", "params": {}}}
    ]});
    check("standby", story, &[(93, 243, "not_needed standby_down none")]);
}

#[test]
fn only_the_direct_name_fails() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 2400, "scope": {"target_region": "NL", "regional": true}, "effect": {"kind": "down", "params": {}}}
    ]});
    check("direct name", story, &[(93, 243, "not_needed diagnostic_only none")]);
}

#[test]
fn a_sea_cable_breaks() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 2400, "scope": {"target_region": "NL", "vantage_region": "IE"}, "effect": {"kind": "down", "params": {}}}
    ]});
    check("cable", story, &[(90, 240, "not_needed path_fault none")]);
}

#[test]
fn a_switch_without_need() {
    let story = json!({"actual_failovers": [{"at_s": 1500, "from": "NL", "to": "IE", "ttl_s": 20}]});
    check("unneeded", story, &[(151, 157, "not_needed healthy unnecessary")]);
}

#[test]
fn fail_back_into_a_region_that_is_still_bad() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 3300, "scope": {"target_region": "NL"}, "effect": {"kind": "error", "params": {}}}
    ], "actual_failovers": [
        {"at_s": 1500, "from": "NL", "to": "IE", "ttl_s": 20}, {"at_s": 2100, "from": "IE", "to": "NL", "ttl_s": 20}
    ]});
    check("fail back", story, &[(90, 151, "needed region_down executed"), (211, 330, "needed region_down missed")]);
}

#[test]
fn all_agents_stop() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 2400, "scope": {"path": "agent"}, "effect": {"kind": "down"}}
    ]});
    check(
        "no agents",
        story,
        &[(90, 240, "inconclusive no_data none"), (240, 241, "inconclusive insufficient_evidence none")],
    );
}

#[test]
fn agents_of_one_region_stop() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 2400, "scope": {"path": "agent", "vantage_region": "NL"}, "effect": {"kind": "down"}}
    ]});
    check("no NL agents", story, &[(90, 240, "not_needed vantage_fault none")]);
}

#[test]
fn a_leading_clock_is_corrected() {
    let story = json!({"faults": [
        {"from_s": 0, "to_s": 4800, "scope": {"path": "agent", "vantage_region": "NL"}, "effect": {"kind": "skew", "params": {"offset_s": 240}}},
        {"from_s": 900, "to_s": 2400, "scope": {"target_region": "NL"}, "effect": {"kind": "down", "params": {}}}
    ]});
    check("skew", story, &[(90, 240, "needed region_down missed")]);
}

#[test]
fn sparse_flapping_never_becomes_an_outage() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 960, "scope": {"target_region": "NL"}, "effect": {"kind": "down", "params": {}}},
        {"from_s": 1200, "to_s": 1260, "scope": {"target_region": "NL"}, "effect": {"kind": "down", "params": {}}},
        {"from_s": 1500, "to_s": 1560, "scope": {"target_region": "NL"}, "effect": {"kind": "down", "params": {}}},
        {"from_s": 1800, "to_s": 1860, "scope": {"target_region": "NL"}, "effect": {"kind": "down", "params": {}}}
    ]});
    let blip = "not_needed transient none";
    check("sparse flaps", story, &[(90, 96, blip), (120, 126, blip), (150, 156, blip), (180, 186, blip)]);
}

#[test]
fn dense_flapping_is_one_outage() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 3000, "scope": {"target_region": "NL"},
         "effect": {"kind": "error", "params": {"cycle": {"on_s": 120, "off_s": 30}}}}
    ]});
    check("dense flaps", story, &[(90, 300, "needed region_down missed")]);
}

#[test]
fn a_small_share_that_lasts_is_a_minor_degradation() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 3600, "scope": {"target_region": "NL"}, "effect": {"kind": "error", "params": {"rate": 0.07}}}
    ]});
    check("minor", story, &[(95, 362, "not_needed minor_degradation none")]);
}

#[test]
fn names_of_both_regions_do_not_resolve() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 2400, "scope": {"target_region": "ALL"}, "effect": {"kind": "dns", "params": {}}}
    ]});
    check("names", story, &[(90, 240, "futile dns_global none")]);
}

#[test]
fn the_way_to_the_standby_breaks() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 2400, "scope": {"target_region": "IE", "vantage_region": "NL"}, "effect": {"kind": "down", "params": {}}}
    ]});
    check("way to the standby", story, &[(90, 240, "not_needed path_fault none")]);
}

#[test]
fn both_direct_names_fail_and_users_are_served() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 2400, "scope": {"target_region": "ALL", "regional": true}, "effect": {"kind": "down", "params": {}}}
    ]});
    check("both direct names", story, &[(90, 240, "not_needed diagnostic_only none")]);
}

#[test]
fn a_region_that_errs_is_not_mistaken_for_the_dead_one() {
    let story = json!({"faults": [
        {"from_s": 900, "to_s": 4300, "scope": {"target_region": "NL"}, "effect": {"kind": "down", "params": {}}},
        {"from_s": 600, "to_s": 4300, "scope": {"target_region": "IE"}, "effect": {"kind": "error", "params": {"rate": 0.3}}}
    ], "actual_failovers": [{"at_s": 1800, "from": "NL", "to": "IE", "ttl_s": 20}]});
    check(
        "half bad",
        story,
        &[
            (72, 90, "not_needed standby_down none"),
            (90, 181, "needed region_down executed"),
            (181, 430, "futile global_fault none"),
        ],
    );
}

#[test]
fn a_partial_fault_that_pauses_by_chance_is_one_outage() {
    let story = json!({"duration_s": 6000, "faults": [
        {"from_s": 900, "to_s": 5000, "scope": {"target_region": "NL"}, "effect": {"kind": "error", "params": {"rate": 0.16}}}
    ]});
    check(
        "sixteen in a hundred",
        story,
        &[(90, 94, "not_needed minor_degradation none"), (94, 494, "needed region_degraded missed")],
    );
}

/// Two endpoints, a fault, and an agreed window with a scope, both from 900 s to 2400 s.
fn with_endpoints(fault: &serde_json::Value, kind: &str, scope: &serde_json::Value) -> serde_json::Value {
    json!({
        "services": [{"id": "exchange", "class": "webservice", "endpoints": [{"name": "pay"}, {"name": "read"}]}],
        "faults": [{"from_s": 900, "to_s": 2400, "scope": fault, "effect": {"kind": kind, "params": {"mode": "refused"}}}],
        "maintenance": [{"from_s": 900, "to_s": 2400, "kind": "agreed", "scope": scope}]
    })
}

#[test]
fn a_window_for_an_endpoint_excuses_that_endpoint() {
    let pay = || json!({"target_region": "NL", "endpoint": "pay"});
    for (name, scope) in [
        ("endpoint", json!({"endpoint": "pay"})),
        ("endpoint of the service", json!({"service": "exchange", "endpoint": "pay"})),
        ("endpoint in the region", pay()),
    ] {
        check(name, with_endpoints(&pay(), "down", &scope), &[(90, 240, "not_needed maintenance none")]);
    }
    let public = json!({"global": true, "endpoint": "pay"});
    check(
        "public name of the endpoint",
        with_endpoints(&public, "down", &json!({"endpoint": "pay"})),
        &[(90, 240, "not_needed maintenance none")],
    );
}

#[test]
fn a_window_for_an_endpoint_excuses_no_other() {
    let missed = [(90, 240, "needed region_down missed")];
    let pay = || json!({"target_region": "NL", "endpoint": "pay"});
    check("the other endpoint", with_endpoints(&pay(), "down", &json!({"endpoint": "read"})), &missed);
    check("both", with_endpoints(&json!({"target_region": "NL"}), "down", &json!({"endpoint": "pay"})), &missed);
    let elsewhere = json!({"target_region": "IE", "endpoint": "pay"});
    check("endpoint in another region", with_endpoints(&pay(), "down", &elsewhere), &missed);
    check(
        "endpoint of another service",
        with_endpoints(&pay(), "down", &json!({"service": "portal", "endpoint": "pay"})),
        &missed,
    );
    let public = json!({"global": true});
    check(
        "public name of both",
        with_endpoints(&public, "down", &json!({"endpoint": "pay"})),
        &[(90, 240, "futile front_door none")],
    );
}
