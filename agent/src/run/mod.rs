//! Which tasks make an agent, and in which order do they stop?
//!
//! ```text
//!   uplinks --news--> plans --work--> schedule --rows--> buffer --batches--> uplinks        figures, admin, certificates
//! ```
//!
//! On SIGTERM or SIGINT the schedule begins no more attempts and lets those that run end within `stop.grace`; what is left
//! is marked as stopped. Then the buffer is synced, the uplinks get `stop.drain` to deliver, and the rest ends. A
//! second signal ends the process at once: the buffer keeps what was committed.

mod figures;
mod parts;
mod plans;
pub mod prepare;
mod recorder;
mod reload;
mod started;
mod targets;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use uitwijk_model::Clock;
use uitwijk_telemetry::logging;
use uitwijk_telemetry::signals::{Signal, Signals};

use crate::config::{Config, Sources};
use parts::Agent;
use prepare::StartError;

/// Threads for reading and writing small files.
const BLOCKING_THREADS_MAX: usize = 4;
/// An attempt keeps little on the stack; the default of 2 MiB per thread is not needed.
const STACK_BYTES: usize = 1 << 20;

/// Runs the agent until it is told to stop.
///
/// # Errors
/// When it cannot start.
pub fn run(
    config: Config,
    sources: Sources,
    ready_file: Option<PathBuf>,
    clock: Arc<dyn Clock>,
) -> Result<ExitCode, StartError> {
    let log = logging::init("uitwijk-agent", &config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.worker_threads.into())
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_stack_size(STACK_BYTES)
        .thread_name("agent")
        .enable_all()
        .build()
        .map_err(|error| StartError::System { what: "start the runtime", error })?;
    let ended = runtime.block_on(serve(config, sources, ready_file, clock));
    runtime.shutdown_timeout(Duration::from_millis(100));
    log.shutdown();
    ended
}

async fn serve(
    config: Config,
    sources: Sources,
    ready_file: Option<PathBuf>,
    clock: Arc<dyn Clock>,
) -> Result<ExitCode, StartError> {
    let system = |error| StartError::System { what: "listen to signals", error };
    let mut signals = Signals::new().map_err(system)?;
    let mut agent = Agent::start(config, sources, clock).await?;
    if let Some(path) = &ready_file {
        prepare::write_ready_file(path, agent.admin_address())?;
    }
    let end = loop {
        let signal = tokio::select! {
            signal = signals.next() => signal,
            part = agent.broken() => {
                tracing::error!(part, "a part of the agent ended by itself; the agent ends, so that it can be started again");
                break ExitCode::FAILURE;
            }
        };
        match signal {
            Signal::Stop(signal) => {
                tracing::info!(signal, "stopping in order; a second signal stops at once");
                break ExitCode::SUCCESS;
            }
            Signal::Reload => agent.reload().await,
        }
    };
    tokio::select! {
        () = agent.stop() => {
            tracing::info!("stopped");
            Ok(end)
        }
        name = second_stop(&mut signals) => {
            tracing::warn!(signal = name, "stopping at once; attempts that ran are not written down");
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn second_stop(signals: &mut Signals) -> &'static str {
    loop {
        if let Signal::Stop(name) = signals.next().await {
            return name;
        }
    }
}
