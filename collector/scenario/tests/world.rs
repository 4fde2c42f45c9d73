//! Does the world play what a scenario says, and nothing else?

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use uitwijk_replay::{Record, RecordKind, Word, write_record};
use uitwijk_scenario::format::START;
use uitwijk_scenario::{Scenario, plan, read_text, simulate};

fn scenario(keys: &str) -> Scenario {
    let text = format!(r#"{{"id":"a","duration_s":600,"active_region":"NL"{keys}}}"#).replace('\n', " ");
    read_text(&text).unwrap().remove(0)
}

/// A scenario with one fault from 100 s to 400 s.
fn fault(scope: &str, kind: &str, params: &str) -> Scenario {
    scenario(&format!(
        r#","faults":[{{"from_s":100,"to_s":400,"scope":{{{scope}}},"effect":{{"kind":"{kind}","params":{{{params}}}}}}}]"#
    ))
}

/// Seconds since the start.
fn second(r: &Record) -> i64 {
    (r.scheduled.as_millis() - START.as_millis()).div_euclid(1000)
}

fn failed(r: &Record) -> bool {
    !matches!(r.outcome, Word::Ok | Word::Slow)
}

/// Of the records inside the fault (away from its edges) that `of` picks: how many, and how many have the outcome.
fn share(records: &[Record], of: impl Fn(&Record) -> bool, is: impl Fn(&Record) -> bool) -> (usize, usize) {
    let inside: Vec<&Record> = records.iter().filter(|r| (150..390).contains(&second(r)) && of(r)).collect();
    (inside.len(), inside.iter().filter(|r| is(r)).count())
}

fn all_are((n, hit): (usize, usize)) -> bool {
    n > 0 && hit == n
}

/// None but those that fail by themselves.
fn none_is((n, hit): (usize, usize)) -> bool {
    n > 0 && hit * 100 <= n + 200
}

fn at(target: &str) -> impl Fn(&Record) -> bool {
    move |r| r.watched.target.as_str().contains(target)
}

#[test]
fn equal_seeds_give_equal_bytes_and_others_do_not() {
    let s = fault(r#""target_region":"NL""#, "loss", r#""p":0.3"#);
    let bytes = |seed| {
        let mut out = Vec::new();
        for r in simulate(&s, seed) {
            write_record(&mut out, &r).unwrap();
        }
        out
    };
    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2));
}

#[test]
fn a_stream_is_sorted_by_arrival_and_numbered_without_gaps() {
    let records = simulate(&scenario(""), 1);
    assert_eq!(records.len(), 60 * 6 * 10);
    assert!(records.is_sorted_by_key(|r| r.arrived));
    let mut numbers: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for r in &records {
        numbers.entry(r.watcher.agent.as_str()).or_default().insert(r.sequence);
        assert!(r.arrived > r.sent && r.sent >= r.scheduled);
    }
    assert_eq!(numbers.len(), 6);
    assert!(numbers.values().all(|n| n.len() == 600 && n.first() == Some(&1) && n.last() == Some(&600)));
}

#[test]
fn records_name_what_the_plan_names() {
    let s = scenario("");
    let plan = plan(&s);
    let targets: BTreeSet<String> = plan.targets().iter().map(|t| t.id.to_string()).collect();
    let seen: BTreeSet<String> = simulate(&s, 3).iter().map(|r| r.watched.target.to_string()).collect();
    assert_eq!(seen, targets);
}

