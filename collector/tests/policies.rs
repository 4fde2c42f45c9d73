//! From a real outage to what another policy would have said of it: shadows, labels and backtests through the API.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

mod support;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use futures::future::join_all;
use support::agent::{FakeAgent, Seen, attempt};
use support::{HandClock, Home, PLAN, agent, operator, page, viewer};
use tonic::transport::Channel;
use tonic::{Code, Status};
use uitwijk_collector::run::Collector;
use uitwijk_identity::Identity;
use uitwijk_model::{Clock as _, Millis, SlotLength, SystemClock, WallTime};
use uitwijk_proto::v1;
use uitwijk_proto::v1::add_label_request::Subject;
use uitwijk_proto::v1::backtest_update::Update;
use uitwijk_proto::v1::labels_client::LabelsClient;
use uitwijk_proto::v1::policies_client::PoliciesClient;
use uitwijk_proto::v1::verdicts_client::VerdictsClient;

const AGENTS: [&str; 6] = ["nl-1", "nl-2", "nl-3", "ie-1", "ie-2", "ie-3"];
const TARGETS: [&str; 6] = [
    "exchange/default@NL",
    "exchange/default@IE",
    "exchange/default@public",
    "control:ctl-a",
    "control:ctl-b",
    "control:ctl-c",
];
/// NL refuses in these seconds from the start. The second is too short for the policy in force, not for the shadow.
const OUTAGES: [Range<u64>; 2] = [300..600, 1200..1290];
const END: u64 = 1800;
const SHADOW: &str = "shadow: { eager: { hard_duration: 60s } }\n";

/// A fleet whose time is moved by hand.
struct Fleet {
    home: Home,
    clock: Arc<HandClock>,
    start: WallTime,
    collector: Collector,
    agents: BTreeMap<&'static str, FakeAgent>,
}

impl Fleet {
    async fn begin() -> Self {
        let slot = SlotLength::new(Millis::from_secs(10)).unwrap();
        let start = slot.start_of(slot.slot_of(SystemClock.wall()));
        let (home, clock) = (Home::new(), HandClock::at(start));
        std::fs::write(home.path("plan.yaml"), format!("{PLAN}{SHADOW}")).unwrap();
        let collector = home.try_start(&[], clock.clone()).await.unwrap();
        // Shadows begin after the real judge.
        collector.judging().settle().await;
        collector.shadows().settle().await;
        let mut agents = BTreeMap::new();
        for (boot, name) in (1..).zip(AGENTS) {
            let channel = home.channel(&collector, &agent(name)).await;
            agents.insert(name, FakeAgent::connect(channel, boot, 1).await.unwrap());
        }
        Self { home, clock, start, collector, agents }
    }

    fn at(&self, seconds: u64) -> WallTime {
        self.start.plus(Millis::from_secs(seconds))
    }

    fn us(&self, seconds: u64) -> i64 {
        self.at(seconds).as_micros()
    }

    /// Every agent delivers every slot.
    async fn run(&mut self) {
        for seconds in (0..END).step_by(10) {
            let (scheduled, over) = (self.at(seconds), self.at(seconds + 10));
            self.clock.advance_to(over);
            let down = OUTAGES.iter().any(|outage| outage.contains(&seconds));
            let rows: Vec<_> = TARGETS.iter().map(|target| seen(target, scheduled, down)).collect();
            let deliveries = self.agents.values_mut().map(|agent| async {
                agent.deliver(&rows).await.unwrap();
                agent.heartbeat(over).await.unwrap();
            });
            join_all(deliveries).await;
            self.collector.judging().settle().await;
            self.collector.shadows().settle().await;
        }
    }

    async fn as_(&self, who: &Identity) -> Channel {
        self.home.channel(&self.collector, who).await
    }

    /// Judges anew, and compares.
    async fn backtest(&self, policy_json: &str) -> Result<v1::Comparison, Status> {
        let mut client = PoliciesClient::new(self.as_(&viewer()).await);
        let (from_us, to_us) = (self.us(0), self.us(END));
        let request =
            v1::BacktestRequest { from_us, to_us, service: String::new(), policy_json: policy_json.to_owned() };
        let mut updates = client.backtest(request).await?.into_inner();
        while let Some(update) = updates.message().await? {
            if let Some(Update::Comparison(found)) = update.update {
                return Ok(found);
            }
        }
        Err(Status::unknown("no comparison came"))
    }
}

fn seen(target: &str, scheduled: WallTime, nl_is_down: bool) -> uitwijk_model::Measurement {
    let slot = SlotLength::new(Millis::from_secs(10)).unwrap();
    let seen = match target.rsplit_once('@') {
        Some((_, "NL" | "public")) if nl_is_down => Seen::Refused,
        Some((_, "IE")) => Seen::Up(Some("IE")),
        Some(_) => Seen::Up(Some("NL")),
        None => Seen::Up(None),
    };
    attempt(target, slot, scheduled, seen)
}

