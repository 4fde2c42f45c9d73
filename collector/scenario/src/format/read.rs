//! Is this file a list of scenarios, and if not, what is wrong with each?
//!
//! One JSON object per line. Every mistake of the whole file is told at once, with its line and the name of its scenario.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use serde_json::Value;
use uitwijk_model::{EndpointName, Millis, PartnerId, Region, ServiceClass, ServiceId, WallTime, WindowKind};

use super::object::{Notes, Object};
use super::{EndpointSpec, Failover, Maintenance, START, Scenario, Scope, ServiceSpec, effects, expectations};

/// The longest scenario that is played: ten days.
const DURATION_MAX_S: u64 = 864_000;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// The scenario, if it tells its name.
    pub id: Option<String>,
    /// What is wrong, with its place.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            None if self.line == 0 => f.write_str(&self.what),
            Some(id) => write!(f, "line {} ({id}): {}", self.line, self.what),
            None => write!(f, "line {}: {}", self.line, self.what),
        }
    }
}

/// Everything that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Mistakes(pub Vec<Mistake>);

/// A scenario that was looked for in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// It.
    pub scenario: Scenario,
    /// What is wrong elsewhere in the file, or not known and left aside.
    pub warnings: Vec<Mistake>,
}

/// Reads a file of scenarios.
///
/// # Errors
/// When it cannot be read, or with everything that is wrong with it.
pub fn read_file(path: impl AsRef<Path>) -> Result<Vec<Scenario>, Mistakes> {
    let text = std::fs::read_to_string(path.as_ref())
        .map_err(|error| Mistakes(vec![Mistake { line: 0, id: None, what: error.to_string() }]))?;
    read_text(&text)
}

/// Reads scenarios, one per line.
///
/// # Errors
/// With everything that is wrong.
pub fn read_text(text: &str) -> Result<Vec<Scenario>, Mistakes> {
    let mut good = Vec::new();
    let mut mistakes = Vec::new();
    for read in lines(text) {
        mistakes.extend(read.mistakes);
        mistakes.extend(read.unknown);
        good.push(read.scenario);
    }
    mistakes.extend(twins(&good));
    mistakes.sort_by_key(|m| m.line);
    if mistakes.is_empty() { Ok(good.into_iter().flatten().map(|(_, s)| s).collect()) } else { Err(Mistakes(mistakes)) }
}

/// Looks for one scenario by name. Mistakes of the others are warnings, and so are keys of the scenario itself that do
/// not describe the world.
///
/// # Errors
/// When it is not there, or with what is wrong with it.
pub fn find(text: &str, id: &str) -> Result<Found, Mistakes> {
    let (mut warnings, mut mine, mut found, mut ids) = (Vec::new(), Vec::new(), None, Vec::new());
    for read in lines(text) {
        let is_it = read.id.as_deref() == Some(id);
        if is_it { &mut mine } else { &mut warnings }.extend(read.mistakes);
        warnings.extend(read.unknown);
        ids.extend(read.id);
        if is_it && found.is_none() {
            found = read.scenario.map(|(_, s)| s);
        }
    }
    match found {
        Some(scenario) if mine.is_empty() => Ok(Found { scenario, warnings }),
        None if mine.is_empty() => {
            let known = if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
            let what = format!("scenario {id:?} is not in the file: it has {known}");
            Err(Mistakes(vec![Mistake { line: 0, id: None, what }]))
        }
        _ => Err(Mistakes(mine)),
    }
}

/// What became of a line.
struct Line {
    id: Option<String>,
    scenario: Option<(usize, Scenario)>,
    mistakes: Vec<Mistake>,
    unknown: Vec<Mistake>,
}

fn lines(text: &str) -> impl Iterator<Item = Line> + '_ {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let full = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
    full.map(|(i, l)| line(i + 1, l))
}

