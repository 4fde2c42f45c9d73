//! What would six agents deliver if this happened?
//!
//! A small world after the model in the scenarios' description: regions of three zones behind a balancer that takes sick
//! zones out, a public name that follows failovers, clients that follow at their own moment, ordinary noise, agents that
//! probe in staggered rounds and number their records, a collector path that delays, repeats and loses. Everything comes
//! from one seed.

use serde_json::Value;
use uitwijk_model::{
    AgentId, Elapsed, Fault as Died, Measurement, Millis, Observer, Outcome, Phases, Plan, ServedBy, Slot, Target,
    TargetKind, WallTime,
};

use super::Delivery;
use super::scenario::{Effect, Fault, START, Scenario};

/// Numbers that look like chance (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn chance(&mut self, p: f64) -> bool {
        self.share() < p
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub fn between(&mut self, a: f64, b: f64) -> f64 {
        a + (b - a) * self.share()
    }
}

/// One probe on its way.
struct Probe<'a> {
    agent_region: &'a str,
    agent_zone: &'a str,
    target: &'a Target,
    at: f64,
    region: Option<String>,
    zone: u64,
}

/// What became of it.
struct Answer {
    outcome: Option<Died>,
    ms: f64,
}

fn list_has(value: &Value, wanted: &str) -> bool {
    value.as_array().is_some_and(|l| l.iter().any(|v| v.to_string().trim_matches('"') == wanted))
}

fn has(scope: &Value, key: &str) -> bool {
    scope.get(key).is_some_and(|v| !v.is_null() && *v != Value::Bool(false))
}

fn number(params: &Value, key: &str, otherwise: f64) -> f64 {
    params.get(key).and_then(Value::as_f64).unwrap_or(otherwise)
}

/// How strong an effect is at a moment: 0 outside, 1 inside, between while it grows.
fn strength(f: &Fault, at: f64) -> f64 {
    let (from, to) = (f.from_s as f64, f.to_s as f64);
    if at < from || at >= to {
        return 0.0;
    }
    if let Some(cycle) = f.effect.params.get("cycle") {
        let (on, off) = (number(cycle, "on_s", 1.0), number(cycle, "off_s", 1.0));
        if (at - from) % (on + off) >= on {
            return 0.0;
        }
    }
    let ramp = f.effect.params.get("ramp").and_then(Value::as_bool).unwrap_or(false);
    if ramp { (at - from) / (to - from) } else { 1.0 }
}

fn path(f: &Fault) -> &str {
    f.scope.get("path").and_then(Value::as_str).unwrap_or("vantage->target")
}

fn seen_by(f: &Fault, region: &str, zone: &str) -> bool {
    let s = &f.scope;
    let here = s.get("vantage_region").and_then(Value::as_str).is_none_or(|r| r == "ALL" || r == region);
    here && s.get("vantage_zones").is_none_or(|z| list_has(z, zone))
}

/// Whether a fault touches a probe.
fn touches(f: &Fault, p: &Probe<'_>) -> bool {
    let s = &f.scope;
    if path(f) != "vantage->target" || !seen_by(f, p.agent_region, p.agent_zone) {
        return false;
    }
    let any =
        ["target_region", "target_zones", "service", "endpoint", "global", "regional", "chain_partner", "control"];
    if !any.iter().any(|key| has(s, key)) {
        return true;
    }
    match &p.target.kind {
        TargetKind::Control { control } => {
            has(s, "control")
                && s.get("control").is_some_and(|c| c.as_bool() == Some(true) || list_has(c, control.as_str()))
        }
        TargetKind::Chain { partner } => s.get("chain_partner").and_then(Value::as_str) == Some(partner.as_str()),
        TargetKind::Regional { service, endpoint, .. } | TargetKind::Global { service, endpoint } => {
            let is_global = matches!(p.target.kind, TargetKind::Global { .. });
            !has(s, "control")
                && !has(s, "chain_partner")
                && s.get("service").and_then(Value::as_str).is_none_or(|x| x == service.as_str())
                && s.get("endpoint").and_then(Value::as_str).is_none_or(|x| x == endpoint.as_str())
                && (!has(s, "global") || is_global)
                && (!has(s, "regional") || !is_global)
                && s.get("target_region")
                    .and_then(Value::as_str)
                    .is_none_or(|r| r == "ALL" || Some(r) == p.region.as_deref())
                && s.get("target_zones").is_none_or(|z| list_has(z, &p.zone.to_string()))
        }
        TargetKind::Zonal { .. } => false,
    }
}

