//! From six agents over mutual TLS to a final verdict through the API, with and without a restart in the middle.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use support::agent::{FakeAgent, Seen, attempt};
use support::{HandClock, Home, agent, eventually, page, viewer};
use uitwijk_collector::run::Collector;
use uitwijk_model::{Clock as _, Millis, SlotLength, SystemClock, WallTime};
use uitwijk_proto::v1;
use uitwijk_proto::v1::fleet_client::FleetClient;
use uitwijk_proto::v1::measurements_client::MeasurementsClient;
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
/// NL refuses from here to there, seconds from the start.
const OUTAGE: std::ops::Range<u64> = 300..600;
const END: u64 = 900;

/// A fleet whose time is moved by hand.
struct Fleet {
    home: Home,
    clock: Arc<HandClock>,
    start: WallTime,
    collector: Option<Collector>,
    agents: BTreeMap<&'static str, FakeAgent>,
}

impl Fleet {
    /// All fleets of a test begin at the same moment, so that their verdicts can be compared.
    async fn begin(start: WallTime) -> Self {
        let mut fleet =
            Self { home: Home::new(), clock: HandClock::at(start), start, collector: None, agents: BTreeMap::new() };
        fleet.connect().await;
        fleet
    }

    async fn connect(&mut self) {
        let collector = self.home.try_start(&[], self.clock.clone()).await.unwrap();
        for (boot, name) in (1..).zip(AGENTS) {
            let channel = self.home.channel(&collector, &agent(name)).await;
            let next = self.agents.get(name).map_or(1, FakeAgent::next_sequence);
            self.agents.insert(name, FakeAgent::connect(channel, boot, next).await.unwrap());
        }
        self.collector = Some(collector);
    }

    fn collector(&self) -> &Collector {
        self.collector.as_ref().unwrap()
    }

    fn at(&self, seconds: u64) -> WallTime {
        self.start.plus(Millis::from_secs(seconds))
    }

    async fn stop(&mut self) {
        self.collector.take().unwrap().stop("test").await.unwrap();
    }

    /// Every agent delivers every slot from one moment to another.
    async fn run(&mut self, from: u64, to: u64) {
        for seconds in (from..to).step_by(10) {
            let (scheduled, over) = (self.at(seconds), self.at(seconds + 10));
            self.clock.advance_to(over);
            let rows: Vec<_> =
                TARGETS.iter().map(|target| seen(target, scheduled, OUTAGE.contains(&seconds))).collect();
            let deliveries = self.agents.values_mut().map(|agent| async {
                agent.deliver(&rows).await.unwrap();
                agent.heartbeat(over).await.unwrap();
            });
            join_all(deliveries).await;
            self.collector().judging().settle().await;
        }
    }

    async fn verdicts(&self) -> VerdictsClient<tonic::transport::Channel> {
        VerdictsClient::new(self.home.channel(self.collector(), &viewer()).await)
    }

