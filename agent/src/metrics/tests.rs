//! What a scrape shows.

use prometheus_client::encoding::text::encode;
use uitwijk_model::{
    Elapsed, Fault, Measurement, Observer, Outcome, Phases, PlanVersion, Slot, Target, TargetId, Unmeasured, WallTime,
};

use super::AgentMetrics;

fn target(json: &str) -> Target {
    serde_json::from_str(json).unwrap()
}

fn targets() -> Vec<Target> {
    let probe = |kind: &str| {
        format!(r#""probe":{{"kind":{kind},"timeout":"5s","retries":0,"connect":{{}},"tls":{{}},"served":null}}"#)
    };
    let http = r#"{"http":{"url":"https://x/","method":"GET","headers":{},"body":null,"version":"auto",
        "redirects_max":0,"body_bytes_max":1024,"expect":{}}}"#;
    let tcp = r#"{"tcp":{"address":"x:1","send":null,"expect":null}}"#;
    vec![
        target(&format!(
            r#"{{"id":"exchange/default@NL","objective":"1s",{},
                "kind":{{"regional":{{"service":"exchange","endpoint":"default","region":"NL"}}}}}}"#,
            probe(http)
        )),
        target(&format!(
            r#"{{"id":"control:ctl-a","objective":"1s",{},"kind":{{"control":{{"control":"ctl-a"}}}}}}"#,
            probe(tcp)
        )),
    ]
}

fn measurement(target: &str, outcome: Outcome) -> Measurement {
    let us = |us| Some(Elapsed::from_micros(us));
    Measurement {
        target: TargetId::from_wire(target),
        slot: Slot(1),
        attempt: 0,
        scheduled: WallTime::from_millis(0),
        started: WallTime::from_millis(0),
        outcome,
        total: us(12_345),
        phases: Phases { dns: us(1000), connect: us(2000), wait: us(9000), ..Phases::default() },
        http_status: Some(200),
        served: None,
        hops: Vec::new(),
        certificate_expires: Some(WallTime::from_millis(1_772_438_400_000)),
        observer: Observer::default(),
    }
}

fn scrape(metrics: &AgentMetrics) -> String {
    let mut text = String::new();
    encode(&mut text, &metrics.registry()).unwrap();
    // What the process takes from this machine is another matter, and never the same.
    let is_ours = |line: &&str| !line.contains(" process_") && !line.starts_with("process_");
    let mut lines: Vec<&str> = text.lines().filter(is_ours).collect();
    // A family has no order of its own.
    let name = |line: &str| line.split('{').next().map(str::to_owned);
    lines.chunk_by_mut(|a, b| name(a) == name(b)).for_each(<[_]>::sort_unstable);
    lines.join("\n")
}

fn value<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.lines().find(|line| line.starts_with(prefix)).and_then(|line| line.rsplit(' ').next())
}

#[test]
fn a_scrape_has_the_usual_names() {
    let metrics = AgentMetrics::default();
    metrics.board.set_targets(&targets());
    metrics.measured(&measurement("exchange/default@NL", Outcome::Up));
    metrics.measured(&measurement("control:ctl-a", Outcome::Down(Fault::ConnectRefused)));
    metrics.plan(&PlanVersion::new("00ff00ff00ff00ff").unwrap(), 7);
    metrics.certificate_expires(WallTime::from_millis(1_772_438_400_000));
    let collector = metrics.collector("col-nl");
    collector.connected.set(1);
    collector.clock_offset.set(-0.002);
    collector.refused("future", 2);
    collector.lost("expired", 3);
    insta::assert_snapshot!(scrape(&metrics));
}

#[test]
fn an_unmeasured_turn_leaves_no_old_value() {
    let metrics = AgentMetrics::default();
    metrics.board.set_targets(&targets());
    metrics.measured(&measurement("control:ctl-a", Outcome::Up));
    assert_eq!(value(&scrape(&metrics), "probe_success{target=\"control:ctl-a\""), Some("1.0"));
    metrics.measured(&measurement("control:ctl-a", Outcome::Unmeasured(Unmeasured::Overload)));
    assert_eq!(value(&scrape(&metrics), "probe_success{target=\"control:ctl-a\""), None);
}

#[test]
fn a_target_that_left_the_plan_leaves_the_page_and_others_keep_their_value() {
    let metrics = AgentMetrics::default();
    metrics.board.set_targets(&targets());
    metrics.measured(&measurement("control:ctl-a", Outcome::Up));
    metrics.measured(&measurement("exchange/default@NL", Outcome::Up));
    metrics.board.set_targets(&targets()[1..]);
    // An attempt that was still running when its target left.
    metrics.measured(&measurement("exchange/default@NL", Outcome::Up));
    let text = scrape(&metrics);
    assert!(!text.contains("exchange"), "{text}");
    assert_eq!(value(&text, "probe_success{target=\"control:ctl-a\""), Some("1.0"));
}

#[test]
fn only_one_plan_is_shown() {
    let metrics = AgentMetrics::default();
    metrics.plan(&PlanVersion::new("a").unwrap(), 1);
    metrics.plan(&PlanVersion::new("b").unwrap(), 2);
    let text = scrape(&metrics);
    assert_eq!(text.lines().filter(|l| l.starts_with("uitwijk_agent_plan_info{")).count(), 1, "{text}");
}
