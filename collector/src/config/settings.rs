//! Which settings are there, what do they default to, and which values are allowed?

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use uitwijk_model::Millis;

use super::{Bytes, Config, ENV_PREFIX};

/// One setting.
pub struct Setting {
    /// Its key in the file, dots between the levels.
    pub key: &'static str,
    /// The text it has when nobody sets it.
    pub default: Option<&'static str>,
    /// Whether somebody must set it.
    pub required: bool,
    /// What the value looks like, for `--help`.
    pub form: &'static str,
    /// What it is for; one line.
    pub help: &'static str,
    /// Checks a text and takes it over.
    pub set: fn(&mut Config, &str) -> Result<(), String>,
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.key)
    }
}

impl PartialEq for Setting {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Setting {}

impl Setting {
    /// `tls.ca_file` becomes `tls-ca-file`.
    #[must_use]
    pub fn flag(&self) -> String {
        self.key.replace(['.', '_'], "-")
    }

    /// `tls.ca_file` becomes `UITWIJK_COLLECTOR_TLS_CA_FILE`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{ENV_PREFIX}{}", self.key.replace('.', "_").to_ascii_uppercase())
    }
}

type Set = fn(&mut Config, &str) -> Result<(), String>;

const fn required(key: &'static str, form: &'static str, help: &'static str, set: Set) -> Setting {
    Setting { key, default: None, required: true, form, help, set }
}

const fn optional(key: &'static str, form: &'static str, help: &'static str, set: Set) -> Setting {
    Setting { key, default: None, required: false, form, help, set }
}

const fn setting(
    key: &'static str,
    default: &'static str,
    form: &'static str,
    help: &'static str,
    set: Set,
) -> Setting {
    Setting { key, default: Some(default), required: false, form, help, set }
}

