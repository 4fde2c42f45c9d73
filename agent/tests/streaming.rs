//! Does what was measured reach the collectors, once in effect, whatever happens on the way?

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it should be")]

mod common;

use std::time::Duration;

use common::agent::Setup;
use common::collector::FakeCollector;
use common::pki::{Pki, agent, day};
use common::plan::{plan, update};
use common::site::Site;
use common::until;

const TARGET: &str = "s0/default@NL";

#[tokio::test]
async fn an_agent_gets_its_plan_probes_and_delivers() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::new(&dir.path().join("pki"));
    let site = Site::start(Duration::ZERO).await;
    let plan = update(&plan(1, 200, &[site.url()]));
    let collector = FakeCollector::start("col-nl", pki.collector("col-nl"), Some(plan)).await;
    let tls = pki.issue("nl-1", &agent("nl-1"), day());
    let setup = Setup::new(dir.path(), &tls, &[("col-nl", collector.url())]);
    let agent = setup.start().await;
    until("ten measurements", || (collector.measured(TARGET).len() >= 10).then_some(())).await;
    assert_eq!(agent.get("/-/ready").await, (200, "ready\n".to_owned()));
    let log = agent.stop().await;
    println!("{log}");
    let rows = collector.measured(TARGET);
    let slots: Vec<_> = rows.iter().map(|m| m.slot.0).collect();
    assert!(slots.windows(2).all(|pair| pair[1] == pair[0] + 1), "{slots:?}");
    assert_eq!(collector.heard().repeated, 0);
}
