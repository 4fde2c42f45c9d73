//! From an outage that seemed missed to the switch that somebody reports afterwards, through the API.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

mod support;

use support::agent::Seen;
use support::fleet::Fleet;
use support::{Home, PLAN, operator, page, viewer};
use tonic::transport::Channel;
use tonic::{Code, Status};
use uitwijk_model::{Clock as _, SystemClock};
use uitwijk_proto::v1;
use uitwijk_proto::v1::backtest_update::Update;
use uitwijk_proto::v1::policies_client::PoliciesClient;
use uitwijk_proto::v1::switches_client::SwitchesClient;
use uitwijk_proto::v1::verdicts_client::VerdictsClient;

const SHADOW: &str = "shadow: { eager: { hard_duration: 60s } }\n";
/// NL is down; users get no answer until they are moved, and no answer after that tells who serves.
const DOWN: u64 = 300;
const MOVED: u64 = 590;

fn world(target: &str, seconds: u64) -> Seen<'static> {
    let region = target.rsplit_once('@').map(|(_, place)| place);
    match region {
        Some("NL") if seconds >= DOWN => Seen::Refused,
        Some("public") if (DOWN..MOVED + 10).contains(&seconds) => Seen::Refused,
        Some("public") if seconds >= DOWN => Seen::Up(None),
        Some("IE") => Seen::Up(Some("IE")),
        Some(_) => Seen::Up(Some("NL")),
        None => Seen::Up(None),
    }
}

fn report(at_us: i64) -> v1::ReportSwitchRequest {
    v1::ReportSwitchRequest {
        service: "exchange".to_owned(),
        from_region: "NL".to_owned(),
        to_region: "IE".to_owned(),
        at_us,
        reason: "NL is dark".to_owned(),
    }
}

/// The verdict on the outage as it was known at a moment, 0 for now, and how many revisions there were.
async fn verdict(fleet: &Fleet, as_of_us: i64) -> (v1::Verdict, usize) {
    let mut client = VerdictsClient::new(fleet.as_(&viewer()).await);
    let episode = format!("exchange/{}", fleet.at(DOWN));
    let found = client.get(v1::GetVerdictRequest { episode, revision: 0, as_of_us }).await.unwrap().into_inner();
    (found.verdict.unwrap(), found.revisions.len())
}

async fn executions(fleet: &Fleet, as_of_us: i64) -> Vec<v1::Execution> {
    let (mut client, service) = (VerdictsClient::new(fleet.as_(&viewer()).await), "exchange".to_owned());
    let request = v1::TimelineRequest { service, from_us: fleet.us(0), to_us: 0, as_of_us };
    let segments = client.timeline(request).await.unwrap().into_inner().segments;
    segments.iter().filter(|s| s.need() == v1::Need::Needed).map(v1::Segment::execution).collect()
}

/// Seconds of needed and of missed time: in force and by another policy.
async fn backtested(fleet: &Fleet, to: u64) -> [(u64, u64); 2] {
    let mut client = PoliciesClient::new(fleet.as_(&viewer()).await);
    let policy_json = r#"{"hard_duration":"120s"}"#.to_owned();
    let request = v1::BacktestRequest { from_us: fleet.us(0), to_us: fleet.us(to), policy_json, ..Default::default() };
    let mut updates = client.backtest(request).await.unwrap().into_inner();
    while let Some(update) = updates.message().await.unwrap() {
        if let Some(Update::Comparison(found)) = update.update {
            return [found.current, found.other].map(|totals| needed_and_missed(&totals.unwrap()));
        }
    }
    panic!("no comparison came")
}

fn needed_and_missed(totals: &v1::Totals) -> (u64, u64) {
    let seconds = |amount: Option<v1::Amount>| amount.unwrap().ms / 1000;
    (seconds(totals.needed), seconds(totals.missed))
}

async fn shadowed(fleet: &Fleet) -> (u64, u64) {
    let mut client = PoliciesClient::new(fleet.as_(&viewer()).await);
    let request = v1::CompareRequest { shadow: "eager".to_owned(), ..Default::default() };
    let compared = client.compare(request).await.unwrap().into_inner();
    needed_and_missed(&compared.comparison.unwrap().other.unwrap())
}

