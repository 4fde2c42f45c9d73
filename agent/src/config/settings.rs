//! Which keys are there?
//!
//! One table names every key with its default and its help. The file, the environment and the command line derive from
//! it, so none can know a key that the others do not.

use super::{CollectorText, Given, Mistake, Origin, Text};

/// The variables that set keys begin with this.
pub(super) const ENVIRONMENT_PREFIX: &str = "UITWIJK_AGENT_";
/// Variables with the prefix that are not keys.
const ENVIRONMENT_OTHER: [&str; 2] = ["UITWIJK_AGENT_CONFIG", "UITWIJK_AGENT_READY_FILE"];

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Dotted name, as in the file.
    pub key: &'static str,
    /// What a value looks like, for help.
    pub value: &'static str,
    /// The value when nobody sets it, empty for nothing; `None` when somebody must.
    pub default: Option<&'static str>,
    /// What it does.
    pub help: &'static str,
}

const fn setting(key: &'static str, value: &'static str, default: Option<&'static str>, help: &'static str) -> Setting {
    Setting { key, value, default, help }
}

/// Every key, in the order of the printed configuration.
pub const SETTINGS: &[Setting] = &[
    setting("data_dir", "DIR", Some("/var/lib/uitwijk-agent"), "Folder for the buffer and the remembered plan"),
    setting("tls.ca_file", "FILE", None, "PEM file with the authorities that collectors are trusted by"),
    setting("tls.cert_file", "FILE", None, "PEM file with this agent's certificate chain; it names agent and place"),
    setting("tls.key_file", "FILE", None, "PEM file with the key of that certificate"),
    setting(
        "collectors",
        "NAME=URL[,..]",
        None,
        "Collectors to stream to, 1 to 8, the first is preferred for plans of equal revision",
    ),
    setting(
        "admin_listen",
        "ADDR",
        Some("127.0.0.1:9464"),
        "Address of /metrics, /-/healthy and /-/ready; port 0 picks",
    ),
    setting("buffer.disk_bytes_max", "SIZE", Some("256MiB"), "Disk space that the buffer may take, 8MiB to 1TiB"),
    setting("buffer.ballast_bytes", "SIZE", Some("4MiB"), "Space set aside for a full disk, 0 to 1GiB"),
    setting("record.file", "FILE", Some(""), "File that gets a line per measurement before the buffer, for audits"),
    setting("record.bytes_max", "SIZE", Some("1GiB"), "Size past which that file gets no more lines, 1MiB to 1TiB"),
    setting(
        "resolver",
        "ADDR",
        Some(""),
        "Resolver for probes whose target names none, instead of those of the system",
    ),
    setting("in_flight_max", "N", Some("256"), "Attempts that may run at one moment, 1 to 65536"),
    setting("missed_slots_max", "N", Some("30"), "Slots per target written down as missed after a pause, 0 to 1000"),
    setting("compression", "none|zstd", Some("none"), "How batches are compressed on the wire"),
    setting("log.format", "text|json", Some("text"), "Shape of a log line"),
    setting("log.filter", "FILTER", Some("info"), "Which log lines to show, such as info,uitwijk_agent::uplink=debug"),
    setting("stop.grace", "TIME", Some("10s"), "Running attempts may go on so long when the agent stops, 0s to 5m"),
    setting("stop.drain", "TIME", Some("5s"), "Uplinks may go on delivering so long when the agent stops, 0s to 5m"),
    setting("worker_threads", "N", Some("2"), "Threads that run the agent, 1 to 64"),
];

/// The key with this dotted name.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// `tls.ca_file` as `--tls-ca-file`; the list of collectors is given one by one.
pub(super) fn flag_name(key: &str) -> String {
    if key == "collectors" { "--collector".to_owned() } else { format!("--{}", key.replace(['.', '_'], "-")) }
}

/// `tls.ca_file` as `UITWIJK_AGENT_TLS_CA_FILE`.
pub(super) fn environment_name(key: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", key.replace('.', "_").to_ascii_uppercase())
}

impl Setting {
    /// The flag that sets it.
    #[must_use]
    pub fn flag(&self) -> String {
        flag_name(self.key)
    }

    /// The environment variable that sets it.
    #[must_use]
    pub fn environment(&self) -> String {
        environment_name(self.key)
    }
}

/// Takes one variable of the environment; those without the prefix are not ours.
pub(super) fn environment_into(name: &str, value: &str, given: &mut Given, mistakes: &mut Vec<Mistake>) {
    if !name.starts_with(ENVIRONMENT_PREFIX) || ENVIRONMENT_OTHER.contains(&name) {
        return;
    }
    let origin = Origin::Environment(name.to_owned());
    match SETTINGS.iter().find(|setting| setting.environment() == name) {
        Some(setting) => given.set(setting.key, value, &origin, mistakes),
        None => mistakes.push(Mistake { origin, key: name.to_owned(), message: unknown(name, environment_name) }),
    }
}

/// What to say of a key that does not exist.
pub(super) fn unknown(found: &str, spelled: impl Fn(&str) -> String) -> String {
    let nearest = SETTINGS.iter().map(|s| spelled(s.key)).min_by_key(|known| distance(found, known));
    let near = |known: &String| known.starts_with(found) || distance(found, known) <= 3;
    let completed = SETTINGS.iter().map(|s| spelled(s.key)).find(|known| known.starts_with(found));
    match completed.or(nearest) {
        Some(known) if near(&known) => format!("no such key; did you mean {known}"),
        _ => {
            let known: Vec<_> = SETTINGS.iter().map(|s| spelled(s.key)).collect();
            format!("no such key; known are {}", known.join(", "))
        }
    }
}

/// How many characters must change to get from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

impl Given {
    /// Sets one key from text; `collectors` is read as a list of `NAME=URL`.
    pub(super) fn set(&mut self, key: &'static str, text: &str, origin: &Origin, mistakes: &mut Vec<Mistake>) {
        if key != "collectors" {
            self.texts.insert(key, Text { text: text.to_owned(), origin: origin.clone() });
            return;
        }
        let mut list = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match entry.split_once('=') {
                Some((name, url)) => {
                    list.push(CollectorText { name: name.to_owned(), url: url.to_owned(), origin: origin.clone() });
                }
                None => mistakes.push(Mistake {
                    origin: origin.clone(),
                    key: key.to_owned(),
                    message: format!("{entry:?} is not a collector: write NAME=URL, several separated by commas"),
                }),
            }
        }
        self.collectors = Some(list);
    }
}
