//! Shares are read and printed, and every number of the algorithm is a key with a default, a range and a word in the schema.

use serde_json::Value;

use super::*;
use crate::plan::read::{read_plan, schema};

#[test]
fn shares_read_and_print() {
    for good in ["0%", "50%", "100%", "1/3", "2/3", "1/10000"] {
        assert_eq!(good.parse::<Ratio>().unwrap().to_string(), good);
    }
    for bad in ["", "50", "101%", "-1%", "4/3", "1/0", "0.5", "1/10001", "%", "/"] {
        assert!(bad.parse::<Ratio>().is_err(), "{bad:?}");
    }
}

#[test]
fn nothing_of_nothing_reaches_no_share() {
    assert!(!Ratio::percent(0).is_reached_by(0, 0));
    assert!(Ratio::percent(0).is_reached_by(0, 1));
    assert!(Ratio::percent(50).is_reached_by(u64::MAX / 2 + 1, u64::MAX));
}

#[test]
fn a_policy_is_the_same_after_a_trip_through_json() {
    let json = serde_json::to_string(&Policy::default()).unwrap();
    let back: Policy = serde_json::from_str(&json).unwrap();
    assert_eq!(back, Policy::default());
    assert_eq!(back.version(), Policy::default().version());
}

const BASE: &str = include_str!("../../../tests/fixtures/plan/right.yaml");