/// Reports the switch when the last slot that was delivered ends at `now`, and looks at everything that follows from it.
async fn reported_late(now: u64, taken: &str) {
    let mut fleet = Fleet::begin(&format!("{PLAN}{SHADOW}"), world).await;
    fleet.run(0, now).await;
    let (before, revisions) = verdict(&fleet, 0).await;
    assert_eq!((before.need(), before.cause()), (v1::Need::Needed, v1::Cause::RegionDown));
    assert_eq!((before.execution(), before.kind()), (v1::Execution::Missed, v1::RevisionKind::Final));
    assert_eq!(shadowed(&fleet).await, (300, 300));

    let mut switches = SwitchesClient::new(fleet.as_(&operator()).await);
    let answer = switches.report(report(fleet.us(MOVED))).await.unwrap().into_inner();
    assert_eq!((answer.known, answer.judged), (false, true));
    let reported = answer.switch.unwrap();
    assert_eq!((reported.author.as_str(), reported.reported_us), ("otto", fleet.us(now)));
    // The judge is asked again when time has passed.
    fleet.run(now, now + 10).await;
    let (after, _) = verdict(&fleet, 0).await;
    assert_eq!((after.execution(), after.kind()), (v1::Execution::Executed, v1::RevisionKind::Revised));
    assert_eq!((after.from_us, after.to_us), (fleet.us(DOWN), Some(fleet.us(MOVED))));
    assert_eq!(after.revision, before.revision + 1);
    assert!(after.explanation.contains("A switch from NL to IE"), "{}", after.explanation);
    assert_eq!(shadowed(&fleet).await, (290, 0));
    let metrics = page(fleet.collector().addresses().admin, "/metrics").await.1;
    let line = format!("uitwijk_collector_judge_switches_total{{taken=\"{taken}\"}} 1");
    assert!(metrics.lines().any(|l| l == line), "no {line} in\n{metrics}");

    // Said again, it changes nothing.
    let again = switches.report(v1::ReportSwitchRequest { reason: "again".to_owned(), ..report(fleet.us(MOVED)) });
    let again = again.await.unwrap().into_inner();
    assert_eq!((again.known, again.switch.as_ref()), (true, Some(&reported)));
    fleet.run(now + 10, now + 30).await;
    assert_eq!(verdict(&fleet, 0).await, (after.clone(), revisions + 1));

    // Nor does a restart.
    fleet.stop().await;
    fleet.connect().await;
    fleet.run(now + 30, now + 90).await;
    assert_eq!(verdict(&fleet, 0).await, (after.clone(), revisions + 1));
    let mut switches = SwitchesClient::new(fleet.as_(&viewer()).await);
    let listed = switches.list(v1::ListSwitchesRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.switches, [reported]);

    // What was known before the report is still what was known.
    assert_eq!(verdict(&fleet, after.decided_us - 1).await, (before, revisions));
    assert_eq!(executions(&fleet, after.decided_us - 1).await, [v1::Execution::Missed]);
    assert_eq!(executions(&fleet, after.decided_us).await, [v1::Execution::Executed]);
    assert_eq!(executions(&fleet, 0).await, [v1::Execution::Executed]);
    // Other policies know of it, too, also after a restart.
    assert_eq!(shadowed(&fleet).await, (290, 0));
    assert_eq!(backtested(&fleet, now).await, [(290, 0), (290, 0)]);
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missed_failover_turns_out_to_be_done() {
    reported_late(1500, "changed").await;
}

/// Long after everything was settled, and forgotten by the judge.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_is_taken_in_also_when_the_judge_has_forgotten_that_time() {
    reported_late(4200, "from_store").await;
}

async fn refused<T>(asking: impl Future<Output = Result<tonic::Response<T>, Status>>) -> String {
    match asking.await {
        Ok(_) => format!("{:?}", Code::Ok),
        Err(status) => format!("{:?}: {}", status.code(), status.message()),
    }
}

#[tokio::test]
async fn whoever_reports_what_cannot_be_is_told_everything_that_is_wrong() {
    let home = Home::new();
    std::fs::write(home.path("plan.yaml"), PLAN.replace("  IE: [1, 2, 3]\n", "  IE: [1, 2, 3]\n  BE: [1]\n")).unwrap();
    // A moment that reads the same in each run, as far as it is told.
    let running = home.start().await;
    let client = |channel: Channel| SwitchesClient::new(channel);
    let now = SystemClock.wall().as_micros();
    let mut viewers = client(home.channel(&running, &viewer()).await);
    let mut lines = vec![refused(viewers.report(report(0))).await];
    let mut switches = client(home.channel(&running, &operator()).await);
    let (from_region, to_region) = ("NL".to_owned(), "NL".to_owned());
    for request in [
        v1::ReportSwitchRequest { service: "nobody".to_owned(), ..report(0) },
        v1::ReportSwitchRequest { from_region, to_region, ..report(0) },
        v1::ReportSwitchRequest { to_region: "BE".to_owned(), ..report(0) },
        v1::ReportSwitchRequest { reason: "x".repeat(1001), ..report(0) },
        report(now + 3_600_000_000),
        report(now - 32 * 86_400_000_000),
        v1::ReportSwitchRequest {
            service: String::new(),
            from_region: "FR".to_owned(),
            to_region: "fr\u{7}".to_owned(),
            reason: "a\u{7}".to_owned(),
            at_us: 1,
        },
    ] {
        lines.push(refused(switches.report(request)).await);
    }
    lines.push(refused(switches.list(v1::ListSwitchesRequest { page_size: 1001, ..Default::default() })).await);
    lines.push(refused(switches.list(v1::ListSwitchesRequest { page_token: "x".into(), ..Default::default() })).await);
    let listed = switches.list(v1::ListSwitchesRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.switches, [], "nothing of it was written");
    insta::with_settings!({filters => vec![(r"20\d\d-\d\d-\d\dT[0-9:.]+Z", "MOMENT")]}, {
        insta::assert_snapshot!(lines.join("\n"));
    });
    running.stop("test").await.unwrap();
}
