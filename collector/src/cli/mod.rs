//! How is the collector started from a command line?
//!
//! Exit codes: 0 it did what was asked (ran and stopped in order, printed, found nothing wrong); 1 the operator has to mend
//! something, it could not go on or stop in order, or what was looked at is not good; 2 the command line itself is wrong, or
//! names a directory that cannot be used for what was asked.

mod args;
mod backup;
mod backup_args;

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::runtime::Runtime;
use uitwijk_model::{Clock, SystemClock};
use uitwijk_telemetry::logging::{self, LogFormat, LogOptions};
use uitwijk_telemetry::signals::{Signal, Signals};

use crate::config::{Config, Resolved, Sources};
use crate::run::{Collector, load_credentials, load_plan};
use args::{Asked, Task};

/// Threads for what may wait for the disk.
const BLOCKING_THREADS_MAX: usize = 32;

/// Runs the collector as its binary does; `args` starts with the name of the program.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    main_by(args, Arc::new(SystemClock))
}

/// The same by another clock, for a fleet in which clocks are wrong.
pub fn main_by(args: impl IntoIterator<Item = OsString>, clock: Arc<dyn Clock>) -> ExitCode {
    let asked = match args::parse(args) {
        Ok(asked) => asked,
        Err(error) => {
            // Help and version go to standard output and are no failure; clap knows which is which.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match execute(&asked, clock) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.logged {
                eprintln!("uitwijk-collector: {}", failure.error);
            }
            ExitCode::from(failure.code)
        }
    }
}

/// The operator has to mend something.
const MEND: u8 = 1;
/// The command line is wrong.
const USAGE: u8 = 2;

/// What the process ends with, and whether it was told already.
struct Failure {
    error: Box<dyn Error>,
    logged: bool,
    code: u8,
}

impl<E: Into<Box<dyn Error>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), logged: false, code: MEND }
    }
}

fn execute(asked: &Asked, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    if let Task::Keep(keep) = &asked.task {
        return backup::execute(keep, &asked.sources, clock);
    }
    let resolved = resolve(&asked.sources)?;
    match asked.task {
        Task::PrintConfig => {
            print!("{}", resolved.print(&asked.sources.env));
            Ok(())
        }
        Task::Check => check(&resolved.config, clock),
        Task::Run | Task::Keep(_) => run(resolved.config, clock),
    }
}

fn resolve(sources: &Sources) -> Result<Resolved, Failure> {
    Ok(Resolved::from_sources(sources).map_err(|e| format!("the configuration is not valid:\n{e}"))?)
}

/// Looks at everything that a start reads, and touches nothing.
fn check(config: &Config, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    wrong.extend(load_credentials(config, clock).err().map(|e| e.to_string()));
    wrong.extend(load_plan(&config.plan_file).err().map(|e| e.to_string()));
    wrong.extend(logging::init("uitwijk-collector", &log_options(config)?).err().map(|e| e.to_string()));
    if wrong.is_empty() {
        println!("configuration, certificate and plan are good");
        return Ok(());
    }
    Err(wrong.join("\n").into())
}

fn log_options(config: &Config) -> Result<LogOptions, Failure> {
    let format: LogFormat = config.log.format.parse()?;
    Ok(LogOptions { format, filter: config.log.filter.clone() })
}

fn run(config: Config, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("collector")
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()?;
    // Sending spans takes a runtime, and the last of them are sent when the guard goes; so it goes before the runtime.
    let options = log_options(&config)?;
    let logging = runtime.block_on(async { logging::init("uitwijk-collector", &options) })?;
    let json = config.log.format == "json";
    let result = runtime.block_on(supervise(config, clock));
    // Programs read every line as JSON; people read mistakes line by line.
    let result = match result {
        Err(Failure { error, .. }) if json => {
            tracing::error!(%error, "the collector ends");
            Err(Failure { error, logged: true, code: MEND })
        }
        other => other,
    };
    logging.shutdown();
    end(runtime);
    result
}

/// Does not wait for threads that wait for the disk; what is not acknowledged is with the agents.
fn end(runtime: Runtime) {
    runtime.shutdown_background();
}

async fn supervise(config: Config, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let starting = Collector::start(config, clock);
    let mut collector = tokio::select! {
        collector = starting => collector?,
        reason = stop_signal(&mut signals) => return Err(format!("stopped by {reason} before it had started").into()),
    };
    let ended = serve(&mut collector, &mut signals).await;
    if let Err(Failure { error, .. }) = &ended {
        tracing::error!(%error, "a part without which a collector is none has ended: it stops in order");
    }
    let stopping = collector.stop(ended.as_ref().map_or_else(|_| "failure", |reason| *reason));
    let stopped = tokio::select! {
        stopped = stopping => stopped,
        reason = stop_signal(&mut signals) => return Err(format!("stopped at once by a second signal ({reason})").into()),
    };
    // What ended first is the cause; what failed in the stop after it only follows.
    ended?;
    Ok(stopped?)
}

/// Until a signal says to stop or the collector cannot go on.
async fn serve(collector: &mut Collector, signals: &mut Signals) -> Result<&'static str, Failure> {
    loop {
        let signal = tokio::select! {
            signal = signals.next() => signal,
            error = collector.failure() => return Err(error.into()),
        };
        match signal {
            Signal::Stop(reason) => return Ok(reason),
            Signal::Reload => collector.reload().await,
        }
    }
}

async fn stop_signal(signals: &mut Signals) -> &'static str {
    loop {
        if let Signal::Stop(reason) = signals.next().await {
            return reason;
        }
    }
}
