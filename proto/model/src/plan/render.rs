//! How does a resolved plan read?
//!
//! As a plan file again, with every default written out and no layers: reading it gives the same plan back, which a test
//! holds it to. So what `uitwijk plan show` prints is both an answer and a file to start from.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::read::raw_probe::{RawDns, RawGrpc, RawHttp, RawProbe, RawTcp, RawTls};
use super::{Endpoint, Plan, Probe, ProbeKind, SecretText, Service};
use crate::time::WallTime;
use crate::window::Window;

impl Plan {
    /// The plan as a YAML file, all defaults written out.
    ///
    /// # Panics
    /// When YAML cannot be written into memory, which does not happen.
    #[must_use]
    pub fn render_yaml(&self) -> String {
        serde_saphyr::to_string(&escaped(plan(self))).expect("a plan is plain data")
    }
}

fn plan(plan: &Plan) -> Value {
    let agents = plan.agents.iter().map(|(agent, place)| (agent.to_string(), place.to_string().into()));
    let partner = |p: &super::Partner| json!({ "title": p.title, "objective": p.objective, "probe": probe(&p.probe) });
    let control = |c: &super::Control| json!({ "objective": c.objective, "probe": probe(&c.probe) });
    let mut value = json!({
        "name": plan.name,
        "revision": plan.revision,
        "slot": plan.slot,
        "regions": plan.regions,
        "agents": agents.collect::<Map<_, _>>(),
        "services": map(&plan.services, service),
    });
    insert(&mut value, "partners", map(&plan.partners, partner));
    insert(&mut value, "controls", map(&plan.controls, control));
    insert(&mut value, "policy", json!(plan.policy));
    insert(&mut value, "shadow", json!(plan.shadow));
    insert(&mut value, "windows", plan.windows.iter().map(window).collect());
    value
}

fn service(service: &Service) -> Value {
    let mut value = json!({
        "title": service.title,
        "class": service.class,
        "objective": service.objective,
        "active_region": service.active_region,
    });
    insert(&mut value, "chain", json!(service.chain));
    insert(&mut value, "endpoints", map(&service.endpoints, endpoint));
    insert(&mut value, "policy", json!(service.policy));
    value
}

fn endpoint(endpoint: &Endpoint) -> Value {
    let mut value = json!({ "weight": endpoint.weight, "critical": endpoint.critical });
    insert(&mut value, "regional", map(&endpoint.regional, probe));
    insert(&mut value, "zonal", map(&endpoint.zonal, |zones| map(zones, probe)));
    insert(&mut value, "global", endpoint.global.as_ref().map_or(Value::Null, probe));
    value
}

fn probe(probe: &Probe) -> Value {
    let mut raw = RawProbe { timeout: Some(probe.timeout), retries: Some(probe.retries), ..RawProbe::default() };
    let address = match &probe.kind {
        ProbeKind::Http(p) => {
            raw.http = Some(http(p));
            &p.url
        }
        ProbeKind::Tcp(p) => {
            let (send, send_file) = halves(p.send.clone());
            raw.tcp = Some(RawTcp { send, send_file, expect: p.expect.clone() });
            &p.address
        }
        ProbeKind::Dns(p) => {
            raw.dns = Some(RawDns { server: p.server, record: Some(p.record), expect: p.expect.clone() });
            &p.name
        }
        ProbeKind::Tls(p) => {
            raw.tls = Some(RawTls { certificate_days_min: p.certificate_days_min });
            &p.address
        }
        ProbeKind::Grpc(p) => {
            raw.grpc = Some(RawGrpc { service: Some(p.service.clone()) });
            &p.url
        }
    };
    raw.address = Some(address.clone());
    let mut value = json!(raw);
    insert(&mut value, "connect", sparse(json!(probe.connect)));
    insert(&mut value, "tls_options", sparse(json!(probe.tls)));
    insert(&mut value, "served", sparse(json!(probe.served)));
    if let Some(expect) = value.pointer_mut("/http/expect") {
        *expect = sparse(expect.take());
    }
    value
}

fn http(p: &super::HttpProbe) -> RawHttp {
    let mut raw = RawHttp {
        method: Some(p.method.clone()),
        version: Some(p.version),
        redirects_max: Some(p.redirects_max),
        body_bytes_max: Some(p.body_bytes_max),
        expect: Some(p.expect.clone()),
        ..RawHttp::default()
    };
    (raw.body, raw.body_file) = halves(p.body.clone());
    for (name, value) in &p.headers {
        match value {
            SecretText::Plain(text) => drop(raw.headers.insert(name.clone(), text.clone())),
            SecretText::File(file) => drop(raw.header_files.insert(name.clone(), file.clone())),
        }
    }
    raw
}

fn halves(text: Option<SecretText>) -> (Option<String>, Option<std::path::PathBuf>) {
    match text {
        None => (None, None),
        Some(SecretText::Plain(text)) => (Some(text), None),
        Some(SecretText::File(file)) => (None, Some(file)),
    }
}

fn window(window: &Window) -> Value {
    let mut value = json!({ "kind": window.kind, "from": moment(window.from), "to": moment(window.to) });
    insert(&mut value, "notice_working_days", json!(window.notice_working_days));
    insert(&mut value, "scope", sparse(json!(window.scope)));
    insert(&mut value, "author", json!(window.author));
    insert(&mut value, "reason", json!(window.reason));
    value
}

fn moment(at: WallTime) -> String {
    jiff::Timestamp::from_microsecond(at.as_micros()).map_or_else(|_| at.to_string(), |t| t.to_string())
}

fn map<K: ToString, V>(values: &BTreeMap<K, V>, render: impl Fn(&V) -> Value) -> Value {
    values.iter().map(|(key, value)| (key.to_string(), render(value))).collect::<Map<_, _>>().into()
}

/// Adds a key that has something to say.
fn insert(into: &mut Value, key: &str, value: Value) {
    if !is_empty(&value) {
        into[key] = value;
    } else if let Value::Object(map) = into {
        map.shift_remove(key);
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// Leaves out what says nothing; a value to compare with says what it says.
fn sparse(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let sparse = |(key, value)| if key == "equals" { (key, value) } else { (key, sparse(value)) };
            map.into_iter().map(sparse).filter(|(key, v)| key == "equals" || !is_empty(v)).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.into_iter().map(sparse).collect(),
        other => other,
    }
}

/// Texts that look like a variable stay what they are.
fn escaped(value: Value) -> Value {
    match value {
        Value::String(text) => text.replace("${", "$${").into(),
        Value::Array(items) => items.into_iter().map(escaped).collect(),
        Value::Object(map) => map.into_iter().map(|(k, v)| (k, escaped(v))).collect::<Map<_, _>>().into(),
        other => other,
    }
}

#[cfg(test)]
mod tests;
