//! How is the resolved configuration shown?

use super::{Compression, Config};

/// Every key but the list of collectors as text, and the collectors as one text, in the order of the table.
pub(super) fn texts(c: &Config) -> Vec<(&'static str, String)> {
    let collectors: Vec<_> = c.collectors.iter().map(|c| format!("{}={}", c.name, masked(&c.url))).collect();
    let compression = match c.compression {
        Compression::None => "none",
        Compression::Zstd => "zstd",
    };
    vec![
        ("data_dir", c.data_dir.display().to_string()),
        ("tls.ca_file", c.tls.ca_file.display().to_string()),
        ("tls.cert_file", c.tls.cert_file.display().to_string()),
        ("tls.key_file", c.tls.key_file.display().to_string()),
        ("collectors", collectors.join(",")),
        ("admin_listen", c.admin_listen.to_string()),
        ("buffer.disk_bytes_max", c.buffer.disk_bytes_max.to_string()),
        ("buffer.ballast_bytes", c.buffer.ballast_bytes.to_string()),
        ("record.file", c.record.file.as_ref().map(|path| path.display().to_string()).unwrap_or_default()),
        ("record.bytes_max", c.record.bytes_max.to_string()),
        ("resolver", c.resolver.map(|a| a.to_string()).unwrap_or_default()),
        ("in_flight_max", c.in_flight_max.to_string()),
        ("missed_slots_max", c.missed_slots_max.to_string()),
        ("compression", compression.to_owned()),
        ("log.format", c.log.format.to_string()),
        ("log.filter", c.log.filter.clone()),
        ("stop.grace", c.stop.grace.to_string()),
        ("stop.drain", c.stop.drain.to_string()),
        ("worker_threads", c.worker_threads.to_string()),
    ]
}

/// A file that gives this configuration.
pub(super) fn to_yaml(config: &Config) -> String {
    let mut yaml = String::new();
    let mut section = "";
    for (key, text) in texts(config) {
        let (head, field) = key.split_once('.').unwrap_or(("", key));
        if head != section && !head.is_empty() {
            yaml.push_str(&format!("{head}:\n"));
        }
        section = head;
        let indent = if head.is_empty() { "" } else { "  " };
        if key == "collectors" {
            yaml.push_str(&collectors_yaml(config));
        } else {
            yaml.push_str(&format!("{indent}{field}: {}\n", quoted(&text)));
        }
    }
    yaml
}

fn collectors_yaml(config: &Config) -> String {
    let entry = |c: &super::Collector| format!("  - name: {}\n    url: {}\n", quoted(&c.name), quoted(&masked(&c.url)));
    format!("collectors:\n{}", config.collectors.iter().map(entry).collect::<String>())
}

/// Plain words stay plain; anything else is a JSON string, which YAML reads alike.
fn quoted(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-');
    if text.bytes().all(plain) && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'/') {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

/// A URL with its password replaced.
pub(super) fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://***{}", &rest[at..]),
        None => url.to_owned(),
    }
}
