//! How does the agent end, for each way of being told to?

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it should be")]

mod common;

use std::time::{Duration, Instant};

use common::agent::{Agent, Setup};
use common::collector::FakeCollector;
use common::pki::{Pki, agent, day};
use common::plan::{plan, update};
use common::site::Site;
use common::until;
use uitwijk_model::{Measurement, Outcome, Unmeasured};

struct Stage {
    dir: tempfile::TempDir,
    site: Site,
    collector: FakeCollector,
    setup: Setup,
}

impl Stage {
    /// A site that takes so long to answer, and an agent with these settings.
    async fn new(delay: Duration, settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::new(&dir.path().join("pki"));
        let site = Site::start(delay).await;
        let plan = update(&plan(1, 1000, &[site.url()]));
        let collector = FakeCollector::start("col-nl", pki.collector("col-nl"), Some(plan)).await;
        let tls = pki.issue("nl-1", &agent("nl-1"), day());
        let setup = Setup::new(dir.path(), &tls, &[("col-nl", collector.url())]).with(settings);
        Self { dir, site, collector, setup }
    }

    /// An agent whose attempt is running.
    async fn probing(&self) -> Agent {
        let agent = self.setup.start().await;
        let before = self.site.requests();
        until("a request is under way", || (self.site.requests() > before).then_some(())).await;
        agent
    }

    fn rows(&self) -> Vec<Measurement> {
        self.collector.heard().rows.values().cloned().collect()
    }
}

async fn stopped_by(signal: i32) {
    let stage = Stage::new(Duration::from_millis(600), "").await;
    let mut agent = stage.probing().await;
    agent.signal(signal);
    assert!(agent.ended().await.success(), "{}", agent.log());
    let rows = stage.rows();
    assert_eq!(rows.last().map(|m| m.outcome), Some(Outcome::Up), "the running attempt ended well: {rows:?}");
    assert_eq!(u64::try_from(rows.len()).unwrap(), stage.site.requests(), "and all was delivered");
}

#[tokio::test]
async fn sigterm_lets_the_running_attempt_end_and_delivers_it() {
    stopped_by(libc::SIGTERM).await;
}

#[tokio::test]
async fn sigint_does_the_same() {
    stopped_by(libc::SIGINT).await;
}

#[tokio::test]
async fn an_attempt_that_outlasts_the_grace_is_marked_as_stopped() {
    let stage = Stage::new(Duration::from_secs(60), "stop: {grace: 200ms}\n").await;
    let agent = stage.probing().await;
    agent.stop().await;
    let outcomes: Vec<_> = stage.rows().iter().map(|m| m.outcome).collect();
    assert_eq!(outcomes.last(), Some(&Outcome::Unmeasured(Unmeasured::Stopped)), "{outcomes:?}");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let stage = Stage::new(Duration::from_secs(60), "stop: {grace: 5m}\n").await;
    let mut agent = stage.probing().await;
    agent.signal(libc::SIGTERM);
    agent.logged("stopping in order").await;
    assert!(agent.is_running());
    assert_eq!(agent.get("/-/ready").await.0, 503, "who looks sees that it stops");
    let before = Instant::now();
    agent.signal(libc::SIGTERM);
    let status = agent.ended().await;
    assert_eq!(status.code(), Some(1));
    assert!(before.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn without_a_collector_it_stops_soon_and_keeps_everything_for_the_next_start() {
    let mut stage = Stage::new(Duration::ZERO, "stop: {drain: 5m}\n").await;
    let agent = stage.probing().await;
    stage.collector.go();
    agent.logged("no stream to collector").await;
    let before = stage.site.requests();
    until("probing goes on", || (stage.site.requests() >= before + 2).then_some(())).await;
    assert!(agent.metric("uitwijk_agent_backlog_rows{collector=\"col-nl\"}").await.unwrap() >= 1.0);
    agent.stop().await;
    let kept = stage.site.requests();
    stage.collector.come_back().await;
    let agent = stage.setup.start().await;
    until("what was kept", || {
        let up = stage.rows().iter().filter(|m| m.outcome == Outcome::Up).count();
        (up as u64 >= kept).then_some(())
    })
    .await;
    agent.stop().await;
}

#[tokio::test]
async fn a_collector_that_does_not_acknowledge_is_not_waited_for_longer_than_the_drain() {
    let stage = Stage::new(Duration::ZERO, "stop: {drain: 300ms}\n").await;
    stage.collector.heard().deaf = true;
    let agent = stage.probing().await;
    until("a batch", || (!stage.collector.heard().batches.is_empty()).then_some(())).await;
    let log = agent.stop().await;
    assert!(log.contains("what is not delivered stays in the buffer"), "{log}");
}

#[tokio::test]
async fn sighup_takes_new_addresses_and_keeps_the_old_ones_when_there_are_mistakes() {
    let mut stage = Stage::new(Duration::ZERO, "").await;
    let agent = stage.probing().await;
    let pid = agent.pid();
    std::fs::write(stage.dir.path().join("agent.yaml"), "collectors: 7\n").unwrap();
    agent.signal(libc::SIGHUP);
    agent.logged("new configuration is not taken").await;
    // The collector moves.
    stage.collector.go();
    stage.collector.address = "127.0.0.1:0".parse().unwrap();
    stage.collector.come_back().await;
    stage.setup.collectors[0].1 = stage.collector.url();
    stage.setup.more.push_str("in_flight_max: 7\n");
    stage.setup.config_file();
    let streams = stage.collector.heard().hellos.len();
    agent.signal(libc::SIGHUP);
    until("a stream at the new address", || (stage.collector.heard().hellos.len() > streams).then_some(())).await;
    agent.logged("need a restart").await;
    assert!(agent.log().contains("in_flight_max"));
    assert_eq!(agent.pid(), pid);
    agent.stop().await;
}
