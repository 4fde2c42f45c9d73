//! Which region do users reach, when did that change, and was the region that they left worth leaving?
//!
//! A switch closes whatever was open, because need is relative to the region that serves. A region that was left before
//! it was certain that it had to be is watched directly until that is known.

use super::{Left, Mode, State, echo, is_entry};
use crate::blame::Question;
use crate::evidence::{Cell, Evidence};
use crate::maintenance;
use crate::share::{threshold, worst_stretch};
use crate::topology::{EndpointIx, RegionIx, TargetIx, Topology};
use crate::trace::{Note, NoteKind, Trace};
use crate::trust::{Court, Window};
use crate::verdict::Cause;

impl State {
    /// Follows the region that serves; a change closes whatever was open.
    pub(super) fn follow_traffic(
        &mut self,
        topology: &Topology,
        evidence: &Evidence,
        trace: &mut Trace,
        weights: &[u32],
        slot: i64,
    ) {
        let told = self.serving.majority(topology);
        let reported = self.reported_to(topology, evidence, trace, told, slot);
        let found = reported.or(told).or_else(|| self.steered_to(topology, weights, slot));
        let Some(region) = found else { return };
        let first = !std::mem::replace(&mut self.serving.told, true);
        if region == self.serving.active {
            return;
        }
        let old = std::mem::replace(&mut self.serving.active, region);
        let at = match &self.mode {
            // Who moved it knows best when.
            _ if reported.is_some() => slot,
            // Nobody answers to tell it: users went there when their trouble began.
            Mode::Pending(p) if told.is_none() => p.onset.max(self.entry_since),
            // The first answer tells of the slots before it as well, as long as nothing can be settled about them.
            _ if first && slot - self.start < topology.spans.hard_window => self.start,
            _ => self.turned_at(topology, evidence, region, slot),
        };
        self.relabel(at, slot, |_, label| label.active = region);
        if !first || reported.is_some() {
            self.switched(topology, trace, old, at, slot);
        }
        self.restart(topology, evidence, at.max(self.entry_since), slot);
    }

    /// When users get no answer at all and exactly one region is dead, traffic goes there; for as long as a hard window.
    pub(super) fn steered_to(&mut self, topology: &Topology, weights: &[u32], slot: i64) -> Option<RegionIx> {
        let court = Court::new(Window { topology, counts: &self.hard }, weights);
        let limit = threshold(topology.policy.hard_share);
        let dead = |t: TargetIx| court.view(t).failing() >= limit;
        let entry = topology.endpoints.iter().any(|e| e.entry.is_some_and(dead));
        let is_dead = |r: &&RegionIx| topology.endpoints.iter().any(|e| e.regional[**r].is_some_and(dead));
        let mut dead_regions = topology.deployed.iter().filter(is_dead);
        let named = match (entry, dead_regions.next(), dead_regions.next()) {
            (true, Some(&region), None) if !self.serving.speaks_against(topology, region) => Some(region),
            _ => None,
        };
        self.steered = match (named, self.steered) {
            (Some(region), Some((before, since))) if region == before => Some((region, since)),
            (region, _) => region.map(|r| (r, slot)),
        };
        self.steered.filter(|&(_, since)| slot - since + 1 >= topology.spans.hard_window).map(|(region, _)| region)
    }

    /// The slot from which on most probes were served by a region.
    pub(super) fn turned_at(&self, topology: &Topology, evidence: &Evidence, region: RegionIx, now: i64) -> i64 {
        let mut row = Vec::new();
        let from = (now - topology.spans.hard_window + 1).max(self.start);
        let slots: Vec<(u64, u64)> = (from..=now)
            .rev()
            .map(|slot| {
                evidence.row(slot, &mut row);
                let cells = row.iter().enumerate().filter(|(i, c)| is_entry(topology, *i) && c.is_measured());
                let served = |c: &Cell| u64::from(c.served().is_some_and(|(r, _)| r == region));
                cells.fold((0, 0), |(s, n), (_, c)| (s + served(c), n + 1))
            })
            .collect();
        let half = uitwijk_model::Ratio::percent(50);
        now + 1 - worst_stretch(slots.into_iter(), half).max(1)
    }

    pub(super) fn switched(&mut self, topology: &Topology, trace: &mut Trace, old: RegionIx, at: i64, now: i64) {
        let to = self.serving.active;
        trace.notes.push(Note { slot: at, known: now, kind: NoteKind::Switched { from: old, to } });
        let until = at.saturating_add(topology.spans.switch_grace);
        self.settling_until = until;
        // What was told of the region that served says nothing about the one that serves now.
        if echo(self.calm.0) {
            self.calm = (Cause::Healthy, at);
        }
        self.turning = None;
        self.relabel(at, now, |_, label| {
            (label.impact, label.switched) = (None, true);
            if echo(label.calm) {
                label.calm = Cause::Healthy;
            }
        });
        match std::mem::replace(&mut self.mode, Mode::Calm) {
            Mode::Impact(impact) if impact.onset < at => self.abandoned = Some((old, None)),
            Mode::Pending(p) if p.onset < at => {
                self.abandoned = Some((old, None));
                let hard = p.hard.is_some();
                let onset = p.hard.or(p.soft).unwrap_or(p.onset);
                let cause = if hard { Cause::RegionDown } else { Cause::RegionDegraded };
                self.watched = Some(Left { region: old, onset, switched: at, hard, cause });
            }
            _ => {}
        }
    }

    /// A region that was left early is watched until it is certain whether it had to be.
    pub(super) fn watch_left(&mut self, topology: &Topology, hard: &Court<'_>, soft: &Court<'_>, slot: i64) {
        let Some(left) = self.watched.take() else { return };
        let policy = &topology.policy;
        let (court, limit, span) = match left.hard {
            true => (hard, threshold(policy.hard_share), topology.spans.hard_duration),
            false => (soft, threshold(policy.soft_share), topology.spans.soft_duration),
        };
        let mut targets = topology.endpoints.iter().filter_map(|e| e.regional[left.region]);
        let still = targets.any(|t| court.view(t).failing() >= limit);
        if !still {
            return;
        }
        if slot - left.onset + 1 < span {
            self.watched = Some(left);
            return;
        }
        // Users are elsewhere by now, and as many as are left here may fail.
        let beside = |bad: &[EndpointIx]| {
            Question { topology, court, bad, active: left.region, moving: false }.region(left.region).failed
        };
        let failed = maintenance::Failed { direct: &|_| crate::share::ONE, at_all: &beside };
        let excused = |s| maintenance::excuses(topology, s, left.cause, left.region, &failed);
        let start = self.tail_start(slot + 1);
        for s in left.onset.max(start)..left.switched {
            let cause = if excused(s) { Cause::Maintenance } else { left.cause };
            self.relabel(s, s, |_, label| label.impact = Some(cause));
        }
    }

    /// A region that was left is a possible standby again once it was clean for long enough.
    pub(super) fn forgive(&mut self, topology: &Topology, hard: &Court<'_>, slot: i64) {
        let Some((region, since)) = self.abandoned else { return };
        let limit = threshold(topology.policy.soft_share);
        let mut targets = topology.endpoints.iter().filter_map(|e| e.regional[region]);
        if region == self.serving.active {
            self.abandoned = None;
        } else if targets.any(|t| hard.view(t).failing() >= limit) {
            self.abandoned = Some((region, None));
        } else {
            let since = since.unwrap_or(slot);
            self.abandoned = (slot - since < topology.spans.clear).then_some((region, Some(since)));
        }
    }
}
