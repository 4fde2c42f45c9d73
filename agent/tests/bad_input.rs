//! What does an agent say when it cannot start, and what does it live through?

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it should be")]

mod common;

use std::time::Duration;

use common::agent::Setup;
use common::collector::FakeCollector;
use common::pki::{Pki, agent, day, expired, place};
use common::plan::{plan, update};
use common::site::Site;
use common::until;
use uitwijk_identity::{Identity, Role};

struct Stage {
    dir: tempfile::TempDir,
    pki: Pki,
    site: Site,
    collector: FakeCollector,
}

impl Stage {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::new(&dir.path().join("pki"));
        let site = Site::start(Duration::ZERO).await;
        let plan = update(&plan(1, 200, &[site.url()]));
        let collector = FakeCollector::start("col-nl", pki.collector("col-nl"), Some(plan)).await;
        Self { dir, pki, site, collector }
    }

    fn setup(&self) -> Setup {
        let tls = self.pki.issue("nl-1", &agent("nl-1"), day());
        Setup::new(self.dir.path(), &tls, &[("col-nl", self.collector.url())])
    }

    /// The plan as an earlier run would have left it.
    fn remember_plan(&self, setup: &Setup) {
        let plan = plan(1, 200, &[self.site.url()]);
        std::fs::create_dir_all(setup.data_dir()).unwrap();
        let text = format!("uitwijk-plan 1 {}\n{}", plan.version(), plan.to_canonical_json());
        std::fs::write(setup.data_dir().join("plan"), text).unwrap();
    }

    async fn probes(&self) {
        let before = self.site.requests();
        until("probing goes on", || (self.site.requests() >= before + 3).then_some(())).await;
    }
}

