//! What do the layers of a probe come to, and is the sum a probe?

use std::collections::BTreeMap;
use std::path::{Path as AgentPath, PathBuf};

use serde_json::{Map, Value};

use super::build::Context;
use super::path::Path;
use super::raw_probe::{RawDns, RawHttp, RawProbe, RawTcp};
use crate::plan::{
    DnsProbe, DnsRecordType, GrpcProbe, HttpProbe, Probe, ProbeKind, SecretText, ServedFrom, TcpProbe, TlsOptions,
    TlsProbe,
};
use crate::time::Millis;

mod address;

const KINDS: [&str; 5] = ["http", "tcp", "dns", "tls", "grpc"];
const TIMEOUT: Millis = Millis::from_secs(8);
const BODY_BYTES_MAX: u32 = 1 << 20;

/// Parts of one probe, later over earlier, each with its place in the file.
#[derive(Clone)]
pub(super) struct Layers<'a> {
    /// Serves several kinds at once.
    defaults: Option<(Path, &'a Value)>,
    /// Speaks of this probe.
    own: Vec<(Path, &'a Value)>,
}

impl<'a> Layers<'a> {
    pub(super) fn new(defaults: Option<(Path, &'a Value)>, endpoint: Option<(Path, &'a Value)>) -> Self {
        Self { defaults, own: endpoint.into_iter().collect() }
    }

    pub(super) fn with(&self, path: &Path, target: &'a Value) -> Self {
        let mut layers = self.clone();
        layers.own.push((path.clone(), target));
        layers
    }

    fn bottom_up(&self) -> impl DoubleEndedIterator<Item = &(Path, &'a Value)> {
        self.defaults.iter().chain(&self.own)
    }

    /// The target itself.
    fn top(&self) -> Path {
        self.own.last().map_or_else(Path::root, |(path, _)| path.clone())
    }

    /// Where the value at `keys` comes from: the last layer that has it.
    fn origin(&self, keys: &[&str], context: &Context) -> Path {
        let has = |value: &Value| keys.iter().try_fold(value, |v, key| v.get(key)).is_some();
        let Some((path, _)) = self.bottom_up().rev().find(|(_, value)| has(value)) else { return self.top() };
        let full = keys.iter().fold(path.clone(), |path, key| path.join(key));
        // A bare address has no key of its own.
        if context.has(&full) { full } else { path.clone() }
    }

    /// The one kind of the probe, told when there is none or more than one.
    fn kind(&self, context: &mut Context) -> Option<&'static str> {
        for (path, value) in self.own.iter().rev() {
            let named: Vec<&str> = KINDS.into_iter().filter(|kind| value.get(kind).is_some()).collect();
            match named.as_slice() {
                [] => {}
                [kind] => return Some(kind),
                several => {
                    context.tell(path, format!("names {}, expected exactly one kind of probe", several.join(" and ")));
                    return None;
                }
            }
        }
        let address = self.own.iter().rev().find_map(|(_, v)| v.get("address")?.as_str()).unwrap_or_default();
        if address.starts_with("http://") || address.starts_with("https://") {
            return Some("http");
        }
        self.tell_missing(format!("names no kind of probe, expected one of {}", KINDS.join(", ")), context);
        None
    }

    /// Tells that the sum lacks something, unless an earlier mistake has taken it away.
    fn tell_missing(&self, message: String, context: &mut Context) {
        if !context.told_within(self.bottom_up().map(|(path, _)| path)) {
            context.tell(&self.top(), message);
        }
    }

    /// All layers in one, without what is for other kinds.
    fn merged(&self, kind: &str) -> Value {
        let mut merged = Value::Object(Map::new());
        for (_, layer) in self.bottom_up() {
            merge(&mut merged, layer);
        }
        if let Value::Object(map) = &mut merged {
            map.retain(|key, _| key == kind || !KINDS.contains(&key.as_str()));
        }
        merged
    }
}

/// Lays a value over another: maps key by key, all else as a whole.
pub(super) fn merge(below: &mut Value, above: &Value) {
    match (below, above) {
        (_, Value::Null) => {}
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                merge(below.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above.clone(),
    }
}

/// Tells what is wrong with one probe, by the place where it was said.
struct Teller<'a> {
    layers: &'a Layers<'a>,
    context: &'a mut Context,
}

