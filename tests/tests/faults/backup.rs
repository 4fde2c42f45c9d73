//! A backup is taken and killed, a collector's disk is lost, and what is made of the backup and a peer is the same again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rand::Rng as _;
use tokio::process::{Child, Command};
use uitwijk_collector::balance::Account;
use uitwijk_model::{Clock as _, SystemClock};

use super::stage::{PATIENCE, Stage, luck, options, until};
use super::verdicts::{equal_finals, says_what};

/// The collector whose disk is lost.
const LOST: &str = "col-nl";
/// The one that has everything.
const PEER: &str = "col-ie";
/// Backups that are killed.
const ROUNDS: u32 = 12;
/// Measurements of ten slots of one agent.
const A_WHILE: u64 = 160;

/// A command of the collector's binary.
fn collector(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uitwijk-fleet"));
    command.arg("collector").args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (key, _) in std::env::vars_os() {
        if key.to_str().is_some_and(|k| k.starts_with("UITWIJK_") || k.starts_with("OTEL_")) {
            command.env_remove(key);
        }
    }
    command.kill_on_drop(true);
    command
}

/// How a command ended, and what it said.
async fn end(child: Child) -> anyhow::Result<(Option<i32>, String)> {
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.context("the command ends")??;
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok((output.status.code(), said.concat()))
}

