//! Does a measurement cost the same in small fleets and in large ones, and how much memory does each pair of agent and target take?
//!
//! ```text
//!   agents     6 x 10,000    60 x 1,000   600 x 100       every second: the same pairs, the same rate
//!   targets    6 x 1,000   every 100 ms       6 x 10,000   every second       6 x 100,000   every 10 s: the same rate
//!   memory     6 x 1,000   every 100 ms       6 x 10,000   every 100 ms: what ten times the pairs take
//! ```
//!
//! The rate is that of 60,000 measurements a second, far from what a collector can take, so that none waits. A slot has 100 ms at
//! least, so six agents with 100 targets offer a tenth of it; they run for ten times as long. A plan has 100,000 targets at most.

use std::path::Path;
use std::time::Duration;

use uitwijk_model::{Millis, SlotLength};

use super::run::{self, Figures};
use super::shape::Shape;
use super::stage::Stage;
use super::traffic::Mix;

/// How long to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Curve {
    /// How long each point is measured; the one with 100 targets ten times as long.
    #[arg(long, default_value_t = 20)]
    pub seconds: u32,
    /// Rows in a batch, 1 to 4096; fewer where a slot has fewer.
    #[arg(long, default_value_t = 500)]
    pub rows: u32,
}

impl Curve {
    pub(super) async fn run(&self, dir: &Path, binary: &Path) -> anyhow::Result<()> {
        println!("agents:");
        for (agents, targets) in [(6, 9_999), (60, 999), (600, 99)] {
            self.point(dir, binary, agents, targets, 1000, 1).await?;
        }
        println!("targets:");
        for (targets, slot_ms, times) in [(99, 100, 10), (999, 100, 1), (9_999, 1000, 1), (99_999, 10_000, 2)] {
            self.point(dir, binary, 6, targets, slot_ms, times).await?;
        }
        println!("memory, windows full:");
        let small = self.point(dir, binary, 6, 999, 100, 2).await?;
        let large = self.point(dir, binary, 6, 9_999, 100, 2).await?;
        let more = large.cost.rss_bytes.saturating_sub(small.cost.rss_bytes);
        println!(
            "memory: {:.0} bytes per pair of agent and target, from the difference of the last two",
            more as f64 / 54_000.0
        );
        Ok(())
    }

    async fn point(
        &self,
        dir: &Path,
        binary: &Path,
        agents: u32,
        targets: u32,
        slot_ms: u64,
        times: u32,
    ) -> anyhow::Result<Figures> {
        let shape = Shape::new(agents, targets, self.rows, SlotLength::new(Millis(slot_ms))?)?;
        let dir = dir.join(format!("curve-{agents}-{targets}"));
        let begun = tokio::time::Instant::now();
        let mut stage = Stage::start(&dir, binary, shape).await?;
        let ready = begun.elapsed();
        let f = run::live(&stage, Duration::from_secs((self.seconds * times).into()), Mix::default()).await?;
        println!(
            "curve: {agents} agents x {targets} targets every {}: {:.2} CPU s per million of {}, {:.0} measurements/s, {} MiB RSS of \
             which {} before the first, ready after {:.1} s",
            stage.shape.slot.millis(),
            f.cpu_per_million(),
            f.fresh,
            f.rate(),
            f.cost.rss_bytes >> 20,
            f.idle.rss_bytes >> 20,
            ready.as_secs_f64(),
        );
        stage.stop().await?;
        std::fs::remove_dir_all(&dir)?;
        Ok(f)
    }
}
