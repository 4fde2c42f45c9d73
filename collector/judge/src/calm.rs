//! Nobody is hurt for long enough: is there still something worth telling?
//!
//! Each answer must hold for a while before it counts, and is then dated back to its first slot. When several hold at
//! once the one that says most about the service wins, in the order of [`candidate`].

use crate::blame::failing_partner;
use crate::reading::{Level, Reading};
use crate::serving::Serving;
use crate::share::threshold;
use crate::topology::{RegionIx, Role, Spans, TargetIx, Topology};
use crate::trust::{Court, Doubt};
use crate::verdict::Cause;

/// What there is to look at in one slot.
pub(crate) struct Scene<'a> {
    pub(crate) topology: &'a Topology,
    pub(crate) hard: &'a Court<'a>,
    pub(crate) soft: &'a Court<'a>,
    pub(crate) reading: &'a Reading,
    pub(crate) serving: &'a Serving,
    /// Doubts of this slot, before any hold.
    pub(crate) doubts: &'a [Doubt],
    /// Some agent has been silent for long while others were heard.
    pub(crate) silent: bool,
    /// What was told before this slot.
    pub(crate) told: Cause,
    /// The region that was left because it was bad.
    pub(crate) left: Option<RegionIx>,
    /// Enough voices see clearly slower answers than they used to.
    pub(crate) slower: bool,
}

/// For how many slots an answer must hold before it counts.
pub(crate) fn hold(cause: Cause, spans: &Spans) -> i64 {
    match cause {
        Cause::ZoneAbsorbed => 1,
        Cause::MinorDegradation => spans.soft_window,
        Cause::SlowWithinObjective => spans.drift_duration,
        _ => spans.hard_window,
    }
}

type Test = (Cause, fn(&Scene<'_>) -> bool);

/// The first answer that fits.
pub(crate) fn candidate(scene: &Scene<'_>) -> Cause {
    tests().into_iter().find(|(_, test)| test(scene)).map_or(Cause::Healthy, |(cause, _)| cause)
}

/// Whether an answer still fits, be it the first or not.
pub(crate) fn still(scene: &Scene<'_>, cause: Cause) -> bool {
    tests().into_iter().any(|(c, test)| c == cause && test(scene))
}

fn tests() -> [Test; 9] {
    [
        (Cause::ZoneAbsorbed, |s| s.serving.zone_out(s.serving.active).is_some()),
        (Cause::PathFault, path_fault),
        (Cause::VantageFault, |s| s.silent || s.doubts.iter().any(|d| d.is_sick())),
        (Cause::EndpointFault, |s| s.reading.level == Level::None && s.reading.clear && !s.reading.bad.is_empty()),
        (Cause::DiagnosticOnly, |s| !s.reading.traces && bad_region(s, s.serving.active)),
        (Cause::StandbyDown, standby_down),
        (Cause::ChainPartner, partner),
        (Cause::MinorDegradation, minor),
        (Cause::SlowWithinObjective, |s| s.reading.level == Level::None && s.reading.clear && s.slower),
    ]
}

/// A small share begins to count at half of what the policy minds, and ends at a quarter: a share of a twentieth that
/// lasts is one degradation, not many.
fn minor(scene: &Scene<'_>) -> bool {
    let goes_on = scene.told == Cause::MinorDegradation && scene.reading.traces;
    scene.reading.level < Level::Hard && (scene.reading.minor || goes_on)
}

/// A small share fails, and a partner fails by much more.
fn partner(scene: &Scene<'_>) -> bool {
    scene.reading.minor && failing_partner(scene.topology, scene.hard).is_some()
}

/// A vantage with a vote cannot reach something of the service that the others can.
fn path_fault(scene: &Scene<'_>) -> bool {
    if scene.hard.is_clean() {
        debug_assert!(!path_fault_anywhere(scene), "nobody fails, and somebody cannot reach something");
        return false;
    }
    path_fault_anywhere(scene)
}

fn path_fault_anywhere(scene: &Scene<'_>) -> bool {
    let topology = scene.topology;
    let own = |role: &Role| matches!(role, Role::Entry(_) | Role::Regional(..));
    let targets = topology.targets.iter().enumerate().filter(|(_, t)| own(&t.role)).map(|(t, _)| t);
    let mut targets = targets;
    targets.any(|t| parted(scene, t) || (blocked(scene, t) && scene.hard.view(t).failing() == 0))
}

/// The vantages of some regions see a target fail, and those of at least as many see it clean: it is the way there. A
/// partial fault is looked at over the soft window: a hard one holds too few samples of one region.
fn parted(scene: &Scene<'_>, t: TargetIx) -> bool {
    let policy = &scene.topology.policy;
    let splits = |court: &Court<'_>, limit: u64| {
        let views = (0..scene.topology.regions.len()).map(|r| court.view_from(t, Some(r))).filter(|v| v.samples > 0);
        let (mut clean, mut bad) = (0, 0);
        for view in views {
            clean += u32::from(view.failed < threshold(policy.soft_share) / 2 && view.failed * 4 <= limit);
            bad += u32::from(view.failed >= limit);
        }
        bad > 0 && clean >= bad
    };
    let (hard, soft) = (scene.hard.view(t), scene.soft.view(t));
    (hard.failed > 0 && splits(scene.hard, threshold(policy.hard_share)))
        || (hard.failed > 0
            && soft.failed >= threshold(policy.soft_share) / 2
            && splits(scene.soft, threshold(policy.soft_share)))
}

fn blocked(scene: &Scene<'_>, t: TargetIx) -> bool {
    let (limit, enough) = (threshold(scene.topology.policy.hard_share), scene.topology.spans.hard_window);
    (0..scene.topology.agents.len()).any(|v| {
        let count = scene.hard.window.at(v, t);
        let seen = count.failed > 0 && i64::from(count.n) * 2 >= enough;
        scene.hard.weights[v] > 0 && seen && count.failed_share() >= limit
    })
}

fn standby_down(scene: &Scene<'_>) -> bool {
    let standby = |r: &RegionIx| *r != scene.serving.active && Some(*r) != scene.left;
    scene.topology.deployed.iter().filter(|r| standby(r)).any(|&r| bad_region(scene, r))
}

/// Asked directly, some endpoint of a region is bad now.
pub(crate) fn bad_region(scene: &Scene<'_>, region: RegionIx) -> bool {
    let policy = &scene.topology.policy;
    let (hard_share, soft_share) = (threshold(policy.hard_share), threshold(policy.soft_share));
    let mut targets = scene.topology.endpoints.iter().filter_map(|e| e.regional[region]);
    if scene.hard.is_clean() && hard_share.min(soft_share) > 0 {
        debug_assert!(targets.all(|t| scene.hard.view(t).failing() == 0), "nobody fails, and a region is bad");
        return false;
    }
    targets.any(|t| {
        let now = scene.hard.view(t).failing();
        if now >= soft_share && parted(scene, t) {
            return false;
        }
        now >= hard_share || (now >= soft_share && scene.soft.view(t).failing() >= soft_share)
    })
}
