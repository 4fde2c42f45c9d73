//! A disk becomes read-only while a process works on it, and is writable again later.
//!
//! The kernel refuses to remount a file system read-only while files on it are open for writing, whoever asks. It
//! happens all the same, when a file system falls ill: ext4 makes itself read-only after an error of its disk, and each write gives
//! `EROFS` from then on, also to files that were open. So the data lies on an ext4 in a file, which is told to abort; and
//! what brings it back is a mount of the same file system over the first, from another loop device. That needs root.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::disk::{page, ran, until_ready, with};
use super::stage::Stage;

/// An ext4 in a file, until it is dropped.
struct Image {
    at: PathBuf,
    mounts: u32,
    dir: tempfile::TempDir,
}

impl Image {
    fn mount(mebibytes: u64) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut image = Self { at: dir.path().join("disk"), mounts: 0, dir };
        fs::create_dir(&image.at)?;
        File::create(image.file())?.set_len(mebibytes << 20)?;
        ran(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image.file()))?;
        image.mount_over()?;
        Ok(image)
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    /// A new loop device each time: the one of a file system that is ill has that file system for good.
    fn mount_over(&mut self) -> anyhow::Result<()> {
        let output = Command::new("losetup").args(["--find", "--show"]).arg(self.file()).output()?;
        ensure!(output.status.success(), "losetup: {}", String::from_utf8_lossy(&output.stderr));
        let device = String::from_utf8(output.stdout)?.trim().to_owned();
        let mounted = ran(Command::new("mount").args(["-t", "ext4", &device]).arg(&self.at));
        // It goes with the mount.
        ran(Command::new("losetup").args(["--detach", &device]))?;
        mounted?;
        self.mounts += 1;
        Ok(())
    }

    /// Takes no write any more, not even to files that are open.
    fn fall_ill(&self) -> anyhow::Result<()> {
        ran(Command::new("mount").args(["-o", "remount,abort"]).arg(&self.at))?;
        let refused = File::create(self.at.join("trial")).err().context("a file system that is ill takes writes")?;
        ensure!(refused.kind() == std::io::ErrorKind::ReadOnlyFilesystem, "{refused}");
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.at.join("data")
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        for _ in 0..self.mounts {
            let _ = ran(Command::new("umount").arg("-l").arg(&self.at));
        }
    }
}

/// Whether there can be such a file system here.
fn image(test: &str, mebibytes: u64) -> Option<Image> {
    match Image::mount(mebibytes) {
        Ok(image) => Some(image),
        Err(error) => {
            println!("{test}: skipped, since no ext4 in a file can be mounted here: {error:#}");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_disk_becomes_read_only_probes_on_and_recovers() -> anyhow::Result<()> {
    let Some(mut image) = image("an_agent_whose_disk_becomes_read_only_probes_on_and_recovers", 64) else {
        return Ok(());
    };
    let mut stage = Stage::start(with("nl-1", image.data(), "")).await?;
    stage.caught_up().await?;
    stage.measured("nl-1", 32).await?;
    let admin = stage.fleet.agent("nl-1")?.admin;
    image.fall_ill()?;
    until_ready(admin, false, "the disk takes no writes").await?;
    let metrics = page(admin, "/metrics").await?;
    let failures = metrics.lines().find_map(|line| line.strip_prefix("uitwijk_agent_buffer_write_failures "));
    ensure!(failures.is_some_and(|count| count != "0"), "the failures are counted: {failures:?}");
    stage.measured("nl-1", 64).await?;
    image.mount_over()?;
    until_ready(admin, true, "the disk takes writes again").await?;
    stage.measured("nl-1", 64).await?;
    let comparisons = stage.balance().await?;
    assert!(comparisons.values().all(|c| c.gone + c.unsynced == 0), "memory had room for all: {comparisons:#?}");
    stage.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_whose_disk_becomes_read_only_acknowledges_nothing_and_recovers() -> anyhow::Result<()> {
    let name = "a_collector_whose_disk_becomes_read_only_acknowledges_nothing_and_recovers";
    let Some(mut image) = image(name, 512) else { return Ok(()) };
    let mut stage = Stage::start(with("col-nl", image.data(), "")).await?;
    stage.caught_up().await?;
    stage.measured("nl-1", 64).await?;
    let admin = stage.fleet.collector("col-nl")?.admin;
    image.fall_ill()?;
    until_ready(admin, false, "the store takes no writes").await?;
    stage.measured("nl-1", 64).await?;
    image.mount_over()?;
    until_ready(admin, true, "the store takes writes again").await?;
    let comparisons = stage.balance().await?;
    assert!(comparisons.values().all(|c| c.gone + c.unsynced == 0), "agents keep what is not acknowledged");
    stage.end().await
}
