//! What can people ask and do from a terminal? (`uitwijk`)
//!
//! ```text
//!   arguments --args.rs--> command --> collector (gRPC, mTLS) or files --> screen.rs: table or JSON lines --> exit code
//! ```
//!
//! Answers go to stdout, everything about the asking to stderr, so that a pipe carries answers only. Exit codes are a part of the
//! interface and stand in `exit.rs` and in the help. Texts that come from elsewhere are stripped of control characters: an
//! agent names its own software, and must not be able to repaint an operator's terminal.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, FromArgMatches as _};
use uitwijk_model::{Clock, SystemClock};

mod agents;
mod args;
mod audit;
mod between;
mod comparison;
mod connect;
mod details;
mod exit;
mod explain;
mod export;
mod json;
mod labels;
mod ledger;
mod measurements;
mod paging;
mod pki;
mod plan;
mod policies;
mod policy_args;
pub(crate) mod range;
mod replay;
mod scenario;
mod score;
mod score_args;
mod screen;
mod stream_out;
mod switch_args;
mod switch_file;
mod switches;
mod table;
mod timeline;
mod verdicts;
mod watch;
mod words;

#[cfg(test)]
mod tests;

use args::{Args, Command, MeasurementsCommand, PlanCommand, Reach, VerdictsCommand};
use connect::Collector;
use exit::{Answer, OpsError};
use screen::Screen;
use switch_args::AuditCommand;

/// Runs `uitwijk` as its binary does; `args` starts with the name of the program.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let terminal = std::io::stdout().is_terminal();
    let mut out = std::io::BufWriter::new(std::io::stdout());
    let mut err = std::io::stderr();
    let env = |name: &str| std::env::var(name).ok();
    let mut world = World { out: &mut out, err: &mut err, terminal, env: &env, clock: Arc::new(SystemClock) };
    ExitCode::from(run(args, &mut world))
}

/// What surrounds a run; a test puts its own in place.
pub(crate) struct World<'a> {
    pub(crate) out: &'a mut dyn Write,
    pub(crate) err: &'a mut dyn Write,
    /// Whether `out` is a terminal.
    pub(crate) terminal: bool,
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) clock: Arc<dyn Clock>,
}

fn run(args: impl IntoIterator<Item = OsString>, world: &mut World<'_>) -> u8 {
    let parsed = Args::command().try_get_matches_from(args).and_then(|matches| Args::from_arg_matches(&matches));
    let args = match parsed {
        Ok(args) => args,
        Err(error) => return tell_usage(&error, world),
    };
    let env = world.env;
    let mut screen = Screen::new(&args.show, world);
    let result = dispatch(&args, &mut screen, env);
    let flushed = screen.flush();
    match result.and_then(|answer| flushed.map(|()| answer)) {
        Ok(answer) => answer.code(),
        Err(error) => {
            if let Some(text) = error.text() {
                let _ = writeln!(world.err, "uitwijk: {text}");
            }
            error.code()
        }
    }
}

/// Help and version are answers; a mistake in the arguments is not.
fn tell_usage(error: &clap::Error, world: &mut World<'_>) -> u8 {
    let styled = error.render();
    let text =
        if world.terminal && !screen::is_plain(world.env) { styled.ansi().to_string() } else { styled.to_string() };
    let to: &mut dyn Write = if error.use_stderr() { world.err } else { world.out };
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
    if error.use_stderr() { exit::USAGE } else { exit::OK }
}

fn dispatch(args: &Args, screen: &mut Screen<'_>, env: &dyn Fn(&str) -> Option<String>) -> Result<Answer, OpsError> {
    match &args.command {
        Command::Plan(PlanCommand::Check { file }) => plan::check(screen, file, env),
        Command::Plan(PlanCommand::Schema) => plan::schema(screen),
        Command::Plan(PlanCommand::Show { file: Some(file) }) => plan::show_file(screen, file, env),
        Command::Plan(PlanCommand::FromScenario(which)) => scenario::plan(screen, which),
        Command::Replay(args) => replay::run(screen, args, env),
        Command::Simulate { scenario, seed, to } => scenario::simulate(screen, scenario, *seed, to),
        Command::Score(args) => score::run(screen, args, env),
        Command::Audit(AuditCommand::Verify(asked)) => audit::verify(screen, asked),
        Command::Pki(command) => pki::run(screen, command),
        Command::Completions { shell } => completions(screen, *shell),
        Command::Ledger(args_of) => runtime()?.block_on(ledger::run(screen, &args.reach.clone().or_from(env), args_of)),
        _ => runtime()?.block_on(ask(args, args.reach.clone().or_from(env), screen, env)),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, OpsError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| OpsError::Failed(format!("cannot start: {error}")))
}

async fn ask(
    args: &Args,
    reach: Reach,
    screen: &mut Screen<'_>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Answer, OpsError> {
    let collector = Collector::connect(&reach, screen.clock()).await?;
    match &args.command {
        Command::Plan(_) => plan::show_current(screen, &collector).await,
        Command::Agents { name } => agents::run(screen, &collector, name.as_deref()).await,
        Command::Verdicts(VerdictsCommand::List(list)) => verdicts::list(screen, &collector, list).await,
        Command::Verdicts(VerdictsCommand::Show { episode, revision, known }) => {
            details::show(screen, &collector, episode, *revision, known).await
        }
        Command::Verdicts(VerdictsCommand::Watch { service, count }) => {
            watch::run(screen, &reach, collector, service.as_deref(), *count).await
        }
        Command::Explain { episode, revision, known, language } => {
            explain::run(screen, &collector, episode, (*revision, known), *language).await
        }
        Command::Timeline { service, range, known } => timeline::run(screen, &collector, service, range, known).await,
        Command::Measurements(args) => match &args.command {
            Some(MeasurementsCommand::Export { filter, to }) => export::run(screen, &collector, filter, to).await,
            None => measurements::run(screen, &collector, &args.query).await,
        },
        Command::Label(label) => labels::add(screen, &collector, label).await,
        Command::Labels(list) => labels::list(screen, &collector, list).await,
        Command::Switch(switch) => switches::report(screen, &collector, switch).await,
        Command::Switches(list) => switches::list(screen, &collector, list).await,
        Command::Backtest(asked) => policies::backtest(screen, &collector, asked, env).await,
        Command::Compare(asked) => policies::compare(screen, &collector, asked).await,
        Command::Audit(_)
        | Command::Pki(_)
        | Command::Ledger(_)
        | Command::Completions { .. }
        | Command::Replay(_)
        | Command::Simulate { .. }
        | Command::Score(_) => Ok(Answer::Yes),
    }
}

fn completions(screen: &mut Screen<'_>, shell: clap_complete::Shell) -> Result<Answer, OpsError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "uitwijk", &mut script);
    screen.raw(&String::from_utf8_lossy(&script))?;
    Ok(Answer::Yes)
}