/// What a parameter of the algorithm is called here: its default, and what lies just outside its range.
type Parameter = (&'static str, &'static str, [&'static str; 2]);

/// Below a share there is nothing that can be written.
const NOTHING: &str = "";

/// The parameters of the algorithm, row by row, as they are listed where it is described.
const TABLE: &[(&str, &[Parameter])] = &[
    (
        "hard: share / window / duration",
        &[
            ("hard_share", "50%", ["0%", "101%"]),
            ("hard_window", "60s", ["9s", "25h"]),
            ("hard_duration", "3m", ["9s", "25h"]),
        ],
    ),
    (
        "soft: share / window / duration",
        &[
            ("soft_share", "10%", ["0%", "101%"]),
            ("soft_window", "5m", ["9s", "25h"]),
            ("soft_duration", "10m", ["9s", "25h"]),
        ],
    ),
    ("slow share", &[("slow_share", "25%", ["0%", "101%"])]),
    ("clear", &[("clear", "3m", ["9s", "25h"])]),
    (
        "control sick / suspect",
        &[("control_sick", "50%", [NOTHING, "101%"]), ("control_suspect", "20%", [NOTHING, "51%"])],
    ),
    ("domains sick", &[("domain_failing", "30%", [NOTHING, "101%"]), ("domains_sick", "75%", [NOTHING, "101%"])]),
    (
        "lonely sick / suspect",
        &[("lonely_sick", "50%", [NOTHING, "101%"]), ("lonely_suspect", "25%", [NOTHING, "51%"])],
    ),
    ("evidence floor", &[("vantages_min", "2", ["0", "10001"]), ("samples_min", "12", ["0", "1000001"])]),
    ("better-than factor", &[("better_share", "50%", [NOTHING, "101%"]), ("better_margin", "10%", [NOTHING, "101%"])]),
    ("endpoint weight", &[("endpoint_weight", "1/3", [NOTHING, "4/3"])]),
    ("grace / horizon", &[("grace", "20s", ["0s", "32d"]), ("horizon", "1d", ["19s", "32d"])]),
    (
        "blame: early / hold / partner",
        &[
            ("blame_early", "5m", ["0s", "25h"]),
            ("blame_hold", "60s", ["0s", "25h"]),
            ("partner_margin", "20%", [NOTHING, "101%"]),
        ],
    ),
    ("trust hold", &[("trust_hold", "120s", ["0s", "25h"])]),
    ("clocks: correct / flag", &[("clock_correct", "2s", ["0s", "6s"]), ("clock_flag", "5s", ["1s", "25h"])]),
    (
        "maintenance: scope / notice",
        &[("maintenance_margin", "10%", [NOTHING, "101%"]), ("maintenance_notice_days", "10", ["-1", "366"])],
    ),
    (
        "slow burns: share / duration / warm-up / baseline / CUSUM",
        &[
            ("drift_share", "50%", [NOTHING, "101%"]),
            ("drift_duration", "3m", ["9s", "25h"]),
            ("drift_warmup", "5m", ["9s", "25h"]),
            ("drift_baseline", "1d", ["4m", "32d"]),
            ("drift_slack", "50%", [NOTHING, "101%"]),
            ("drift_threshold", "8", ["0", "101"]),
        ],
    ),
    ("serving region", &[("served_share", "50%", ["0%", "101%"]), ("switch_grace", "60s", ["0s", "25h"])]),
];

fn parameters() -> impl Iterator<Item = &'static Parameter> {
    TABLE.iter().flat_map(|(_, parameters)| *parameters)
}

#[test]
fn the_table_has_every_key_once_and_the_slot_is_the_plans() {
    let mut found: Vec<&str> = parameters().map(|(key, ..)| *key).collect();
    let policy = serde_json::to_value(Policy::default()).unwrap();
    let mut expected: Vec<&str> = policy.as_object().unwrap().keys().map(String::as_str).collect();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(read_plan(BASE, &|_| None).unwrap().slot.millis().to_string(), "10s");
}

#[test]
fn every_parameter_has_its_default() {
    let policy = serde_json::to_value(Policy::default()).unwrap();
    for (key, default, _) in parameters() {
        let found = match &policy[key] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        assert_eq!(&found, default, "{key}");
    }
}

#[test]
fn every_parameter_is_checked_on_both_sides() {
    for (key, default, outside) in parameters() {
        let plan = |value: &str| read_plan(&format!("{BASE}policy: {{ {key}: {value} }}\n"), &|_| None);
        assert!(plan(default).is_ok(), "{key}: {default}");
        for value in outside.iter().filter(|value| !value.is_empty()) {
            let told = plan(value).expect_err(key).to_string();
            assert!(told.contains(&format!("policy.{key}: ")), "{key}: {value}: {told}");
        }
    }
}

#[test]
fn every_parameter_says_its_default_and_range_in_the_schema() {
    let schema = schema();
    let properties = schema.pointer("/$defs/Policy/properties").unwrap();
    for (key, default, _) in parameters() {
        let text = properties[key]["description"].as_str().unwrap().replace('\n', " ");
        let said = text
            .split("Default ")
            .nth(1)
            .and_then(|rest| rest.split_once("; "))
            .unwrap_or_else(|| panic!("{key}: {text}"));
        let equal = said.0 == *default || said.0.parse::<Millis>().is_ok_and(|m| m.to_string() == *default);
        assert!(equal, "{key} says {:?}, it is {default}", said.0);
        assert!(said.1.contains(" to "), "{key} has no range: {text}");
    }
}

#[test]
fn a_policy_that_differs_in_one_number_has_another_version() {
    let versions: std::collections::BTreeSet<String> = parameters()
        .map(|(key, ..)| {
            let other = match serde_json::to_value(Policy::default()).unwrap()[key] {
                Value::Number(_) => serde_json::json!(7),
                _ if key.ends_with("share")
                    || key.ends_with("margin")
                    || key.contains("sick")
                    || *key == "drift_slack" =>
                {
                    "42%".into()
                }
                _ if key.contains("suspect") || *key == "domain_failing" || *key == "endpoint_weight" => "7%".into(),
                _ => "77s".into(),
            };
            let overrides: crate::PolicyOverrides = serde_json::from_value(serde_json::json!({ *key: other })).unwrap();
            overrides.over(&Policy::default()).version()
        })
        .collect();
    assert_eq!(versions.len(), parameters().count());
    assert!(!versions.contains(&Policy::default().version()));
}
