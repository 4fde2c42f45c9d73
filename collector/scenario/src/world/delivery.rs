//! When does the collector get a record, if ever, and how often?
//!
//! A record goes out when its attempt has ended. While nothing passes, records are kept; after the end they are delivered
//! in order, spread over a while, beside what is measured then. A record that comes out of one partition into another
//! waits for the end of that one too.

use uitwijk_model::Vantage;

use super::dice::Dice;
use super::scope::befalls;
use super::strength::{on_part, strength};
use crate::format::{EffectKind, Fault, FaultPath, Scenario};

/// How long delivery takes on a quiet day, milliseconds.
const QUICK: (f64, f64) = (150.0, 650.0);

/// Every arrival of a record that goes out at a moment; empty when it is lost.
pub(crate) fn arrivals(s: &Scenario, agent: &Vantage, sent: i64, key: &[u64; 4]) -> Vec<i64> {
    let [seed, who, what, round] = *key;
    let mut dice = Dice::of(&[seed, who, what, round, u64::MAX]);
    let mine: Vec<&Fault> = s.faults.iter().filter(|f| befalls(f, FaultPath::Collector, agent)).collect();
    let quick = rounded(dice.between(QUICK.0, QUICK.1));
    let Some(out) = released(&mine, sent, &mut dice) else { return Vec::new() };
    // What was kept goes out at its turn, and is not slowed down again.
    let mut arrival = if out == sent { sent + quick } else { out };
    let mut again = Vec::new();
    for f in mine {
        let force = strength(f, sent);
        let luck = dice.share();
        if force <= 0.0 {
            continue;
        }
        match f.effect.kind {
            EffectKind::Delay { add, jitter } => {
                arrival += millis(add.0) + rounded(fraction(jitter.0) * dice.share());
            }
            EffectKind::Slow { add_ms, rate } if luck < rate => arrival += rounded(add_ms * force),
            EffectKind::Loss { p } if luck < p * force => return Vec::new(),
            EffectKind::Loss { p } if luck < 2.0 * p * force => arrival += 1000,
            EffectKind::Duplicate { copies, every, p } if luck < p * force => {
                again.extend((1..=i64::from(copies)).map(|n| n * millis(every.0)));
            }
            _ => {}
        }
    }
    let mut all = vec![arrival];
    all.extend(again.into_iter().map(|later| arrival + later));
    all
}

/// When a record gets through; none when it was not kept.
fn released(mine: &[&Fault], sent: i64, dice: &mut Dice) -> Option<i64> {
    let mut at = sent;
    let mut passed = vec![false; mine.len()];
    while let Some((i, f)) = mine.iter().enumerate().find(|(i, f)| !passed[*i] && stops(f, at, dice)) {
        let EffectKind::Partition { replay: true, spread } = f.effect.kind else { return None };
        let (from, to) = on_part(f, at)?;
        at = to + millis(spread.0) * (at - from) / (to - from).max(1);
        // A partition that comes and goes may stop it again.
        passed[i] = f.effect.cycle.is_none();
    }
    Some(at)
}

fn stops(f: &Fault, at: i64, dice: &mut Dice) -> bool {
    let force = strength(f, at);
    match f.effect.kind {
        EffectKind::Partition { .. } => force > 0.0 && dice.chance(force),
        EffectKind::Down { rate, .. } => force > 0.0 && dice.chance(rate * force),
        _ => false,
    }
}

fn millis(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "lengths of a scenario are small")]
fn fraction(n: u64) -> f64 {
    n as f64
}

#[expect(clippy::cast_possible_truncation, reason = "lengths of a scenario are small")]
pub(crate) fn rounded(ms: f64) -> i64 {
    ms.round() as i64
}
