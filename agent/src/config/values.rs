//! Which values may a key have?

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use uitwijk_identity::TlsFiles;
use uitwijk_model::Millis;
use uitwijk_telemetry::logging::{LogFormat, LogOptions};

use super::settings::find;
use super::{
    BufferConfig, ByteSize, Collector, CollectorText, Compression, Config, Given, Mistake, Origin, RecordConfig, Stop,
};

/// A buffer, a cursor and a task each; more is a mistake.
const COLLECTORS_MAX: usize = 8;

/// Reads every key; `None` when a mistake left no value.
pub(super) fn resolve(given: &Given, mistakes: &mut Vec<Mistake>) -> Option<Config> {
    let mut v = Values { given, mistakes };
    // Each line is evaluated before any `?`, so that one run shows every mistake.
    let data_dir = v.path("data_dir");
    let (ca_file, cert_file, key_file) = (v.path("tls.ca_file"), v.path("tls.cert_file"), v.path("tls.key_file"));
    let collectors = v.collectors();
    let admin_listen = v.address("admin_listen");
    let disk_bytes_max = v.within("buffer.disk_bytes_max", ByteSize(8 << 20)..=ByteSize(1 << 40));
    let ballast_bytes = v.within("buffer.ballast_bytes", ByteSize(0)..=ByteSize(1 << 30));
    let record_file = v.text("record.file").map(|(text, _)| (!text.is_empty()).then(|| PathBuf::from(text)));
    let record_bytes_max = v.within("record.bytes_max", ByteSize(1 << 20)..=ByteSize(1 << 40));
    let resolver = v.optional_address("resolver");
    let in_flight_max = v.within("in_flight_max", 1..=65_536);
    let missed_slots_max = v.within("missed_slots_max", 0..=1000);
    let compression = v.one_of("compression", &[("none", Compression::None), ("zstd", Compression::Zstd)]);
    let format = v.one_of("log.format", &[("text", LogFormat::Text), ("json", LogFormat::Json)]);
    let filter = v.text("log.filter").map(|(text, _)| text);
    let minutes = Millis(0)..=Millis::from_secs(300);
    let (grace, drain) = (v.within("stop.grace", minutes.clone()), v.within("stop.drain", minutes));
    let worker_threads = v.within("worker_threads", 1..=64);
    Some(Config {
        data_dir: data_dir?,
        tls: TlsFiles { ca_file: ca_file?, cert_file: cert_file?, key_file: key_file? },
        collectors: collectors?,
        admin_listen: admin_listen?,
        buffer: BufferConfig { disk_bytes_max: disk_bytes_max?, ballast_bytes: ballast_bytes? },
        record: RecordConfig { file: record_file?, bytes_max: record_bytes_max? },
        resolver: resolver?,
        in_flight_max: in_flight_max?,
        missed_slots_max: missed_slots_max?,
        compression: compression?,
        log: LogOptions { format: format?, filter: filter? },
        stop: Stop { grace: grace?, drain: drain? },
        worker_threads: worker_threads?,
    })
}

struct Values<'a> {
    given: &'a Given,
    mistakes: &'a mut Vec<Mistake>,
}