/// Zones that the balancer sends requests to.
fn zones_in_use(s: &Scenario, region: &str, service: &str, at: f64) -> Vec<u64> {
    let out = |zone: u64| {
        s.faults.iter().any(|f| {
            let p = &f.effect.params;
            let sick = match f.effect.kind.as_str() {
                "down" => number(p, "rate", 1.0) >= 0.5,
                "error" | "wrong_body" | "tls_expired" => number(p, "rate", 1.0) >= 0.5,
                "loss" => number(p, "p", 0.0) >= 0.5,
                _ => false,
            };
            let here = f.scope.get("target_region").and_then(Value::as_str).is_none_or(|r| r == "ALL" || r == region);
            let ours = f.scope.get("service").and_then(Value::as_str).is_none_or(|x| x == service);
            let whole = f.scope.get("vantage_region").is_none() && !has(&f.scope, "global");
            let drained = p.get("drain").and_then(Value::as_bool).unwrap_or(true);
            let after = number(p, "drain_s", 30.0);
            let listed = f.scope.get("target_zones").is_some_and(|z| list_has(z, &zone.to_string()));
            sick && here
                && ours
                && whole
                && drained
                && listed
                && at >= f.from_s as f64 + after
                && at < f.to_s as f64 + after / 2.0
        })
    };
    let left: Vec<u64> = (1..=3).filter(|&z| !out(z)).collect();
    if left.is_empty() { (1..=3).collect() } else { left }
}

/// The region that a client's requests to the public name reach.
fn active_region(s: &Scenario, client: u64, at: f64) -> String {
    let mut region = s.active_region.clone();
    for (i, f) in s.actual_failovers.iter().enumerate() {
        let delay = Dice(client.wrapping_mul(31).wrapping_add(i as u64)).share() * f.ttl_s.unwrap_or(60) as f64;
        if at >= f.at_s as f64 + delay {
            region.clone_from(&f.to);
        }
    }
    region
}

fn apply(effect: &Effect, strength: f64, dice: &mut Dice, answer: &mut Answer) {
    let p = &effect.params;
    let hit = |dice: &mut Dice, key: &str| dice.chance(number(p, key, 1.0) * strength);
    let mut fail = |died: Died, ms: f64| {
        if answer.outcome.is_none() {
            (answer.outcome, answer.ms) = (Some(died), ms);
        }
    };
    match effect.kind.as_str() {
        "partition" if strength > 0.0 => fail(Died::ConnectTimeout, 8000.0),
        "down" if hit(dice, "rate") => {
            let refused = p.get("mode").and_then(Value::as_str) == Some("refused");
            if refused { fail(Died::ConnectRefused, 5.0) } else { fail(Died::ConnectTimeout, 8000.0) }
        }
        "error" if hit(dice, "rate") => fail(Died::HttpStatus, 90.0),
        "wrong_body" if hit(dice, "rate") => fail(Died::WrongBody, 120.0),
        "tls_expired" if hit(dice, "rate") => fail(Died::TlsCertificateExpired, 40.0),
        "dns" if hit(dice, "rate") => fail(Died::DnsServer, 30.0),
        "loss" => {
            if hit(dice, "p") {
                fail(Died::WaitTimeout, 8000.0);
            } else if hit(dice, "p") {
                answer.ms += 1000.0;
            }
        }
        "slow" if hit(dice, "rate") => {
            let ramp = p.get("ramp").and_then(Value::as_bool).unwrap_or(false);
            answer.ms += number(p, "add_ms", 0.0) * if ramp { strength } else { 1.0 };
        }
        _ => {}
    }
}

/// What all agents deliver, in order of arrival.
pub fn play(s: &Scenario, plan: &Plan, seed: u64) -> Vec<Delivery> {
    let targets = plan.targets();
    let slot_s = plan.slot.millis().0 as f64 / 1000.0;
    let agents = plan.agents.len() as f64;
    let mut all = Vec::new();
    for (i, (agent, vantage)) in plan.agents.iter().enumerate() {
        let mut dice = Dice(seed.wrapping_mul(0x1000_0001).wrapping_add(i as u64));
        let (region, zone) = (vantage.region.as_str(), vantage.zone.as_str());
        let mine: Vec<&Fault> = s.faults.iter().filter(|f| seen_by(f, region, zone)).collect();
        let (mut sequence, mut last_arrival) = (0, 0.0_f64);
        let mut round = 0.0;
        while round < s.duration_s as f64 {
            for (j, target) in targets.iter().enumerate() {
                let at = round + slot_s * (i as f64 / agents * 0.97 + 0.03 * j as f64 / targets.len() as f64);
                let is = |kind: &str, p: &str| {
                    mine.iter().find(|f| f.effect.kind == kind && path(f) == p && strength(f, at) > 0.0)
                };
                if at >= s.duration_s as f64 || is("down", "agent").is_some() {
                    continue;
                }
                let client = seed ^ (i as u64) << 8;
                let (answer, served) = ask(s, target, (region, zone), at, client, &mut dice);
                let skew = is("skew", "agent").map_or(0.0, |f| number(&f.effect.params, "offset_s", 0.0));
                sequence += 1;
                let done = at + answer.ms / 1000.0;
                let mut arrival = done + dice.between(0.05, 0.8);
                if let Some(f) = is("partition", "vantage->collector") {
                    if f.effect.params.get("replay").and_then(Value::as_bool) == Some(false) {
                        continue;
                    }
                    let spread = number(&f.effect.params, "replay_spread_s", 60.0);
                    let part = (at - f.from_s as f64) / (f.to_s - f.from_s) as f64;
                    arrival = arrival.max(f.to_s as f64 + spread * part).max(last_arrival);
                    last_arrival = arrival;
                }
                if let Some(f) = is("delay", "vantage->collector") {
                    arrival += number(&f.effect.params, "add_s", 0.0)
                        + dice.share() * number(&f.effect.params, "jitter_s", 0.0);
                }
                let d = delivery(plan, agent, target, sequence, at + skew, arrival, &answer, served);
                if let Some(f) = is("duplicate", "vantage->collector")
                    && dice.chance(number(&f.effect.params, "p", 1.0))
                {
                    for copy in 1..=number(&f.effect.params, "copies", 1.0) as u64 {
                        let every = number(&f.effect.params, "every_s", 5.0) * copy as f64;
                        let arrived = d.arrived.plus(Millis((every * 1000.0) as u64));
                        all.push(Delivery { arrived, ..d.clone() });
                    }
                }
                all.push(d);
            }
            round += slot_s;
        }
    }
    all.sort_by(|a, b| (a.arrived, &a.agent, a.sequence).cmp(&(b.arrived, &b.agent, b.sequence)));
    all
}

