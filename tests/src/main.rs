//! The fleet in one binary: agent, collector, command-line tool, demo. See the library.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use uitwijk_model::Millis;
use uitwijk_tests::demo::story::Outage;
use uitwijk_tests::demo::{self, DemoOptions};
use uitwijk_tests::fleet;

/// Plays and measures a whole fleet on this machine.
#[derive(Debug, Parser)]
#[command(name = "uitwijk-fleet", version, max_term_width = 80)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts six agents, two collectors and the services that they watch, plays
    /// an outage and shows the verdict. Ends with 1 when it is not the right one.
    Demo {
        /// What goes wrong.
        #[arg(long, value_enum, default_value = "region")]
        outage: Outage,
        /// Length of a slot, 500ms to 10s; the judge's times scale with it.
        #[arg(long, default_value = "1s", value_parser = slot)]
        slot: Millis,
        /// End the fleet after the verdict instead of leaving it running.
        #[arg(long)]
        exit: bool,
        /// Where everything of the fleet lies; what an earlier demo left there is
        /// removed.
        #[arg(long, default_value_os_t = std::env::temp_dir().join("uitwijk-demo"))]
        dir: PathBuf,
    },
    /// The agent, as `uitwijk-agent`.
    #[command(disable_help_flag = true)]
    Agent(Rest),
    /// The collector, as `uitwijk-collector`.
    #[command(disable_help_flag = true)]
    Collector(Rest),
    /// The tool for operations people, as `uitwijk`.
    #[command(disable_help_flag = true)]
    Uitwijk(Rest),
}

/// Arguments that another program reads.
#[derive(Debug, clap::Args)]
struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

impl Rest {
    fn named(self, name: &str) -> impl Iterator<Item = OsString> {
        std::iter::once(OsString::from(name)).chain(self.args)
    }
}

fn slot(text: &str) -> Result<Millis, String> {
    let slot: Millis = text.parse().map_err(|e: uitwijk_model::time::MillisError| e.to_string())?;
    match (500..=10_000).contains(&slot.0) {
        true => Ok(slot),
        false => Err(format!("a slot of {slot} is out of range: 500ms to 10s")),
    }
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Agent(rest) => uitwijk_agent::cli::main(rest.named("uitwijk-agent")),
        Command::Collector(rest) => uitwijk_collector::cli::main(rest.named("uitwijk-collector")),
        Command::Uitwijk(rest) => uitwijk_collector::ops::main(rest.named("uitwijk")),
        Command::Demo { outage, slot, exit, dir } => play(outage, slot, exit, dir),
    }
}

fn play(outage: Outage, slot: Millis, exit: bool, dir: PathBuf) -> ExitCode {
    let played = fleet::own_binary().and_then(|binary| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(demo::run(&DemoOptions { outage, slot: slot.into(), exit, dir, binary }))
    });
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the demo could not be played: {error:#}");
            ExitCode::FAILURE
        }
    }
}
