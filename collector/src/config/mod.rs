//! What may an operator set?
//!
//! ```text
//!   defaults < file (YAML) < environment (UITWIJK_COLLECTOR_*) < flags        the later one wins
//!        \________ one table of settings (settings.rs) ________/
//! ```
//!
//! Every setting is one line of one table: its key in the file, its default, what is allowed, and how its text becomes a
//! value. The variable and the flag follow from the key (`tls.ca_file`, `UITWIJK_COLLECTOR_TLS_CA_FILE`,
//! `--tls-ca-file`), so the three can never differ. All mistakes of all sources are found in one run; a key that is not
//! in the table is refused with the nearest one that is. There are no secrets among the values: secrets stand in files,
//! and a setting names the file.
//!
//! The choice left aside is a derived serde structure: it stops at the first mistake and knows nothing of variables and
//! flags.

mod file;
mod hint;
mod print;
mod settings;
mod size;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use uitwijk_model::Millis;

pub use settings::{SETTINGS, Setting};
pub use size::Bytes;

/// Where the texts of settings come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    /// Environment variables; only those that start with [`ENV_PREFIX`] and `OTEL_` are looked at.
    pub env: BTreeMap<String, String>,
    /// Flags that were given, by key.
    pub flags: BTreeMap<&'static str, String>,
}

/// What the name of every variable starts with.
pub const ENV_PREFIX: &str = "UITWIJK_COLLECTOR_";

/// A collector's settings, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Name in verdicts and answers; the one in the certificate when absent.
    pub name: Option<String>,
    /// Where agents and programs connect, mutual TLS.
    pub listen: SocketAddr,
    /// Where `/metrics` and health are served, plain HTTP.
    pub admin_listen: SocketAddr,
    /// Holds the store and the verdict log.
    pub data_dir: PathBuf,
    /// The plan of the fleet.
    pub plan_file: PathBuf,
    /// Gets the bound addresses as JSON once the process is ready.
    pub ready_file: Option<PathBuf>,
    /// How long an orderly stop may take.
    pub stop_grace: Millis,
    /// Who the collector is, and whom it trusts.
    pub tls: Tls,
    /// What one peer may ask for.
    pub limits: Limits,
    /// How long things are kept.
    pub retention: Retention,
    /// Where and when hours are sealed.
    pub cold: Cold,
    /// When it judges.
    pub judging: Judging,
    /// How it logs.
    pub log: Log,
}

impl Default for Config {
    /// The values before any setting is applied; the table of settings has the real defaults.
    fn default() -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            name: None,
            listen: nowhere,
            admin_listen: nowhere,
            data_dir: PathBuf::new(),
            plan_file: PathBuf::new(),
            ready_file: None,
            stop_grace: Millis(0),
            tls: Tls::default(),
            limits: Limits::default(),
            retention: Retention::default(),
            cold: Cold::default(),
            judging: Judging::default(),
            log: Log::default(),
        }
    }
}

/// Certificate files and how often they are looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The authorities that sign everybody's certificate, PEM.
    pub ca_file: PathBuf,
    /// The collector's certificate and chain, PEM.
    pub cert_file: PathBuf,
    /// Its private key, PEM.
    pub key_file: PathBuf,
    /// How often the files are looked at for a change.
    pub reload_every: Millis,
}

/// What one peer may ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time, all peers together.
    pub connections_max: usize,
    /// Calls at a time within one connection.
    pub streams_per_connection_max: u32,
    /// Bytes of one message from a peer.
    pub message_bytes_max: usize,
    /// Bytes of one batch of measurements, decompressed.
    pub batch_bytes_max: usize,
    /// Rows of one batch of measurements.
    pub batch_rows_max: u32,
    /// Batches that an agent may have under way without acknowledgement.
    pub unacknowledged_batches_max: u32,
    /// Verdict and plan watchers at a time.
    pub watchers_max: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Millis,
    /// How long a call may take until its answer begins.
    pub call_timeout: Millis,
    /// How far in the future a measurement may be scheduled.
    pub future_max: Millis,
}

/// How long things are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    /// An hour of measurements in the hot store, after its end.
    pub hot: Millis,
    /// Measurements; verdicts are kept for good.
    pub measurements: Millis,
    /// Counts and histograms per minute.
    pub rollups: Millis,
    /// What the store and its sealed hours may take of the disk; the oldest hours go first. Absent means any amount.
    pub disk_bytes_max: Option<u64>,
}

/// Where and when hours are sealed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cold {
    /// The place of their files; a folder of the store when absent.
    pub url: Option<String>,
    /// How long an hour waits for agents that have not delivered all of it.
    pub wait_max: Millis,
    /// What copies of the newest files in a bucket may take of this disk, bytes.
    pub copies_bytes_max: u64,
}

/// When the judge runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judging {
    /// How long after a start the judge waits for agents to deliver what they kept meanwhile.
    pub catch_up_max: Millis,
    /// Bytes that what it keeps for agents that are away may take in memory, about.
    pub memory_bytes_max: usize,
}

