//! Are the plans of the past still known after a start?

use std::fs;

use super::Plans;
use crate::testing::plan;

#[test]
fn targets_and_slot_lengths_of_the_past_outlive_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let plans = Plans::open(dir.path(), plan(1, 3)).unwrap();
    let mut faster = plan(2, 1);
    faster.slot = uitwijk_model::SlotLength::new(uitwijk_model::Millis::from_secs(5)).unwrap();
    assert!(plans.adopt(faster.clone()).unwrap());
    drop(plans);

    fs::write(dir.path().join("00000000000000000000-broken.json"), "{").unwrap();
    let plans = Plans::open(dir.path(), faster.clone()).unwrap();
    let known = plans.known();
    assert!(known.target("control:ctl-2").is_some(), "of plan 1");
    assert!(known.target("control:ctl-3").is_none(), "of no plan");
    let lengths: Vec<String> = known.slot_lengths().iter().map(|length| length.millis().to_string()).collect();
    assert_eq!(lengths, ["5s", "10s"], "that of the plan in force first");
    assert_eq!(plans.current().version, faster.version());
    assert_eq!(known.target("control:ctl-0"), Some(plans.number_of("control:ctl-0")));
}

#[test]
fn the_past_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let plans = Plans::open(dir.path(), plan(1, 0)).unwrap();
    for i in 0..super::PLANS_MAX + 5 {
        fs::write(dir.path().join(format!("00000000000000000000-{i:05}.json")), "{}").unwrap();
    }
    plans.adopt(plan(2, 0)).unwrap();
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), super::PLANS_MAX);
    assert!(names.iter().any(|name| name.to_string_lossy().starts_with("00000000000000000002-")));
}

#[test]
fn a_directory_that_cannot_be_used_names_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Plans::open(&file, plan(1, 0)).unwrap_err().to_string();
    assert!(
        error.ends_with("make it writable, or change data_dir") && error.contains("/file cannot be used"),
        "{error}"
    );
}

#[test]
fn subscribers_hear_of_a_new_plan_after_its_targets_are_known() {
    let plans = Plans::fixed(plan(1, 0));
    let mut subscriber = plans.subscribe();
    plans.adopt(plan(2, 1)).unwrap();
    assert!(subscriber.has_changed().unwrap());
    assert_eq!(subscriber.borrow_and_update().plan.revision, 2);
    assert!(plans.known().target("control:ctl-0").is_some());
}
