//! What may stand on the command line?

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::backup_args::{self, Keep};
use crate::config::{CONFIG_VARIABLE, SETTINGS, Setting, Sources};

/// What the command line asks for.
#[derive(Debug)]
pub(super) struct Asked {
    /// What to do.
    pub(super) task: Task,
    /// Where the settings come from.
    pub(super) sources: Sources,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Task {
    Run,
    Check,
    PrintConfig,
    Keep(Keep),
}

/// The command; flags for settings follow from their table.
pub(super) fn command() -> Command {
    let own = [
        config(),
        Arg::new("check")
            .long("check")
            .action(ArgAction::SetTrue)
            .help("look at configuration, certificate and plan, tell all that is wrong, and end"),
        Arg::new("print-config")
            .long("print-config")
            .action(ArgAction::SetTrue)
            .conflicts_with("check")
            .help("print the configuration with the origin of each value, and end"),
    ];
    Command::new("uitwijk-collector")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Stores each measurement exactly once and judges whether a failover was needed")
        .after_help(
            "Every setting can stand in the file, as a variable (UITWIJK_COLLECTOR_TLS_CA_FILE for tls.ca_file) or as a \
             flag; the later wins.\nSIGTERM and SIGINT stop in order, a second one at once; SIGHUP reads plan and \
             certificates again.\nExit codes: 0 done, 1 something to mend, 2 wrong command line.",
        )
        .args_override_self(true)
        .args(own)
        .args(SETTINGS.iter().map(flag))
        .subcommands(backup_args::commands())
        .disable_help_subcommand(true)
}

pub(super) fn config() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .env(CONFIG_VARIABLE)
        .hide_env_values(true)
        .help("the configuration file (YAML)")
}

pub(super) fn flag(setting: &'static Setting) -> Arg {
    let default = setting.default.map(|text| format!(" [default: {text}]")).unwrap_or_default();
    Arg::new(setting.key)
        .long(setting.flag())
        .value_name(setting.form)
        .help(format!("{}{default}", setting.help))
        .help_heading("Settings")
}

/// Reads the command line and the environment.
pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Asked, clap::Error> {
    let matches = command().try_get_matches_from(args)?;
    let (mut file, mut flags) = (matches.get_one("config").cloned(), flags(&matches));
    let task = match (matches.subcommand(), matches.get_flag("check"), matches.get_flag("print-config")) {
        (Some((name, below)), ..) => {
            // The same settings may stand before and after the name of the command; the later wins.
            file = below.try_get_one("config").ok().flatten().cloned().or(file);
            flags.extend(self::flags(below));
            Task::Keep(backup_args::of(name, below)?)
        }
        (None, true, _) => Task::Check,
        (None, _, true) => Task::PrintConfig,
        (None, ..) => Task::Run,
    };
    Ok(Asked { task, sources: Sources { file, env: environment(), flags } })
}

fn flags(matches: &ArgMatches) -> BTreeMap<&'static str, String> {
    let given = |s: &Setting| matches.try_get_one::<String>(s.key).ok().flatten().cloned();
    SETTINGS.iter().filter_map(|s| Some((s.key, given(s)?))).collect()
}

/// Variables that are text; a name or value that is not cannot be meant for us.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn help_tells_every_setting_within_the_terminal() {
        let help = command().term_width(100).render_long_help().to_string();
        insta::assert_snapshot!(help);
    }

    #[test]
    fn flags_are_settings() {
        let asked =
            parse(["c", "--print-config", "--listen", "127.0.0.1:0", "--tls-ca-file", "ca"].map(OsString::from));
        let asked = asked.unwrap();
        assert_eq!(asked.task, Task::PrintConfig);
        assert_eq!(asked.sources.flags.get("tls.ca_file").map(String::as_str), Some("ca"));
        assert!(parse(["c", "--listenn", "x"].map(OsString::from)).is_err());
        assert!(parse(["c", "--check", "--print-config"].map(OsString::from)).is_err());
    }
}
