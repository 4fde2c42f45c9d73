//! Does a measurement cost the same in small fleets and in large ones, and how much memory does each pair of agent and target take?
//!
//! ```text
//!   agents     6 x 50,000   60 x 5,000   600 x 500        every second: the same pairs, the same 300,000 a second
//!   targets    6 x 1,000   every 100 ms       6 x 10,000   every second       6 x 100,000   every 10 s: the same 60,000 a second
//!   memory     6 x 1,000   every 100 ms       6 x 10,000   every 100 ms: what ten times the pairs take
//!   little     600 x 100   every second: batches are a fifth full       6 x 100   every 100 ms: a tenth of the rate
//! ```
//!
//! What is compared has the same rate and full batches, so that only the size of the fleet differs, and a rate far from what a
//! collector can take, so that none waits. Where there is little to do, what each batch, sync and turn costs is shared by few
//! measurements; the last points say how much that is. A slot has 100 ms at least, so six agents with 100 targets are no more than
//! 6,000 a second; they run for ten times as long. A plan has 100,000 targets at most.
//!
//! What is measured begins when each target was met at least once: to learn its name and to make room for it is done once and would
//! count for more the fewer slots there are.
//!
//! A machine is not the same for minutes. So the points of a line are measured in turns, and of each the median counts.

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
    /// How long each point runs before, in seconds; two of the longest slots.
    #[arg(long, default_value_t = 20)]
    pub warm_up: u32,
    /// How often each point is measured, in turns; odd, so that one is in the middle.
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Rows in a batch, 1 to 4096; fewer where a slot has fewer.
    #[arg(long, default_value_t = 500)]
    pub rows: u32,
}

impl Curve {
    pub(super) async fn run(&self, dir: &Path, binary: &Path) -> anyhow::Result<()> {
        println!("agents:");
        self.line(dir, binary, &[(6, 49_998, 1000, 1), (60, 4998, 1000, 1), (600, 498, 1000, 1)]).await?;
        println!("targets:");
        self.line(dir, binary, &[(6, 999, 100, 1), (6, 9999, 1000, 1), (6, 99_999, 10_000, 2)]).await?;
        println!("little to do:");
        self.line(dir, binary, &[(600, 99, 1000, 1), (6, 99, 100, 10)]).await?;
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

    /// Agents, targets, the slot in milliseconds, and how many times as long as others: points that are compared.
    async fn line(&self, dir: &Path, binary: &Path, points: &[(u32, u32, u64, u32)]) -> anyhow::Result<()> {
        let mut costs = vec![Vec::new(); points.len()];
        for _ in 0..self.rounds.max(1) {
            for (&(agents, targets, slot_ms, times), costs) in points.iter().zip(&mut costs) {
                costs.push(self.point(dir, binary, agents, targets, slot_ms, times).await?.cpu_per_million());
            }
        }
        let medians: Vec<f64> = costs.into_iter().map(median).collect();
        let (low, high) =
            medians.iter().fold((f64::MAX, 0.0_f64), |(low, high), &cost| (low.min(cost), high.max(cost)));
        let all: Vec<String> = medians.iter().map(|cost| format!("{cost:.2}")).collect();
        let more = (high / low - 1.0) * 100.0;
        println!("curve: medians {}: the dearest costs {more:.0} % more than the cheapest", all.join(", "));
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
        let (warm_up, lasting) = (self.warm_up, self.seconds * times);
        let [warm_up, lasting] = [warm_up, lasting].map(|seconds| Duration::from_secs(seconds.into()));
        let f = run::live_warm(&stage, warm_up, lasting, Mix::default()).await?;
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

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
