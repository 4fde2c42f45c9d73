//! One right plan, one plan per way to be wrong, and a schema that says the same.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/plan");
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/plan.example.yaml");

fn no_env(_: &str) -> Option<String> {
    None
}

fn read(path: impl AsRef<Path>) -> Result<Plan, Mistakes> {
    read_plan(&fs::read_to_string(path).expect("the plan file can be read"), &no_env)
}

fn wrong_fixtures() -> Vec<PathBuf> {
    let files = fs::read_dir(FIXTURES).expect("the fixtures are there").map(|f| f.unwrap().path());
    let mut wrong: Vec<_> = files.filter(|f| f.file_name().unwrap().to_string_lossy().starts_with("wrong-")).collect();
    wrong.sort();
    wrong
}

#[test]
fn the_right_plan_is_read_with_all_defaults() {
    let plan = read(Path::new(FIXTURES).join("right.yaml")).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    insta::assert_snapshot!(serde_json::to_string_pretty(&plan).unwrap());
}

#[test]
fn every_way_to_be_wrong_is_told() {
    let mut told = String::new();
    for path in wrong_fixtures() {
        let name = path.file_stem().unwrap().to_string_lossy();
        let mistakes = read(&path).expect_err(&name);
        writeln!(told, "{name}\n  {}", mistakes.to_string().replace('\n', "\n  ")).unwrap();
    }
    insta::assert_snapshot!(told);
}

#[test]
fn the_example_has_no_mistakes() {
    let plan = read(EXAMPLE).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let kinds: BTreeSet<_> = plan.targets().iter().map(|t| t.kind.label()).collect();
    assert_eq!(kinds, BTreeSet::from(["regional", "zonal", "global", "chain", "control"]));
    let probes: BTreeSet<_> = plan.targets().iter().map(|t| t.probe.kind.label()).collect();
    assert_eq!(probes, BTreeSet::from(["http", "tcp", "dns", "tls", "grpc"]));
    assert_eq!(plan.policy, crate::Policy::default(), "the example shows the default policy");
    assert_eq!(plan.windows[0].notice_working_days, Some(11));
}

#[test]
fn the_example_has_every_key_of_the_schema() {
    let mut keys = BTreeSet::new();
    collect_keys(&schema(), &mut keys);
    assert!(keys.len() > 100, "{keys:?}");
    let example = fs::read_to_string(EXAMPLE).unwrap();
    let has = |key: &str| regex::Regex::new(&format!(r"(?m)(^|[\s{{#\[]){key}:(\s|$)")).unwrap().is_match(&example);
    let missing: Vec<_> = keys.iter().filter(|key| !has(key)).collect();
    assert!(missing.is_empty(), "deploy/plan.example.yaml lacks {missing:?}");
}

fn collect_keys(schema: &Value, keys: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            keys.extend(map.get("properties").and_then(Value::as_object).into_iter().flat_map(|p| p.keys().cloned()));
            map.values().for_each(|v| collect_keys(v, keys));
        }
        Value::Array(items) => items.iter().for_each(|v| collect_keys(v, keys)),
        _ => {}
    }
}

