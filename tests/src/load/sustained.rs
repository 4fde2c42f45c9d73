//! How many measurements does one collector take for a minute, at what cost, and how much of the disk?
//!
//! ```text
//!   this process: one stream for each simulated agent --mutual TLS, loopback--> a collector process
//!     batches made beforehand (shape.rs)                      check, dedup, sync, acknowledge, judge
//! ```
//!
//! Slots follow the clock, so agents times targets by the slot's length is the rate that is offered, and the judge publishes as it
//! would live. What a collector cannot take in time comes late; the lag at the end says by how much. Every measurement is up: an
//! outage costs the judge more, which its own benchmark shows.

use std::path::Path;
use std::time::Duration;

use uitwijk_model::{Millis, SlotLength};

use super::cost::load_of_machine;
use super::run::{self, Figures};
use super::sealed;
use super::shape::Shape;
use super::stage::Stage;
use super::traffic::Mix;

/// What to load the collector with.
#[derive(Debug, Clone, clap::Args)]
pub struct Sustained {
    /// Measurements per second, all agents together.
    #[arg(long, default_value_t = 1_000_000)]
    pub rate: u32,
    /// How long to send.
    #[arg(long, default_value_t = 60)]
    pub seconds: u32,
    /// Simulated agents, 1 to 10000.
    #[arg(long, default_value_t = 6)]
    pub agents: u32,
    /// Length of a slot, 100ms to 1h; with the rate it says how many targets
    /// there are.
    #[arg(long, default_value = "100ms")]
    pub slot: Millis,
    /// Rows in a batch, 1 to 4096.
    #[arg(long, default_value_t = 500)]
    pub rows: u32,
    /// Batches sent again, in hundredths of those that are not.
    #[arg(long, default_value_t = 0)]
    pub duplicates: u32,
    /// Batches of two hours ago, in hundredths of those of now.
    #[arg(long, default_value_t = 0)]
    pub late: u32,
    /// Afterwards seal every hour and tell what a measurement takes then.
    #[arg(long)]
    pub seal: bool,
}

impl Sustained {
    /// The fleet that measures at this rate.
    pub(super) fn shape(&self) -> anyhow::Result<Shape> {
        let slot = SlotLength::new(self.slot)?;
        let per_slot = u64::from(self.rate) * slot.millis().0 / 1000;
        let targets = per_slot.div_ceil(u64::from(self.agents.max(1)));
        Shape::new(self.agents, u32::try_from(targets)?.next_multiple_of(3), self.rows, slot)
    }

    fn mix(&self) -> Mix {
        Mix { duplicates: self.duplicates, late: self.late }
    }

    /// Loads a collector in an empty directory, and says a line.
    pub(super) async fn run(&self, dir: &Path, binary: &Path) -> anyhow::Result<Figures> {
        let mut stage = Stage::start(dir, binary, self.shape()?).await?;
        let figures = run::live(&stage, Duration::from_secs(self.seconds.into()), self.mix()).await?;
        println!("{}", line(&figures, &stage.shape));
        stage.stop().await?;
        if self.seal {
            let data = stage.data();
            println!("{}", tokio::task::spawn_blocking(move || sealed::line(&data)).await??);
        }
        Ok(figures)
    }
}

fn line(f: &Figures, shape: &Shape) -> String {
    format!(
        "ingest: {:.0} measurements/s acknowledged after sync of {:.0} offered, {:.1} s and {} ms behind at the end, {:.2} CPU s \
         per million in the collector and {:.2} in the generator, {} turns of the judge, {} MiB RSS at most, {} bytes on disk per \
         measurement before sealing, {} sent again, {} agents x {} targets every {}, machine load {}",
        f.rate(),
        f.offered,
        f.elapsed.as_secs_f64(),
        f.behind.as_millis(),
        f.cpu_per_million(),
        f.generator.as_secs_f64() * 1e6 / f.fresh as f64,
        f.judgements,
        f.cost.rss_peak_bytes >> 20,
        f.cost.disk_bytes / f.fresh.max(1),
        f.sent - f.fresh,
        shape.agents,
        shape.targets(),
        shape.slot.millis(),
        load_of_machine(),
    )
}
