//! Is the scoring what its description says?

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use uitwijk_judge::{Cause, Execution};
use uitwijk_model::{Millis, PolicyOverrides};
use uitwijk_replay::Track;
use uitwijk_scenario::score::{By, Contestant, Said, score_world, verdict_on};
use uitwijk_scenario::{Scenario, plan, read_text};

/// An hour with one interval from 600 s to 1800 s, tolerance 200 s: a thousand judged seconds.
fn labelled(label: &str, more: &str) -> Scenario {
    let text = format!(
        r#"{{"id":"a","duration_s":3600,"active_region":"NL","expect":[{{"from_s":600,"to_s":1800,"tolerance_s":200,{label}{more}}}]}}"#
    );
    read_text(&text).unwrap().remove(0)
}

const DOWN: &str = r#""need":"NEEDED","cause":"region_down","executed":"missed""#;
const HEALTHY: &str = r#""need":"NOT_NEEDED","cause":"healthy","executed":"none""#;

/// `600 healthy, 100 region_down executed, ...`: seconds, cause, and execution where it is not none.
fn said(s: &Scenario, text: &str) -> Vec<Said> {
    let mut at = 0;
    let one = |stretch: &str| {
        let mut words = stretch.split_whitespace();
        let seconds: u64 = words.next().unwrap().parse().unwrap();
        let name = words.next().unwrap();
        let cause = *Cause::ALL.iter().find(|c| c.label() == name).unwrap();
        let executed =
            words.next().map_or(Execution::None, |word| *Execution::ALL.iter().find(|e| e.label() == word).unwrap());
        let (from, to) = (s.at(Millis::from_secs(at)), s.at(Millis::from_secs(at + seconds)));
        at += seconds;
        Said { from, to, need: cause.need(), cause, executed }
    };
    text.split(", ").map(one).collect()
}

fn wrong(s: &Scenario, text: &str, track: Track, by: By) -> String {
    verdict_on(s, &s.expect[0], &said(s, text), track, by).err().map_or_else(String::new, |m| m.to_string())
}

#[test]
fn the_need_must_hold_for_95_percent_after_the_tolerance() {
    let s = labelled(DOWN, "");
    let check = |text: &str, mistake: &str| assert_eq!(wrong(&s, text, Track::Live, By::Verdict), mistake, "{text}");
    check("800 healthy, 2800 region_down", "");
    check("850 healthy, 2750 region_down", "");
    check("860 healthy, 2740 region_down", "NOT_NEEDED 60 s, NEEDED 940 s");
    check("800 healthy, 1000 region_down, 1800 healthy", "");
    check("800 healthy, 1000 global_fault, 1800 healthy", "FUTILE 1000 s");
    // What nobody spoke about has no need.
    check("800 healthy, 940 region_down", "NEEDED 940 s");
}