fn line(number: usize, text: &str) -> Line {
    let mistake = |id: &Option<String>, what| Mistake { line: number, id: id.clone(), what };
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            let what = format!("not JSON: {error}").replace(" at line 1 column", " at column");
            return Line { id: None, scenario: None, mistakes: vec![mistake(&None, what)], unknown: Vec::new() };
        }
    };
    let id = value.get("id").and_then(Value::as_str).map(str::to_owned);
    let notes = Notes::default();
    let (scenario, unknown) = match Object::of("", &value, &notes) {
        Some(object) => (Some(scenario(&object, &notes)), object.unknown()),
        None => (None, Vec::new()),
    };
    let mistakes: Vec<_> = notes.into_inner().into_iter().map(|what| mistake(&id, what)).collect();
    let unknown = unknown.into_iter().map(|key| mistake(&id, format!("{key} is not known"))).collect();
    let scenario = scenario.filter(|_| mistakes.is_empty()).map(|s| (number, s));
    Line { id, scenario, mistakes, unknown }
}

/// Scenarios that have the name of another one.
fn twins(good: &[Option<(usize, Scenario)>]) -> Vec<Mistake> {
    let mut seen = BTreeSet::new();
    let again = good.iter().flatten().filter(|(_, s)| !seen.insert(&s.id));
    again
        .map(|(line, s)| {
            let what = "id is taken by an earlier line".to_owned();
            Mistake { line: *line, id: Some(s.id.clone()), what }
        })
        .collect()
}

fn scenario(o: &Object<'_>, notes: &Notes) -> Scenario {
    let services: Vec<ServiceSpec> = o.objects("services").iter().map(service).collect();
    let read = Scenario {
        id: o.needed_text("id").to_owned(),
        title: o.text("title").unwrap_or_default().to_owned(),
        source: o.text("source").unwrap_or_default().to_owned(),
        why: o.text("why").unwrap_or_default().to_owned(),
        duration: o.needed_seconds("duration_s"),
        start: start(o),
        active_region: region(o, "active_region"),
        services: if services.is_empty() { usual_services() } else { services },
        faults: o.objects("faults").iter().map(effects::fault).collect(),
        failovers: o.objects("actual_failovers").iter().map(failover).collect(),
        maintenance: o.objects("maintenance").iter().map(maintenance).collect(),
        expect: o.objects("expect").iter().map(|e| expectations::expect(e, notes)).collect(),
    };
    if o.has("duration_s") && !(1000..=DURATION_MAX_S * 1000).contains(&read.duration.0) {
        o.note(format!("duration_s {} is not allowed: 1 to {DURATION_MAX_S}", effects::seconds(read.duration)));
    }
    check_names(o, &read);
    read
}

fn start(o: &Object<'_>) -> WallTime {
    let Some(text) = o.text("start_utc") else { return START };
    match text.parse::<jiff::Timestamp>() {
        Ok(at) => WallTime::from_micros(at.as_microsecond()),
        Err(_) => {
            o.wrong("start_utc", &Value::from(text), "a moment such as 2026-03-02T08:00:00Z");
            START
        }
    }
}

fn region(o: &Object<'_>, key: &'static str) -> Region {
    if !o.has(key) {
        o.note(format!("{} is missing", o.place(key)));
    }
    o.name(key, |n| Region::new(n)).unwrap_or_else(|| word(Region::new("NL")))
}

/// A name that is written in this file.
fn word<T, E: fmt::Debug>(made: Result<T, E>) -> T {
    made.expect("a word is a name")
}

/// What is watched when a scenario does not say.
fn usual_services() -> Vec<ServiceSpec> {
    let spec = |id: &str, class: ServiceClass, chain| ServiceSpec {
        id: word(ServiceId::new(id)),
        class,
        objective: class.objective(),
        endpoints: vec![default_endpoint()],
        chain,
    };
    let idp = word(PartnerId::new("idp"));
    vec![spec("exchange", ServiceClass::Webservice, vec![idp]), spec("portal", ServiceClass::Website, Vec::new())]
}

fn default_endpoint() -> EndpointSpec {
    EndpointSpec { name: word(EndpointName::new("default")), weight: 1.0, critical: false }
}

fn service(o: &Object<'_>) -> ServiceSpec {
    let class = match o.text("class") {
        Some("website") => ServiceClass::Website,
        None | Some("webservice") => ServiceClass::Webservice,
        Some(other) => {
            o.wrong("class", &Value::from(other), "webservice or website");
            ServiceClass::Webservice
        }
    };
    if !o.has("id") {
        o.note(format!("{} is missing", o.place("id")));
    }
    let endpoints: Vec<EndpointSpec> = o.objects("endpoints").iter().map(endpoint).collect();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the bounds")]
    let objective = match o.has("objective_ms") {
        true => Millis(o.number("objective_ms", (1.0, 1e9), 1500.0).round() as u64),
        false => class.objective(),
    };
    let spec = ServiceSpec {
        id: o.name("id", |n| ServiceId::new(n)).unwrap_or_else(|| word(ServiceId::new("exchange"))),
        class,
        objective,
        endpoints: if endpoints.is_empty() { vec![default_endpoint()] } else { endpoints },
        chain: o.names("chain", |n| PartnerId::new(n)),
    };
    o.finish();
    spec
}

