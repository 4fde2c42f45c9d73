//! Scoring as people see it.

use super::{alone, free_of_width};

const SCENARIOS: &str = concat!(
    r#"{"id":"gone","duration_s":2400,"active_region":"NL","faults":[{"from_s":600,"to_s":1500,"scope":{"target_region":"NL"},"effect":{"kind":"down"}}],"expect":[{"from_s":0,"to_s":600,"need":"NOT_NEEDED","cause":"healthy","executed":"none"},{"from_s":600,"to_s":1500,"tolerance_s":300,"need":"NEEDED","cause":"region_down","executed":"missed"},{"from_s":1500,"to_s":2400,"tolerance_s":240,"need":"NOT_NEEDED","cause":"healthy","executed":"none"}]}"#,
    "\n",
    r#"{"id":"mislabelled","duration_s":1200,"active_region":"NL","expect":[{"from_s":0,"to_s":1200,"need":"NEEDED","cause":"region_slow","executed":"missed"}]}"#,
    "\n",
);

fn transcript(more: &[&[&str]]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("scenarios.jsonl");
    std::fs::write(&file, SCENARIOS).unwrap();
    let file = file.display().to_string();
    let ran = |args: &&[&str]| {
        let mut full = vec!["score", "--scenarios", &file];
        full.extend(*args);
        free_of_width(&full).replace(&file, "scenarios.jsonl")
    };
    more.iter().map(ran).collect::<Vec<_>>().join("\n")
}

#[test]
fn everybody_has_a_row_per_track() {
    let rules = ["--rules", "ours,majority,gatus-3@nl-1,never", "--seeds", "1..2"];
    insta::assert_snapshot!(transcript(&[
        &rules,
        &[&rules[..], &["-o", "markdown"]].concat(),
        &["--rules", "never", "-o", "json", "--wrong"],
        &["--rules", "ours", "--wrong"],
    ]));
}

#[test]
fn drawn_worlds_have_rates_with_their_confidence() {
    let args = ["score", "--random", "2", "--seed", "5", "--quiet", "--rules", "ours,never"];
    insta::assert_snapshot!(free_of_width(&args));
}

#[test]
fn another_policy_is_tried_or_its_mistakes_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("eager.yaml");
    let with = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let name = file.display().to_string();
        transcript(&[&["--rules", "ours,majority", "--policy", &name]]).replace(&name, "eager.yaml")
    };
    insta::assert_snapshot!("quick", with("hard_duration: 60s\ngrace: 5s\n"));
    insta::assert_snapshot!("mistakes", with("hard_duration: 5s\ngrase: 5s\n"));
}

#[test]
fn what_cannot_be_scored_is_told() {
    insta::assert_snapshot!(transcript(&[&["--seeds", "3..1"], &["--rules", "ours,mayority"], &["--seeds", "x"]]));
    insta::assert_snapshot!("neither", alone(&["score"]));
}
