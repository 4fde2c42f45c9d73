//! Lists of episodes held against each other.

use uitwijk_judge::{Cause, EpisodeId, Execution};

use super::super::judged::tests::{at, episode, minutes};
use super::super::totals::Amount;
use super::*;

fn of(service: &str, e: &Judged) -> Judged {
    let service = ServiceId::new(service).unwrap();
    Judged { episode: EpisodeId::new(&service, e.from), service, ..e.clone() }
}

fn all(current: &[Judged], other: &[Judged]) -> Vec<String> {
    let side = |e: &Option<Judged>| {
        e.as_ref().map_or("-".to_owned(), |e| {
            let minute = |t: uitwijk_model::WallTime| t.micros_since(at(0)) / 60_000_000;
            let to = e.to.map_or("open".to_owned(), |to| minute(to).to_string());
            format!("{} {}..{to} {} {}", e.service, minute(e.from), e.cause, e.execution)
        })
    };
    let line = |d: &Difference| {
        let changed: Vec<&str> = d.changed.iter().map(|c| c.label()).collect();
        format!("{} | {} | {}", side(&d.current), side(&d.other), changed.join(" "))
    };
    differences(current, other, minutes(0, 1000)).iter().map(line).collect()
}

#[test]
fn what_is_alike_is_no_difference_whatever_it_is_called() {
    let mut renamed = episode(10, 20, Cause::RegionDown);
    renamed.episode = EpisodeId("exchange/another-start".to_owned());
    assert_eq!(all(&[episode(10, 20, Cause::RegionDown)], &[renamed]), [""; 0]);
}

#[test]
fn episodes_belong_together_by_the_time_they_share() {
    let current = [
        episode(10, 40, Cause::RegionDown),
        episode(60, 70, Cause::Transient),
        of("portal", &episode(10, 40, Cause::RegionDown)),
    ];
    let other = [
        // Two that overlap the first: the longer is its partner.
        episode(5, 15, Cause::Transient),
        episode(15, 40, Cause::GlobalFault),
        // At the time of a transient that the policy in force has alone, but of another service.
        of("portal", &episode(60, 70, Cause::Transient)),
    ];
    assert_eq!(
        all(&current, &other),
        [
            "- | exchange 5..15 transient none | ",
            "exchange 10..40 region_down missed | exchange 15..40 global_fault none | need cause execution bounds",
            "exchange 60..70 transient none | - | ",
            "portal 10..40 region_down missed | - | ",
            "- | portal 60..70 transient none | ",
        ]
    );
}

#[test]
fn an_open_episode_and_one_that_ended_differ_in_bounds() {
    let open = Judged { to: None, ..episode(10, 20, Cause::RegionDown) };
    let executed = Judged { execution: Execution::Executed, ..open.clone() };
    assert_eq!(
        all(std::slice::from_ref(&open), &[episode(10, 20, Cause::RegionDown)]),
        ["exchange 10..open region_down missed | exchange 10..20 region_down missed | bounds"]
    );
    assert_eq!(
        all(&[open], &[executed]),
        ["exchange 10..open region_down missed | exchange 10..open region_down executed | execution"]
    );
}

#[test]
fn a_switch_inside_a_drill_is_not_unnecessary_under_either_policy() {
    let moved = |from| Judged { execution: Execution::Unnecessary, ..episode(from, from + 2, Cause::Healthy) };
    let drill = Said { service: ServiceId::new("exchange").unwrap(), from: at(50), to: Some(at(60)), need: None };
    let elsewhere = Said { service: ServiceId::new("portal").unwrap(), ..drill.clone() };
    for (labels, expected) in [(vec![], 2), (vec![drill], 1), (vec![elsewhere], 2)] {
        let episodes = [moved(20), moved(58)];
        let compared = Compared { current: &episodes, other: &episodes[1..], labels: &labels };
        let found = compare(compared, minutes(0, 100), &|_| Some(minutes(0, 100)));
        assert_eq!((found.current.unnecessary.episodes, found.other.unnecessary.episodes), (expected, expected - 1));
    }
}

#[test]
fn what_is_beyond_the_limit_is_counted() {
    let many: Vec<Judged> =
        (0..).map(|i| episode(i * 2, i * 2 + 1, Cause::Transient)).take(DIFFERENCES_MAX + 3).collect();
    let stretch = minutes(0, 1_000_000);
    let found = compare(Compared { current: &many, other: &[], labels: &[] }, stretch, &|_| Some(stretch));
    assert_eq!((found.differences.len(), found.omitted), (DIFFERENCES_MAX, 3));
    assert_eq!(found.current.all, Amount { episodes: 10_003, ms: 10_003 * 60_000 });
    assert_eq!(found.current_confusion.0.len(), 0);
}