fn endpoint(o: &Object<'_>) -> EndpointSpec {
    if !o.has("name") {
        o.note(format!("{} is missing", o.place("name")));
    }
    let spec = EndpointSpec {
        name: o.name("name", |n| EndpointName::new(n)).unwrap_or_else(|| word(EndpointName::new("default"))),
        weight: o.number("weight", (0.0, 1e6), 1.0),
        critical: o.flag("critical", false),
    };
    o.finish();
    spec
}

fn failover(o: &Object<'_>) -> Failover {
    let failover = Failover {
        at: o.needed_seconds("at_s"),
        from: region(o, "from"),
        to: region(o, "to"),
        ttl: o.seconds("ttl_s", Millis::from_secs(60)),
    };
    o.finish();
    failover
}

fn maintenance(o: &Object<'_>) -> Maintenance {
    let (from, to) = (o.needed_seconds("from_s"), o.needed_seconds("to_s"));
    if from >= to {
        o.note(format!("{} {}s is not allowed: later than from_s", o.place("to_s"), effects::seconds(to)));
    }
    let kinds = [WindowKind::Planned, WindowKind::Agreed, WindowKind::Emergency, WindowKind::ForceMajeure];
    let text = o.needed_text("kind");
    let kind = kinds.into_iter().find(|k| k.label() == text).unwrap_or_else(|| {
        if o.has("kind") {
            o.wrong("kind", &Value::from(text), "planned, agreed, emergency or force_majeure");
        }
        WindowKind::Emergency
    });
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the bounds")]
    let notice = o
        .has("announced_working_days_before")
        .then(|| o.number("announced_working_days_before", (0.0, 1000.0), 0.0) as u32);
    let scope = o.object("scope").map_or_else(Scope::default, |s| effects::scope(&s));
    o.finish();
    Maintenance { from, to, kind, notice, scope }
}

/// Whether everything that is named is there.
fn check_names(o: &Object<'_>, s: &Scenario) {
    let services: BTreeSet<&ServiceId> = s.services.iter().map(|x| &x.id).collect();
    if services.len() < s.services.len() {
        o.note("services has the same id twice".to_owned());
    }
    for spec in &s.services {
        let names: BTreeSet<&EndpointName> = spec.endpoints.iter().map(|e| &e.name).collect();
        if names.len() < spec.endpoints.len() {
            o.note(format!("services {} has the same endpoint twice", spec.id));
        }
    }
    let partners: BTreeSet<&PartnerId> = s.services.iter().flat_map(|x| &x.chain).collect();
    let endpoints: BTreeSet<&EndpointName> = s.services.iter().flat_map(|x| &x.endpoints).map(|e| &e.name).collect();
    let scope = |place: String, scope: &Scope| {
        for name in scope.services.iter().filter(|n| !services.contains(n)) {
            o.note(format!("{place}.scope.service {name} is not one of the services"));
        }
        for name in scope.endpoints.iter().filter(|n| !endpoints.contains(n)) {
            o.note(format!("{place}.scope.endpoint {name} is not an endpoint of any service"));
        }
        for name in scope.chain_partners.iter().filter(|n| !partners.contains(n)) {
            o.note(format!("{place}.scope.chain_partner {name} is not in the chain of any service"));
        }
    };
    for (i, fault) in s.faults.iter().enumerate() {
        scope(format!("faults[{i}]"), &fault.scope);
    }
    for (i, window) in s.maintenance.iter().enumerate() {
        scope(format!("maintenance[{i}]"), &window.scope);
    }
    for (i, e) in s.expect.iter().enumerate() {
        for name in e.service.iter().filter(|n| !services.contains(n)) {
            o.note(format!("expect[{i}].service {name} is not one of the services"));
        }
    }
}
