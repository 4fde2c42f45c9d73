//! How is the agent started from a command line?
//!
//! The flags that set a key come from the table of settings, so `--help` shows each with its default and its variable.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use uitwijk_model::{Clock, SystemClock};

use crate::config::{Config, SETTINGS, Setting, Sources};
use crate::run;
use crate::run::prepare::{Me, check_data_dir};

/// The agent stopped in order, or a check found nothing.
const OK: u8 = 0;
/// The agent could not start, or failed.
const FAILED: u8 = 1;
/// The command line or the configuration has mistakes.
const MISTAKES: u8 = 2;

/// Runs the agent as its binary does; `args` starts with the name of the program.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    main_by(args, Arc::new(SystemClock))
}

/// The same by another clock, for a fleet in which clocks are wrong.
pub fn main_by(args: impl IntoIterator<Item = OsString>, clock: Arc<dyn Clock>) -> ExitCode {
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(help_or_mistake) => {
            let code = if help_or_mistake.use_stderr() { MISTAKES } else { OK };
            let _ = help_or_mistake.print();
            return code.into();
        }
    };
    let sources = sources(&matches);
    let config = match sources.load() {
        Ok(config) => config,
        Err(mistakes) => {
            eprintln!("uitwijk-agent: {mistakes}");
            return MISTAKES.into();
        }
    };
    if matches.get_flag("print-config") {
        print!("{}", config.to_yaml());
        return OK.into();
    }
    if matches.get_flag("check") {
        return check(&config, clock);
    }
    let ready_file = matches.get_one::<PathBuf>("ready-file").cloned();
    match run::run(config, sources, ready_file, clock) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("uitwijk-agent: {error}");
            if error.is_mistake() { MISTAKES.into() } else { FAILED.into() }
        }
    }
}

/// Tries what a start would need, without starting.
fn check(config: &Config, clock: Arc<dyn Clock>) -> ExitCode {
    let me = Me::load(config, clock).map_err(|error| error.to_string()).and_then(|me| {
        // A start would go on with these dates and wait; who checks wants to know.
        me.credentials.check_dates().map(|()| me).map_err(|error| error.to_string())
    });
    let filter = uitwijk_telemetry::logging::dispatch("uitwijk-agent", &config.log, None);
    let found = [
        me.as_ref().err().cloned(),
        filter.err().map(|error| error.to_string()),
        check_data_dir(&config.data_dir).err(),
    ];
    let found: Vec<_> = found.into_iter().flatten().collect();
    for problem in &found {
        eprintln!("uitwijk-agent: {problem}");
    }
    match me {
        Ok(me) if found.is_empty() => {
            println!("configuration of agent {} at {} is good", me.agent, me.vantage);
            OK.into()
        }
        _ => MISTAKES.into(),
    }
}

fn sources(matches: &ArgMatches) -> Sources {
    let given = |setting: &Setting| {
        let mut values = matches.get_many::<String>(setting.key)?.cloned();
        Some((setting.key, values.by_ref().collect::<Vec<_>>().join(",")))
    };
    let flags = SETTINGS.iter().filter_map(given).collect();
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .collect();
    Sources { file: matches.get_one::<PathBuf>("config").cloned(), environment, flags }
}

fn command() -> Command {
    let path = || value_parser!(PathBuf);
    Command::new("uitwijk-agent")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Probes services on a fixed schedule, keeps every attempt on disk, streams it to collectors")
        .after_help(
            "Settings come from the file, the environment and flags; later wins, key by key. \
             SIGTERM and SIGINT stop in order, a second one at once; SIGHUP reads certificates and collector addresses again.\n\n\
             Exit codes: 0 stopped in order, 1 could not start or failed, 2 mistakes in the command line or configuration.",
        )
        .arg(Arg::new("config").long("config").value_name("FILE").env("UITWIJK_AGENT_CONFIG").value_parser(path()).help("YAML file with settings"))
        .arg(Arg::new("print-config").long("print-config").action(ArgAction::SetTrue).help("Print the resolved settings and end"))
        .arg(Arg::new("check").long("check").action(ArgAction::SetTrue).help("Check settings, certificate and data folder, and end"))
        .arg(
            Arg::new("ready-file")
                .long("ready-file")
                .value_name("FILE")
                .env("UITWIJK_AGENT_READY_FILE")
                .value_parser(path())
                .help("Write the bound addresses there as JSON once the agent serves"),
        )
        .args(SETTINGS.iter().map(flag))
        .mut_args(|arg| arg.hide_env_values(true))
}

fn flag(setting: &'static Setting) -> Arg {
    let default = match setting.default {
        Some("") | None => String::new(),
        Some(default) => format!(" [default: {default}]"),
    };
    let action = if setting.key == "collectors" { ArgAction::Append } else { ArgAction::Set };
    Arg::new(setting.key)
        .long(setting.flag().trim_start_matches("--").to_owned())
        .value_name(setting.value)
        .action(action)
        .help_heading("Settings")
        .help(format!("{}{default} [env: {}]", setting.help, setting.environment()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn help_names_every_setting() {
        let help = command().term_width(100).render_long_help().to_string();
        for setting in SETTINGS {
            assert!(help.contains(&setting.flag()) && help.contains(&setting.environment()), "{}", setting.key);
        }
        insta::assert_snapshot!(help);
    }
}
