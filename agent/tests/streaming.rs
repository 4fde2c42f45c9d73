//! Does what was measured reach the collectors, once in effect, whatever happens on the way?

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it should be")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use common::agent::Setup;
use common::collector::{FakeCollector, Heard};
use common::pki::{Pki, agent, day};
use common::plan::{plan, update};
use common::site::Site;
use common::until;
use uitwijk_identity::TlsFiles;
use uitwijk_model::WallTime;

const TARGET: &str = "s0/default@NL";

/// A site, two collectors that know a plan of it, and a certificate.
struct Stage {
    dir: tempfile::TempDir,
    pki: Pki,
    site: Site,
    nl: FakeCollector,
    ie: FakeCollector,
    tls: TlsFiles,
}

impl Stage {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::new(&dir.path().join("pki"));
        let site = Site::start(Duration::ZERO).await;
        let plan = update(&plan(1, 200, &[site.url()]));
        let nl = FakeCollector::start("col-nl", pki.collector("col-nl"), Some(plan.clone())).await;
        let ie = FakeCollector::start("col-ie", pki.collector("col-ie"), Some(plan)).await;
        let tls = pki.issue("nl-1", &agent("nl-1"), day());
        Self { dir, pki, site, nl, ie, tls }
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn one(&self) -> Setup {
        Setup::new(self.dir(), &self.tls, &[("col-nl", self.nl.url())])
    }

    fn both(&self) -> Setup {
        Setup::new(self.dir(), &self.tls, &[("col-nl", self.nl.url()), ("col-ie", self.ie.url())])
    }
}

async fn measured(collector: &FakeCollector, n: usize) {
    until(&format!("{n} measurements at {}", collector.name), || (collector.measured(TARGET).len() >= n).then_some(()))
        .await;
}

/// Every sequence from 1 on is there, in each boot.
fn assert_no_gap(heard: &Heard) {
    let mut by_boot: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for (boot, sequence) in heard.rows.keys() {
        by_boot.entry(boot).or_default().push(*sequence);
    }
    for sequences in by_boot.values() {
        let all: Vec<u64> = (1..=sequences.len() as u64).collect();
        assert_eq!(*sequences, all);
    }
}

#[tokio::test]
async fn an_agent_gets_its_plan_probes_and_delivers_to_every_collector() {
    let stage = Stage::new().await;
    let agent = stage.both().start().await;
    measured(&stage.nl, 8).await;
    assert_eq!(agent.get("/-/ready").await, (200, "ready\n".to_owned()));
    assert_eq!(agent.metric("uitwijk_agent_connected{collector=\"col-ie\"}").await, Some(1.0));
    assert_eq!(agent.metric("probe_success{target=\"s0/default@NL\"").await, Some(1.0));
    assert!(agent.metric("uitwijk_agent_attempts_total{outcome=\"up\"").await.unwrap() >= 8.0);
    agent.stop().await;
    let (nl, ie) = (stage.nl.heard(), stage.ie.heard());
    assert_eq!(nl.rows, ie.rows, "both have the same in the end");
    assert_no_gap(&nl);
    assert_eq!((nl.repeated, ie.repeated), (0, 0));
    let slots: Vec<_> = nl.rows.values().map(|m| m.slot.0).collect();
    assert!(slots.windows(2).all(|pair| pair[1] == pair[0] + 1), "{slots:?}");
    assert!(nl.peers.iter().all(|peer| peer.contains("nl-1")), "{:?}", nl.peers);
}

#[tokio::test]
async fn a_collector_that_was_away_gets_everything_and_holds_up_nobody() {
    let mut stage = Stage::new().await;
    let agent = stage.both().start().await;
    measured(&stage.ie, 3).await;
    stage.ie.go();
    let before = stage.nl.measured(TARGET).len();
    measured(&stage.nl, before + 8).await;
    stage.ie.come_back().await;
    let all = stage.nl.measured(TARGET).len();
    measured(&stage.ie, all).await;
    agent.stop().await;
    assert_no_gap(&stage.ie.heard());
    assert_eq!(stage.nl.heard().rows, stage.ie.heard().rows);
}