#[test]
fn most_of_the_time_that_is_not_healthy_has_the_cause() {
    let s = labelled(r#""need":"NOT_NEEDED","cause":"path_fault","executed":"none""#, "");
    let check = |text: &str, mistake: &str| assert_eq!(wrong(&s, text, Track::Live, By::Verdict), mistake, "{text}");
    check("800 healthy, 100 path_fault, 2700 healthy", "");
    check("800 healthy, 400 path_fault, 390 vantage_fault, 2010 healthy", "");
    check(
        "800 healthy, 390 path_fault, 400 vantage_fault, 2010 healthy",
        "cause vantage_fault (healthy 210 s, vantage_fault 400 s, path_fault 390 s)",
    );
    check("3600 healthy", "cause healthy (healthy 1000 s)");
}

#[test]
fn short_stretches_of_a_cause_are_not_counted() {
    let s = labelled(HEALTHY, "");
    let check = |text: &str, mistake: &str| assert_eq!(wrong(&s, text, Track::Live, By::Verdict), mistake, "{text}");
    check("900 healthy, 30 transient, 500 healthy, 30 transient, 2140 healthy", "");
    check("900 healthy, 40 transient, 2660 healthy", "cause transient (healthy 960 s, transient 40 s)");
    // A tenth of the judged time counts however short it is.
    let text = r#"{"id":"a","duration_s":900,"active_region":"NL","expect":[{"from_s":0,"to_s":300,"need":"NOT_NEEDED","cause":"healthy","executed":"none"}]}"#;
    let s = read_text(text).unwrap().remove(0);
    assert_eq!(
        wrong(&s, "30 transient, 870 healthy", Track::Live, By::Verdict),
        "cause transient (healthy 270 s, transient 30 s)"
    );
    assert_eq!(wrong(&s, "20 transient, 880 healthy", Track::Live, By::Verdict), "");
}

#[test]
fn execution_is_asked_for_in_the_final_track_only() {
    let s = labelled(DOWN, "");
    let text = "800 healthy, 1000 region_down, 1800 healthy";
    assert_eq!(wrong(&s, text, Track::Live, By::Verdict), "");
    assert_eq!(wrong(&s, text, Track::Final, By::Verdict), "executed none");
    assert_eq!(wrong(&s, "800 healthy, 1000 region_down missed, 1800 healthy", Track::Final, By::Verdict), "");
    // Also where it lies in the tolerance.
    assert_eq!(wrong(&s, "600 healthy, 200 region_down missed, 2800 region_down", Track::Final, By::Verdict), "");
}

#[test]
fn a_verdict_that_is_accepted_fits_as_a_whole() {
    let s = labelled(
        DOWN,
        r#","accept":[{"need":"FUTILE","cause":"global_fault","executed":"none"}],"live_accept":["INCONCLUSIVE"]"#,
    );
    let text = "800 healthy, 2800 global_fault";
    assert_eq!(wrong(&s, text, Track::Final, By::Verdict), "");
    assert_eq!(
        wrong(&s, "800 healthy, 2800 front_door", Track::Final, By::Verdict),
        "cause front_door (front_door 1000 s)"
    );
    assert_eq!(wrong(&s, "800 healthy, 2800 front_door", Track::Final, By::Need), "");
    // Half of one and half of the other is neither.
    let half = "800 healthy, 500 global_fault, 2300 region_down";
    assert_eq!(wrong(&s, half, Track::Final, By::Verdict), "NEEDED 500 s, FUTILE 500 s");
    let unsure = "800 healthy, 2800 insufficient_evidence";
    assert_eq!(wrong(&s, unsure, Track::Live, By::Verdict), "");
    assert_eq!(wrong(&s, unsure, Track::Final, By::Verdict), "INCONCLUSIVE 1000 s");
}

#[test]
fn a_played_outage_is_scored_for_everybody() {
    let text = r#"{"id":"a","duration_s":2400,"active_region":"NL","faults":[{"from_s":600,"to_s":1800,"scope":{"target_region":"NL"},"effect":{"kind":"down"}}],"expect":[{"from_s":0,"to_s":600,"need":"NOT_NEEDED","cause":"healthy","executed":"none"},{"from_s":600,"to_s":1800,"tolerance_s":300,"need":"NEEDED","cause":"region_down","executed":"missed"},{"from_s":1800,"to_s":2400,"tolerance_s":240,"need":"NOT_NEEDED","cause":"healthy","executed":"none"}]}"#;
    let s = read_text(text).unwrap().remove(0);
    let all = Contestant::all(&plan(&s));
    let contest = score_world(&s, 1, &all, &PolicyOverrides::default());
    assert_eq!(contest.tallies.len(), 2 * all.len());
    let tally = |name: &str, track| {
        let found = contest.tallies.iter().find(|((who, t), _)| who.to_string() == name && *t == track);
        found.map(|(_, tally)| tally).unwrap()
    };
    for track in [Track::Live, Track::Final] {
        for name in ["uitwijk", "uitwijk, by need", "majority", "route53"] {
            let t = tally(name, track);
            assert_eq!((t.intervals, t.right, t.false_needed_us, t.missed_us), (3, 3, 0, 0), "{name} {track:?}");
            assert_eq!((t.quiet, t.quiet_needed, t.needed, t.needed_unsaid, t.changes), (2, 0, 1, 0, 0), "{name}");
        }
        let never = tally("never", track);
        assert_eq!((never.right, never.needed, never.needed_unsaid, never.missed_us), (2, 1, 1, 900_000_000));
    }
    // A hard fault must last three minutes; the judge waits for the slot and the grace.
    for name in ["uitwijk", "uitwijk, by need"] {
        assert_eq!(tally(name, Track::Live).delays.median(), Some(200), "{name}");
    }
    assert_eq!(tally("never", Track::Live).delays.median(), None);
    let majority = tally("majority", Track::Live).delays.median().unwrap();
    assert!((10..=60).contains(&majority), "{majority}");
    assert!(contest.wrong.iter().any(|(who, _, w)| who.to_string() == "never" && w.from_s == 600));
}

#[test]
fn a_policy_to_try_changes_the_judge_and_nobody_else() {
    let text = r#"{"id":"a","duration_s":2400,"active_region":"NL","faults":[{"from_s":600,"to_s":1800,"scope":{"target_region":"NL"},"effect":{"kind":"down"}}],"expect":[{"from_s":600,"to_s":1800,"tolerance_s":300,"need":"NEEDED","cause":"region_down","executed":"missed"}]}"#;
    let s = read_text(text).unwrap().remove(0);
    let who = [Contestant::JudgeByNeed, Contestant::Peer("edge-3of4".parse().unwrap())];
    let delays = |policy: &str| {
        let contest = score_world(&s, 1, &who, &serde_json::from_str(policy).unwrap());
        who.clone().map(|who| contest.tallies[&(who, Track::Live)].delays.median().unwrap())
    };
    let [[ours, theirs], [quick, still]] = [r"{}", r#"{"hard_duration":"60s","grace":"5s"}"#].map(delays);
    assert_eq!((ours, quick), (200, 65), "180 s and the grace of 20 s, 60 s and 5 s");
    assert_eq!(theirs, still);
}

#[test]
fn hours_of_peers_are_adjacent_and_equal_every_time() {
    let text = r#"{"id":"a","duration_s":1200,"active_region":"NL","expect":[{"from_s":0,"to_s":1200,"need":"NOT_NEEDED","cause":"healthy","executed":"none"}]}"#;
    let s = read_text(text).unwrap().remove(0);
    let all = Contestant::all(&plan(&s));
    let score = || score_world(&s, 7, &all, &PolicyOverrides::default());
    assert_eq!(score(), score());
}
