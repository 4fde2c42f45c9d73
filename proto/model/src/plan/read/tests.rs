//! One right plan, one plan per way to be wrong, and a schema that says the same.

use super::*;

fn example() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/plan.example.yaml");
    std::fs::read_to_string(path).expect("the example plan is there")
}

fn no_env(_: &str) -> Option<String> {
    None
}

#[test]
fn the_example_has_no_mistakes() {
    let plan = read_plan(&example(), &no_env).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!((plan.services.len(), plan.agents.len(), plan.windows.len()), (2, 6, 2));
}
