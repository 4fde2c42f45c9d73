//! What becomes of one probe?
//!
//! ```text
//!   name --dns--> address --connect--> --tls--> request --ttfb--> first byte --body--> last
//!     dns           refused   timeout    tls       too slow: timeout     status, content
//! ```
//!
//! First the world as it is on a quiet day: typical times, now and then a slow answer or a failure by itself. Then every
//! fault that touches the probe, each with dice of its own. Of several failures the earliest on the way wins. The
//! numbers of the quiet day are those of the recorded examples.

use uitwijk_model::{Region, ServiceClass, Vantage};
use uitwijk_replay::Word;

use super::dice::Dice;
use super::scope::{Aim, Request, drags, touches};
use super::strength::strength;
use crate::format::{EffectKind, Fault, Scenario, ServiceSpec};

/// A probe without a complete answer after so long is a timeout.
const TIMEOUT_MS: f64 = 8000.0;
/// Shares of probes that fail by themselves, and that take six times as long.
const FAILS: f64 = 0.001;
const LAGS: f64 = 0.004;
/// Of the failures of a service, the share that is an error and no timeout.
const ERRORS: f64 = 0.4;
/// How far times lie apart.
const SIGMA: f64 = 0.35;

/// How a probe ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) word: Word,
    pub(crate) status: Option<u16>,
    /// Milliseconds.
    pub(crate) total: f64,
    pub(crate) phases: [Option<f64>; 5],
    /// The answer told who served.
    pub(crate) told: bool,
}

/// Why a probe failed, earliest on the way first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Failure {
    Dns,
    Refused,
    Timeout,
    Tls,
    Status(u16),
    Content,
}

/// Times of the phases in milliseconds.
struct Times {
    dns: f64,
    connect: f64,
    tls: f64,
    ttfb: f64,
    body: f64,
}

/// The share of requests that an effect fails at full strength.
pub(crate) fn fails(kind: &EffectKind) -> f64 {
    match kind {
        EffectKind::Down { rate, .. }
        | EffectKind::Error { rate, .. }
        | EffectKind::Dns { rate }
        | EffectKind::TlsExpired { rate }
        | EffectKind::WrongBody { rate } => *rate,
        EffectKind::Slow { add_ms, rate } if *add_ms >= TIMEOUT_MS => *rate,
        EffectKind::Loss { p } => *p,
        EffectKind::Partition { .. } => 1.0,
        EffectKind::Slow { .. } | EffectKind::Delay { .. } | EffectKind::Duplicate { .. } | EffectKind::Skew { .. } => {
            0.0
        }
    }
}

/// The share of requests that an effect touches at full strength: of those the impact on services is a share, as the
/// recorded example of a partner has it.
fn touched(kind: &EffectKind) -> f64 {
    match kind {
        EffectKind::Slow { rate, .. } => *rate,
        other => fails(other),
    }
}

/// Asks; `key` tells this probe from all others.
pub(crate) fn ask(s: &Scenario, r: &Request<'_>, at: i64, key: &[u64; 4]) -> Answer {
    let mut dice = Dice::of(key);
    let spec = service(s, r.aim);
    let mut times = quiet(r, spec, &mut dice);
    let mut failure = by_itself(r.aim, &mut dice);
    for (i, f) in s.faults.iter().enumerate() {
        let force = strength(f, at);
        if force <= 0.0 {
            continue;
        }
        let [seed, agent, target, round] = *key;
        let mut dice = Dice::of(&[seed, agent, target, round, i as u64 + 1]);
        let hit = if touches(f, r) { apply(f, force, &mut dice, &mut times) } else { None };
        let drag = touched(&f.effect.kind) * f.effect.service_impact * force;
        let dragged = spec.is_some_and(|spec| drags(f, &spec.chain, r)) && dice.chance(drag);
        failure = earliest(earliest(failure, hit), dragged.then_some(Failure::Status(502)));
    }
    ended(failure, &times, spec)
}

fn earliest(a: Option<Failure>, b: Option<Failure>) -> Option<Failure> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn service<'a>(s: &'a Scenario, aim: &Aim) -> Option<&'a ServiceSpec> {
    match aim {
        Aim::Regional(id, ..) | Aim::Global(id, _) => s.services.iter().find(|spec| spec.id == *id),
        Aim::Chain(_) | Aim::Control(_) => None,
    }
}