/// Every setting, in the order in which they are shown.
pub const SETTINGS: &[Setting] = &[
    optional("name", "NAME", "name in verdicts; the one in the certificate when not set", |c, t| {
        uitwijk_model::AgentId::new(t).map_err(|e| e.to_string().replacen("agent", "collector", 1))?;
        c.name = Some(t.to_owned());
        Ok(())
    }),
    setting("listen", "0.0.0.0:7443", "IP:PORT", "where agents and programs connect (gRPC, mutual TLS)", |c, t| {
        put(&mut c.listen, address(t))
    }),
    setting(
        "admin_listen",
        "127.0.0.1:9465",
        "IP:PORT",
        "where /metrics and health are served (plain HTTP)",
        |c, t| put(&mut c.admin_listen, address(t)),
    ),
    required("data_dir", "DIR", "holds the store and the verdict log", |c, t| put(&mut c.data_dir, path(t))),
    required("plan_file", "FILE", "the plan of the fleet (YAML)", |c, t| put(&mut c.plan_file, path(t))),
    optional("ready_file", "FILE", "gets the bound addresses as JSON once the process is ready", |c, t| {
        put(&mut c.ready_file, path(t).map(Some))
    }),
    setting("stop_grace", "20s", "1s..10m", "how long an orderly stop may take", |c, t| {
        put(&mut c.stop_grace, length(t, Millis(1000), Millis(600_000)))
    }),
    required("tls.ca_file", "FILE", "authorities that sign everybody's certificate (PEM)", |c, t| {
        put(&mut c.tls.ca_file, path(t))
    }),
    required("tls.cert_file", "FILE", "the collector's certificate and chain (PEM)", |c, t| {
        put(&mut c.tls.cert_file, path(t))
    }),
    required("tls.key_file", "FILE", "its private key (PEM)", |c, t| put(&mut c.tls.key_file, path(t))),
    setting("tls.reload_every", "60s", "1s..1d", "how often the files are looked at for a change", |c, t| {
        put(&mut c.tls.reload_every, length(t, Millis(1000), Millis(86_400_000)))
    }),
    setting("limits.connections_max", "1024", "1..100000", "connections at a time", |c, t| {
        put(&mut c.limits.connections_max, number(t, 1, 100_000))
    }),
    setting("limits.streams_per_connection_max", "128", "1..10000", "calls at a time in one connection", |c, t| {
        put(&mut c.limits.streams_per_connection_max, number(t, 1, 10_000))
    }),
    setting("limits.message_bytes_max", "4MiB", "64KiB..64MiB", "bytes of one message from a peer", |c, t| {
        put(&mut c.limits.message_bytes_max, size(t, 64 << 10, 64 << 20))
    }),
    setting("limits.batch_bytes_max", "1MiB", "16KiB..64MiB", "bytes of one batch of measurements", |c, t| {
        put(&mut c.limits.batch_bytes_max, size(t, 16 << 10, 64 << 20))
    }),
    setting("limits.batch_rows_max", "8192", "1..8192", "rows of one batch of measurements", |c, t| {
        put(&mut c.limits.batch_rows_max, number(t, 1, 8192))
    }),
    setting("limits.unacknowledged_batches_max", "16", "1..1024", "batches of an agent under way at a time", |c, t| {
        put(&mut c.limits.unacknowledged_batches_max, number(t, 1, 1024))
    }),
    setting("limits.watchers_max", "256", "1..10000", "watchers of verdicts at a time", |c, t| {
        put(&mut c.limits.watchers_max, number(t, 1, 10_000))
    }),
    setting("limits.handshake_timeout", "10s", "100ms..5m", "how long a TLS handshake may take", |c, t| {
        put(&mut c.limits.handshake_timeout, length(t, Millis(100), Millis(300_000)))
    }),
    setting("limits.call_timeout", "30s", "100ms..10m", "how long a call may take until its answer begins", |c, t| {
        put(&mut c.limits.call_timeout, length(t, Millis(100), Millis(600_000)))
    }),
    setting("limits.future_max", "1h", "1s..1d", "how far ahead a measurement may be scheduled", |c, t| {
        put(&mut c.limits.future_max, length(t, Millis(1000), Millis(86_400_000)))
    }),
    setting("retention.hot", "2h", "0s..30d", "how long an ended hour stays in the hot store at least", |c, t| {
        put(&mut c.retention.hot, length(t, Millis(0), Millis(30 * 86_400_000)))
    }),
    setting("retention.measurements", "35d", "1d..3660d", "how long measurements are kept", |c, t| {
        put(&mut c.retention.measurements, length(t, Millis(86_400_000), Millis(3660 * 86_400_000)))
    }),
    setting("retention.rollups", "400d", "1d..3660d", "how long counts and histograms per minute are kept", |c, t| {
        put(&mut c.retention.rollups, length(t, Millis(86_400_000), Millis(3660 * 86_400_000)))
    }),
    optional(
        "retention.disk_bytes_max",
        "64MiB..",
        "what measurements may take of the disk, sealed hours included; the oldest hours go first",
        |c, t| put(&mut c.retention.disk_bytes_max, size(t, 64 << 20, usize::MAX).map(|bytes| Some(bytes as u64))),
    ),
    optional(
        "cold.url",
        "file:///DIR | s3://BUCKET/PREFIX",
        "where sealed hours lie; a folder in data_dir when not set",
        |c, t| put(&mut c.cold.url, place(t).map(Some)),
    ),
    setting("cold.wait_max", "6h", "0s..30d", "how long an hour waits for agents before it is sealed", |c, t| {
        put(&mut c.cold.wait_max, length(t, Millis(0), Millis(30 * 86_400_000)))
    }),
    setting(
        "cold.copies_bytes_max",
        "1GiB",
        "0..",
        "what copies of the newest files in a bucket may take of this disk",
        |c, t| put(&mut c.cold.copies_bytes_max, size(t, 0, usize::MAX).map(|bytes| bytes as u64)),
    ),
    setting(
        "judging.catch_up_max",
        "30s",
        "0s..1h",
        "how long a start waits for what agents kept meanwhile",
        |c, t| put(&mut c.judging.catch_up_max, length(t, Millis(0), Millis(3_600_000))),
    ),
    setting(
        "judging.memory_bytes_max",
        "512MiB",
        "1MiB..",
        "what the judge may take of memory to wait for agents that are away; then it settles without them what is oldest",
        |c, t| put(&mut c.judging.memory_bytes_max, size(t, 1 << 20, usize::MAX)),
    ),
    setting("log.format", "text", "text | json", "how log lines look", |c, t| match t {
        "text" | "json" => put(&mut c.log.format, Ok(t.to_owned())),
        _ => Err(format!("{t:?} is not a log format: use text or json")),
    }),
    setting(
        "log.filter",
        "info",
        "DIRECTIVES",
        "what is logged, as in info,uitwijk_collector::ingest=debug",
        |c, t| put(&mut c.log.filter, Ok(t.to_owned())),
    ),
];

fn put<T>(place: &mut T, value: Result<T, String>) -> Result<(), String> {
    *place = value?;
    Ok(())
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is not an address: write IP:PORT such as 0.0.0.0:7443 or [::]:7443"))
}

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("an empty path: name a file or directory".to_owned()) } else { Ok(PathBuf::from(text)) }
}

fn place(text: &str) -> Result<String, String> {
    let known = ["file:///", "s3://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    match known {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') => Ok(text.to_owned()),
        _ => Err(format!("{text:?} is not a place for files: write file:///DIR or s3://BUCKET/PREFIX")),
    }
}

fn length(text: &str, least: Millis, most: Millis) -> Result<Millis, String> {
    let length: Millis = text.parse().map_err(|e: uitwijk_model::time::MillisError| e.to_string())?;
    if (least..=most).contains(&length) {
        return Ok(length);
    }
    Err(format!("{length} is out of range: {least} to {most}"))
}

fn number<T>(text: &str, least: T, most: T) -> Result<T, String>
where
    T: FromStr + Copy + PartialOrd + std::fmt::Display,
{
    match text.parse::<T>() {
        Ok(n) if n >= least && n <= most => Ok(n),
        _ => Err(format!("{text:?} is not a number from {least} to {most}")),
    }
}

fn size(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let Bytes(bytes) = text.parse()?;
    if (least..=most).contains(&bytes) {
        return Ok(bytes);
    }
    Err(format!("{} is out of range: {} to {}", Bytes(bytes), Bytes(least), Bytes(most)))
}