    /// The verdict on the outage, once it is final.
    async fn verdict(&self) -> v1::Verdict {
        let client = self.verdicts().await;
        let episode = format!("exchange/{}", self.at(OUTAGE.start));
        let get = || {
            let (mut client, episode) = (client.clone(), episode.clone());
            async move {
                client.get(v1::GetVerdictRequest { episode, ..Default::default() }).await.ok()?.into_inner().verdict
            }
        };
        eventually("the verdict is final", || {
            let verdict = get();
            async move { verdict.await.is_some_and(|v| v.kind() == v1::RevisionKind::Final) }
        })
        .await;
        get().await.unwrap()
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

/// The start of a slot a little in the past, when all certificates are good.
fn beginning() -> WallTime {
    let slot = SlotLength::new(Millis::from_secs(10)).unwrap();
    slot.start_of(slot.slot_of(SystemClock.wall()))
}

/// Without what tells when and how fast it was decided; those differ with the collector, the answer must not.
fn answer(verdict: &v1::Verdict) -> v1::Verdict {
    let (explanation, explanation_nl) = Default::default();
    // When which records came, and with that what came in between, depends on the moment of the restart.
    let verdict = v1::Verdict { since: None, explanation, explanation_nl, ..verdict.clone() };
    v1::Verdict { decided_us: 0, publish_delay_ms: None, revision: 0, ..verdict }
}

/// Each revision is the answer as of its decision, and what came later is not.
async fn as_it_was_known(fleet: &Fleet, latest: &v1::Verdict) {
    let mut client = fleet.verdicts().await;
    let episode = latest.episode.clone();
    let get = |as_of_us| v1::GetVerdictRequest { episode: episode.clone(), revision: 0, as_of_us };
    let revisions = client.get(get(0)).await.unwrap().into_inner().revisions;
    assert!(revisions.len() >= 3, "{revisions:#?}");
    for (i, r) in revisions.iter().enumerate() {
        let then = client.get(get(r.decided_us)).await.unwrap().into_inner();
        let verdict = then.verdict.unwrap();
        assert_eq!((verdict.revision, then.revisions.len()), (r.revision, i + 1));
        let since = verdict.since.as_ref().map(|s| (s.decided_us, s.need_before, s.cause_before));
        let before = i.checked_sub(1).map(|i| &revisions[i]);
        assert_eq!(since, before.map(|b| (b.decided_us, b.need, b.cause)), "revision {}", r.revision);

        let list = v1::ListVerdictsRequest { as_of_us: r.decided_us, ..Default::default() };
        let listed = client.list(list).await.unwrap().into_inner().verdicts;
        assert!(listed.iter().any(|v| (&v.episode, v.revision) == (&r.episode, r.revision)), "{listed:#?}");

        let (service, from_us) = ("exchange".to_owned(), fleet.start.as_micros());
        let timeline = v1::TimelineRequest { service, from_us, to_us: 0, as_of_us: r.decided_us };
        let segments = client.timeline(timeline).await.unwrap().into_inner().segments;
        assert!(segments.windows(2).all(|pair| pair[0].to_us == pair[1].from_us), "{segments:#?}");
        assert_eq!(segments.last().unwrap().to_us, r.decided_us);
        let told = segments.iter().find(|s| s.episode == r.episode).unwrap();
        assert_eq!((told.cause, told.revision, told.from_us), (r.cause, r.revision, r.from_us));
    }
    let early = client.get(get(revisions[0].decided_us - 1)).await.unwrap_err();
    assert!(early.message().contains("was not known yet at"), "{early}");
    let newer = v1::GetVerdictRequest { revision: 2, ..get(revisions[0].decided_us) };
    assert!(client.get(newer).await.unwrap_err().message().contains("revisions 1 to 1 were known at"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_becomes_a_verdict_and_a_restart_changes_none_of_it() {
    let start = beginning();
    let mut whole = Fleet::begin(start).await;
    let mut watch = whole.verdicts().await.watch(v1::WatchVerdictsRequest::default()).await.unwrap().into_inner();
    whole.run(0, END).await;
    let expected = whole.verdict().await;

    assert_eq!((expected.need(), expected.cause()), (v1::Need::Needed, v1::Cause::RegionDown));
    assert_eq!(expected.execution(), v1::Execution::Missed);
    assert_eq!((expected.active_region.as_str(), expected.other_region.as_str()), ("NL", "IE"));
    assert_eq!((expected.from_us, expected.to_us), (whole.at(300).as_micros(), Some(whole.at(600).as_micros())));
    assert!(expected.complete && expected.collector == "col-nl");
    assert!(!expected.findings.is_empty() && !expected.explanation.is_empty() && !expected.explanation_nl.is_empty());

    // Who watched heard it while it was provisional, live, and in order.
    let mut heard = Vec::new();
    while heard.last() != Some(&(expected.episode.clone(), expected.revision)) {
        let verdict = watch.message().await.unwrap().unwrap();
        if verdict.episode == expected.episode && verdict.kind() == v1::RevisionKind::Provisional {
            assert!(verdict.publish_delay_ms.is_some());
        }
        heard.push((verdict.episode, verdict.revision));
    }
    let of_it: Vec<u32> = heard.iter().filter(|(e, _)| *e == expected.episode).map(|(_, r)| *r).collect();
    assert_eq!(of_it, (1..=expected.revision).collect::<Vec<_>>());
    as_it_was_known(&whole, &expected).await;
    whole.stop().await;

    for cut in [320, 500, 700] {
        let mut cut_fleet = Fleet::begin(start).await;
        cut_fleet.run(0, cut).await;
        cut_fleet.stop().await;
        cut_fleet.connect().await;
        cut_fleet.run(cut, END).await;
        let found = cut_fleet.verdict().await;
        assert_eq!(answer(&found), answer(&expected), "restarted after {cut} s");
        cut_fleet.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_was_delivered_can_be_asked_for() {
    let mut fleet = Fleet::begin(beginning()).await;
    fleet.run(0, 400).await;
    let channel = fleet.home.channel(fleet.collector(), &viewer()).await;

    // Page by page: 40 slots of 6 targets by one agent.
    let mut client = MeasurementsClient::new(channel.clone());
    let mut request = v1::QueryRequest {
        from_us: fleet.start.as_micros(),
        to_us: fleet.at(400).as_micros(),
        agent: "ie-2".to_owned(),
        page_size: 100,
        ..v1::QueryRequest::default()
    };
    let mut measurements = Vec::new();
    loop {
        let page = client.query(request.clone()).await.unwrap().into_inner();
        measurements.extend(page.measurements);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(measurements.len(), 240);
    assert!(measurements.iter().all(|m| m.agent == "ie-2" && m.vantage_region == "IE" && m.vantage_zone == "2"));

    let agents = FleetClient::new(channel.clone()).list_agents(v1::ListAgentsRequest {}).await.unwrap().into_inner();
    assert_eq!(agents.collector, "col-nl");
    let mut names: Vec<&str> = AGENTS.to_vec();
    names.sort_unstable();
    assert_eq!(agents.agents.iter().map(|a| a.agent.as_str()).collect::<Vec<_>>(), names);
    assert!(agents.agents.iter().all(|a| a.connected && a.enrolled && a.ledgers[0].stored == 240));

    let mut client = fleet.verdicts().await;
    let request = v1::TimelineRequest {
        service: "exchange".to_owned(),
        from_us: fleet.start.as_micros(),
        to_us: fleet.at(400).as_micros(),
        as_of_us: 0,
    };
    let timeline = client.timeline(request).await.unwrap().into_inner();
    assert!(timeline.segments.windows(2).all(|pair| pair[0].to_us == pair[1].from_us), "{timeline:#?}");
    assert!(timeline.watermark_us >= fleet.at(390).as_micros());

    let metrics = page(fleet.collector().addresses().admin, "/metrics").await.1;
    for line in [
        "uitwijk_collector_ingest_rows_stored_total 1440",
        "uitwijk_collector_judge_rows_total 1440",
        "uitwijk_collector_catching_up 0",
        "uitwijk_collector_episodes_open{service=\"exchange\"} 1",
    ] {
        assert!(metrics.lines().any(|l| l == line), "no {line} in\n{metrics}");
    }
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_at_a_stop_and_what_was_acknowledged_is_there_after_it() {
    let mut fleet = Fleet::begin(beginning()).await;
    fleet.run(0, 50).await;
    let mut plans = FleetClient::new(fleet.home.channel(fleet.collector(), &agent("nl-1")).await)
        .watch_plan(v1::WatchPlanRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(plans.message().await.unwrap().unwrap().revision, 1);
    fleet.stop().await;
    assert_eq!(plans.message().await.unwrap_err().code(), tonic::Code::Unavailable);
    assert!(fleet.agents.get_mut("nl-1").unwrap().hear().await.is_err());

    fleet.connect().await;
    // What an agent sends again, as one does whose disk was restored from a backup, changes nothing.
    let rows: Vec<_> = TARGETS.iter().map(|target| seen(target, fleet.at(0), false)).collect();
    let channel = fleet.home.channel(fleet.collector(), &agent("nl-1")).await;
    drop(fleet.agents.remove("nl-1"));
    let mut again = FakeAgent::connect(channel, 1, 1).await.unwrap();
    again.deliver(&rows).await.unwrap();
    let metrics = page(fleet.collector().addresses().admin, "/metrics").await.1;
    assert!(metrics.lines().any(|l| l == "uitwijk_collector_ingest_rows_stored_total 0"), "{metrics}");
    assert!(metrics.lines().any(|l| l == "uitwijk_collector_ingest_rows_again_total 6"), "{metrics}");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn measurements_older_than_the_retention_go_and_verdicts_stay() {
    let mut fleet = Fleet::begin(beginning()).await;
    fleet.run(0, END).await;
    let episode = fleet.verdict().await.episode;
    fleet.stop().await;
    // A month later, as long as the certificates are good.
    let later = HandClock::at(fleet.start.plus(Millis::from_secs(29 * 86_400)));
    let collector = fleet.home.try_start(&[("retention.measurements", "1d")], later).await.unwrap();
    let admin = collector.addresses().admin;
    eventually("old records are removed", || async move {
        let metrics = page(admin, "/metrics").await.1;
        !metrics.lines().any(|l| l == "uitwijk_collector_store_records_removed_total 0")
    })
    .await;
    fleet.collector = Some(collector);
    let mut client = fleet.verdicts().await;
    assert!(client.get(v1::GetVerdictRequest { episode, ..Default::default() }).await.is_ok());
    fleet.stop().await;
}