fn ask(
    s: &Scenario,
    target: &Target,
    (agent_region, agent_zone): (&str, &str),
    at: f64,
    client: u64,
    dice: &mut Dice,
) -> (Answer, Option<(String, u64)>) {
    let (region, service) = match &target.kind {
        TargetKind::Regional { region, service, .. } => (Some(region.as_str().to_owned()), service.as_str()),
        TargetKind::Global { service, .. } => (Some(active_region(s, client, at)), service.as_str()),
        _ => (None, ""),
    };
    let zones = region.as_ref().map_or_else(|| vec![1], |r| zones_in_use(s, r, service, at));
    let zone = zones[usize::try_from(dice.below(zones.len() as u64)).unwrap()];
    let typical = match (&region, target.objective.0) {
        (None, _) => 90.0,
        (Some(_), ms) if ms >= 5000 => 450.0,
        _ => 150.0,
    };
    let sea = region.as_deref().is_some_and(|r| r != agent_region);
    let mut ms = (typical + if sea { 50.0 } else { 0.0 }) * dice.between(0.6, 1.6);
    if dice.chance(0.004) {
        ms *= 6.0;
    }
    let mut answer = Answer { outcome: None, ms };
    if dice.chance(0.001) {
        answer = Answer { outcome: Some(Died::WaitTimeout), ms: 8000.0 };
    }
    let probe = Probe { agent_region, agent_zone, target, at, region: region.clone(), zone };
    for f in &s.faults {
        let force = strength(f, at);
        if force > 0.0 && touches(f, &probe) {
            apply(&f.effect, force, dice, &mut answer);
        }
        let impact = number(&f.effect.params, "service_impact", 0.0) * force;
        let chained = f.scope.get("chain_partner").and_then(Value::as_str);
        let ours = target.kind.service().is_some_and(|id| uses(s, id.as_str(), chained));
        if impact > 0.0 && ours && answer.outcome.is_none() && dice.chance(impact) {
            answer = Answer { outcome: Some(Died::HttpStatus), ms: answer.ms };
        }
    }
    if answer.outcome.is_none() && answer.ms >= 8000.0 {
        answer = Answer { outcome: Some(Died::WaitTimeout), ms: 8000.0 };
    }
    let tells = matches!(answer.outcome, None | Some(Died::HttpStatus | Died::WrongBody));
    let served = region.filter(|_| tells).map(|r| (r, zone));
    (answer, served)
}

/// Whether a service depends on a partner.
fn uses(s: &Scenario, service: &str, partner: Option<&str>) -> bool {
    let Some(partner) = partner else { return false };
    match s.services.iter().find(|x| x.id == service) {
        Some(spec) => spec.chain.iter().any(|c| c == partner),
        None => s.services.is_empty() && service == "exchange" && partner == "idp",
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of one record")]
fn delivery(
    plan: &Plan,
    agent: &AgentId,
    target: &Target,
    sequence: u64,
    clock: f64,
    arrival: f64,
    answer: &Answer,
    served: Option<(String, u64)>,
) -> Delivery {
    let moment = |s: f64| WallTime::from_micros(START.as_micros() + (s * 1e6) as i64);
    let scheduled = moment(clock);
    let outcome = match answer.outcome {
        Some(died) => Outcome::Down(died),
        None if answer.ms > target.objective.0 as f64 => Outcome::Slow,
        None => Outcome::Up,
    };
    let served = served
        .map(|(r, z)| ServedBy { region: super::plans::region(&r), zone: Some(super::plans::zone(&z.to_string())) });
    Delivery {
        agent: agent.clone(),
        sequence,
        arrived: moment(arrival),
        measurement: Measurement {
            target: target.id.clone(),
            slot: Slot(plan.slot.slot_of(scheduled).0),
            attempt: 0,
            scheduled,
            started: scheduled,
            outcome,
            total: Some(Elapsed::from_micros((answer.ms * 1000.0) as u64)),
            phases: Phases::default(),
            http_status: None,
            served,
            hops: Vec::new(),
            certificate_expires: None,
            observer: Observer::default(),
        },
    }
}
