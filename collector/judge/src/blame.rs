//! Users are hurt: by whom?
//!
//! ```text
//!   some vantage regions see it, others do not                      the path
//!   both regions bad, and a partner fails where references do not   the partner
//!   both regions bad                                                everything: futile
//!   the active region bad, the other clearly better                 the region: needed
//!   both regions fine                                               the entry, or its name: futile
//! ```
//!
//! The order matters: each line takes away an explanation that would make a switch pointless, and only what is left may
//! call a failover needed. That a partner fails is no excuse when the other region does not suffer from it: then a
//! switch does cure it. Nor is it one for what fails in the active region alone, where that is an outage by itself.

use crate::share::{ONE, threshold};
use crate::topology::{EndpointIx, RegionIx, Role, TargetIx, Topology};
use crate::trust::{Court, View};
use crate::verdict::{Cause, Need};

/// How one region fares over the bad endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Side {
    pub(crate) failed: u64,
    pub(crate) slow: u64,
    pub(crate) known: bool,
}

/// What is looked at.
pub(crate) struct Question<'a> {
    pub(crate) topology: &'a Topology,
    pub(crate) court: &'a Court<'a>,
    pub(crate) bad: &'a [EndpointIx],
    pub(crate) active: RegionIx,
    /// Some answers of the public name came from another region: its clients are on their way.
    pub(crate) moving: bool,
}

impl Question<'_> {
    /// Weighs the explanations. `dns` tells whether most failures of the public name died in name lookup. Slowness that is
    /// enough by itself is asked about beside failures: what excuses these is no excuse for those.
    pub(crate) fn blame(&self, dns: &dyn Fn() -> bool) -> Cause {
        let policy = &self.topology.policy;
        let public = self.public();
        let slow = public.failed < threshold(policy.soft_share) && public.slow > public.failed;
        let cause = self.weigh(public, slow, dns);
        let slow_share = threshold(policy.slow_share);
        // What users wait for must be slow by itself, and so must the region, or the wait is not of its making.
        let is_slow = public.slow >= slow_share && self.region(self.active).slow >= slow_share;
        if slow || cause.need() != Need::NotNeeded || !is_slow {
            return cause;
        }
        Some(self.weigh(public, true, dns)).filter(|c| c.need() == Need::Needed).unwrap_or(cause)
    }

    /// The same for failures, or for slowness.
    fn weigh(&self, public: Side, slow: bool, dns: &dyn Fn() -> bool) -> Cause {
        let policy = &self.topology.policy;
        let limit = threshold(if slow { policy.slow_share } else { policy.soft_share });
        let ill = |side: Side| if slow { (side.failed + side.slow).min(ONE) } else { side.failed };
        if self.only_some_see_it(slow, limit) {
            return Cause::PathFault;
        }
        let here = self.region(self.active);
        let here = if here.known { here } else { public };
        let a = ill(here);
        // Of 180 samples a fault of a seventh shows less than a twentieth about once in a hundred thousand times.
        if a < limit / 2 && a.saturating_mul(2) <= ill(public) {
            return if dns() { Cause::DnsGlobal } else { Cause::FrontDoor };
        }
        let Some(other) = self.best_other(slow) else {
            return if self.partner().is_some() { Cause::ChainPartner } else { Cause::GlobalFault };
        };
        let there = self.region(other);
        if !there.known {
            return Cause::InsufficientEvidence;
        }
        let b = ill(there);
        let alike = no_better(self.topology, a, b, here, there);
        // What fails here and not there is no partner's doing, and may be an outage by itself.
        let beyond = !alike && a.saturating_sub(b) >= threshold(policy.hard_share);
        if b >= limit && !beyond && self.partner().is_some() {
            return Cause::ChainPartner;
        }
        if alike {
            return if dns() { Cause::DnsGlobal } else { Cause::GlobalFault };
        }
        match () {
            () if slow => Cause::RegionSlow,
            () if public.failed >= threshold(policy.hard_share) => Cause::RegionDown,
            () => Cause::RegionDegraded,
        }
    }

    /// What users see.
    pub(crate) fn public(&self) -> Side {
        self.mean(|e| self.topology.entry(e, self.active), None)
    }

    /// How a region fares, asked directly.
    pub(crate) fn region(&self, r: RegionIx) -> Side {
        self.mean(|e| self.topology.endpoints[e].regional[r], None)
    }

    /// The best of the regions that could take over: least failures, then least slowness, then by name.
    pub(crate) fn best_other(&self, slow: bool) -> Option<RegionIx> {
        let others = self.topology.deployed.iter().copied().filter(|&r| r != self.active);
        others.min_by_key(|&r| {
            let side = self.region(r);
            (!side.known, if slow { side.failed + side.slow } else { side.failed }, side.slow, r)
        })
    }

    /// A partner of the service that fails well above the median reference.
    pub(crate) fn partner(&self) -> Option<TargetIx> {
        failing_partner(self.topology, self.court)
    }

    /// Weighted mean over the bad endpoints; corroborated unless it is asked of one vantage region.
    fn mean(&self, target: impl Fn(EndpointIx) -> Option<TargetIx>, from: Option<RegionIx>) -> Side {
        let (mut side, mut weight) = (Side::default(), 0);
        for &e in self.bad {
            let Some(t) = target(e) else { continue };
            let view: View = self.court.view_from(t, from);
            if view.samples > 0 {
                let w = self.topology.endpoints[e].weight;
                weight += w;
                side.failed += w * if from.is_some() { view.failed } else { view.failing() };
                side.slow += w * if from.is_some() { view.slow } else { view.slowing() };
            }
        }
        let known = weight > 0;
        Side { failed: side.failed / weight.max(1), slow: side.slow / weight.max(1), known }
    }

    /// At least half of the vantage regions are clean on the public name, others are not.
    fn only_some_see_it(&self, slow: bool, limit: u64) -> bool {
        let (mut heard, mut worst, mut views) = (0, 0, Vec::new());
        for r in 0..self.topology.regions.len() {
            let public = self.mean(|e| self.topology.entry(e, self.active), Some(r));
            let direct = self.mean(|e| self.topology.endpoints[e].regional[self.active], Some(r));
            if public.known {
                let ill = |s: Side| if slow { s.slow } else { s.failed };
                heard += 1;
                worst = worst.max(ill(public));
                // Whoever reached another region says nothing about the active one, unless by asking it directly.
                views.push(if self.moving { ill(public).max(ill(direct)) } else { ill(public) });
            }
        }
        let clean = views.iter().filter(|&&ill| ill < limit / 2 && ill * 4 <= worst).count();
        worst >= limit && clean > 0 && clean * 2 >= heard
    }
}