/// How long it takes on a quiet day.
fn quiet(r: &Request<'_>, spec: Option<&ServiceSpec>, dice: &mut Dice) -> Times {
    let near = |region: Option<&Region>| r.from.map(|v: &Vantage| &v.region) == region;
    // There and back, at least.
    let base = match r.aim {
        Aim::Regional(..) => 1.5 + if near(r.region) { 0.0 } else { 15.5 },
        Aim::Global(..) => 4.5 + if near(r.region) { 0.0 } else { 15.5 },
        // Partners stand near the first region.
        Aim::Chain(_) => 9.0 + if r.from.is_some_and(|v| v.region.as_str() == "NL") { 0.0 } else { 13.0 },
        Aim::Control(_) => 12.0,
    };
    let typical = match (r.aim, spec.map(|spec| spec.class)) {
        (Aim::Control(_), _) => 35.0,
        (_, Some(ServiceClass::Webservice)) => 140.0,
        (_, Some(ServiceClass::Website)) => 421.0,
        (_, None) => 109.0,
    };
    let lags = if dice.chance(LAGS) { 6.0 } else { 1.0 };
    Times {
        dns: dice.between(4.0, 10.0),
        connect: base * dice.between(1.0, 1.2),
        tls: 2.0 * base + 3.0,
        ttfb: typical * dice.spread(SIGMA) * lags,
        body: dice.between(2.0, 5.0),
    }
}

fn by_itself(aim: &Aim, dice: &mut Dice) -> Option<Failure> {
    let (fails, error) = (dice.chance(FAILS), dice.chance(ERRORS));
    fails.then_some(match aim {
        Aim::Control(_) => Failure::Timeout,
        _ if error => Failure::Status(503),
        _ => Failure::Timeout,
    })
}

/// What one fault does to a probe.
fn apply(f: &Fault, force: f64, dice: &mut Dice, times: &mut Times) -> Option<Failure> {
    let mut hit = |rate: f64, failure| dice.chance(rate * force).then_some(failure);
    match f.effect.kind {
        EffectKind::Down { refused: true, rate } => hit(rate, Failure::Refused),
        EffectKind::Down { refused: false, rate } => hit(rate, Failure::Timeout),
        EffectKind::Partition { .. } => hit(1.0, Failure::Timeout),
        EffectKind::Error { rate, status } => hit(rate, Failure::Status(status)),
        EffectKind::Dns { rate } => hit(rate, Failure::Dns),
        EffectKind::TlsExpired { rate } => hit(rate, Failure::Tls),
        EffectKind::WrongBody { rate } => hit(rate, Failure::Content),
        EffectKind::Loss { p } => {
            let luck = dice.share();
            if luck < p * force {
                return Some(Failure::Timeout);
            }
            if luck < 2.0 * p * force {
                times.connect += 1000.0;
            }
            None
        }
        // A ramp makes answers longer, not more answers long.
        EffectKind::Slow { add_ms, rate } => {
            if dice.chance(rate) {
                times.ttfb += add_ms * force;
            }
            None
        }
        EffectKind::Delay { add, .. } => {
            times.ttfb += f64::from(u32::try_from(add.0).unwrap_or(u32::MAX)) * force;
            None
        }
        EffectKind::Duplicate { .. } | EffectKind::Skew { .. } => None,
    }
}

fn ended(failure: Option<Failure>, t: &Times, spec: Option<&ServiceSpec>) -> Answer {
    let full = t.dns + t.connect + t.tls + t.ttfb + t.body;
    let reached = |n: usize| {
        let all = [t.dns, t.connect, t.tls, t.ttfb, t.body];
        std::array::from_fn(|i| (i < n).then_some(all[i]))
    };
    let end = |word, status, total, phases, told| Answer { word, status, total, phases, told };
    match failure {
        Some(Failure::Dns) => end(Word::Dns, None, t.dns, reached(0), false),
        Some(Failure::Refused) => end(Word::ConnRefused, None, t.dns + t.connect, reached(1), false),
        Some(Failure::Timeout) => end(Word::Timeout, None, TIMEOUT_MS, reached(1), false),
        Some(Failure::Tls) if t.dns + t.connect + t.tls < TIMEOUT_MS => {
            end(Word::Tls, None, t.dns + t.connect + t.tls, reached(2), false)
        }
        _ if full >= TIMEOUT_MS => end(Word::Timeout, None, TIMEOUT_MS, reached(3), false),
        Some(Failure::Status(status)) => end(Word::Http5xx, Some(status), full, reached(5), true),
        Some(Failure::Content) => end(Word::WrongBody, Some(200), full, reached(5), true),
        _ => {
            let objective = spec.map_or(ServiceClass::Website.objective(), |spec| spec.objective);
            #[expect(clippy::cast_precision_loss, reason = "an objective is small")]
            let word = if full.round() > objective.0 as f64 { Word::Slow } else { Word::Ok };
            end(word, Some(200), full, reached(5), true)
        }
    }
}
