//! Which fleets and policies are too small, too large or too strange?

use serde_json::{Value, json};
use uitwijk_judge::{Need, Topology};
use uitwijk_model::{Fault as Died, Policy};

use crate::courts::{Bench, Case, bare};
use crate::fleet::{Fleet, Function};
use crate::support::world::Dice;
use crate::world::{Fault, Harm, Scope, World};

fn function(regions: usize) -> Function {
    Function { weight: 1, critical: false, public: true, zonal: false, regions: (0..regions).collect() }
}

/// Regions of so many zones, so many agents in each zone, one endpoint, three controls.
fn fleet(regions: usize, zones: usize, each: usize) -> Fleet {
    let policy = Policy { samples_min: 2, ..Policy::default().scaled(1, 30) };
    let places = (0..regions).flat_map(|r| (0..zones).map(move |z| (r, z)));
    Fleet {
        zones: vec![zones; regions],
        agents: places.flat_map(|place| std::iter::repeat_n(place, each)).collect(),
        endpoints: vec![function(regions)],
        partners: 1,
        controls: 3,
        active: 0,
        policy,
        notices: Vec::new(),
    }
}

/// The active region fails for a while.
fn outage(fleet: Fleet, slots: i64) -> Case {
    let mut world = World { slots, ..World::quiet(1, fleet, &mut Dice(1)) };
    let harm = Harm::Fails(Died::HttpStatus);
    world.faults.push(Fault { from: 4, to: slots, scope: Scope::Region(0), harm, rate: 1000 });
    Case::new(world)
}

fn needs(case: &Case) -> Vec<Need> {
    let t = case.settled();
    let mut bench = Bench::new(case);
    bench.play(&case.arrivals());
    bench.finish(true);
    assert_eq!(bare(&t.segments), bare(&bench.timeline()));
    t.segments.iter().map(|s| s.need).collect()
}

#[test]
fn many_regions_many_zones_and_many_agents_are_judged_alike() {
    for (regions, zones, each) in [(2, 1, 1), (3, 2, 1), (4, 5, 1), (50, 4, 1), (2, 2, 250)] {
        let slots = if regions * zones * each > 100 { 14 } else { 40 };
        let found = needs(&outage(fleet(regions, zones, each), slots));
        assert!(found.contains(&Need::Needed), "{regions} regions of {zones} zones, {each} agents in each: {found:?}");
    }
}

#[test]
fn without_endpoints_or_with_too_few_who_watch_nothing_is_known() {
    let mut none = fleet(2, 3, 1);
    none.endpoints.clear();
    assert!(needs(&outage(none, 40)).iter().all(|n| *n == Need::Inconclusive));
    let mut one = fleet(2, 1, 1);
    one.agents.truncate(1);
    assert!(!needs(&outage(one, 40)).contains(&Need::Needed));
    let mut nobody = fleet(2, 1, 1);
    nobody.agents.clear();
    assert!(needs(&outage(nobody, 40)).is_empty());
}

#[test]
fn without_controls_an_outage_is_needed_as_well() {
    let mut bare = fleet(2, 3, 1);
    (bare.controls, bare.partners) = (0, 0);
    assert!(needs(&outage(bare, 40)).contains(&Need::Needed));
}

/// A policy with some of its fields replaced.
fn with(fields: &[(String, Value)]) -> Policy {
    let mut all = serde_json::to_value(Policy::default().scaled(1, 30)).unwrap();
    for (name, value) in fields {
        all[name] = value.clone();
    }
    serde_json::from_value(all).unwrap()
}

/// Both ends of what each field can be, wider than what a plan may say.
fn ends() -> Vec<(String, [Value; 2])> {
    let Value::Object(all) = serde_json::to_value(Policy::default()).unwrap() else { panic!("a policy is an object") };
    let of = |value: &Value| match value {
        Value::Number(_) => [json!(0), json!(u32::MAX)],
        Value::String(text) if text.contains(['%', '/']) => [json!("0%"), json!("100%")],
        _ => [json!("0s"), json!("31d")],
    };
    all.iter().map(|(name, value)| (name.clone(), of(value))).collect()
}

#[test]
fn policies_at_the_ends_of_their_ranges_are_borne() {
    let mut policies = Vec::new();
    for end in [0, 1] {
        policies.extend(ends().into_iter().map(|(name, values)| vec![(name, values[end].clone())]));
        policies.push(ends().into_iter().map(|(name, values)| (name, values[end].clone())).collect());
    }
    for fields in policies {
        let policy = match serde_json::to_value(&fields).map(|_| with(&fields)) {
            Ok(policy) => policy,
            Err(e) => panic!("{fields:?}: {e}"),
        };
        let case = outage(Fleet { policy, ..fleet(2, 2, 1) }, 40);
        let found = std::panic::catch_unwind(|| needs(&case).len());
        assert!(found.is_ok(), "{fields:?}");
    }
}

#[test]
fn a_policy_that_counts_to_the_end_needs_no_more_than_its_numbers() {
    let policy = with(&[("vantages_min".to_owned(), json!(u32::MAX)), ("samples_min".to_owned(), json!(u32::MAX))]);
    let case = outage(Fleet { policy, ..fleet(2, 2, 1) }, 40);
    assert!(needs(&case).iter().all(|n| *n == Need::Inconclusive || *n == Need::NotNeeded));
    let _: &Topology = &case.topology;
}