#[test]
fn down_and_refused_are_without_answer() {
    let records = simulate(&fault(r#""target_region":"NL""#, "down", ""), 1);
    assert!(all_are(share(&records, at("@NL"), |r| r.outcome == Word::Timeout && r.served.is_none())));
    assert!(all_are(share(&records, at("@public"), |r| r.total.unwrap().as_millis() == 8000)));
    assert!(none_is(share(&records, at("@IE"), failed)));
    let records = simulate(&fault(r#""target_region":"NL","service":"portal""#, "down", r#""mode":"refused""#), 1);
    assert!(all_are(share(&records, at("portal/default@NL"), |r| r.outcome == Word::ConnRefused)));
    assert!(none_is(share(&records, at("exchange"), failed)));
}

#[test]
fn a_share_of_the_requests_fails() {
    let records = simulate(&fault(r#""target_region":"ALL""#, "error", r#""rate":0.4,"status":504"#), 1);
    let (n, hit) = share(&records, at("default@"), |r| r.http_status == Some(504) && r.served.is_some());
    assert!((35..45).contains(&(hit * 100 / n)), "{hit} of {n}");
    assert!(none_is(share(&records, at("control:"), failed)));
}

#[test]
fn names_certificates_and_contents_can_be_wrong() {
    for (kind, word, phases) in
        [("dns", Word::Dns, 0), ("tls_expired", Word::Tls, 2), ("wrong_body", Word::WrongBody, 5)]
    {
        let records = simulate(&fault(r#""service":"exchange""#, kind, ""), 1);
        let reached = |r: &Record| {
            let p = r.phases;
            [p.dns, p.connect, p.tls, p.ttfb, p.body].into_iter().flatten().count()
        };
        let of_service = |r: &Record| r.watched.kind != RecordKind::Chain && at("exchange/")(r);
        assert!(all_are(share(&records, of_service, |r| failed(r) && (r.outcome != word || reached(r) == phases))));
        let (n, hit) = share(&records, of_service, |r| r.outcome == word);
        assert!(hit * 100 > n * 95, "{kind} {hit} of {n}");
        assert!(none_is(share(&records, at("portal/"), failed)));
        assert!(none_is(share(&records, at("chain:"), failed)));
    }
}

#[test]
fn slow_answers_are_slow_by_the_objective_of_the_service_and_end_in_a_timeout() {
    let records = simulate(&fault(r#""target_region":"NL""#, "slow", r#""add_ms":2000"#), 1);
    assert!(all_are(share(&records, at("exchange/default@NL"), |r| r.outcome == Word::Slow || failed(r))));
    assert!(none_is(share(&records, at("portal/default@NL"), |r| r.outcome == Word::Slow)));
    let records = simulate(&fault(r#""target_region":"NL""#, "slow", r#""add_ms":9000"#), 1);
    assert!(all_are(share(&records, at("@NL"), |r| r.outcome == Word::Timeout || failed(r))));
}

#[test]
fn loss_delays_as_many_as_it_loses() {
    let records = simulate(&fault(r#""target_region":"IE""#, "loss", r#""p":0.2"#), 1);
    let (n, lost) = share(&records, at("@IE"), |r| r.outcome == Word::Timeout);
    let late = share(&records, at("@IE"), |r| r.phases.connect.is_some_and(|c| c.as_millis() >= 1000)).1;
    assert!((16..24).contains(&(lost * 100 / n)) && (16..24).contains(&(late * 100 / n)), "{lost} {late} of {n}");
}

#[test]
fn a_zone_is_taken_out_and_returns_unless_it_is_not_drained() {
    let zone = |drain: &str| simulate(&fault(r#""target_region":"NL","target_zones":[2]"#, "down", drain), 1);
    let hits = |records: &[Record], from: i64, to: i64| {
        records.iter().filter(|r| (from..to).contains(&second(r)) && at("@NL")(r) && failed(r)).count()
    };
    let in_two = |records: &[Record], from: i64, to: i64| {
        let two = |r: &&Record| {
            r.served.as_ref().is_some_and(|s| s.zone.as_ref().unwrap().as_str() == "2" && s.region.as_str() == "NL")
        };
        records.iter().filter(|r| (from..to).contains(&second(r))).filter(two).count()
    };
    let records = zone("");
    assert!(hits(&records, 100, 130) > 5 && hits(&records, 131, 400) < 5);
    assert_eq!(in_two(&records, 100, 415), 0);
    assert!(in_two(&records, 416, 450) > 5);
    assert!(hits(&zone(r#""drain":false"#), 131, 400) > 50);
    assert!(hits(&zone(r#""drain_s":120"#), 131, 220) > 15);
    // A third of the answers is not enough to be taken out.
    let some = simulate(&fault(r#""target_region":"NL","target_zones":[2]"#, "error", r#""rate":0.3"#), 1);
    assert!(in_two(&some, 200, 400) > 50);
}

#[test]
fn clients_follow_a_failover_each_at_its_own_moment() {
    let s = scenario(r#","actual_failovers":[{"at_s":200,"from":"NL","to":"IE","ttl_s":100}]"#);
    let records = simulate(&s, 1);
    let mut follows = BTreeMap::new();
    for r in records.iter().filter(|r| r.watched.kind == RecordKind::Global) {
        if r.served.as_ref().is_some_and(|p| p.region.as_str() == "IE") {
            let first: &mut i64 = follows.entry(r.watcher.agent.to_string()).or_insert(second(r));
            *first = (*first).min(second(r));
        }
    }
    assert_eq!(follows.len(), 6);
    assert!(follows.values().all(|at| (200..312).contains(at)), "{follows:?}");
    assert!(follows.values().collect::<BTreeSet<_>>().len() > 4);
}

#[test]
fn the_public_name_and_the_direct_names_fail_apart() {
    let entry = simulate(&fault(r#""global":true"#, "down", ""), 1);
    assert!(all_are(share(&entry, at("@public"), failed)) && none_is(share(&entry, at("@NL"), failed)));
    let direct = simulate(&fault(r#""target_region":"NL","regional":true"#, "down", ""), 1);
    assert!(all_are(share(&direct, at("@NL"), failed)) && none_is(share(&direct, at("@public"), failed)));
    let left = simulate(&fault(r#""target_region":"IE","global":true"#, "down", ""), 1);
    assert!(none_is(share(&left, at("@"), failed)), "nobody is served from IE");
}

#[test]
fn a_partner_drags_down_those_that_depend_on_it() {
    let s = fault(r#""chain_partner":"idp""#, "error", r#""service_impact":0.5"#);
    let records = simulate(&s, 1);
    assert!(all_are(share(&records, at("chain:idp"), failed)));
    let (n, hit) = share(&records, at("exchange/"), |r| r.http_status == Some(502));
    assert!((45..55).contains(&(hit * 100 / n)), "{hit} of {n}");
    assert!(none_is(share(&records, at("portal/"), failed)) && none_is(share(&records, at("control:"), failed)));
}

#[test]
fn controls_fail_by_name() {
    let one = simulate(&fault(r#""control":["ctl-b"]"#, "down", ""), 1);
    assert!(all_are(share(&one, at("control:ctl-b"), failed)) && none_is(share(&one, at("control:ctl-a"), failed)));
    let all = simulate(&fault(r#""control":true"#, "down", ""), 1);
    assert!(all_are(share(&all, at("control:"), failed)) && none_is(share(&all, at("default@"), failed)));
}

#[test]
fn what_befalls_an_agent_befalls_nobody_else() {
    let records = simulate(&fault(r#""vantage_region":"IE","vantage_zones":[2]"#, "partition", ""), 1);
    let sick = |r: &Record| r.watcher.agent.as_str() == "ie-2";
    assert!(all_are(share(&records, sick, |r| r.outcome == Word::Timeout || r.outcome == Word::Http5xx)));
    assert!(none_is(share(&records, |r| !sick(r), failed)));
    let path = simulate(&fault(r#""vantage_region":"IE","target_region":"NL""#, "down", ""), 1);
    let from = |region: &'static str| move |r: &Record| r.watcher.vantage.as_ref().unwrap().region.as_str() == region;
    assert!(all_are(share(&path, |r| from("IE")(r) && at("@NL")(r), failed)));
    assert!(none_is(share(&path, |r| from("NL")(r) && at("@NL")(r), failed)));
}

#[test]
fn records_that_were_kept_come_in_order_after_the_end() {
    let scope = r#""vantage_region":"NL","vantage_zones":[1],"path":"vantage->collector""#;
    let records = simulate(&fault(scope, "partition", r#""replay_spread_s":30"#), 1);
    assert_eq!(records.len(), 3600);
    let sent = |r: &Record| (r.sent.as_millis() - START.as_millis()) / 1000;
    let kept: Vec<&Record> =
        records.iter().filter(|r| r.watcher.agent.as_str() == "nl-1" && (100..400).contains(&sent(r))).collect();
    assert!(kept.iter().all(|r| (400_000..=430_000).contains(&(r.arrived.as_millis() - START.as_millis()))));
    let in_order = |w: &[&Record]| w[0].arrived == w[1].arrived || w[0].sent < w[1].sent;
    assert!(kept.windows(2).all(in_order) && kept.len() > 250);
    let lost = simulate(&fault(scope, "partition", r#""replay":false"#), 1);
    assert_eq!(lost.len(), 3600 - kept.len());
    assert_eq!(lost.iter().filter(|r| r.watcher.agent.as_str() == "nl-1").map(|r| r.sequence).max(), Some(600));
}

#[test]
fn records_can_be_late_and_double() {
    let late = simulate(&fault(r#""path":"vantage->collector""#, "delay", r#""add_s":20,"jitter_s":5"#), 1);
    let lag = |r: &Record| r.arrived.as_millis() - r.sent.as_millis();
    assert!(all_are(share(&late, at(""), |r| (20_150..25_700).contains(&lag(r)))));
    assert!(late.is_sorted_by_key(|r| r.arrived));
    let twice = r#""copies":2,"every_s":5,"p":0.5"#;
    let double = simulate(&fault(r#""path":"vantage->collector""#, "duplicate", twice), 1);
    let mut seen: BTreeMap<(String, u64), usize> = BTreeMap::new();
    for r in double.iter().filter(|r| (110..390).contains(&second(r))) {
        *seen.entry((r.watcher.agent.to_string(), r.sequence)).or_default() += 1;
    }
    assert!(seen.values().all(|n| *n == 1 || *n == 3));
    let some = seen.values().filter(|n| **n == 3).count() * 100 / seen.len();
    assert!((45..55).contains(&some), "{some}");
}

#[test]
fn a_clock_is_ahead_and_an_agent_rests() {
    let ahead =
        simulate(&fault(r#""vantage_region":"NL","vantage_zones":[3],"path":"agent""#, "skew", r#""offset_s":65"#), 1);
    let mine = |r: &Record| r.watcher.agent.as_str() == "nl-3";
    let skewed = ahead.iter().filter(|r| mine(r) && r.sent > r.arrived).count();
    assert_eq!(skewed, 300);
    assert!(ahead.iter().filter(|r| !mine(r)).all(|r| r.sent < r.arrived));
    let rests = simulate(&fault(r#""vantage_region":"NL","vantage_zones":[3],"path":"agent""#, "down", ""), 1);
    let numbers: Vec<(u64, i64)> = rests.iter().filter(|r| mine(r)).map(|r| (r.sequence, second(r))).collect();
    assert_eq!(numbers.len(), 300);
    assert!(numbers.iter().all(|(_, at)| !(100..400).contains(at)));
    assert_eq!(numbers.iter().map(|(n, _)| n).max(), Some(&300));
}

#[test]
fn a_ramp_grows_and_a_cycle_comes_and_goes() {
    let ramp = simulate(&fault(r#""target_region":"NL""#, "error", r#""ramp":true"#), 1);
    let hits = |records: &[Record], from: i64, to: i64| {
        records.iter().filter(|r| (from..to).contains(&second(r)) && at("@NL")(r) && failed(r)).count()
    };
    let third = [hits(&ramp, 100, 200), hits(&ramp, 200, 300), hits(&ramp, 300, 400)];
    assert!(third[0] < third[1] && third[1] < third[2] && third[0] > 5, "{third:?}");
    let cycle = simulate(&fault(r#""target_region":"NL""#, "error", r#""cycle":{"on_s":50,"off_s":50}"#), 1);
    assert!(hits(&cycle, 100, 150) > 50 && hits(&cycle, 150, 200) < 5 && hits(&cycle, 200, 250) > 50);
}

#[test]
fn a_longer_fault_changes_nothing_but_itself() {
    let short = fault(r#""target_region":"NL""#, "down", r#""rate":0.5"#);
    let mut long = short.clone();
    long.faults[0].to = long.faults[0].to.max(uitwijk_model::Millis(500_000));
    let key = |r: &Record| (r.watcher.agent.to_string(), r.sequence);
    let before: BTreeMap<_, _> = simulate(&short, 5).into_iter().map(|r| (key(&r), r)).collect();
    let other = simulate(&long, 5).into_iter().filter(|r| !(400..500).contains(&second(r)));
    assert!(other.into_iter().all(|r| before[&key(&r)] == r));
}