#[test]
fn the_check_knows_every_word_of_the_schema() {
    // A keyword that the check does not know would be a promise to editors that the reader does not keep.
    const KNOWN: [&str; 24] = [
        "$schema",
        "$defs",
        "$ref",
        "title",
        "description",
        "default",
        "type",
        "format",
        "pattern",
        "enum",
        "const",
        "oneOf",
        "anyOf",
        "properties",
        "additionalProperties",
        "propertyNames",
        "required",
        "items",
        "minItems",
        "maxItems",
        "uniqueItems",
        "minProperties",
        "maxProperties",
        "x-shorthand",
    ];
    let mut words = BTreeSet::new();
    collect_words(&schema(), &mut words);
    let known: BTreeSet<_> = KNOWN.into_iter().chain(["minimum", "maximum", "minLength", "maxLength"]).collect();
    let unknown: Vec<_> = words.iter().filter(|w| !known.contains(w.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

fn collect_words(schema: &Value, words: &mut BTreeSet<String>) {
    let Value::Object(map) = schema else { return };
    for (word, value) in map {
        words.insert(word.clone());
        match word.as_str() {
            "properties" | "$defs" => value.as_object().unwrap().values().for_each(|v| collect_words(v, words)),
            "oneOf" | "anyOf" => value.as_array().unwrap().iter().for_each(|v| collect_words(v, words)),
            "items" | "additionalProperties" | "propertyNames" => collect_words(value, words),
            _ => {}
        }
    }
}

#[test]
fn what_a_variable_says_can_be_a_number_and_cannot_add_keys() {
    let text = fs::read_to_string(Path::new(FIXTURES).join("right.yaml")).unwrap();
    let text = text.replace("revision: 1", "revision: ${REVISION}").replace("name: base", "name: ${NAME}");
    let env = |name: &str| match name {
        "REVISION" => Some("42".to_owned()),
        _ => Some("base\nslot: 1s".to_owned()),
    };
    let plan = read_plan(&text, &env).unwrap();
    assert_eq!((plan.revision, plan.slot.millis().0, plan.name.as_str()), (42, 10_000, "base\nslot: 1s"));
}

#[test]
fn later_layers_of_a_probe_go_over_earlier_ones() {
    let text = fs::read_to_string(Path::new(FIXTURES).join("right.yaml")).unwrap();
    let text = text.replace(
        "        regional:\n",
        "        probe: { timeout: 3s, http: { headers: { b: endpoint, c: endpoint }, method: PUT } }\n        regional:\n",
    );
    let text = text.replace(
        "global: https://www.example.net/",
        "global: { address: https://www.example.net/, timeout: 2s, http: { headers: { C: target } } }",
    );
    let text = text
        + "defaults: { probe: { timeout: 1s, retries: 2, http: { headers: { a: default, b: default } }, tcp: { send: x } } }\n";
    let plan = read_plan(&text, &no_env).unwrap_err();
    assert!(plan.to_string().contains("header names are the same in any case"), "{plan}");
    let plan = read_plan(&text.replace("C: target", "c: target"), &no_env).unwrap_or_else(|m| panic!("{m}"));
    let targets = plan.targets();
    let global = targets.iter().find(|t| t.kind.label() == "global").unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&global.probe).unwrap());
}

#[test]
fn a_fleet_that_is_too_large_is_refused() {
    let right = fs::read_to_string(Path::new(FIXTURES).join("right.yaml")).unwrap();
    let agents: String = (0..9_999).map(|i| format!("  a{i}: NL/1\n")).collect();
    let error = read_plan(&right.replace("agents:\n", &format!("agents:\n{agents}")), &no_env).unwrap_err();
    assert_eq!(error.to_string(), "line 6: agents: has 10001 entries, allowed are 1 to 10000");
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let error = read_plan(&"#".repeat(PLAN_BYTES_MAX + 1), &no_env).unwrap_err();
    assert_eq!(error.to_string(), "line 1: the file has 8388609 bytes, allowed are 8388608");
}

#[test]
fn a_policy_to_try_out_is_laid_over_that_of_the_plan() {
    let plan = read(EXAMPLE).unwrap();
    let env = |name: &str| (name == "LONG").then(|| "10m".to_owned());
    let overrides = read_policy("hard_duration: ${LONG}\nsamples_min: 6\n", &env, &plan).unwrap();
    let policy = overrides.over(&plan.policy);
    assert_eq!((policy.hard_duration.0, policy.samples_min, policy.clear), (600_000, 6, plan.policy.clear));
    // A plan that names it as a shadow means the same.
    let shadow = "shadow: { trial: { samples_min: 6, hard_duration: 600s } }\n";
    let right = fs::read_to_string(Path::new(FIXTURES).join("right.yaml")).unwrap();
    let shadowed = read_plan(&format!("{right}{shadow}"), &no_env).unwrap();
    assert_eq!(shadowed.shadow.values().collect::<Vec<_>>(), [&overrides]);
    // Without shadows a plan reads, and is named, as it was before there were any.
    let plain = read_plan(&right, &no_env).unwrap();
    assert!(!plain.to_canonical_json().contains("shadow") && plain.version() != shadowed.version());
}

#[test]
fn every_mistake_of_a_policy_to_try_out_is_told() {
    let plan = read(EXAMPLE).unwrap();
    let mut told = String::new();
    for text in [
        "hard_share: 50\nsoft_window: 1h\nhard_duration: soon\nsampels_min: 3\nsamples_min: 0\n",
        "soft_window: 20m\nhard_window: 30m\n",
        // The example has a service whose soft share is 20 %.
        "hard_share: 15%\n",
        "policy: { clear: 1m }\n",
        "",
        "- clear\n",
        "clear: ${CLEAR}\n",
        "clear: 1m\nclear: 2m\n",
    ] {
        let mistakes = read_policy(text, &no_env, &plan).expect_err(text);
        writeln!(told, "{}\n  {}", text.trim_end().replace('\n', " | "), mistakes.to_string().replace('\n', "\n  "))
            .unwrap();
    }
    insta::assert_snapshot!(told);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_text_does_no_harm(text in "[ -~\n]{0,200}", wild in any::<String>()) {
        let _ = read_plan(&text, &no_env);
        let _ = read_plan(&wild, &|_| Some(text.clone()));
    }

    #[test]
    fn a_damaged_plan_does_no_harm(at in any::<prop::sample::Index>(), instead in "[ -~\n]{0,3}", cut in 0..12usize) {
        let example = fs::read_to_string(EXAMPLE).unwrap();
        let at = at.index(example.len());
        let end = (at + cut).min(example.len());
        if example.is_char_boundary(at) && example.is_char_boundary(end) {
            let damaged = format!("{}{instead}{}", &example[..at], &example[end..]);
            let _ = read_plan(&damaged, &no_env);
        }
    }
}
