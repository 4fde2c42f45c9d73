//! Clocks are wrong: ahead, behind, stepping back, a day off; an agent's, and a collector's.

use std::collections::BTreeSet;
use std::path::PathBuf;

use uitwijk_model::{Clock as _, SystemClock};
use uitwijk_proto::v1::GetVerdictRequest;
use uitwijk_proto::v1::verdicts_client::VerdictsClient;
use uitwijk_tests::fleet::{FleetOptions, Special, clock};

use super::stage::{Stage, options};
use super::verdicts::{calls_for_a_switch, equal_finals, verdicts};

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;
/// Nine slots, as 90 s are at the pace of the contract.
const OFF_US: i64 = 9 * 500_000;
/// Measurements of ten slots.
const A_WHILE: u64 = 160;

/// A process whose clock is read from a file, and the file.
fn with_clock(name: &str, dir: &tempfile::TempDir) -> (FleetOptions, PathBuf) {
    let file = dir.path().join("clock");
    let env = vec![(clock::VARIABLE.to_owned(), file.display().to_string())];
    let special = [(name.to_owned(), Special { env, ..Special::default() })].into();
    let places = vec![("NL", "1"), ("NL", "2"), ("IE", "1"), ("IE", "2")];
    (FleetOptions { special, places, ..options() }, file)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_a_wrong_clock_is_corrected_and_nothing_is_lost() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (options, file) = with_clock("nl-1", &dir);
    clock::set(&file, OFF_US)?;
    let mut stage = Stage::start(options).await?;
    stage.caught_up().await?;
    stage.measured("nl-1", A_WHILE).await?;
    // The standby goes down: an episode that is no reason to switch, in which a clock is wrong.
    stage.fleet.world.set_region("IE", false)?;
    stage.measured("nl-1", A_WHILE).await?;
    stage.fleet.world.set_region("IE", true)?;
    let mended = SystemClock.wall();
    stage.measured("nl-1", A_WHILE).await?;
    for ahead_us in [-OFF_US, 90 * SECOND_US, -90 * SECOND_US, DAY_US, 0] {
        clock::set(&file, ahead_us)?;
        stage.measured("nl-1", A_WHILE).await?;
    }
    let finals = equal_finals(&stage, mended).await?;
    let mut codes = BTreeSet::new();
    for verdict in &finals {
        codes.extend(findings(&stage, &verdict.episode).await?);
    }
    assert!(codes.contains("vantage_clock"), "the wrong clock is told of: {codes:?}");
    for collector in stage.collectors() {
        let said: Vec<_> = verdicts(&stage, &collector).await?.into_values().collect();
        assert!(!calls_for_a_switch(&said), "{collector}: {said:#?}");
    }
    stage.balance().await?;
    stage.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_whose_clock_steps_stores_and_judges_on() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (options, file) = with_clock("col-nl", &dir);
    let mut stage = Stage::start(options).await?;
    stage.caught_up().await?;
    for ahead_us in [90 * SECOND_US, -90 * SECOND_US, 0] {
        clock::set(&file, ahead_us)?;
        stage.measured("nl-1", A_WHILE).await?;
    }
    for collector in stage.collectors() {
        let said: Vec<_> = verdicts(&stage, &collector).await?.into_values().collect();
        assert!(!calls_for_a_switch(&said), "{collector}: {said:#?}");
    }
    let comparisons = stage.balance().await?;
    assert!(comparisons.values().all(|c| c.gone + c.unsynced == 0), "a clock that is off by minutes refuses nothing");
    stage.end().await
}

/// Codes of the findings of an episode.
async fn findings(stage: &Stage, episode: &str) -> anyhow::Result<Vec<String>> {
    let mut client = VerdictsClient::new(stage.fleet.channel("col-nl", "viewer").await?);
    let request = GetVerdictRequest { episode: episode.to_owned(), ..GetVerdictRequest::default() };
    let verdict = client.get(request).await?.into_inner().verdict.unwrap_or_default();
    Ok(verdict.findings.into_iter().map(|finding| finding.code).collect())
}