async fn good(mut command: Command) -> anyhow::Result<String> {
    let (code, said) = end(command.spawn()?).await?;
    ensure!(code == Some(0), "it ended with {code:?}: {said}");
    print!("{said}");
    Ok(said)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

fn backup(stage: &Stage, to: &Path) -> Command {
    let (config, ready) = (stage.fleet.config_file(LOST), stage.fleet.dir.join("log").join(format!("{LOST}.ready")));
    collector(&["backup", "--config", text(&config), "--ready-file", text(&ready), "--to", text(to)])
}

fn catch_up(stage: &mut Stage) -> anyhow::Result<Command> {
    let peer = format!("https://{}", stage.fleet.collector(PEER)?.address);
    let config = stage.fleet.config_file(LOST);
    Ok(collector(&["catch-up", "--config", text(&config), "--from", &peer]))
}

fn data(stage: &Stage) -> PathBuf {
    stage.fleet.dir.join("data").join(LOST)
}

async fn verified(dir: &Path) -> anyhow::Result<(Option<i32>, String)> {
    end(collector(&["verify", "--dir", text(dir)]).spawn()?).await
}

/// The collector dies, and everything that it had.
async fn lose(stage: &mut Stage) -> anyhow::Result<()> {
    stage.fleet.collector(LOST)?.process.kill().await?;
    fs::remove_dir_all(data(stage)).context("its disk goes")
}

async fn restore(stage: &Stage, from: &Path) -> anyhow::Result<()> {
    good(collector(&["restore", "--from", text(from), "--to", text(&data(stage))])).await?;
    let (code, said) = verified(&data(stage)).await?;
    ensure!(code == Some(0), "what was restored is good: {said}");
    Ok(())
}

async fn start(stage: &mut Stage) -> anyhow::Result<()> {
    stage.fleet.collector(LOST)?.process.restart()?;
    stage.fleet.collector_is_back(LOST).await
}

/// The standby goes down for a while: an episode that both collectors have to say something about.
async fn outage(stage: &mut Stage) -> anyhow::Result<()> {
    stage.fleet.world.set_region("IE", false)?;
    stage.measured("nl-1", A_WHILE).await?;
    stage.fleet.world.set_region("IE", true)?;
    stage.measured("nl-1", A_WHILE).await
}

/// A start of an agent ends and another begins.
async fn restart_agent(stage: &mut Stage, name: &str) -> anyhow::Result<()> {
    let process = &mut stage.fleet.agent(name)?.process;
    process.kill().await?;
    process.restart()?;
    process.ready().await?;
    stage.caught_up().await
}

/// Numbers that the collector counts as lost.
async fn lost(stage: &Stage) -> anyhow::Result<u64> {
    Ok(stage.holdings(LOST).await?.accounts.iter().map(Account::sums).map(|sums| sums.lost).sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_backups_are_known_as_such_and_disturb_nobody() -> anyhow::Result<()> {
    let mut luck = luck("backup");
    let mut stage = Stage::start(options()).await?;
    stage.caught_up().await?;
    let mut finished = 0;
    for round in 0..ROUNDS {
        stage.measured("nl-1", 16).await?;
        let to = stage.fleet.dir.join(format!("backup-{round}"));
        let mut taking = backup(&stage, &to).spawn()?;
        until("the backup has begun", async || Ok(to.join("format").exists().then_some(()))).await?;
        tokio::time::sleep(Duration::from_millis(luck.random_range(0..40))).await;
        let collector_dies = luck.random_ratio(1, 3);
        if collector_dies {
            stage.fleet.collector(LOST)?.process.kill().await?;
        } else {
            taking.kill().await?;
        }
        let (code, _) = end(taking).await?;
        if collector_dies {
            start(&mut stage).await?;
        }
        let (checked, said) = verified(&to).await?;
        if to.join("manifest.json").exists() {
            ensure!(checked == Some(0), "round {round}: what is whole is good: {said}");
            finished += 1;
        } else {
            ensure!(checked == Some(1) && code != Some(0), "round {round}: ended with {code:?}: {said}");
            let into = stage.fleet.dir.join("never");
            let restored = collector(&["restore", "--from", text(&to), "--to", text(&into)]).spawn()?;
            ensure!(end(restored).await?.0 != Some(0) && !into.exists(), "round {round}: it is not restored");
        }
    }
    println!("{finished} of {ROUNDS} backups were whole before anybody was killed");
    // The next one is not held up by those that were killed.
    let to = stage.fleet.dir.join("backup");
    until("a backup is taken", async || {
        let _ = fs::remove_dir_all(&to);
        good(backup(&stage, &to)).await.map(Some)
    })
    .await?;
    ensure!(verified(&to).await?.0 == Some(0));
    stage.balance().await?;
    stage.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_made_of_yesterdays_backup_and_its_peer_is_the_same_again() -> anyhow::Result<()> {
    let mut stage = Stage::start(options()).await?;
    stage.caught_up().await?;
    outage(&mut stage).await?;
    let copy = stage.fleet.dir.join("backup");
    good(backup(&stage, &copy)).await?;
    // What agents deliver from here on and drop is only with the peer.
    restart_agent(&mut stage, "ie-1").await?;
    outage(&mut stage).await?;
    restart_agent(&mut stage, "nl-1").await?;
    stage.measured("nl-1", A_WHILE).await?;
    lose(&mut stage).await?;
    // And what they measure from here on they keep for it.
    stage.measured("nl-1", A_WHILE).await?;
    restore(&stage, &copy).await?;
    let said = good(catch_up(&mut stage)?).await?;
    ensure!(!said.contains(" 0 of them stored"), "there was something to catch up with: {said}");
    start(&mut stage).await?;
    outage(&mut stage).await?;
    let mended = SystemClock.wall();
    stage.measured("nl-1", A_WHILE).await?;
    let finals = equal_finals(&stage, mended).await?;
    ensure!(finals.len() >= 3, "before the backup, after it, and after the restore: {finals:#?}");
    let comparisons = stage.balance().await?;
    ensure!(comparisons.values().all(|c| c.gone == 0), "nothing is written off: {comparisons:#?}");

    // Once more: nothing is new.
    stage.fleet.collector(LOST)?.process.stop(PATIENCE).await?;
    let again = good(catch_up(&mut stage)?).await?;
    ensure!(again.contains(" 0 of them stored"), "{again}");

    // And with no backup at all.
    fs::remove_dir_all(data(&stage))?;
    let mut everything = catch_up(&mut stage)?;
    everything.args(["--since", "1h"]);
    good(everything).await?;
    let (code, said) = verified(&data(&stage)).await?;
    ensure!(code == Some(0), "ledgers count what is there: {said}");
    start(&mut stage).await?;
    let (here, there) = (stage.rows(LOST).await?.places, stage.rows(PEER).await?.places);
    ensure!(!here.is_empty() && here == there, "{} rows here, {} there", here.len(), there.len());
    stage.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_starts_before_catching_up_counts_a_loss_and_mends_it_afterwards() -> anyhow::Result<()> {
    let mut luck = luck("catch-up");
    let mut stage = Stage::start(options()).await?;
    stage.caught_up().await?;
    stage.measured("nl-1", A_WHILE).await?;
    let copy = stage.fleet.dir.join("backup");
    good(backup(&stage, &copy)).await?;
    outage(&mut stage).await?;
    let mended = SystemClock.wall();
    restart_agent(&mut stage, "ie-1").await?;
    stage.measured("nl-1", A_WHILE).await?;
    lose(&mut stage).await?;
    restore(&stage, &copy).await?;
    start(&mut stage).await?;
    stage.caught_up().await?;
    let written_off = lost(&stage).await?;
    ensure!(written_off > 0, "the ledger shows what the agents have dropped");
    stage.measured("nl-1", A_WHILE).await?;

    stage.fleet.collector(LOST)?.process.kill().await?;
    // Killed on the way, it is done again.
    for _ in 0..3 {
        let mut taking = catch_up(&mut stage)?.spawn()?;
        tokio::time::sleep(Duration::from_millis(luck.random_range(0..400))).await;
        taking.kill().await?;
    }
    good(catch_up(&mut stage)?).await?;
    let (code, said) = verified(&data(&stage)).await?;
    ensure!(code == Some(0), "ledgers count what is there: {said}");
    start(&mut stage).await?;
    // What it said of the time that it had not seen stands, and is revised.
    let episodes = says_what(&stage, LOST, PEER, mended).await?;
    ensure!(episodes > 0, "there was an outage meanwhile");
    let comparisons = stage.balance().await?;
    ensure!(comparisons.values().all(|c| c.gone == 0), "the loss is mended: {comparisons:#?}");
    ensure!(lost(&stage).await? == 0, "and not counted any more");
    stage.end().await
}
