//! Is everything of the format read, and every mistake of a file told?

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use uitwijk_model::plan::read;
use uitwijk_model::{Millis, Plan, Region};
use uitwijk_scenario::format::{EffectKind, FaultPath, Regions};
use uitwijk_scenario::{Scenario, find, plan, read_file, read_text};

fn examples() -> Vec<Scenario> {
    read_file(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios/examples.jsonl")).unwrap()
}

/// A scenario around some of its keys.
fn with(keys: &str) -> String {
    format!(r#"{{"id":"a","duration_s":600,"active_region":"NL"{keys}}}"#)
}

fn one(keys: &str) -> Scenario {
    read_text(&with(keys)).unwrap().remove(0)
}

fn reads_back(plan: &Plan) -> Plan {
    read::read_plan(&plan.render_yaml(), &|_| None).unwrap()
}

#[test]
fn the_examples_are_read_and_give_plans_that_pass_their_check() {
    let all = examples();
    assert_eq!(all.len(), 6);
    for s in &all {
        let plan = plan(s);
        assert_eq!(reads_back(&plan), plan, "{}", s.id);
        assert_eq!((plan.agents.len(), plan.targets().len()), (6, 10), "{}", s.id);
    }
    assert_eq!(all[0].service_of(&all[0].expect[1]).as_str(), "portal");
    assert_eq!(plan(&all[0]).windows.len(), 1);
}

#[test]
fn a_plan_has_everything_that_the_scenario_names() {
    let s = one(
        r#","start_utc":"2026-10-25T00:30:00Z","services":[
            {"id":"pay","class":"webservice","objective_ms":800,"chain":["bank","idp"],
             "endpoints":[{"name":"submit","weight":0.5,"critical":true},{"name":"status","weight":0.25},{"name":"list","weight":0.25}]},
            {"id":"site","class":"website"}],
          "faults":[{"from_s":1.5,"to_s":60,"scope":{"target_region":"BE","target_zones":["a",4]},"effect":{"kind":"down"}},
            {"from_s":0,"to_s":9,"scope":{"control":["ctl-z"],"vantage_region":"IE","vantage_zones":[4]},"effect":{"kind":"loss","params":{"p":0.1}}}],
          "maintenance":[{"from_s":0,"to_s":60,"kind":"agreed","scope":{"target_region":"NL","target_zones":[2],"service":"pay","chain_partner":"bank"}},
            {"from_s":0,"to_s":60,"kind":"planned","announced_working_days_before":12,"scope":{"target_region":"ALL"}},
            {"from_s":0,"to_s":60,"kind":"force_majeure"}]"#
            .replace('\n', " ")
            .as_str(),
    );
    let plan = plan(&s);
    assert_eq!(reads_back(&plan), plan);
    let text = plan.render_yaml();
    let (fleet, rest) = text.split_once("policy:\n").unwrap();
    let (_, windows) = rest.split_once("windows:\n").unwrap();
    insta::assert_snapshot!(format!("{fleet}windows:\n{windows}"));
}

#[test]
fn weights_keep_their_proportion() {
    let weights = |list: &str| {
        let endpoints: Vec<String> =
            list.split(' ').enumerate().map(|(i, w)| format!(r#"{{"name":"e{i}","weight":{w}}}"#)).collect();
        let s = one(&format!(r#","services":[{{"id":"x","class":"website","endpoints":[{}]}}]"#, endpoints.join(",")));
        let plan = plan(&s);
        assert_eq!(reads_back(&plan), plan, "{list}");
        plan.services.values().next().unwrap().endpoints.values().map(|e| e.weight).collect::<Vec<_>>()
    };
    assert_eq!(weights("1 1 2"), [1, 1, 2]);
    assert_eq!(weights("0.5 0.3 0.2"), [5, 3, 2]);
    assert_eq!(weights("0.125 0.875"), [125, 875]);
    assert_eq!(weights("5000 2500"), [1000, 500]);
    assert_eq!(weights("1 0"), [1000, 1]);
}

#[test]
fn every_effect_and_every_key_is_read() {
    let s = one(&r#","faults":[
        {"from_s":0,"to_s":10,"scope":{"target_region":["NL","IE"],"service":["exchange","portal"],"endpoint":"default","regional":true},"effect":{"kind":"error","params":{"rate":0.5,"status":502,"cycle":{"on_s":2.5,"off_s":1},"drain":false}}},
        {"from_s":0,"to_s":10,"scope":{"vantage_region":"NL","vantage_zones":[2]},"effect":{"kind":"down","params":{"mode":"refused","drain_s":5,"ramp":true}}},
        {"from_s":0,"to_s":10,"scope":{"chain_partner":"idp"},"effect":{"kind":"slow","params":{"add_ms":900.5,"service_impact":0.25}}},
        {"from_s":0,"to_s":10,"scope":{"path":"vantage->collector"},"effect":{"kind":"partition","params":{"replay":false}}},
        {"from_s":0,"to_s":10,"scope":{},"effect":{"kind":"duplicate","params":{"copies":3,"every_s":5,"p":0.2}}},
        {"from_s":0,"to_s":10,"scope":{},"effect":{"kind":"skew","params":{"offset_s":-4.25}}},
        {"from_s":0,"to_s":10,"scope":{"control":true},"effect":{"kind":"delay","params":{"add_s":4,"jitter_s":1}}}]"#
        .replace('\n', " "));
    let [error, down, slow, partition, duplicate, skew, delay] = &s.faults[..] else { panic!("seven faults") };
    assert!(matches!(error.effect.kind, EffectKind::Error { rate, status: 502 } if rate == 0.5));
    assert_eq!((error.effect.cycle.unwrap().on, error.effect.drain), (Millis(2500), None));
    let Some(Regions::These(regions)) = &error.scope.target_region else { panic!("regions") };
    assert!(regions.contains(&Region::new("IE").unwrap()) && error.scope.services.len() == 2 && error.scope.regional);
    assert!(matches!(down.effect.kind, EffectKind::Down { refused: true, .. }) && down.effect.ramp);
    assert_eq!((down.effect.drain, down.scope.vantage_zones.len()), (Some(Millis(5000)), 1));
    assert!(matches!(slow.effect.kind, EffectKind::Slow { add_ms, .. } if add_ms == 900.5));
    assert_eq!(slow.effect.service_impact, 0.25);
    assert!(matches!(partition.effect.kind, EffectKind::Partition { replay: false, .. }));
    assert!(matches!(duplicate.effect.kind, EffectKind::Duplicate { copies: 3, every: Millis(5000), .. }));
    assert!(matches!(skew.effect.kind, EffectKind::Skew { offset_ms: -4250 }));
    let paths = [partition, duplicate, skew, delay].map(|f| f.scope.path);
    use FaultPath::{Agent, Collector};
    assert_eq!(paths, [Collector, Collector, Agent, Collector]);
}

#[test]
fn other_verdicts_that_count_as_right_may_be_written_in_several_ways() {
    let s = one(
        r#","expect":[{"from_s":0,"to_s":9,"need":"NEEDED","cause":"region_down","executed":"missed","accept":[{"need":"FUTILE","cause":"global_fault"},"region_degraded"],"live_accept":["INCONCLUSIVE","NOT_NEEDED/transient"]}]"#,
    );
    insta::assert_debug_snapshot!(s.expect[0]);
}

#[test]
fn every_mistake_of_a_file_is_told_at_once() {
    let lines = [
        r#"{"id":"a""#.to_owned(),
        "[]".to_owned(),
        r#"{"id":"b"}"#.to_owned(),
        with(r#","colour":"red""#).replace("\"a\"", "\"c\""),
        with(r#","duration_s":0,"active_region":"N L","start_utc":"soon""#).replace("\"a\"", "\"d\""),
        with(r#","faults":[{"from_s":9,"to_s":3,"scope":{"target":"NL","path":"sideways"},"effect":{"kind":"down","params":{"rate":2,"mode":"slow","p":1}}},{"from_s":0,"to_s":1,"scope":{},"effect":{"kind":"melt"}},{"to_s":1}]"#)
            .replace("\"a\"", "\"e\""),
        with(r#","faults":[{"from_s":0,"to_s":1,"scope":{"service":"nope","endpoint":"nope","chain_partner":"nope","global":true,"regional":true},"effect":{"kind":"error","params":{"status":200,"cycle":{"on_s":0,"off_s":0}}}}]"#)
            .replace("\"a\"", "\"f\""),
        with(r#","actual_failovers":[{"at_s":"noon","from":"NL"}],"maintenance":[{"from_s":0,"to_s":1,"kind":"whim"}]"#)
            .replace("\"a\"", "\"g\""),
        with(r#","services":[{"id":"x","class":"batch","endpoints":[{"weight":-1},{"name":"y"},{"name":"y"}]},{"id":"x"}]"#)
            .replace("\"a\"", "\"h\""),
        with(r#","expect":[{"from_s":0,"to_s":1,"need":"YES","cause":"gremlins"},{"from_s":0,"to_s":1,"need":"NEEDED","cause":"healthy","executed":"none","service":"nope","accept":[{},7,"maybe"]}]"#)
            .replace("\"a\"", "\"i\""),
        with(""),
        with(""),
    ];
    insta::assert_snapshot!(read_text(&lines.join("\n")).unwrap_err().to_string());
}

#[test]
fn one_scenario_can_be_used_though_others_are_wrong() {
    let text = [r#"{"id":"b"}"#.to_owned(), with(r#","colour":"red""#)].join("\n");
    let found = find(&text, "a").unwrap();
    assert_eq!(found.scenario.id, "a");
    let warnings: Vec<String> = found.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.last().unwrap(), "line 2 (a): colour is not known");
    assert_eq!(warnings.len(), 3);
    assert!(find(&text, "b").unwrap_err().to_string().contains("duration_s is missing"));
    assert_eq!(find(&text, "z").unwrap_err().to_string(), "scenario \"z\" is not in the file: it has b, a");
}
