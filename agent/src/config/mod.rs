//! What may an operator set, and where?
//!
//! ```text
//!   defaults < file (--config) < environment (UITWIJK_AGENT_*) < flags     later wins, key by key
//!                   |                                                       (settings.rs names every key once)
//!                   v
//!   Given: key -> text and origin --values.rs--> Config, or every mistake at once
//! ```
//!
//! Every source is first brought to the same shape, text under a dotted key, and only then read; so a key has one rule
//! wherever it was set, and one run shows all mistakes. The choice left aside is to let serde read the file straight
//! into [`Config`]: it stops at the first mistake, and the environment and the flags would need rules of their own.

mod file;
mod print;
mod settings;
mod size;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use uitwijk_identity::TlsFiles;
use uitwijk_model::Millis;
use uitwijk_telemetry::logging::LogOptions;

pub use settings::{SETTINGS, Setting};
pub use size::ByteSize;

/// Everything that can be set, resolved and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Folder for the buffer and the remembered plan.
    pub data_dir: PathBuf,
    /// The files that say who this agent is.
    pub tls: TlsFiles,
    /// Where measurements go; at least one, in order of preference for plans of equal revision.
    pub collectors: Vec<Collector>,
    /// Address of `/metrics` and the health pages.
    pub admin_listen: SocketAddr,
    /// How much the buffer may hold.
    pub buffer: BufferConfig,
    /// A record of what was started, apart from the buffer.
    pub record: RecordConfig,
    /// Resolver for probes whose target names none; those of the system when absent.
    pub resolver: Option<SocketAddr>,
    /// Attempts that may run at one moment.
    pub in_flight_max: u32,
    /// Slots per target that are written down as missed after a pause.
    pub missed_slots_max: u32,
    /// How batches are compressed on the wire.
    pub compression: Compression,
    /// What is logged and how.
    pub log: LogOptions,
    /// How the agent stops.
    pub stop: Stop,
    /// Threads that run the agent.
    pub worker_threads: u16,
}

/// One place that measurements go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    /// Names its cursor in the buffer and its metrics; keep it when the address changes.
    pub name: String,
    /// `https://host:port`.
    pub url: String,
}

/// How much the buffer may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferConfig {
    /// Disk space that the buffer may take, its own overhead included.
    pub disk_bytes_max: ByteSize,
    /// Space set aside, given up when the disk is full so that the buffer can still be drained.
    pub ballast_bytes: ByteSize,
}

/// A record of what was started, apart from the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordConfig {
    /// Where it is; none is kept when absent.
    pub file: Option<PathBuf>,
    /// Past this size it gets no more lines.
    pub bytes_max: ByteSize,
}

/// How batches are compressed on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not.
    None,
    /// By zstd.
    Zstd,
}

/// How the agent stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// Running attempts may go on so long before they are marked as stopped.
    pub grace: Millis,
    /// Uplinks may go on so long to deliver what is buffered.
    pub drain: Millis,
}

/// Texts under dotted keys, with where they came from.
#[derive(Debug, Clone, Default)]
pub struct Given {
    texts: BTreeMap<&'static str, Text>,
    collectors: Option<Vec<CollectorText>>,
}

#[derive(Debug, Clone)]
struct Text {
    text: String,
    origin: Origin,
}

#[derive(Debug, Clone)]
struct CollectorText {
    name: String,
    url: String,
    origin: Origin,
}

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere; it is missing or has its default.
    Default,
    /// In the file, at this line.
    File(PathBuf, u64),
    /// In this environment variable.
    Environment(String),
    /// By this flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("not set"),
            Self::File(path, line) => write!(f, "{} line {line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One thing wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub origin: Origin,
    /// Which key.
    pub key: String,
    /// What, and what is allowed.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.origin, self.key, self.message)
    }
}

/// Everything wrong with the configuration, one a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0.len();
        write!(f, "the configuration has {n} mistake{}", if n == 1 { "" } else { "s" })?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

/// Where settings come from; a reload reads them again.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// The variables of the environment.
    pub environment: Vec<(String, String)>,
    /// Keys and texts from the command line.
    pub flags: Vec<(&'static str, String)>,
}

impl Sources {
    /// Reads all sources.
    ///
    /// # Errors
    /// Every mistake of every source.
    pub fn load(&self) -> Result<Config, Mistakes> {
        let (mut given, mut mistakes) = (Given::default(), Vec::new());
        if let Some(path) = &self.file {
            file::read_into(path, &mut given, &mut mistakes);
        }
        for (name, value) in &self.environment {
            settings::environment_into(name, value, &mut given, &mut mistakes);
        }
        for (key, value) in &self.flags {
            let origin = Origin::Flag(settings::flag_name(key));
            given.set(key, value, &origin, &mut mistakes);
        }
        let config = values::resolve(&given, &mut mistakes);
        mistakes.sort_by_key(|mistake| match mistake.origin {
            Origin::File(_, line) => line,
            _ => u64::MAX,
        });
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            _ => Err(Mistakes(mistakes)),
        }
    }
}

impl Config {
    /// The resolved configuration as a file that would give it; passwords in addresses are masked.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        print::to_yaml(self)
    }

    /// Keys whose change needs a restart, of those that differ from `other`.
    #[must_use]
    pub fn restart_keys(&self, other: &Self) -> Vec<&'static str> {
        let (ours, theirs) = (print::texts(self), print::texts(other));
        let applied = ["collectors"];
        ours.iter()
            .zip(&theirs)
            .filter(|((key, a), (_, b))| a != b && !applied.contains(key))
            .map(|((key, _), _)| *key)
            .collect()
    }
}
