//! What does a fault touch, and what does it do there?

use std::collections::BTreeSet;

use serde_json::Value;
use uitwijk_model::{ControlId, EndpointName, Millis, PartnerId, Region, ServiceId, Zone};

use super::object::Object;
use super::{Controls, Cycle, Effect, EffectKind, Fault, FaultPath, Regions, Scope};

/// After so long a zone that fails is taken out, unless the fault says otherwise.
const DRAIN: Millis = Millis::from_secs(30);

/// Reads a fault.
pub(super) fn fault(o: &Object<'_>) -> Fault {
    let (from, to) = (o.needed_seconds("from_s"), o.needed_seconds("to_s"));
    if from >= to {
        o.note(format!("{} {}s is not allowed: later than from_s", o.place("to_s"), seconds(to)));
    }
    let scope_given = o.object("scope");
    let mut scope = scope_given.as_ref().map(scope).unwrap_or_default();
    let effect = o.object("effect").and_then(|e| {
        let kind = e.needed_text("kind").to_owned();
        let params = e.object("params");
        let effect = effect(&e, &kind, params.as_ref());
        params.iter().for_each(Object::finish);
        e.finish();
        effect
    });
    if !o.has("effect") {
        o.note(format!("{} is missing", o.place("effect")));
    }
    let effect = effect.unwrap_or_else(|| plain(EffectKind::Loss { p: 0.0 }));
    // These make sense in one place only.
    if scope_given.is_none_or(|s| !s.has("path")) {
        scope.path = match effect.kind {
            EffectKind::Skew { .. } => FaultPath::Agent,
            EffectKind::Delay { .. } | EffectKind::Duplicate { .. } => FaultPath::Collector,
            _ => FaultPath::Target,
        };
    }
    o.finish();
    Fault { from, to, scope, effect }
}

/// Seconds as they are written.
pub(super) fn seconds(m: Millis) -> String {
    if m.0.is_multiple_of(1000) { (m.0 / 1000).to_string() } else { format!("{}.{:03}", m.0 / 1000, m.0 % 1000) }
}

/// An effect that is always on.
fn plain(kind: EffectKind) -> Effect {
    Effect { kind, ramp: false, cycle: None, drain: Some(DRAIN), service_impact: 0.0 }
}

fn effect(e: &Object<'_>, kind: &str, params: Option<&Object<'_>>) -> Option<Effect> {
    let empty = Value::Object(serde_json::Map::new());
    let notes = super::object::Notes::default();
    let none = Object::of("", &empty, &notes)?;
    let p = params.unwrap_or(&none);
    let found = effect_kind(kind, p);
    if found.is_none() && !kind.is_empty() {
        e.note(format!(
            "{} {kind:?} is not known: down, error, slow, loss, dns, tls_expired, wrong_body, partition, delay, duplicate or skew",
            e.place("kind")
        ));
    }
    let cycle = p.object("cycle").map(|c| {
        let cycle = Cycle { on: c.needed_seconds("on_s"), off: c.needed_seconds("off_s") };
        if cycle.on.0 + cycle.off.0 == 0 {
            c.note(format!("{} is not allowed: on_s or off_s must be more than 0", c.place("on_s")));
        }
        c.finish();
        cycle
    });
    let drain = p.seconds("drain_s", DRAIN);
    Some(Effect {
        kind: found?,
        ramp: p.flag("ramp", false),
        cycle,
        drain: p.flag("drain", true).then_some(drain),
        service_impact: p.share("service_impact", 0.0),
    })
}

fn effect_kind(kind: &str, p: &Object<'_>) -> Option<EffectKind> {
    let rate = |p: &Object<'_>| p.share("rate", 1.0);
    Some(match kind {
        "down" => EffectKind::Down { refused: refused(p), rate: rate(p) },
        "error" => EffectKind::Error { rate: rate(p), status: status(p) },
        "slow" => EffectKind::Slow { add_ms: p.number("add_ms", (0.0, 1e9), 0.0), rate: rate(p) },
        "loss" => EffectKind::Loss { p: p.share("p", 0.0) },
        "dns" => EffectKind::Dns { rate: rate(p) },
        "tls_expired" => EffectKind::TlsExpired { rate: rate(p) },
        "wrong_body" => EffectKind::WrongBody { rate: rate(p) },
        "partition" => EffectKind::Partition {
            replay: p.flag("replay", true),
            spread: p.seconds("replay_spread_s", Millis::from_secs(60)),
        },
        "delay" => EffectKind::Delay { add: p.seconds("add_s", Millis(0)), jitter: p.seconds("jitter_s", Millis(0)) },
        "duplicate" => EffectKind::Duplicate {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the bounds")]
            copies: p.number("copies", (0.0, 100.0), 1.0).round() as u32,
            every: p.seconds("every_s", Millis::from_secs(10)),
            p: p.share("p", 1.0),
        },
        "skew" => EffectKind::Skew {
            #[expect(clippy::cast_possible_truncation, reason = "within the bounds")]
            offset_ms: (p.number("offset_s", (-1e6, 1e6), 0.0) * 1000.0).round() as i64,
        },
        _ => return None,
    })
}

fn refused(p: &Object<'_>) -> bool {
    match p.text("mode") {
        None | Some("timeout") => false,
        Some("refused") => true,
        Some(other) => {
            p.wrong("mode", &Value::from(other), "timeout or refused");
            false
        }
    }
}

fn status(p: &Object<'_>) -> u16 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the bounds")]
    {
        p.number("status", (400.0, 599.0), 503.0) as u16
    }
}

/// Reads a scope, of a fault or of an announcement.
pub(super) fn scope(o: &Object<'_>) -> Scope {
    let scope = Scope {
        target_region: regions(o, "target_region"),
        target_zones: o.names("target_zones", |n| Zone::new(n)),
        services: o.names("service", |n| ServiceId::new(n)),
        endpoints: o.names("endpoint", |n| EndpointName::new(n)),
        global: o.flag("global", false),
        regional: o.flag("regional", false),
        chain_partners: o.names("chain_partner", |n| PartnerId::new(n)),
        control: controls(o),
        vantage_region: regions(o, "vantage_region"),
        vantage_zones: o.names("vantage_zones", |n| Zone::new(n)),
        path: match o.text("path") {
            None | Some("vantage->target") => FaultPath::Target,
            Some("vantage->collector") => FaultPath::Collector,
            Some("agent") => FaultPath::Agent,
            Some(other) => {
                o.wrong("path", &Value::from(other), "vantage->target, vantage->collector or agent");
                FaultPath::Target
            }
        },
    };
    if scope.global && scope.regional {
        o.note(format!("{} and regional exclude one another", o.place("global")));
    }
    o.finish();
    scope
}

fn regions(o: &Object<'_>, key: &'static str) -> Option<Regions> {
    if o.get(key)?.as_str() == Some("ALL") {
        return Some(Regions::All);
    }
    Some(Regions::These(o.names(key, |n| Region::new(n)).into_iter().collect()))
}

fn controls(o: &Object<'_>) -> Option<Controls> {
    match o.get("control")? {
        Value::Bool(true) => Some(Controls::All),
        Value::Bool(false) => None,
        _ => Some(Controls::These(o.names("control", |n| ControlId::new(n)).into_iter().collect::<BTreeSet<_>>())),
    }
}
