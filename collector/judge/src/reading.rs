//! Are users hurt in this slot, how badly, and can it be said at all?
//!
//! Users live on the public name. Endpoints are looked at one by one: an average over five endpoints hides the critical
//! one, and "any endpoint" would move a region for an admin page.

use crate::share::threshold;
use crate::topology::{EndpointIx, RegionIx, Topology};
use crate::trust::{Court, View};

/// How badly users are hurt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// It cannot be said.
    Unknown,
    /// Not, or less than the policy minds.
    None,
    /// Too many answers over the objective.
    Slow,
    /// A part of the requests fails.
    Soft,
    /// Most requests fail.
    Hard,
}

/// One slot, as users saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) level: Level,
    /// No soft or slow impact over the hard window.
    pub(crate) clear: bool,
    /// Anything at all was measured of the public name, by anyone with a vote.
    pub(crate) measured: bool,
    /// The endpoints that make the level; without a level those that are bad at all.
    pub(crate) bad: Vec<EndpointIx>,
    /// Failures reach at least three quarters of the hard share, and of the soft one.
    pub(crate) near_hard: bool,
    /// See `near_hard`.
    pub(crate) near_soft: bool,
    /// Answers over the objective are too many, whatever fails.
    pub(crate) slow: bool,
    /// Some requests fail or are slow, by at least half of what the policy minds.
    pub(crate) minor: bool,
    /// By at least a quarter of it.
    pub(crate) traces: bool,
    /// By less than twice of what the policy minds.
    pub(crate) mild: bool,
}

/// What one endpoint looks like over both windows.
struct Face {
    hard: View,
    soft: View,
}

/// Reads a slot.
pub(crate) fn read(topology: &Topology, hard: &Court<'_>, soft: &Court<'_>, active: RegionIx) -> Reading {
    let entry = |e| topology.entry(e, active);
    let faces: Vec<Option<Face>> = (0..topology.endpoints.len())
        .map(|e| entry(e).map(|t| Face { hard: hard.view(t), soft: soft.view(t) }))
        .collect();
    let policy = &topology.policy;
    let (hard_share, soft_share) = (threshold(policy.hard_share), threshold(policy.soft_share));
    let slow_share = threshold(policy.slow_share);
    let pick = |test: &dyn Fn(&Face) -> bool| -> Vec<EndpointIx> {
        (0..faces.len()).filter(|&e| faces[e].as_ref().is_some_and(test)).collect()
    };
    let is_hard = |f: &Face| f.hard.failing() >= hard_share;
    let is_soft = |f: &Face| is_hard(f) || f.soft.failing() >= soft_share;
    let is_slow = |f: &Face| is_soft(f) || f.soft.slowing() >= slow_share;
    let is_now = |f: &Face| f.hard.failing() >= soft_share || f.hard.slowing() >= slow_share;
    let clear = !affects(topology, &pick(&is_now));
    let reaches = |part: u64| {
        let shares = faces.iter().flatten().map(|f| f.soft.traces());
        shares
            .into_iter()
            .any(|(failed, slow)| failed >= (soft_share / part).max(1) || slow >= (slow_share / part).max(1))
    };
    let (minor, traces) = (reaches(2), reaches(4));
    let mild = faces.iter().flatten().all(|f| {
        f.hard.failing() < hard_share && f.soft.failing() < soft_share * 2 && f.soft.slowing() < slow_share * 3 / 2
    });
    let measured = faces.iter().flatten().any(|f| f.hard.samples > 0);
    let near_hard = affects(topology, &pick(&|f| f.hard.failing() >= hard_share / 4 * 3));
    let near_soft = affects(topology, &pick(&|f| f.soft.failing() >= soft_share / 4 * 3));
    let slow = affects(topology, &pick(&|f| f.soft.slowing() >= slow_share));
    let (level, bad) = (Level::None, Vec::new());
    let mut reading = Reading { level, clear, measured, bad, near_hard, near_soft, slow, minor, traces, mild };
    if !sufficient(topology, &faces) {
        reading.level = Level::Unknown;
        return reading;
    }
    let steps = [(Level::Hard, pick(&is_hard)), (Level::Soft, pick(&is_soft)), (Level::Slow, pick(&is_slow))];
    for (level, bad) in steps {
        if affects(topology, &bad) {
            return Reading { level, bad, ..reading };
        }
    }
    reading.bad = pick(&|f| is_hard(f) || is_now(f));
    reading
}

/// Whether bad endpoints make the service bad: they carry enough of its weight, or one is critical.
pub(crate) fn affects(topology: &Topology, bad: &[EndpointIx]) -> bool {
    if bad.is_empty() {
        return false;
    }
    let total: u64 = topology.endpoints.iter().map(|e| e.weight).sum();
    let weight: u64 = bad.iter().map(|&e| topology.endpoints[e].weight).sum();
    bad.iter().any(|&e| topology.endpoints[e].critical) || topology.policy.endpoint_weight.is_reached_by(weight, total)
}

/// Silence is never health: enough trusted zones and enough samples of what users see.
fn sufficient(topology: &Topology, faces: &[Option<Face>]) -> bool {
    let trust = faces.iter().flatten().map(|f| f.hard.trust).max().unwrap_or(0);
    let samples: u64 = faces.iter().flatten().map(|f| u64::from(f.hard.samples)).sum();
    u64::from(trust) >= u64::from(topology.policy.vantages_min) * 2 && samples >= u64::from(topology.policy.samples_min)
}
