//! How strong is a fault at a moment?

use crate::format::Fault;

/// Between 0 and 1; times are milliseconds since the start.
#[expect(clippy::cast_precision_loss, reason = "days of milliseconds fit")]
pub(crate) fn strength(f: &Fault, at: i64) -> f64 {
    let Some((from, to)) = on_part(f, at) else { return 0.0 };
    debug_assert!(from <= at && at < to);
    if !f.effect.ramp {
        return 1.0;
    }
    let (start, end) = whole(f);
    (at - start) as f64 / (end - start).max(1) as f64
}

/// The stretch around a moment in which the fault is on without a break; none when it is off.
pub(crate) fn on_part(f: &Fault, at: i64) -> Option<(i64, i64)> {
    let (start, end) = whole(f);
    if at < start || at >= end {
        return None;
    }
    let Some(cycle) = f.effect.cycle else { return Some((start, end)) };
    let (on, off) = (ms(cycle.on.0), ms(cycle.off.0));
    let turn = on.saturating_add(off).max(1);
    let begin = at - (at - start) % turn;
    if off == 0 {
        return Some((start, end));
    }
    (at < begin + on).then(|| (begin, (begin + on).min(end)))
}

/// The share of a rate: a ramp grows the rate, unless it is something else that grows.
pub(crate) fn whole(f: &Fault) -> (i64, i64) {
    (ms(f.from.0), ms(f.to.0))
}

fn ms(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
