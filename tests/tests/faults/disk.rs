//! Disks are full, or take no writes, and come back without anybody's help.
//!
//! Each process of interest has its data on a small tmpfs of its own. Mounting needs a privilege; where there is none the test runs itself
//! again in a user namespace of its own, and says that it was skipped where that is not allowed either.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use uitwijk_tests::fleet::{FleetOptions, Special};

use super::stage::{Stage, options, until};

/// Set in the run within a namespace.
const WITHIN: &str = "FAULT_TEST_IN_NAMESPACE";

/// A small file system in memory, until it is dropped.
struct Small {
    at: PathBuf,
    _dir: tempfile::TempDir,
}

impl Small {
    fn mount(mebibytes: u32) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let at = dir.path().join("small");
        fs::create_dir(&at)?;
        ran(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"]).arg(&at))?;
        Ok(Self { at, _dir: dir })
    }

    /// Where a process puts its data.
    fn data(&self) -> PathBuf {
        self.at.join("data")
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }

    /// Takes every byte that is left.
    fn fill(&self) -> anyhow::Result<()> {
        let mut file = File::options().create(true).append(true).open(self.filler())?;
        for piece in [1 << 16, 1 << 10, 1] {
            let bytes = vec![b'x'; piece];
            while file.write_all(&bytes).is_ok() {}
        }
        Ok(())
    }

    fn free(&self) -> anyhow::Result<()> {
        fs::remove_file(self.filler()).context("remove the filler")
    }

    fn remount(&self, how: &str) -> anyhow::Result<()> {
        ran(Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&self.at))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: a process that is about to end may still have files open.
        let _ = ran(Command::new("umount").arg("-l").arg(&self.at));
    }
}

pub(super) fn ran(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Whether this process can mount; otherwise the test is run where it can, or not at all.
fn can_mount(test: &str) -> anyhow::Result<bool> {
    if Small::mount(1).is_ok() {
        return Ok(true);
    }
    if std::env::var_os(WITHIN).is_some() || !namespaces() {
        println!("{test}: skipped, since nothing can be mounted here, not in a user namespace either");
        return Ok(false);
    }
    let name = format!("disk::{test}");
    let mut again = Command::new("unshare");
    again.arg("-rm").arg(std::env::current_exe()?).args(["--exact", &name, "--nocapture"]).env(WITHIN, "1");
    ran(&mut again)?;
    Ok(false)
}

fn namespaces() -> bool {
    ran(Command::new("unshare").args(["-rm", "true"])).is_ok()
}

pub(super) fn with(name: &str, data_dir: PathBuf, lines: &str) -> FleetOptions {
    let special = Special { data_dir: Some(data_dir), lines: lines.to_owned(), ..Special::default() };
    FleetOptions { special: [(name.to_owned(), special)].into(), ..options() }
}

/// What a page of a process says.
pub(super) async fn page(admin: std::net::SocketAddr, path: &str) -> anyhow::Result<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(admin).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: fleet\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

pub(super) async fn until_ready(admin: std::net::SocketAddr, ready: bool, why: &str) -> anyhow::Result<()> {
    until(&format!("{why}: ready is {ready}"), async || {
        let answer = page(admin, "/-/ready").await?;
        Ok((answer.starts_with("HTTP/1.1 200") == ready).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_a_full_disk_probes_on_and_recovers() -> anyhow::Result<()> {
    if !can_mount("an_agent_with_a_full_disk_probes_on_and_recovers")? {
        return Ok(());
    }
    let small = Small::mount(14)?;
    let mut stage = Stage::start(with("nl-1", small.data(), "")).await?;
    stage.caught_up().await?;
    let admin = stage.fleet.agent("nl-1")?.admin;
    small.fill()?;
    // Two slots are the least that it takes to notice; it goes on measuring, and delivers from memory.
    until("the disk is noticed to be full, and measuring goes on", async || {
        stage.measured("nl-1", 32).await?;
        small.fill()?;
        let metrics = page(admin, "/metrics").await?;
        let failures = metrics.lines().find_map(|l| l.strip_prefix("uitwijk_agent_buffer_write_failures "));
        Ok(failures.filter(|count| *count != "0").map(drop))
    })
    .await?;
    stage.measured("nl-1", 64).await?;
    small.free()?;
    until_ready(admin, true, "the disk has room again").await?;
    stage.measured("nl-1", 64).await?;
    stage.balance().await?;
    stage.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_with_a_full_disk_acknowledges_nothing_and_recovers() -> anyhow::Result<()> {
    if !can_mount("a_collector_with_a_full_disk_acknowledges_nothing_and_recovers")? {
        return Ok(());
    }
    let small = Small::mount(160)?;
    let mut stage = Stage::start(with("col-nl", small.data(), "")).await?;
    stage.caught_up().await?;
    stage.measured("nl-1", 64).await?;
    small.fill()?;
    let admin = stage.fleet.collector("col-nl")?.admin;
    until_ready(admin, false, "the store is full").await?;
    stage.measured("nl-1", 64).await?;
    small.free()?;
    until_ready(admin, true, "the store has room again").await?;
    let comparisons = stage.balance().await?;
    assert!(comparisons.values().all(|c| c.gone + c.unsynced == 0), "agents keep what is not acknowledged");
    stage.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn disks_that_take_no_writes_are_waited_for() -> anyhow::Result<()> {
    if !can_mount("disks_that_take_no_writes_are_waited_for")? {
        return Ok(());
    }
    let small = Small::mount(64)?;
    let mut stage = Stage::start(with("nl-1", small.data(), "")).await?;
    stage.caught_up().await?;
    // A file system with open files cannot be made read-only, so it happens between two starts.
    let process = &mut stage.fleet.agent("nl-1")?.process;
    process.kill().await?;
    small.remount("ro")?;
    process.restart()?;
    let admin = process.ready().await?.admin;
    stage.measured("nl-1", 64).await?;
    until_ready(admin, false, "there is no usable disk").await?;
    small.remount("rw")?;
    until_ready(admin, true, "the disk takes writes again").await?;
    stage.measured("nl-1", 64).await?;
    let comparisons = stage.balance().await?;
    assert!(comparisons.values().all(|c| c.gone == 0), "memory had room for all: {comparisons:#?}");
    stage.end().await
}
