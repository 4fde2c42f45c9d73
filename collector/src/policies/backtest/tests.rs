//! A stored outage, judged anew.

use uitwijk_judge::{Cause, Evidence, Need, Sample, Topology, judge};

use super::super::{Changed, Compared, compare};
use super::*;
use crate::testing::outage::{at, delivered, plan, stored};

fn overrides(json: &str) -> PolicyOverrides {
    serde_json::from_str(json).unwrap()
}

fn question(plan: &Arc<Plan>, json: &str, from: u64, to: u64) -> Question {
    let stretch = Stretch { from: at(from), to: at(to) };
    Question {
        plan: plan.clone(),
        overrides: overrides(json),
        service: None,
        switches: Vec::new(),
        stretch,
        now: at(1_000_000),
    }
}

fn run_to_the_end(store: &Store, question: &Question) -> Outcome {
    run(store, question, &mut |_| ControlFlow::Continue(())).unwrap()
}

fn told(episodes: &[Judged]) -> Vec<String> {
    let second = |t: WallTime| t.micros_since(at(0)) / 1_000_000;
    let end = |j: &Judged| j.to.map_or("open".to_owned(), |to| second(to).to_string());
    episodes.iter().map(|j| format!("{}..{} {} {}", second(j.from), end(j), j.cause, j.execution)).collect()
}

#[test]
fn a_more_patient_policy_would_not_have_asked_for_a_failover() {
    let plan = plan("");
    let store = stored(&delivered(&plan, 0..3600, std::slice::from_ref(&(1200..1500))));
    let question = question(&plan, r#"{"hard_duration":"600s","soft_duration":"900s"}"#, 600, 3000);
    let outcome = run_to_the_end(&store, &question);
    assert_eq!(told(&outcome.current), ["1200..1500 region_down missed"]);
    assert_eq!(told(&outcome.other), ["1200..1500 transient none"]);
    // 360 slots of 6 targets by 6 agents; the tail reaches over the end of what there is.
    assert_eq!((outcome.measurements, outcome.damaged), (360 * 36, 0));
    let service = plan.services.keys().next().unwrap();
    assert_eq!(outcome.judged[service].from, at(0));

    let compared = Compared { current: &outcome.current, other: &outcome.other, labels: &[] };
    let found = compare(compared, question.stretch, &|service| outcome.judged.get(service).copied());
    assert_eq!((found.current.missed.episodes, found.current.missed.ms), (1, 300_000));
    assert_eq!(found.other.needed.episodes, 0);
    assert_eq!(found.differences[0].changed, [Changed::Need, Changed::Cause, Changed::Execution]);
}

/// Hour after hour, with everything forgotten in between, as if all had been there at once.
#[test]
fn a_long_stretch_says_what_the_judge_says_of_everything_at_once() {
    let plan = plan("");
    let outages = [900..1260, 9000..9100, 14_000..15_000, 21_000..21_300];
    let rows = delivered(&plan, 0..23_000, &outages);
    let json = r#"{"hard_duration":"80s","hard_window":"40s","clear":"60s"}"#;
    let outcome = run_to_the_end(&stored(&rows), &question(&plan, json, 0, 23_000));
    let service = plan.services.keys().next().unwrap().clone();
    for (found, policy) in
        [(&outcome.current, plan.policy.clone()), (&outcome.other, overrides(json).over(&plan.policy))]
    {
        let topology = Topology::under(&plan, &service, &policy).unwrap();
        let mut evidence = Evidence::new(&topology);
        for batch in &rows {
            for row in &batch.rows {
                evidence.add(&topology, &Sample::of(&batch.agent, row, batch.arrived));
            }
        }
        let all: Vec<Judged> = judge(&topology, &evidence, at(23_000)).episodes.iter().map(Judged::from).collect();
        let known: Vec<String> = told(&all).into_iter().filter(|line| !line.contains("no_data")).collect();
        let found: Vec<String> = told(found).into_iter().filter(|line| !line.contains("no_data")).collect();
        assert_eq!(found, known);
        assert!(known.len() >= 3);
    }
}

#[test]
fn only_what_was_asked_for_is_told() {
    let plan = plan("");
    let store = stored(&delivered(&plan, 0..9000, &[1200..1500, 6000..6300]));
    let mut question = question(&plan, r#"{"samples_min":10}"#, 5000, 8000);
    assert_eq!(told(&run_to_the_end(&store, &question).current), ["6000..6300 region_down missed"]);
    // Nothing after now is looked at, so an outage that goes on is open.
    question.now = at(6200);
    assert_eq!(told(&run_to_the_end(&store, &question).current), ["6000..open region_down missed"]);
    // A service that nobody measures is not judged, whatever the others are.
    let other = ServiceId::new("other").unwrap();
    let mut with_other = Plan::clone(&plan);
    with_other.services.insert(other.clone(), plan.services.values().next().unwrap().clone());
    question.plan = Arc::new(with_other);
    question.service = Some(other);
    let outcome = run_to_the_end(&store, &question);
    assert!(
        outcome
            .current
            .iter()
            .chain(&outcome.other)
            .all(|j| j.need == Need::Inconclusive && j.cause != Cause::RegionDown),
        "{outcome:?}"
    );
}

#[test]
fn it_ends_when_nobody_wants_to_know_any_more() {
    let plan = plan("");
    let store = stored(&delivered(&plan, 0..12_000, &[]));
    let mut heard = Vec::new();
    let result = run(&store, &question(&plan, r#"{"samples_min":10}"#, 0, 12_000), &mut |progress| {
        heard.push(progress.through);
        if heard.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(result, Err(BacktestError::Ended)));
    assert!(heard.len() == 2 && heard[0] < heard[1], "{heard:?}");
}

#[test]
fn a_fleet_that_does_not_fit_is_judged_group_by_group() {
    let mut large = Plan::clone(&plan(""));
    let service = large.services.values().next().unwrap().clone();
    large.services.extend((0..2000).map(|i| (ServiceId::new(format!("s{i}")).unwrap(), service.clone())));
    let large = Arc::new(large);
    let groups = groups(&question(&large, r#"{"samples_min":10}"#, 0, 600));
    let all: Vec<&ServiceId> = groups.iter().flat_map(|group| group.services.keys()).collect();
    assert!(groups.len() > 1, "{}", groups.len());
    assert!(all.iter().copied().eq(large.services.keys()), "each once, in order");
}
