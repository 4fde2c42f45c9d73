//! What do measurements cost that come twice, or hours late?
//!
//! The same load on a new collector each time: plain, with duplicates, with late ones, with both. The ratios are the figure, of a million
//! measurements that came in. A duplicate is work without a new measurement, so the ratio for a million new ones stands beside it.

use std::path::Path;

use super::run::Figures;
use super::sustained::Sustained;

/// What is sent beside live measurements.
#[derive(Debug, Clone, clap::Args)]
pub struct Mixed {
    /// Measurements per second, far from what a collector can take.
    #[arg(long, default_value_t = 300_000)]
    pub rate: u32,
    /// How long each of the four runs sends.
    #[arg(long, default_value_t = 20)]
    pub seconds: u32,
    /// Batches sent again, in hundredths of those that are not.
    #[arg(long, default_value_t = 10)]
    pub duplicates: u32,
    /// Batches of two hours ago, in hundredths of those of now.
    #[arg(long, default_value_t = 10)]
    pub late: u32,
}

impl Mixed {
    pub(super) async fn run(&self, dir: &Path, binary: &Path) -> anyhow::Result<()> {
        let plain = self.cost(dir, binary, 0, 0).await?;
        for (name, duplicates, late) in
            [("duplicates", self.duplicates, 0), ("late", 0, self.late), ("both", self.duplicates, self.late)]
        {
            let with = self.cost(dir, binary, duplicates, late).await?;
            let more = |cost: f64, plain: f64| (cost / plain - 1.0) * 100.0;
            println!(
                "mixed: {name}: {duplicates} % sent again and {late} % two hours late cost {:.0} % more CPU for what came in, {:.2} CPU s per \
                 million instead of {:.2}, and {:.0} % more for what was new",
                more(with.cpu_per_million_sent(), plain.cpu_per_million_sent()),
                with.cpu_per_million_sent(),
                plain.cpu_per_million_sent(),
                more(with.cpu_per_million(), plain.cpu_per_million()),
            );
        }
        Ok(())
    }

    async fn cost(&self, dir: &Path, binary: &Path, duplicates: u32, late: u32) -> anyhow::Result<Figures> {
        let dir = dir.join(format!("mixed-{duplicates}-{late}"));
        let load = Sustained {
            rate: self.rate,
            seconds: self.seconds,
            agents: 6,
            slot: uitwijk_model::Millis(100),
            rows: 500,
            duplicates,
            late,
            seal: false,
        };
        let figures = load.run(&dir, binary).await?;
        std::fs::remove_dir_all(&dir)?;
        Ok(figures)
    }
}
