//! Peers misbehave while a fleet works.
//!
//! What a single stream can do wrong (oversized, malformed, endless, wrong version, silent, replayed, out of order) is tested
//! where streams are read: `collector/src/ingest/tests`; who gets in at all in `collector/tests/access.rs` and
//! `proto/identity/tests`. Here are the faults that take a whole fleet to show.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use uitwijk_identity::Validity;
use uitwijk_model::{Clock as _, Millis, SystemClock};
use uitwijk_proto::v1::verdicts_client::VerdictsClient;
use uitwijk_proto::v1::{ListLedgersRequest, WatchVerdictsRequest, fleet_client::FleetClient};
use uitwijk_tests::fleet::identity;
use uitwijk_tests::fleet::process::{Process, Program};

use super::stage::{Stage, options, until};

/// Measurements of four slots.
const A_WHILE: u64 = 64;
/// Connections that one stranger opens.
const STRANGERS: usize = 2000;

#[tokio::test(flavor = "multi_thread")]
async fn crowds_and_slow_readers_hold_up_nobody() -> anyhow::Result<()> {
    let mut stage = Stage::start(options()).await?;
    stage.caught_up().await?;
    let address = stage.fleet.collector("col-nl")?.address;
    let mut crowd = Vec::new();
    for n in 0..STRANGERS {
        // The listener may turn some away; what counts is that it does not turn away agents.
        if let Ok(mut stream) = TcpStream::connect(address).await {
            if n % 2 == 0 {
                let _ = stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await;
            }
            crowd.push(stream);
        }
    }
    let mut unread = Vec::new();
    for _ in 0..8 {
        let channel = stage.fleet.channel("col-ie", "viewer").await?;
        let watch = VerdictsClient::new(channel.clone()).watch(WatchVerdictsRequest::default()).await?;
        let ledgers = FleetClient::new(channel).list_ledgers(ListLedgersRequest::default()).await;
        unread.push((watch, ledgers));
    }
    stage.measured("nl-1", A_WHILE).await?;
    let before = stage.recorded("nl-1");
    until("what was measured meanwhile is stored", async || {
        let held = stage.holdings("col-ie").await?;
        let stored: u64 = held.accounts.iter().filter(|a| a.agent == "nl-1").map(|a| a.sums().stored).sum();
        Ok((stored >= before).then_some(()))
    })
    .await?;
    drop(crowd);
    let comparisons = stage.balance().await?;
    drop(unread);
    assert!(comparisons.values().all(|c| c.gone + c.unsynced == 0));
    stage.end().await
}

/// A second process with the identity and certificate of another agent, and a record and data of its own.
fn double(stage: &mut Stage, name: &str) -> anyhow::Result<Process> {
    let (data, record) = (stage.fleet.dir.join("data").join(name), stage.fleet.record_file(name));
    let text = std::fs::read_to_string(stage.fleet.config_file(name))?;
    let text = text.replace(&data.display().to_string(), &format!("{}-double", data.display()));
    let text = text.replace(&record.display().to_string(), &stage.fleet.record_file("double").display().to_string());
    let path = stage.fleet.config_file("double");
    std::fs::write(&path, text)?;
    let program = Program {
        binary: env!("CARGO_BIN_EXE_uitwijk-fleet").into(),
        part: "agent",
        args: vec!["--config".into(), path.into()],
        name: "double".to_owned(),
        dir: stage.fleet.dir.join("log"),
        env: Vec::new(),
    };
    program.start()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_with_one_identity_do_not_mix() -> anyhow::Result<()> {
    let mut stage = Stage::start(options()).await?;
    stage.caught_up().await?;
    let mut double = double(&mut stage, "nl-1")?;
    double.ready().await?;
    let log = stage.fleet.dir.join("log").join("double.log");
    until("the second process is turned away", async || {
        Ok(std::fs::read_to_string(&log)?.contains("two agents are called nl-1").then_some(()))
    })
    .await?;
    stage.measured("nl-1", A_WHILE).await?;
    for collector in stage.collectors() {
        let held = stage.holdings(&collector).await?;
        let boots = held.accounts.iter().filter(|a| a.agent == "nl-1" && a.sums().stored > 0).count();
        assert_eq!(boots, 1, "{collector} has rows of one process only: {held:#?}");
    }
    double.stop(super::stage::PATIENCE).await?;
    stage.balance().await?;
    stage.end().await
}

async fn until_connected(stage: &Stage, name: &str) -> anyhow::Result<()> {
    for collector in stage.collectors() {
        until(&format!("{name} is connected to {collector}"), async || {
            let states = stage.states(&collector).await?;
            Ok(states.iter().any(|a| a.agent == name && a.connected).then_some(()))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_expires_in_mid_stream_ends_the_stream_and_no_measurement() -> anyhow::Result<()> {
    let mut stage = Stage::start(options()).await?;
    stage.caught_up().await?;
    let soon = Validity::from_now(SystemClock.wall(), Millis::from_secs(8));
    stage.fleet.pki.issue_for(&identity("nl-1")?, &[], soon)?;
    stage.fleet.agent("nl-1")?.process.signal(libc::SIGHUP)?;
    let log = stage.fleet.dir.join("log").join("nl-1.log");
    for collector in stage.collectors() {
        until(&format!("{collector} ends the stream"), async || {
            let refused = |line: &str| line.contains("certificate expired") && line.contains(&collector);
            Ok(std::fs::read_to_string(&log)?.lines().any(refused).then_some(()))
        })
        .await?;
    }
    stage.measured("nl-1", A_WHILE).await?;
    stage.fleet.reissue("nl-1")?;
    stage.fleet.agent("nl-1")?.process.signal(libc::SIGHUP)?;
    until_connected(&stage, "nl-1").await?;
    let comparisons = stage.balance().await?;
    assert!(comparisons.values().all(|c| c.gone + c.unsynced == 0));
    stage.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_is_replaced_without_losing_a_measurement() -> anyhow::Result<()> {
    let mut stage = Stage::start(options()).await?;
    stage.caught_up().await?;
    stage.fleet.pki.begin_rotation()?;
    reload_all(&stage)?;
    stage.measured("nl-1", A_WHILE).await?;
    // From here on certificates of both generations talk to each other, in both directions.
    for name in ["col-nl", "nl-1", "col-ie", "ie-1", "viewer"] {
        stage.fleet.reissue(name)?;
        reload_all(&stage)?;
        stage.measured("nl-1", A_WHILE / 4).await?;
        until_connected(&stage, "nl-1").await?;
        until_connected(&stage, "ie-1").await?;
    }
    stage.fleet.pki.end_rotation()?;
    reload_all(&stage)?;
    stage.measured("nl-1", A_WHILE).await?;
    let comparisons = stage.balance().await?;
    assert!(comparisons.values().all(|c| c.gone + c.unsynced == 0));
    stage.end().await
}

fn reload_all(stage: &Stage) -> anyhow::Result<()> {
    let agents = stage.fleet.agents.values().map(|agent| &agent.process);
    let collectors = stage.fleet.collectors.values().map(|collector| &collector.process);
    agents.chain(collectors).try_for_each(|process| process.signal(libc::SIGHUP))
}