/// The other region fares at least half as badly, or fails ten points more.
fn no_better(topology: &Topology, a: u64, b: u64, here: Side, there: Side) -> bool {
    let policy = &topology.policy;
    let half = u128::from(b) * u128::from(ONE) >= u128::from(a) * u128::from(threshold(policy.better_share));
    half || there.failed >= here.failed + threshold(policy.better_margin).max(1)
}

/// The partner that fails most above the median reference, if one does by enough; of equals the first by name.
pub(crate) fn failing_partner(topology: &Topology, court: &Court<'_>) -> Option<TargetIx> {
    let views = |wanted: fn(&Role) -> bool| {
        let all = topology.targets.iter().enumerate().filter(move |(_, target)| wanted(&target.role));
        all.map(|(t, _)| (t, court.view(t))).filter(|(_, view)| view.samples > 0)
    };
    let mut controls: Vec<u64> = views(|r| matches!(r, Role::Control(_))).map(|(_, v)| v.failing()).collect();
    controls.sort_unstable();
    let median = controls.get(controls.len() / 2).copied().unwrap_or(0);
    let limit = median + threshold(topology.policy.partner_margin).max(1);
    let failing = views(|r| matches!(r, Role::Partner(_))).filter(|(_, v)| v.failing() >= limit);
    failing.max_by_key(|&(t, v)| (v.failing(), std::cmp::Reverse(t))).map(|(t, _)| t)
}