#[tokio::test]
async fn no_more_batches_are_under_way_than_the_collector_allows_and_they_are_sent_again() {
    let mut stage = Stage::new().await;
    stage.nl.heard().deaf = true;
    let agent = stage.one().start().await;
    until("the window is full", || (stage.nl.heard().batches.len() == 4).then_some(())).await;
    let requests = stage.site.requests();
    until("probing goes on", || (stage.site.requests() >= requests + 5).then_some(())).await;
    assert_eq!(stage.nl.heard().batches.len(), 4);
    stage.nl.go();
    stage.nl.heard().deaf = false;
    stage.nl.come_back().await;
    measured(&stage.nl, 10).await;
    agent.stop().await;
    let heard = stage.nl.heard();
    assert_no_gap(&heard);
    assert!(heard.repeated > 0 && heard.unacknowledged_max == 4, "{} {}", heard.repeated, heard.unacknowledged_max);
}

#[tokio::test]
async fn an_agent_that_was_killed_runs_its_remembered_plan_and_delivers_what_it_kept() {
    let mut stage = Stage::new().await;
    let agent = stage.one().start().await;
    measured(&stage.nl, 2).await;
    stage.nl.go();
    let requests = stage.site.requests();
    until("probing goes on", || (stage.site.requests() >= requests + 5).then_some(())).await;
    let kept = stage.site.requests();
    // What happened more than 250 ms ago is on disk; eight slots are much longer.
    until("some time passes", || (stage.site.requests() >= kept + 8).then_some(())).await;
    agent.kill().await;
    let agent = stage.one().start().await;
    let requests = stage.site.requests();
    until("probing without a collector", || (stage.site.requests() > requests).then_some(())).await;
    assert_eq!(agent.get("/-/ready").await.0, 200);
    stage.nl.come_back().await;
    measured(&stage.nl, usize::try_from(kept).unwrap() + 2).await;
    agent.stop().await;
    let heard = stage.nl.heard();
    assert_no_gap(&heard);
    let (first, last) = (heard.hellos.first().unwrap(), heard.hellos.last().unwrap());
    assert_eq!(last.buffered[0].boot, first.boot, "what is left of the old boot is named first");
    assert_ne!(last.boot, first.boot);
}

#[tokio::test]
async fn a_new_plan_is_taken_at_once_and_an_older_one_is_not() {
    let stage = Stage::new().await;
    let second = Site::start(Duration::ZERO).await;
    let agent = stage.both().start().await;
    measured(&stage.nl, 2).await;
    let newer = plan(2, 200, &[stage.site.url(), second.url()]);
    stage.ie.set_plan(update(&newer));
    until("the new target is probed", || (second.requests() >= 2).then_some(())).await;
    stage.nl.set_plan(update(&plan(1, 500, &[second.url()])));
    agent.logged("it offers revision 1, but 2 runs").await;
    let version = newer.version();
    let info = format!("uitwijk_agent_plan_info{{version=\"{version}\",revision=\"2\"}}");
    assert_eq!(agent.metric(&info).await, Some(1.0));
    until("heartbeats name the plan", || {
        stage.nl.heard().heartbeats.last().is_some_and(|beat| beat.plan_version == version.as_str()).then_some(())
    })
    .await;
    agent.stop().await;
    let heard = stage.nl.heard();
    let of_target = heard.rows.values().filter(|m| m.target.as_str() == TARGET);
    let slots: Vec<_> = of_target.map(|m| m.slot.0).collect();
    assert!(slots.windows(2).all(|pair| pair[1] == pair[0] + 1), "no slot is lost by the change: {slots:?}");
}

#[tokio::test]
async fn a_broken_remembered_plan_is_moved_aside() {
    let stage = Stage::new().await;
    let setup = stage.one();
    std::fs::create_dir_all(setup.data_dir()).unwrap();
    std::fs::write(setup.data_dir().join("plan"), "uitwijk-plan 1 0000000000000000\n{}").unwrap();
    let agent = setup.start().await;
    measured(&stage.nl, 1).await;
    assert!(agent.log().contains("is not usable"), "{}", agent.log());
    agent.stop().await;
    assert!(setup.data_dir().join("plan.broken").exists() && setup.data_dir().join("plan").exists());
}

