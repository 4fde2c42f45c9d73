//! Plays seeds of the simulation; see the library.

use std::process::ExitCode;

use clap::Parser;
use uitwijk_sim::{Report, many};

/// Plays a fleet of the real code on an unkind network in one thread, from a
/// seed, and checks that nothing was lost, doubled or misjudged. Ends with 1
/// when a promise was broken.
#[derive(Debug, Parser)]
#[command(name = "uitwijk-sim", version, max_term_width = 80)]
struct Cli {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, from that one on. One alone is told in full; of many,
    /// those that broke a promise, and the sum.
    #[arg(long, default_value_t = 1)]
    count: u64,
}

fn main() -> ExitCode {
    let Cli { seed, count } = Cli::parse();
    let tell = |report: &Report| {
        if count <= 1 {
            report.troubles.iter().for_each(|trouble| println!("  {trouble}"));
        }
        if count <= 1 || !report.broken.is_empty() {
            println!("{report}");
            report.broken.iter().for_each(|broken| println!("  {broken}"));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    match many(seed..seed.saturating_add(count.max(1)), threads, &tell) {
        Ok(sum) if sum.broken == 0 => {
            println!("{sum}");
            ExitCode::SUCCESS
        }
        Ok(sum) => {
            println!("{sum}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("cannot simulate: {error:#}");
            ExitCode::FAILURE
        }
    }
}
