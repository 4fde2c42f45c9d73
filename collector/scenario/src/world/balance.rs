//! Which zones of a region take requests?
//!
//! ```text
//!   zone 2   fails ------------------------------ is well again
//!   balance  |--drain 30 s--|  out of the balance  |--15 s--|  back
//! ```
//!
//! A zone is judged by the requests themselves: it fails when half of such requests or more fail in it. What only some
//! agents see is not the zone's fault. With no zone left all are used.

use uitwijk_model::{Region, Zone};

use super::answer::fails;
use super::scope::{Aim, Request, touches};
use super::strength::{strength, whole};
use crate::format::{Fault, Scenario};

/// A zone returns so long after it is well again.
const RETURN_MS: i64 = 15_000;
/// How closely a zone is watched.
const STEP_MS: i64 = 500;

/// When the zones of one region are out, for one sort of request.
#[derive(Debug, Clone)]
pub(crate) struct Balance {
    zones: Vec<(Zone, Vec<(i64, i64)>)>,
}

impl Balance {
    /// Watches every zone from the start to the end.
    pub(crate) fn of(s: &Scenario, aim: &Aim, region: &Region, zones: &[Zone], end: i64) -> Self {
        let out = |zone: &Zone| {
            let request = Request { from: None, aim, region: Some(region), zone: Some(zone) };
            let mine = |f: &&Fault| f.effect.drain.is_some() && fails(&f.effect.kind) > 0.0 && touches(f, &request);
            let faults: Vec<&Fault> = s.faults.iter().filter(mine).collect();
            stretches(&faults, end)
        };
        Self { zones: zones.iter().map(|zone| (zone.clone(), out(zone))).collect() }
    }

    /// The zones that take requests at a moment.
    pub(crate) fn zones(&self, at: i64) -> Vec<&Zone> {
        let is_out = |out: &[(i64, i64)]| out.iter().any(|&(from, to)| from <= at && at < to);
        let left: Vec<&Zone> = self.zones.iter().filter(|(_, out)| !is_out(out)).map(|(zone, _)| zone).collect();
        if left.is_empty() { self.zones.iter().map(|(zone, _)| zone).collect() } else { left }
    }
}

/// When a zone with these faults is out.
fn stretches(faults: &[&Fault], end: i64) -> Vec<(i64, i64)> {
    let (Some(first), Some(last)) = (faults.iter().map(|f| whole(f).0).min(), faults.iter().map(|f| whole(f).1).max())
    else {
        return Vec::new();
    };
    let mut out = Vec::new();
    let (mut sick_since, mut well_since, mut out_since) = (None, first, None);
    let mut at = first;
    while at <= last.min(end).saturating_add(RETURN_MS + STEP_MS) {
        if let Some(drain) = sick(faults, at) {
            let since = *sick_since.get_or_insert(at);
            if at - since >= drain {
                out_since.get_or_insert(since + drain);
            }
        } else {
            if sick_since.take().is_some() {
                well_since = at;
            }
            if at - well_since >= RETURN_MS {
                out.extend(out_since.take().map(|from| (from, at)));
            }
        }
        at += STEP_MS;
    }
    out.extend(out_since.map(|from| (from, i64::MAX)));
    out
}

/// Whether half of the answers or more fail, and how long that is suffered.
fn sick(faults: &[&Fault], at: i64) -> Option<i64> {
    let active = faults.iter().map(|f| (fails(&f.effect.kind) * strength(f, at), f)).filter(|(share, _)| *share > 0.0);
    let (mut well, mut drain) = (1.0, i64::MAX);
    for (share, f) in active {
        well *= 1.0 - share;
        drain = drain.min(f.effect.drain.map_or(i64::MAX, |d| i64::try_from(d.0).unwrap_or(i64::MAX)));
    }
    (well <= 0.5).then_some(drain)
}
