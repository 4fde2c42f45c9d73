//! How are backups asked for on the command line?

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use uitwijk_model::{Millis, WallTime};
use uitwijk_proto::v1::SealedFiles;

use super::args::{config, flag};
use crate::config::SETTINGS;
use crate::ops::range::moment;

/// Something to do about backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Keep {
    /// Ask the running collector for one.
    Backup { to: PathBuf, collector: Option<String>, sealed: SealedFiles, within: Millis },
    /// Make a data directory of one.
    Restore { from: PathBuf, to: PathBuf, cold: Option<PathBuf>, verdicts: bool },
    /// Look at one, or at a data directory.
    Verify { dir: PathBuf, cold: Option<String> },
    /// Take in what another collector has.
    CatchUp { from: String, since: Option<Since> },
}

/// Since when something may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    Ago(Millis),
    Moment(WallTime),
}

const SETTINGS_TOO: &str =
    "Settings are those of the collector, from its file, variables or flags: see `uitwijk-collector --help`.";

/// The commands.
pub(super) fn commands() -> [Command; 4] {
    let dir = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("DIR").required(true).value_parser(value_parser!(PathBuf)).help(help)
    };
    let backup = Command::new("backup")
        .about("Copies what the running collector holds into a new directory, as of one moment")
        .arg(dir("to", "where the backup goes: missing or empty"))
        .arg(
            Arg::new("collector")
                .long("collector")
                .value_name("URL")
                .help("the collector, https://HOST:PORT [default: where ready_file or listen say, on this machine]"),
        )
        .arg(
            Arg::new("sealed")
                .long("sealed")
                .value_name("copied | named")
                .value_parser(["copied", "named"])
                .help("files of sealed hours: copied, or only named [default: named if cold.url is s3://]"),
        )
        .arg(
            Arg::new("within")
                .long("within")
                .value_name("1s..1d")
                .default_value("6h")
                .value_parser(within)
                .help("how long it may take; what it needs is not removed meanwhile"),
        );
    let restore = Command::new("restore")
        .about("Makes a data directory of a backup, every sum checked")
        .arg(dir("from", "the backup"))
        .arg(dir("to", "the data_dir to be: missing or empty"))
        .arg(
            Arg::new("cold")
                .long("cold")
                .value_name("DIR")
                .value_parser(folder)
                .help("where the files of sealed hours go, for a collector with cold.url file:///DIR"),
        )
        .arg(
            Arg::new("without-verdicts")
                .long("without-verdicts")
                .action(ArgAction::SetTrue)
                .help("leaves out the logs of verdicts, labels and switches, as when they are damaged"),
        );
    let verify = Command::new("verify")
        .about("Checks sums, counts and the chain of verdicts of a backup, or of the data directory of a stopped collector")
        .arg(dir("dir", "the backup or the data directory"))
        .arg(
            Arg::new("cold")
                .long("cold")
                .value_name("URL")
                .help("where the files of sealed hours lie, if elsewhere: file:///DIR or s3://BUCKET/PREFIX"),
        )
        .after_help("Exit codes: 0 all is good, 1 something is wrong, 2 there is nothing to check.");
    let catch_up =
        Command::new("catch-up")
            .about("Takes in from another collector what this one lacks, while this one is stopped")
            .arg(
                Arg::new("from")
                    .long("from")
                    .value_name("URL")
                    .required(true)
                    .help("the other collector, https://HOST:PORT"),
            )
            .arg(Arg::new("since").long("since").value_name("26h | 2026-03-02T08:00Z").value_parser(since).help(
                "what was scheduled since then [default: the backup, and as long before as records may be late]",
            ));
    [with_settings(backup), restore, verify, with_settings(catch_up)]
}

fn with_settings(command: Command) -> Command {
    let settings = SETTINGS.iter().map(|setting| flag(setting).hide(true));
    command.args_override_self(true).arg(config()).args(settings).after_help(SETTINGS_TOO)
}

/// What a command asks for.
pub(super) fn of(name: &str, matches: &ArgMatches) -> Result<Keep, clap::Error> {
    let dir = |id: &str| matches.get_one::<PathBuf>(id).cloned().ok_or_else(|| missing(id));
    match name {
        "backup" => Ok(Keep::Backup {
            to: dir("to")?,
            collector: matches.get_one("collector").cloned(),
            sealed: match matches.get_one::<String>("sealed").map(String::as_str) {
                Some("copied") => SealedFiles::Copied,
                Some(_) => SealedFiles::Named,
                None => SealedFiles::Unspecified,
            },
            within: *matches.get_one("within").ok_or_else(|| missing("within"))?,
        }),
        "restore" => Ok(Keep::Restore {
            from: dir("from")?,
            to: dir("to")?,
            cold: matches.get_one("cold").cloned(),
            verdicts: !matches.get_flag("without-verdicts"),
        }),
        "verify" => Ok(Keep::Verify { dir: dir("dir")?, cold: matches.get_one("cold").cloned() }),
        "catch-up" => Ok(Keep::CatchUp {
            from: matches.get_one("from").cloned().ok_or_else(|| missing("from"))?,
            since: matches.get_one("since").copied(),
        }),
        other => Err(clap::Error::raw(ErrorKind::InvalidSubcommand, format!("no command {other:?}\n"))),
    }
}

fn missing(id: &str) -> clap::Error {
    clap::Error::raw(ErrorKind::MissingRequiredArgument, format!("--{id} is needed\n"))
}

fn folder(text: &str) -> Result<PathBuf, String> {
    match text.contains("://") {
        true => Err("it is no folder: name a folder, and copy it to where cold.url says".to_owned()),
        false => Ok(PathBuf::from(text)),
    }
}

fn within(text: &str) -> Result<Millis, String> {
    let length: Millis = text.parse().map_err(|e: uitwijk_model::time::MillisError| e.to_string())?;
    match (1000..=86_400_000).contains(&length.0) {
        true => Ok(length),
        false => Err(format!("{length} is out of range: 1s to 1d")),
    }
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(ago) = text.parse::<Millis>() {
        return Ok(Since::Ago(ago));
    }
    let at = moment("--since", text)
        .map_err(|_| format!("{text:?} is neither a length of time nor a moment: write 26h, 30d or 2026-03-02T08:00Z"));
    at.map(|us| Since::Moment(WallTime::from_micros(us)))
}
