//! What does an agent cost with 500 targets at 10 s? Half a minute of `cargo bench -p uitwijk-agent --bench scale` tells.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it should be")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::Duration;

use common::agent::Setup;
use common::collector::FakeCollector;
use common::pki::{Pki, agent, day};
use common::plan::{plan, update};
use common::site::Site;
use common::until;

const TARGETS: usize = 500;
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if std::env::args().any(|arg| arg == "--bench") {
        five_hundred_targets_every_ten_seconds().await;
    }
}

async fn five_hundred_targets_every_ten_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::new(&dir.path().join("pki"));
    let site = Site::start(Duration::ZERO).await;
    let plan = update(&plan(1, 10_000, &vec![site.url(); TARGETS]));
    let nl = FakeCollector::start("col-nl", pki.collector("col-nl"), Some(plan.clone())).await;
    let ie = FakeCollector::start("col-ie", pki.collector("col-ie"), Some(plan)).await;
    let tls = pki.issue("nl-1", &agent("nl-1"), day());
    let agent = Setup::new(dir.path(), &tls, &[("col-nl", nl.url()), ("col-ie", ie.url())]).start().await;
    for round in 1..=ROUNDS {
        tokio::time::sleep(Duration::from_secs(10)).await;
        until("all targets probed", || (nl.heard().rows.len() >= TARGETS * (round - 1)).then_some(())).await;
        let rss = agent.metric("process_resident_memory_bytes").await.unwrap() / f64::from(1 << 20);
        let cpu = agent.metric("process_cpu_seconds_total").await.unwrap();
        let attempts = agent.metric("uitwijk_agent_attempts_total{outcome=\"up\"").await.unwrap_or_default();
        let memory = agent.memory();
        let parts: Vec<_> =
            memory.lines().filter(|line| line.starts_with("Rss") || line.starts_with("Threads")).collect();
        println!("{}", parts.join(", "));
        println!(
            "after {round} rounds: {rss:.1} MiB resident, {attempts} attempts, {:.2} ms CPU each",
            cpu * 1000.0 / attempts
        );
    }
    let late = agent.metric("uitwijk_agent_late_seconds_sum").await.unwrap();
    let count = agent.metric("uitwijk_agent_late_seconds_count").await.unwrap();
    println!("mean lateness {:.2} ms of {count} attempts", late / count * 1000.0);
    agent.stop().await;
}