impl Teller<'_> {
    fn tell(&mut self, keys: &[&str], message: impl Into<String>) {
        let path = self.layers.origin(keys, self.context);
        self.context.tell(&path, message);
    }
}

/// The probe that the layers make; `None` when they make none, which has been told then.
pub(super) fn probe(layers: &Layers<'_>, context: &mut Context) -> Option<Probe> {
    let kind = layers.kind(context)?;
    let raw: RawProbe = match serde_json::from_value(layers.merged(kind)) {
        Ok(raw) => raw,
        Err(error) => {
            layers.tell_missing(format!("cannot be read: {error}"), context);
            return None;
        }
    };
    let mut teller = Teller { layers, context };
    let timeout = timeout(&raw, &mut teller);
    check_tls(raw.tls_options.as_ref(), &mut teller);
    check_served(raw.served.as_ref(), &mut teller);
    let Some(address) = raw.address else {
        layers.tell_missing("has no address".to_owned(), context);
        return None;
    };
    let kind = match kind {
        "http" => ProbeKind::Http(Box::new(http(raw.http.unwrap_or_default(), address, &mut teller))),
        "tcp" => ProbeKind::Tcp(tcp(raw.tcp.unwrap_or_default(), address, &mut teller)),
        "dns" => ProbeKind::Dns(dns(raw.dns.unwrap_or_default(), address, &mut teller)),
        "tls" => {
            let certificate_days_min = raw.tls.unwrap_or_default().certificate_days_min;
            ProbeKind::Tls(TlsProbe { address: host_port(address, &mut teller), certificate_days_min })
        }
        _ => {
            let service = raw.grpc.unwrap_or_default().service.unwrap_or_default();
            ProbeKind::Grpc(GrpcProbe { url: grpc_url(address, &mut teller), service })
        }
    };
    Some(Probe {
        kind,
        timeout,
        retries: raw.retries.unwrap_or(0),
        connect: raw.connect.unwrap_or_default(),
        tls: raw.tls_options.unwrap_or_default(),
        served: raw.served.filter(|served| *served != ServedFrom::default()),
    })
}

fn timeout(raw: &RawProbe, teller: &mut Teller<'_>) -> Millis {
    let slot = teller.context.slot.millis();
    let Some(timeout) = raw.timeout else { return TIMEOUT.min(Millis(slot.0 * 4 / 5)) };
    if !(10..=60_000).contains(&timeout.0) {
        teller.tell(&["timeout"], format!("{timeout} is out of range, allowed are 10ms to 60s"));
    } else if timeout > slot {
        teller.tell(
            &["timeout"],
            format!("{timeout} is longer than a slot of {slot}: an attempt must end before the next is due"),
        );
    }
    timeout
}

fn check_tls(options: Option<&TlsOptions>, teller: &mut Teller<'_>) {
    let Some(options) = options else { return };
    for (key, file) in [
        ("ca_file", &options.ca_file),
        ("client_cert_file", &options.client_cert_file),
        ("client_key_file", &options.client_key_file),
    ] {
        check_file(file.as_deref(), &["tls_options", key], teller);
    }
    match (&options.client_cert_file, &options.client_key_file) {
        (Some(_), None) => teller.tell(&["tls_options", "client_cert_file"], "needs client_key_file beside it"),
        (None, Some(_)) => teller.tell(&["tls_options", "client_key_file"], "needs client_cert_file beside it"),
        _ => {}
    }
    if options.server_name.as_deref().is_some_and(|name| !address::is_host(name)) {
        teller.tell(&["tls_options", "server_name"], "is not a host name or IP address");
    }
}

fn check_served(served: Option<&ServedFrom>, teller: &mut Teller<'_>) {
    let Some(served) = served else { return };
    let tells_region = served.region_header.is_some() || served.region_json.is_some();
    for (key, given) in [("zone_header", &served.zone_header), ("zone_json", &served.zone_json)] {
        if given.is_some() && !tells_region {
            teller.tell(&["served", key], "tells a zone without a region; add region_header or region_json");
        }
    }
    for (network, place) in &served.addresses {
        let path = teller.layers.origin(&["served", "addresses", network], teller.context);
        match &place.zone {
            Some(zone) => teller.context.zone(&place.region, zone, &path.join("zone")),
            None => teller.context.region(&place.region, &path.join("region")),
        };
    }
}

