//! The fleet in one binary: agent, collector, command-line tool, demo. See the library.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use uitwijk_model::Millis;
use uitwijk_tests::demo::story::Outage;
use uitwijk_tests::demo::{self, DemoOptions};
use uitwijk_tests::fleet::{self, clock, prepare};
use uitwijk_tests::load::Load;
use uitwijk_tests::world::tls::SiteCertificate;
use uitwijk_tests::world::{World, WorldOptions, control};

/// The same as in the collector.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    /// Measures what agents and collectors take under load, and prints a line per
    /// figure.
    #[command(subcommand)]
    Load(Load),
    /// Writes certificates, plan and configurations for the containers of
    /// deploy/compose into a new directory.
    Prepare {
        /// The directory.
        dir: PathBuf,
        /// Length of a slot, 500ms to 10s; the judge's times scale with it.
        #[arg(long, default_value = "10s", value_parser = slot)]
        slot: Millis,
    },
    /// Serves the services that a prepared fleet watches, until it is stopped.
    Targets {
        /// A directory made by `prepare`.
        dir: PathBuf,
        /// Length of a slot, as prepared.
        #[arg(long, default_value = "10s", value_parser = slot)]
        slot: Millis,
        /// First port of the sites.
        #[arg(long, default_value_t = prepare::FIRST_SITE_PORT)]
        first_port: u16,
        /// Port that takes turns of the world (plain HTTP, for trials only).
        #[arg(long, default_value_t = 8080)]
        control_port: u16,
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
        Command::Agent(rest) => uitwijk_agent::cli::main_by(rest.named("uitwijk-agent"), clock::of_environment()),
        Command::Collector(rest) => {
            uitwijk_collector::cli::main_by(rest.named("uitwijk-collector"), clock::of_environment())
        }
        Command::Uitwijk(rest) => uitwijk_collector::ops::main(rest.named("uitwijk")),
        Command::Demo { outage, slot, exit, dir } => play(outage, slot, exit, dir),
        Command::Load(what) => ended("measure", load(&what)),
        Command::Prepare { dir, slot } => ended("prepare the fleet", prepare::prepare(&dir, slot.into())),
        Command::Targets { dir, slot, first_port, control_port } => {
            ended("serve the targets", targets(&dir, slot, first_port, control_port))
        }
    }
}

fn ended(what: &str, result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot {what}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn load(what: &Load) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(uitwijk_tests::load::run(what, dir.path(), &fleet::own_binary()?))
}

fn targets(dir: &Path, slot: Millis, first_port: u16, control_port: u16) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let ip = Ipv4Addr::UNSPECIFIED;
        let certificate = SiteCertificate::load(&dir.join("pki"))?;
        let world = Arc::new(World::start(&WorldOptions { ip, first_port, slot: slot.into() }, &certificate)?);
        let _control = control::listen(world, ip, control_port)?;
        eprintln!("serving sites from port {first_port} on, turns on port {control_port}");
        let mut stop = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => Ok(result?),
            _ = stop.recv() => Ok(()),
        }
    })
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
