//! What does an agent's buffer hold after hours without a collector, and what does filling it take?
//!
//! Real probes for a day are impossible, so their measurements are made: the rows of each slot, with the times of the slots before
//! now and durations that jitter, appended in groups of as many as a commit of a real agent has, each synced as a real one is. This is
//! a process of its own, so its memory is that of the buffer.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use uitwijk_agent::buffer::{Buffer, BufferOptions};
use uitwijk_model::{Clock as _, Elapsed, Measurement, Millis, Slot, SlotLength, SystemClock, WallTime};

use super::shape::{Noise, Shape};

/// What to fill, and with what.
#[derive(Debug, Clone, clap::Args)]
pub struct Fill {
    /// Folder of the buffer.
    #[arg(long)]
    pub buffer: PathBuf,
    /// Name of the collector that it is kept for.
    #[arg(long)]
    pub collector: String,
    /// Targets.
    #[arg(long)]
    pub targets: u32,
    /// Hours up to now.
    #[arg(long)]
    pub hours: u32,
    /// Disk space that it may take.
    #[arg(long)]
    pub disk_bytes_max: u64,
    /// Measurements of one commit.
    #[arg(long)]
    pub commit_rows: u32,
}

/// What came of it; the child prints it as JSON.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Filled {
    /// Measurements that were made.
    pub(super) written: u64,
    /// Those that are still there.
    pub(super) kept: u64,
    /// Bytes of the records.
    pub(super) raw_bytes: u64,
    /// Bytes on disk, the most at any time.
    pub(super) disk_bytes: u64,
    /// Resident memory, the most at any time.
    pub(super) rss_bytes: u64,
    /// How long it took.
    pub(super) seconds: f64,
    /// CPU that it took.
    pub(super) cpu_seconds: f64,
}

impl Fill {
    /// Fills, and prints what came of it.
    pub(super) async fn run(&self) -> anyhow::Result<()> {
        let slot = SlotLength::new(Millis::from_secs(10))?;
        let rows = Shape::new(1, self.targets, 500, slot)?.one_slot();
        let begun = SystemClock.elapsed();
        let mut options = BufferOptions::new(&self.buffer, vec![self.collector.clone()], Arc::new(SystemClock));
        options.disk_bytes_max = self.disk_bytes_max;
        let (buffer, _) = Buffer::open(options)?;
        let end = slot.slot_of(SystemClock.wall());
        let (mut noise, mut written, mut disk_bytes) = (Noise::of(7), 0, 0);
        for back in (0..i64::from(self.hours) * 360).rev() {
            let at = end.plus(-1 - back);
            for group in rows.chunks(self.commit_rows.max(1) as usize) {
                let made = group.iter().map(|row| made(row, at, slot, &mut noise)).collect();
                written += buffer.append(made).taken;
                anyhow::ensure!(buffer.sync().await, "the disk of the buffer failed");
            }
            disk_bytes = disk_bytes.max(buffer.counts().disk_bytes);
        }
        let kept = buffer.backlog(&self.collector);
        let raw_bytes = buffer.counts().raw_bytes;
        buffer.close().await;
        let rss_bytes = super::cost::peak("self")?;
        let seconds = SystemClock.elapsed().since(begun).as_micros() as f64 / 1e6;
        let cpu_seconds = super::cost::cpu("self")?.as_secs_f64();
        let filled = Filled { written, kept, raw_bytes, disk_bytes, rss_bytes, seconds, cpu_seconds };
        println!("{}", serde_json::to_string(&filled).context("print what came of it")?);
        Ok(())
    }
}

/// The row of slot 0 in another slot, with other durations.
fn made(row: &Measurement, slot: Slot, length: SlotLength, noise: &mut Noise) -> Measurement {
    let start = length.start_of(slot).as_micros();
    let later = |at: WallTime, us: u64| WallTime::from_micros(at.as_micros() + start + us.cast_signed());
    let mut longer =
        |was: Option<Elapsed>, most: u64| was.map(|was| Elapsed::from_micros(was.as_micros() + noise.bits() % most));
    let mut made = row.clone();
    made.phases.dns = longer(row.phases.dns, 200);
    made.phases.connect = longer(row.phases.connect, 300);
    made.phases.tls = longer(row.phases.tls, 900);
    made.phases.wait = longer(row.phases.wait, 8000);
    made.phases.transfer = longer(row.phases.transfer, 90);
    made.total = longer(row.total, 9000);
    made.slot = slot;
    made.scheduled = later(row.scheduled, 0);
    made.started = later(row.started, noise.bits() % 120);
    made
}