/// Ends by itself with this code and these words.
async fn check(setup: &Setup, args: &[&str], code: i32, words: &[&str]) {
    let (found, text) = setup.run(args).await;
    assert_eq!(found, Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
}

#[tokio::test]
async fn unknown_keys_and_bad_values_are_all_shown() {
    let stage = Stage::new().await;
    let setup = stage.setup().with("in_flight: 3\ncompression: gzip\nstop: {grace: soon}\n");
    let words = ["3 mistakes", "in_flight: no such key; did you mean in_flight_max", "compression:", "stop.grace:"];
    check(&setup, &[], 2, &words).await;
    check(&setup, &["--no-such-flag"], 2, &["--no-such-flag"]).await;
}

#[tokio::test]
async fn a_missing_or_unreadable_certificate_ends_the_start() {
    let stage = Stage::new().await;
    let setup = stage.setup();
    std::fs::write(&setup.tls.cert_file, "garbage").unwrap();
    check(&setup, &[], 2, &["nl-1.pem"]).await;
    std::fs::remove_file(&setup.tls.cert_file).unwrap();
    check(&setup, &[], 2, &["nl-1.pem"]).await;
}

#[tokio::test]
async fn the_certificate_of_somebody_else_ends_the_start() {
    let stage = Stage::new().await;
    for role in [Role::Viewer, Role::Collector(place().region)] {
        let mut setup = stage.setup();
        setup.tls = stage.pki.issue("other", &Identity { name: "other".to_owned(), role }, day());
        check(&setup, &[], 2, &["tls.cert_file", "which is not an agent", "uitwijk://agent/REGION/ZONE/NAME"]).await;
        check(&setup, &["--check"], 2, &["which is not an agent"]).await;
    }
}

#[tokio::test]
async fn a_port_in_use_ends_the_start() {
    let stage = Stage::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    check(&stage.setup(), &["--admin-listen", &address], 1, &["admin_listen", &address, "cannot listen there"]).await;
}

#[tokio::test]
async fn a_data_folder_of_another_agent_ends_the_start() {
    let stage = Stage::new().await;
    let setup = stage.setup();
    let agent = setup.start().await;
    check(&setup, &[], 1, &["in use by another agent"]).await;
    agent.stop().await;
}

#[tokio::test]
async fn an_expired_certificate_does_not_stop_the_probing_and_a_new_one_cures() {
    let stage = Stage::new().await;
    let mut setup = stage.setup();
    setup.tls = stage.pki.issue("nl-1", &agent("nl-1"), expired());
    stage.remember_plan(&setup);
    check(&setup, &["--check"], 2, &["expired"]).await;
    let agent = setup.start().await;
    stage.probes().await;
    agent.logged("probes and waits").await;
    assert!(stage.collector.heard().hellos.is_empty());
    stage.setup();
    agent.signal(libc::SIGHUP);
    until("delivery", || (stage.collector.heard().rows.len() > 3).then_some(())).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_foreign_authority_is_named_once_and_probing_goes_on() {
    let stage = Stage::new().await;
    let foreign = Pki::new(&stage.dir.path().join("foreign"));
    let mut setup = stage.setup();
    stage.remember_plan(&setup);
    setup.tls = foreign.issue("nl-1", &agent("nl-1"), day());
    let agent = setup.start().await;
    stage.probes().await;
    agent.logged("no stream to collector").await;
    stage.probes().await;
    let log = agent.stop().await;
    assert_eq!(log.matches("no stream to collector").count(), 1, "{log}");
    assert!(log.contains("nl-1-ca.pem"), "it names the file with the authorities: {log}");
}

#[tokio::test]
async fn a_collector_that_does_not_know_our_authority_is_named() {
    let stage = Stage::new().await;
    let foreign = Pki::new(&stage.dir.path().join("foreign"));
    let setup = stage.setup();
    stage.remember_plan(&setup);
    // We trust the collector, but our certificate is of another authority.
    let theirs = std::fs::read(&setup.tls.ca_file).unwrap();
    let mut setup = setup;
    setup.tls = foreign.issue("nl-1", &agent("nl-1"), day());
    std::fs::write(&setup.tls.ca_file, theirs).unwrap();
    let agent = setup.start().await;
    stage.probes().await;
    agent.logged("refused our certificate").await;
    agent.stop().await;
}

#[tokio::test]
async fn without_a_usable_disk_it_measures_and_delivers_from_memory_and_says_so() {
    let stage = Stage::new().await;
    let setup = stage.setup();
    // A file where the folder should be: not even root can write there.
    std::fs::write(setup.data_dir(), "").unwrap();
    check(&setup, &["--check"], 2, &["data_dir", "cannot be written"]).await;
    let agent = setup.start().await;
    until("delivery", || (stage.collector.heard().rows.len() > 3).then_some(())).await;
    let deadline = tokio::time::Instant::now() + common::PATIENCE;
    while agent.get("/-/ready").await
        != (503, "buffer: there is no usable disk; measurements wait in memory\n".to_owned())
    {
        assert!(tokio::time::Instant::now() < deadline, "it never says so");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = agent.stop().await;
    assert!(log.contains("the buffer is in memory only"), "{log}");
    assert!(log.contains("cannot be remembered"), "{log}");
}

#[tokio::test]
async fn a_port_that_speaks_something_else_is_named() {
    let stage = Stage::new().await;
    let mut setup = stage.setup();
    setup.collectors[0].1 = format!("https://{}", stage.site.address);
    let agent = setup.start().await;
    agent.logged("does not speak TLS").await;
    assert!(agent.get("/-/ready").await.1.contains("plan: no collector has given a plan yet"));
    assert_eq!(agent.get("/-/healthy").await.0, 200);
    agent.stop().await;
}

#[tokio::test]
async fn a_damaged_plan_is_not_taken() {
    let stage = Stage::new().await;
    let agent = stage.setup().start().await;
    stage.probes().await;
    let mut damaged = update(&plan(2, 200, &[]));
    damaged.plan_json.push(b' ');
    stage.collector.set_plan(damaged);
    agent.logged("plan of collector is not taken").await;
    stage.probes().await;
    agent.stop().await;
}

#[tokio::test]
async fn the_settings_can_be_checked_and_printed() {
    let stage = Stage::new().await;
    let setup = stage.setup();
    check(&setup, &["--check"], 0, &["configuration of agent nl-1 at NL/1 is good"]).await;
    check(&setup, &["--print-config", "--in-flight-max", "9"], 0, &["in_flight_max: 9", "worker_threads: 2"]).await;
    check(&setup, &["--version"], 0, &["uitwijk-agent 0."]).await;
}
