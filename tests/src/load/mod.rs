//! What do agents and collectors take under load: which rates, at what cost of CPU, memory and disk?
//!
//! ```text
//!   sustained   a minute at a rate: what one collector takes, and what it costs
//!   mixed       the same with duplicates and late measurements, against without
//!   curve       the cost of a measurement over the size of the fleet
//!   restart     a start with a full horizon
//!   cutoff      an agent that kept a day, and how it gets rid of it
//! ```
//!
//! Each prints one line per figure. Simulated agents talk to a real collector process over mutual TLS; a measurement counts when its
//! acknowledgement is back. CPU is that of the process alone, from `/proc`. Rates depend on what else the machine does, so each line
//! of a rate names its load; CPU per million and ratios within one run mean more.

mod agent;
pub mod cost;
mod curve;
mod cutoff;
mod kept;
mod mixed;
mod restart;
mod run;
mod sealed;
mod shape;
mod stage;
mod sustained;
mod traffic;

use std::path::Path;

use clap::Subcommand;

/// Which figure is wanted.
#[derive(Debug, Clone, Subcommand)]
pub enum Load {
    /// A collector under a rate of measurements.
    Sustained(sustained::Sustained),
    /// What duplicates and late measurements cost a collector.
    Mixed(mixed::Mixed),
    /// What a measurement costs in small fleets and in large ones.
    Curve(curve::Curve),
    /// How long a collector with a full horizon takes to start.
    Restart(restart::Restart),
    /// An agent that was without a collector for a day.
    Cutoff(cutoff::Cutoff),
    /// Fills the buffer of an agent; a part of `cutoff`.
    #[command(hide = true)]
    Fill(kept::Fill),
}

/// Measures in an empty directory, and prints.
///
/// # Errors
/// When a process cannot be started, ends early or does not do in time what it has to.
pub async fn run(load: &Load, dir: &Path, binary: &Path) -> anyhow::Result<()> {
    match load {
        Load::Sustained(load) => load.run(dir, binary).await.map(drop),
        Load::Mixed(load) => load.run(dir, binary).await,
        Load::Curve(load) => load.run(dir, binary).await,
        Load::Restart(load) => load.run(dir, binary).await,
        Load::Cutoff(load) => load.run(dir, binary).await,
        Load::Fill(load) => load.run().await,
    }
}
