//! How long does a collector take to start with a full open horizon?
//!
//! Agents deliver what they kept of the last hours; then the collector is killed, started, stopped in order and started again. What it
//! reads is in the page cache, as it is after a restart in operation. While they deliver it does not judge: agents that do so side by
//! side are ahead of each other, which would fill the verdict log with doubts that a day in operation does not have.

use std::path::Path;
use std::time::Duration;

use uitwijk_model::{Clock as _, Millis, SlotLength, SystemClock};

use super::cost::load_of_machine;
use super::run;
use super::shape::Shape;
use super::stage::Stage;

/// What the store holds before the restart.
#[derive(Debug, Clone, clap::Args)]
pub struct Restart {
    /// Measurements in the hot store.
    #[arg(long, default_value_t = 10_000_000)]
    pub measurements: u64,
    /// Over so many hours up to now; the judge's horizon has 24.
    #[arg(long, default_value_t = 24)]
    pub hours: u32,
    /// Simulated agents, 1 to 10000.
    #[arg(long, default_value_t = 6)]
    pub agents: u32,
    /// Rows in a batch, 1 to 4096; fewer where a slot has fewer.
    #[arg(long, default_value_t = 500)]
    pub rows: u32,
}

impl Restart {
    pub(super) async fn run(&self, dir: &Path, binary: &Path) -> anyhow::Result<()> {
        let slot = SlotLength::new(Millis::from_secs(10))?;
        let slots = u64::from(self.hours) * 360;
        let targets = u32::try_from(self.measurements.div_ceil(slots * u64::from(self.agents)))?.next_multiple_of(3);
        let mut stage = Stage::waiting(dir, binary, Shape::new(self.agents, targets, self.rows, slot)?, "1h").await?;
        let end = slot.slot_of(SystemClock.wall());
        let filled = run::kept(&stage, (end.plus(-slots.cast_signed()), end)).await?;
        println!(
            "restart: filled with {} measurements of {} pairs in {:.1} s, {:.2} CPU s per million, {} MiB RSS",
            filled.fresh,
            stage.shape.pairs(),
            filled.elapsed.as_secs_f64(),
            filled.cpu_per_million(),
            filled.cost.rss_bytes >> 20
        );
        stage.collector.kill().await?;
        self.start(&mut stage, "after a kill", filled.fresh).await?;
        stage.stop().await?;
        self.start(&mut stage, "after an orderly stop", filled.fresh).await?;
        stage.stop().await
    }

    async fn start(&self, stage: &mut Stage, when: &str, measurements: u64) -> anyhow::Result<()> {
        let ready = stage.restart().await?;
        let at_once = stage.cost()?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let later = stage.cost()?;
        println!(
            "restart: {when} ready in {:.2} s with {measurements} measurements in the horizon, {:.2} CPU s, {} MiB RSS at most, {:.2} CPU s \
             in the five seconds after, machine load {}",
            ready.as_secs_f64(),
            at_once.cpu.as_secs_f64(),
            later.rss_peak_bytes >> 20,
            later.cpu.saturating_sub(at_once.cpu).as_secs_f64(),
            load_of_machine(),
        );
        Ok(())
    }
}