#[tokio::test]
async fn heartbeats_have_balanced_books_and_a_true_frontier() {
    let stage = Stage::new().await;
    let agent = stage.one().start().await;
    until("heartbeats", || (stage.nl.heard().heartbeats.len() >= 4).then_some(())).await;
    agent.stop().await;
    let heard = stage.nl.heard();
    for beat in &heard.heartbeats {
        for books in &beat.books {
            let lost: u64 = books.lost.iter().map(|loss| loss.count).sum();
            assert_eq!(books.started, books.delivered + books.buffered + books.expired + lost, "{books:?}");
        }
        let boot = beat.books.last().unwrap().boot;
        let rows = heard.rows.iter().filter(|((b, _), _)| b.0 == boot);
        for ((_, sequence), m) in rows {
            if m.scheduled < WallTime::from_micros(beat.complete_through_us) {
                assert!(*sequence < beat.complete_sequence, "{sequence} {beat:?}");
            }
        }
    }
    let through: Vec<_> = heard.heartbeats.iter().map(|beat| beat.complete_through_us).collect();
    assert!(through.windows(2).all(|pair| pair[0] < pair[1]), "{through:?}");
}

#[tokio::test]
async fn the_clock_offset_is_measured_and_marks_measurements() {
    let stage = Stage::new().await;
    stage.nl.heard().clock_behind_us = 250_000;
    let agent = stage.one().start().await;
    let offset =
        until("a marked measurement", || stage.nl.measured(TARGET).iter().find_map(|m| m.observer.clock_offset_us))
            .await;
    // Half of the way there and back is the error, and a busy machine makes the way long.
    assert!((150_000..=350_000).contains(&offset), "{offset}");
    let shown = agent.metric("uitwijk_agent_clock_offset_seconds{collector=\"col-nl\"}").await.unwrap();
    assert!((0.15..=0.35).contains(&shown), "{shown}");
    agent.stop().await;
}

#[tokio::test]
async fn batches_are_packed_when_configured() {
    let stage = Stage::new().await;
    let agent = stage.one().with("compression: zstd\n").start().await;
    measured(&stage.nl, 3).await;
    agent.stop().await;
    let heard = stage.nl.heard();
    assert!(heard.batches.iter().all(|batch| batch.compression == 1));
}

#[tokio::test]
async fn a_batch_carries_its_trace() {
    let stage = Stage::new().await;
    let setup = stage.one();
    // Nobody listens there; spans are made all the same.
    let mut command = setup.command();
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9").stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    measured(&stage.nl, 1).await;
    child.kill().await.unwrap();
    let heard = stage.nl.heard();
    let traceparent = &heard.batches[0].traceparent;
    assert!(traceparent.starts_with("00-") && traceparent.ends_with("-01"), "{traceparent:?}");
}

#[tokio::test]
async fn a_new_certificate_is_put_in_use_without_losing_anything() {
    let stage = Stage::new().await;
    let agent = stage.one().start().await;
    measured(&stage.nl, 2).await;
    stage.pki.issue("nl-1", &common::pki::agent("nl-1"), day());
    agent.signal(libc::SIGHUP);
    until("a second stream", || (stage.nl.heard().peers.len() >= 2).then_some(())).await;
    let rows = stage.nl.measured(TARGET).len();
    measured(&stage.nl, rows + 2).await;
    let log = agent.stop().await;
    assert!(log.contains("new certificate in use"), "{log}");
    assert_no_gap(&stage.nl.heard());
}

#[tokio::test]
async fn an_agent_that_is_refused_still_gets_plans_and_probes() {
    let stage = Stage::new().await;
    stage.nl.heard().refuse = Some((tonic::Code::PermissionDenied, "agent nl-1 is not in the plan"));
    let agent = stage.one().start().await;
    until("probing", || (stage.site.requests() >= 10).then_some(())).await;
    agent.logged("agent nl-1 is not in the plan").await;
    let tries = stage.nl.heard().peers.len();
    until("tries go on", || (stage.nl.heard().peers.len() > tries).then_some(())).await;
    assert_eq!(agent.log().matches("no stream to collector").count(), 1, "{}", agent.log());
    stage.nl.heard().refuse = None;
    measured(&stage.nl, 10).await;
    agent.stop().await;
    assert_no_gap(&stage.nl.heard());
}

#[tokio::test]
async fn refused_rows_are_counted_and_told_of() {
    let stage = Stage::new().await;
    let reason = uitwijk_proto::v1::RefusalReason::Future.into();
    stage.nl.heard().refused = vec![uitwijk_proto::v1::Refusal { reason, count: 2 }];
    let agent = stage.one().start().await;
    measured(&stage.nl, 3).await;
    let refused = "uitwijk_agent_rows_refused_total{collector=\"col-nl\",reason=\"future\"}";
    assert_eq!(agent.metric(refused).await, Some(2.0));
    let log = agent.stop().await;
    assert_eq!(log.matches("collector refused rows").count(), 1, "{log}");
}