fn check_file(file: Option<&AgentPath>, keys: &[&str], teller: &mut Teller<'_>) {
    if file.is_some_and(|f| f.as_os_str().is_empty()) {
        teller.tell(keys, "is empty, expected the path of a file on the agent");
    }
}

fn http(raw: RawHttp, url: String, teller: &mut Teller<'_>) -> HttpProbe {
    if let Err(message) = address::check_url(&url) {
        teller.tell(&["address"], message);
    }
    let method = raw.method.unwrap_or_else(|| "GET".to_owned());
    let expect = raw.expect.unwrap_or_default();
    if expect.certificate_days_min.is_some() && url.starts_with("http://") {
        teller.tell(&["http", "expect", "certificate_days_min"], format!("{url} has no certificate"));
    }
    if method == "HEAD" && !expect.body.is_empty() {
        teller.tell(&["http", "expect", "body"], "the answer to HEAD has no body");
    }
    HttpProbe {
        url,
        method,
        headers: headers(raw.headers, raw.header_files, teller),
        body: secret(raw.body, raw.body_file, ["http", "body_file"], teller),
        version: raw.version.unwrap_or_default(),
        redirects_max: raw.redirects_max.unwrap_or(0),
        body_bytes_max: raw.body_bytes_max.unwrap_or(BODY_BYTES_MAX),
        expect: lower_case(expect),
    }
}

/// Header names are compared in lower case everywhere.
fn lower_case(mut expect: crate::plan::Expectation) -> crate::plan::Expectation {
    for header in &mut expect.headers {
        header.name.make_ascii_lowercase();
    }
    expect
}

fn headers(
    plain: BTreeMap<String, String>,
    files: BTreeMap<String, PathBuf>,
    teller: &mut Teller<'_>,
) -> BTreeMap<String, SecretText> {
    let plain = plain.into_iter().map(|(name, text)| ("headers", name, SecretText::Plain(text)));
    let files = files.into_iter().map(|(name, file)| ("header_files", name, SecretText::File(file)));
    let mut headers = BTreeMap::new();
    for (key, name, value) in plain.chain(files) {
        if let SecretText::File(file) = &value {
            check_file(Some(file), &["http", key, &name], teller);
        }
        if headers.insert(name.to_ascii_lowercase(), value).is_some() {
            teller.tell(&["http", key, &name], "is given a second time; header names are the same in any case");
        }
    }
    headers
}

fn secret(
    plain: Option<String>,
    file: Option<PathBuf>,
    keys: [&str; 2],
    teller: &mut Teller<'_>,
) -> Option<SecretText> {
    check_file(file.as_deref(), &keys, teller);
    if plain.is_some() && file.is_some() {
        let other = keys[1].trim_end_matches("_file");
        teller.tell(&keys, format!("stands beside {other}, expected one of them"));
    }
    file.map(SecretText::File).or(plain.map(SecretText::Plain))
}

fn tcp(raw: RawTcp, address: String, teller: &mut Teller<'_>) -> TcpProbe {
    TcpProbe {
        address: host_port(address, teller),
        send: secret(raw.send, raw.send_file, ["tcp", "send_file"], teller),
        expect: raw.expect,
    }
}

fn dns(raw: RawDns, name: String, teller: &mut Teller<'_>) -> DnsProbe {
    if !address::is_dns_name(&name) {
        teller.tell(&["address"], format!("{name:?} is not a name to look up"));
    }
    DnsProbe { server: raw.server, name, record: raw.record.unwrap_or(DnsRecordType::A), expect: raw.expect }
}

fn host_port(address: String, teller: &mut Teller<'_>) -> String {
    if let Err(message) = address::check_host_port(&address) {
        teller.tell(&["address"], message);
    }
    address
}

fn grpc_url(url: String, teller: &mut Teller<'_>) -> String {
    if let Err(message) = address::check_grpc_url(&url) {
        teller.tell(&["address"], message);
    }
    url
}