impl Values<'_> {
    fn mistake<T>(&mut self, origin: &Origin, key: &str, message: String) -> Option<T> {
        self.mistakes.push(Mistake { origin: origin.clone(), key: key.to_owned(), message });
        None
    }

    /// The text of a key, or its default.
    fn text(&mut self, key: &'static str) -> Option<(String, Origin)> {
        if let Some(given) = self.given.texts.get(key) {
            return Some((given.text.clone(), given.origin.clone()));
        }
        let setting = find(key)?;
        match setting.default {
            Some(default) => Some((default.to_owned(), Origin::Default)),
            None => {
                let message =
                    format!("missing; set it in the file, by {} or by {}", setting.environment(), setting.flag());
                self.mistake(&Origin::Default, key, message)
            }
        }
    }

    fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        let (text, origin) = self.text(key)?;
        if text.is_empty() {
            return self.mistake(&origin, key, "is empty; name a path".to_owned());
        }
        Some(PathBuf::from(text))
    }

    fn parsed<T: FromStr>(&mut self, key: &'static str) -> Option<(T, String, Origin)>
    where
        T::Err: Display,
    {
        let (text, origin) = self.text(key)?;
        match text.parse() {
            Ok(value) => Some((value, text, origin)),
            Err(error) => {
                let message = error.to_string();
                // The parsers of the project name the value and what is allowed; that of whole numbers does not.
                let message =
                    if message.starts_with('"') { message } else { format!("{text:?} is not a whole number") };
                self.mistake(&origin, key, message)
            }
        }
    }

    fn within<T: FromStr + PartialOrd + Display>(&mut self, key: &'static str, range: RangeInclusive<T>) -> Option<T>
    where
        T::Err: Display,
    {
        let (value, text, origin) = self.parsed::<T>(key)?;
        if range.contains(&value) {
            return Some(value);
        }
        let message = format!("{text} is out of range: {} to {}", range.start(), range.end());
        self.mistake(&origin, key, message)
    }

    /// `Some(None)` when there is none, `None` when what there is cannot be used.
    #[allow(clippy::option_option, reason = "the outer one is that of every key here")]
    fn optional_address(&mut self, key: &'static str) -> Option<Option<SocketAddr>> {
        match self.text(key)?.0.is_empty() {
            true => Some(None),
            false => self.address(key).map(Some),
        }
    }

    fn address(&mut self, key: &'static str) -> Option<SocketAddr> {
        let (text, origin) = self.text(key)?;
        match text.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                self.mistake(&origin, key, format!("{text:?} is not an address: write ip:port, such as 127.0.0.1:9464"))
            }
        }
    }

    fn one_of<T: Copy>(&mut self, key: &'static str, allowed: &[(&str, T)]) -> Option<T> {
        let (text, origin) = self.text(key)?;
        if let Some((_, value)) = allowed.iter().find(|(name, _)| *name == text) {
            return Some(*value);
        }
        let names: Vec<_> = allowed.iter().map(|(name, _)| *name).collect();
        self.mistake(&origin, key, format!("{text:?} is not one of {}", names.join(", ")))
    }

    fn collectors(&mut self) -> Option<Vec<Collector>> {
        let list = self.given.collectors.clone().unwrap_or_default();
        if list.is_empty() {
            let setting = find("collectors")?;
            let message = format!(
                "missing; name at least one, in the file as a list of {{name, url}}, by {} or by {}",
                setting.environment(),
                setting.flag()
            );
            return self.mistake(&Origin::Default, "collectors", message);
        }
        if let Some(extra) = list.get(COLLECTORS_MAX) {
            return self.mistake(
                &extra.origin,
                "collectors",
                format!("has {} entries; at most {COLLECTORS_MAX} are allowed", list.len()),
            );
        }
        let before = self.mistakes.len();
        let collectors: Vec<_> = list.iter().enumerate().map(|(i, text)| self.collector(i, text, &list)).collect();
        (self.mistakes.len() == before).then_some(collectors)
    }

    fn collector(&mut self, i: usize, text: &CollectorText, list: &[CollectorText]) -> Collector {
        // The name stands in file names, keys and labels, as an agent's does.
        if let Err(error) = uitwijk_model::AgentId::new(&text.name) {
            let message = error.to_string().replacen("agent", "collector", 1);
            let _: Option<()> = self.mistake(&text.origin, &format!("collectors[{i}].name"), message);
        }
        if let Some(first) = list[..i].iter().position(|other| other.name == text.name) {
            let message = format!("{:?} is the name of collectors[{first}] too; names must differ", text.name);
            let _: Option<()> = self.mistake(&text.origin, &format!("collectors[{i}].name"), message);
        }
        if let Err(message) = check_url(&text.url) {
            let _: Option<()> = self.mistake(&text.origin, &format!("collectors[{i}].url"), message);
        }
        Collector { name: text.name.clone(), url: text.url.trim_end_matches('/').to_owned() }
    }
}

/// `https://host:port` and nothing more: identity is by certificate, so there is no place for a password.
fn check_url(url: &str) -> Result<(), String> {
    let shown = super::print::masked(url);
    let refuse = |why: &str| Err(format!("{shown:?} {why}: write https://host:port"));
    let Ok(uri) = url.parse::<http::Uri>() else { return refuse("is not a URL") };
    match (uri.scheme_str(), uri.authority()) {
        (Some("https"), Some(authority)) if authority.as_str().contains('@') => refuse("carries a user or password"),
        (Some("https"), Some(authority)) if authority.host().is_empty() => refuse("has no host"),
        (Some("https"), Some(_)) if !matches!(uri.path(), "" | "/") || uri.query().is_some() => refuse("has a path"),
        (Some("https"), Some(authority)) if authority.port_u16().is_none() => refuse("has no port"),
        (Some("https"), Some(_)) => Ok(()),
        _ => refuse("is not an https URL with a host"),
    }
}