/// How the process logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// `text` or `json`.
    pub format: String,
    /// Directives as in `info,uitwijk_collector::ingest=debug`.
    pub filter: String,
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where the text came from: `collector.yaml:3`, `UITWIJK_COLLECTOR_LISTEN`, `--listen`; empty when it is nowhere.
    pub origin: String,
    /// The setting.
    pub key: String,
    /// What was found and what is allowed.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin.as_str() {
            "" => write!(f, "{}: {}", self.key, self.message),
            origin => write!(f, "{origin}: {}: {}", self.key, self.message),
        }
    }
}

/// Everything that is wrong with the configuration, at least one thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// A configuration with the origin of each of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The values.
    pub config: Config,
    /// The text that won for each setting, in the order of the table.
    chosen: Vec<(&'static Setting, Option<Chosen>)>,
}

/// A text for a setting, and where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chosen {
    text: String,
    origin: String,
}

impl Resolved {
    /// Puts the sources together and checks everything.
    ///
    /// # Errors
    /// All mistakes of all sources.
    pub fn from_sources(sources: &Sources) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let file = sources.file.as_deref().map(|path| file::read(path, &mut mistakes)).unwrap_or_default();
        refuse_unknown_variables(&sources.env, &mut mistakes);
        let mut config = Config::default();
        let mut chosen = Vec::with_capacity(SETTINGS.len());
        for setting in SETTINGS {
            let choice = choose(setting, sources, &file);
            apply(&mut config, setting, choice.as_ref(), &mut mistakes);
            chosen.push((setting, choice));
        }
        check_together(&config, &mut mistakes);
        if mistakes.is_empty() { Ok(Self { config, chosen }) } else { Err(Mistakes(mistakes)) }
    }

    /// The configuration as a file that would give it, each value with its origin.
    #[must_use]
    pub fn print(&self, env: &BTreeMap<String, String>) -> String {
        print::print(&self.chosen, env)
    }
}

/// The text that wins: flag, variable, file, default.
fn choose(setting: &Setting, sources: &Sources, file: &file::Entries) -> Option<Chosen> {
    if let Some(text) = sources.flags.get(setting.key) {
        return Some(Chosen { text: text.clone(), origin: format!("--{}", setting.flag()) });
    }
    if let Some(text) = sources.env.get(&setting.variable()) {
        return Some(Chosen { text: text.clone(), origin: setting.variable() });
    }
    if let Some(entry) = file.get(setting.key) {
        return Some(Chosen { text: entry.text.clone(), origin: entry.origin.clone() });
    }
    setting.default.map(|text| Chosen { text: text.to_owned(), origin: "default".to_owned() })
}

fn apply(config: &mut Config, setting: &Setting, choice: Option<&Chosen>, mistakes: &mut Vec<Mistake>) {
    let mistake = match choice {
        Some(chosen) => match (setting.set)(config, &chosen.text) {
            Ok(()) => return,
            Err(message) => Mistake { origin: chosen.origin.clone(), key: setting.key.to_owned(), message },
        },
        None if !setting.required => return,
        None => Mistake { origin: String::new(), key: setting.key.to_owned(), message: missing(setting) },
    };
    mistakes.push(mistake);
}

fn missing(setting: &Setting) -> String {
    format!("missing: set it in the file, as {} or with --{}", setting.variable(), setting.flag())
}

/// What no single value shows.
fn check_together(config: &Config, mistakes: &mut Vec<Mistake>) {
    let limits = &config.limits;
    // A zero is a text that was refused already.
    if limits.message_bytes_max > 0 && limits.message_bytes_max < limits.batch_bytes_max {
        mistakes.push(Mistake {
            origin: String::new(),
            key: "limits.message_bytes_max".to_owned(),
            message: format!(
                "{} is less than limits.batch_bytes_max ({}): a batch must fit into a message",
                Bytes(limits.message_bytes_max),
                Bytes(limits.batch_bytes_max)
            ),
        });
    }
    let retention = &config.retention;
    if retention.measurements.0 > 0 && retention.measurements < retention.hot {
        mistakes.push(Mistake {
            origin: String::new(),
            key: "retention.hot".to_owned(),
            message: format!(
                "{} is more than retention.measurements ({}): an hour is sealed before it goes",
                retention.hot, retention.measurements
            ),
        });
    }
    if config.listen.port() != 0 && config.listen == config.admin_listen {
        mistakes.push(Mistake {
            origin: String::new(),
            key: "admin_listen".to_owned(),
            message: format!("{} is the same as listen: give each its own port", config.admin_listen),
        });
    }
}

fn refuse_unknown_variables(env: &BTreeMap<String, String>, mistakes: &mut Vec<Mistake>) {
    let known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
    for name in env.keys().filter(|name| name.starts_with(ENV_PREFIX)) {
        if known.contains(name) || name == CONFIG_VARIABLE || is_service_link(name) {
            continue;
        }
        let message = hint::unknown(name, known.iter().map(String::as_str), "variable");
        mistakes.push(Mistake { origin: "environment".to_owned(), key: name.clone(), message });
    }
}

/// Names the configuration file, like `--config`.
pub const CONFIG_VARIABLE: &str = "UITWIJK_COLLECTOR_CONFIG";

/// Kubernetes announces a service called `uitwijk-collector` to every container by variables of these names.
fn is_service_link(name: &str) -> bool {
    let rest = name.strip_prefix(ENV_PREFIX).unwrap_or(name);
    rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_HOST") || rest.starts_with("SERVICE_PORT")
}

/// The part of a path that people recognise in a message.
fn short(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests;