fn label(subject: Subject, need: v1::Need) -> v1::AddLabelRequest {
    v1::AddLabelRequest {
        subject: Some(subject),
        need: need.into(),
        note: "found out".to_owned(),
        ..Default::default()
    }
}

fn amount(episodes: u64, seconds: u64) -> Option<v1::Amount> {
    Some(v1::Amount { episodes, ms: seconds * 1000 })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_is_held_against_another_against_a_shadow_and_against_what_people_found() {
    let mut fleet = Fleet::begin().await;
    let mut verdicts = VerdictsClient::new(fleet.as_(&viewer()).await);
    let mut watch = verdicts.watch(v1::WatchVerdictsRequest::default()).await.unwrap().into_inner();
    fleet.run().await;

    // Under a patient policy the need of the first outage vanishes.
    let found = fleet.backtest(r#"{"hard_duration":"600s","soft_duration":"600s"}"#).await.unwrap();
    let (current, other) = (found.current.unwrap(), found.other.unwrap());
    assert_eq!((current.needed, current.missed), (amount(1, 300), amount(1, 300)));
    assert_eq!((other.needed, other.missed), (amount(0, 0), amount(0, 0)));
    assert_eq!(found.measurements, END / 10 * 36);
    let of_it = found.differences.iter().find(|d| d.changed.contains(&"need".to_owned())).unwrap();
    let needs = (of_it.current.as_ref().unwrap().need(), of_it.other.as_ref().unwrap().need());
    assert_eq!(needs, (v1::Need::Needed, v1::Need::NotNeeded));
    assert_eq!(found.confusion, []);

    // A label says which of the two was right.
    let mut labels = LabelsClient::new(fleet.as_(&operator()).await);
    let episode = of_it.current.as_ref().unwrap().episode.clone();
    let first = labels.add(label(Subject::Episode(episode.clone()), v1::Need::Futile)).await.unwrap();
    assert_eq!(first.into_inner().label.unwrap().author, "otto");
    let second = labels.add(label(Subject::Episode(episode.clone()), v1::Need::Needed)).await.unwrap();
    let second = second.into_inner().label.unwrap();
    assert_eq!((second.from_us, second.to_us), (fleet.us(300), Some(fleet.us(600))));
    let drill = v1::Drill { service: "exchange".to_owned(), from_us: fleet.us(1500), to_us: fleet.us(1560) };
    labels.add(v1::AddLabelRequest { need: 0, ..label(Subject::Drill(drill), v1::Need::Unspecified) }).await.unwrap();
    let listed = labels.list(v1::ListLabelsRequest::default()).await.unwrap().into_inner().labels;
    assert_eq!(
        listed.iter().map(|l| (l.drill, l.counts)).collect::<Vec<_>>(),
        [(true, true), (false, false), (false, true)]
    );
    let found = fleet.backtest(r#"{"hard_duration":"600s","soft_duration":"600s"}"#).await.unwrap();
    let cells = |row: &v1::ConfusionRow| row.cells.iter().map(|c| (c.judged(), c.current, c.other)).collect::<Vec<_>>();
    let needed = found.confusion.iter().find(|row| row.label() == v1::Need::Needed).unwrap();
    let none = amount(0, 0);
    assert_eq!(cells(needed), [(v1::Need::NotNeeded, none, amount(1, 300)), (v1::Need::Needed, amount(1, 300), none)]);
    let drills = found.confusion.iter().find(|row| row.drill).unwrap();
    assert_eq!(cells(drills), [(v1::Need::NotNeeded, amount(1, 60), amount(1, 60))]);

    // The shadow, judged live, saw a need in the second outage, too.
    let mut policies = PoliciesClient::new(fleet.as_(&viewer()).await);
    let request = v1::CompareRequest { shadow: "eager".to_owned(), ..v1::CompareRequest::default() };
    let compared = policies.compare(request).await.unwrap().into_inner();
    assert_eq!(compared.since_us, fleet.us(0));
    let found = compared.comparison.unwrap();
    assert_eq!((found.current.unwrap().needed, found.other.unwrap().needed), (amount(1, 300), amount(2, 390)));
    let extra = found.differences.iter().find(|d| d.other.as_ref().is_some_and(|o| o.from_us == fleet.us(1200)));
    assert_eq!(extra.unwrap().other.as_ref().unwrap().need(), v1::Need::Needed);

    // Nobody who watches, lists or scrapes hears of it.
    let all = v1::ListVerdictsRequest { all: true, ..v1::ListVerdictsRequest::default() };
    let listed = verdicts.list(all).await.unwrap().into_inner().verdicts;
    assert_eq!(listed.iter().filter(|v| v.need() == v1::Need::Needed).count(), 1);
    let metrics = page(fleet.collector.addresses().admin, "/metrics").await.1;
    let needed = |line: &&str| line.starts_with("uitwijk_collector_verdicts_total{need=\"needed\"");
    assert!(metrics.lines().any(|l| l == "uitwijk_collector_episodes_open{service=\"exchange\"} 0"), "{metrics}");
    assert!(metrics.lines().any(|l| l.starts_with("uitwijk_collector_shadow_bytes{shadow=\"eager\"}")), "{metrics}");
    assert!(metrics.lines().filter(needed).count() > 0);
    fleet.collector.stop("test").await.unwrap();
    let mut heard = 0;
    while let Ok(Some(verdict)) = watch.message().await {
        assert!(verdict.need() != v1::Need::Needed || verdict.from_us == fleet.start.as_micros() + 300_000_000);
        heard += 1;
    }
    assert!(heard > 0);
}

async fn refused<T>(asking: impl Future<Output = Result<tonic::Response<T>, Status>>) -> (Code, String) {
    match asking.await {
        Ok(_) => (Code::Ok, String::new()),
        Err(status) => (status.code(), status.message().to_owned()),
    }
}

#[tokio::test]
async fn whoever_asks_for_what_cannot_be_is_told_why() {
    let home = Home::new();
    std::fs::write(home.path("plan.yaml"), format!("{PLAN}{SHADOW}")).unwrap();
    let running = home.start().await;
    let by = async |who: &Identity| home.channel(&running, who).await;
    let mut lines = Vec::new();

    let drill = |from_us, to_us| Subject::Drill(v1::Drill { service: "exchange".to_owned(), from_us, to_us });
    let mut viewers = LabelsClient::new(by(&viewer()).await);
    lines.push(refused(viewers.add(label(drill(1, 2), v1::Need::Unspecified))).await);
    let mut labels = LabelsClient::new(by(&operator()).await);
    let wrong_cause = v1::AddLabelRequest {
        cause: v1::Cause::FrontDoor.into(),
        ..label(Subject::Episode("exchange/x".to_owned()), v1::Need::Needed)
    };
    let control = v1::AddLabelRequest { note: "a\u{7}".to_owned(), ..label(drill(1, 2), v1::Need::Unspecified) };
    let nobody = v1::Drill { service: "nobody".to_owned(), from_us: 1, to_us: 2 };
    for request in [
        label(Subject::Episode("exchange/never".to_owned()), v1::Need::Needed),
        label(Subject::Episode("exchange/never".to_owned()), v1::Need::Unspecified),
        v1::AddLabelRequest { need: 77, ..label(drill(1, 2), v1::Need::Unspecified) },
        wrong_cause,
        control,
        label(drill(1, 2), v1::Need::Needed),
        label(drill(0, 2), v1::Need::Unspecified),
        label(drill(1, 3_000_000_000_000_000), v1::Need::Unspecified),
        label(Subject::Drill(nobody), v1::Need::Unspecified),
        v1::AddLabelRequest::default(),
    ] {
        lines.push(refused(labels.add(request)).await);
    }

    let mut policies = PoliciesClient::new(by(&viewer()).await);
    let request = |from_us, to_us, service: &str, policy_json: &str| v1::BacktestRequest {
        from_us,
        to_us,
        service: service.to_owned(),
        policy_json: policy_json.to_owned(),
    };
    for request in [
        request(0, 0, "", r#"{"clear":"1m"}"#),
        request(1, 3_000_000_000_000, "", r#"{"clear":"1m"}"#),
        request(4_000_000_000_000_000, 0, "", r#"{"clear":"1m"}"#),
        request(1, 1_000_000, "nobody", r#"{"clear":"1m"}"#),
        request(1, 1_000_000, "", r#"{"claer":"1m","samples_min":0}"#),
    ] {
        lines.push(refused(policies.backtest(request)).await);
    }
    let mut agents = PoliciesClient::new(by(&agent("nl-1")).await);
    lines.push(refused(agents.backtest(request(1, 1_000_000, "", "{}"))).await);
    let lazy = v1::CompareRequest { shadow: "lazy".to_owned(), ..v1::CompareRequest::default() };
    lines.push(refused(policies.compare(lazy)).await);
    let lines: Vec<String> = lines.into_iter().map(|(code, text)| format!("{code:?}: {text}")).collect();
    insta::assert_snapshot!(lines.join("\n"));
    running.stop("test").await.unwrap();
}
