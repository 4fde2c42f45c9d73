//! Agents and collectors are killed (`kill -9`) at random moments, again and again.

use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use uitwijk_tests::fleet::FleetOptions;

use super::stage::{Stage, luck, options};

/// Rounds when nobody says how many.
const ROUNDS: u32 = 200;

/// Who dies in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victims {
    Agent,
    Collector,
    Both,
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments_lose_and_double_nothing() -> anyhow::Result<()> {
    let mut luck = luck("kill");
    let rounds = std::env::var("FAULT_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    // Every process is killed twice at its first start, before it serves or soon after.
    let false_starts = (0..2).map(|_| Duration::from_millis(luck.random_range(0..400))).collect();
    let mut stage = Stage::start(FleetOptions { false_starts, ..options() }).await?;
    for round in 0..rounds {
        let victims = match luck.random_range(0..5) {
            0 | 1 => Victims::Agent,
            2 | 3 => Victims::Collector,
            _ => Victims::Both,
        };
        kill(&mut stage, victims, &mut luck).await.map_err(|error| error.context(format!("round {round}")))?;
    }
    let comparisons = stage.balance().await?;
    assert!(comparisons.values().all(|c| c.gone == 0), "a kill is no reason to drop or refuse anything");
    stage.end().await
}

/// One round: a moment of work, a kill, a start; now and then a change of certificates before, or another kill in the start.
async fn kill(stage: &mut Stage, victims: Victims, luck: &mut StdRng) -> anyhow::Result<()> {
    tokio::time::sleep(Duration::from_millis(luck.random_range(0..200))).await;
    let (agents, collectors) = (stage.agents(), stage.collectors());
    let agent = agents[luck.random_range(0..agents.len())].clone();
    let collector = collectors[luck.random_range(0..collectors.len())].clone();
    if victims != Victims::Collector {
        if luck.random_ratio(1, 10) {
            rotate(stage, &agent)?;
            tokio::time::sleep(Duration::from_millis(luck.random_range(0..30))).await;
        }
        stage.fleet.agent(&agent)?.process.kill().await?;
    }
    if victims != Victims::Agent {
        if luck.random_ratio(1, 10) {
            rotate(stage, &collector)?;
            tokio::time::sleep(Duration::from_millis(luck.random_range(0..30))).await;
        }
        stage.fleet.collector(&collector)?.process.kill().await?;
    }
    if victims != Victims::Collector {
        start_agent(stage, &agent, luck).await?;
    }
    if victims != Victims::Agent {
        start_collector(stage, &collector, luck).await?;
    }
    Ok(())
}

async fn start_agent(stage: &mut Stage, name: &str, luck: &mut StdRng) -> anyhow::Result<()> {
    let process = &mut stage.fleet.agent(name)?.process;
    process.restart()?;
    if luck.random_ratio(1, 4) {
        tokio::time::sleep(Duration::from_millis(luck.random_range(0..200))).await;
        process.kill().await?;
        process.restart()?;
    }
    process.ready().await?;
    Ok(())
}

async fn start_collector(stage: &mut Stage, name: &str, luck: &mut StdRng) -> anyhow::Result<()> {
    let process = &mut stage.fleet.collector(name)?.process;
    process.restart()?;
    if luck.random_ratio(1, 4) {
        tokio::time::sleep(Duration::from_millis(luck.random_range(0..200))).await;
        process.kill().await?;
        process.restart()?;
    }
    stage.fleet.collector_is_back(name).await
}

/// A new certificate under the same name, and word of it.
fn rotate(stage: &mut Stage, name: &str) -> anyhow::Result<()> {
    stage.fleet.reissue(name)?;
    match stage.fleet.agent(name) {
        Ok(agent) => agent.process.signal(libc::SIGHUP),
        Err(_) => stage.fleet.collector(name)?.process.signal(libc::SIGHUP),
    }
}
