//! What is known after a slot, and how does the next slot change it?
//!
//! ```text
//!              level unbroken, long enough            clear, long enough
//!   Calm ----------------> Pending ----------> Impact ----------> Calm
//!     ^   users are hurt      |                   |   a switch closes it, and the question is asked again
//!     +-----------------------+-------------------+
//!
//!   labels   [settled into runs ...][tail: may still be dated back or corrected ........][this slot]
//! ```
//!
//! Slots are judged from left to right, each from the state before it and the evidence up to it, and never from what
//! arrived when. An answer that takes time to become certain is dated back into the tail of labels; what falls off the
//! tail can no longer change. So a state is all there is to know: copying it is a checkpoint, and judging again from a
//! checkpoint gives the same bytes. The choice left aside is to recompute whole histories; it costs a day per record.

use std::collections::VecDeque;

use crate::blame::Question;
use crate::calm::{self, Scene};
use crate::evidence::{Cell, Evidence};
use crate::maintenance;
use crate::reading::{Level, Reading, read};
use crate::serving::Serving;
use crate::share::{Count, good_stretch, threshold, worst_stretch};
use crate::topology::{EndpointIx, RegionIx, Role, TargetIx, Topology};
use crate::trace::{Label, Note, NoteKind, Run, Trace};
use crate::trust::{Court, Doubt, Window};
use crate::verdict::Cause;

/// Users are hurt, but not yet for long enough.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pending {
    /// First slot that users were hurt in, by any measure.
    onset: i64,
    /// Where the unbroken run of hard impact began.
    hard: Option<i64>,
    /// Where the unbroken run of any impact began.
    soft: Option<i64>,
    /// Where it would end, once it is clear for long enough.
    good_from: Option<i64>,
    /// It was more than a shiver: worth an episode of its own when it passes.
    notable: bool,
    /// It follows a switch and only waits for the last clients.
    settling: bool,
}

/// Users are hurt, for long enough.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Impact {
    onset: i64,
    cause: Cause,
    /// Another cause, and since when it would be.
    turning: Option<(Cause, i64)>,
    good_from: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    Calm,
    Pending(Pending),
    Impact(Impact),
}

/// A region that was left before it was certain that it had to be. It is watched directly until that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Left {
    region: RegionIx,
    onset: i64,
    switched: i64,
    hard: bool,
    cause: Cause,
}

/// Everything that is known after a slot.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// The slot to be judged next.
    pub(crate) next: i64,
    /// The first slot that was judged.
    pub(crate) start: i64,
    hard: Vec<Count>,
    soft: Vec<Count>,
    /// The windows of what users see begin here: at the start, the last switch or the end of the last impact.
    entry_since: i64,
    serving: Serving,
    /// A region that names itself by failing while the public name does, and since when.
    steered: Option<(RegionIx, i64)>,
    /// The region that was left while bad, and since when it has been clean.
    abandoned: Option<(RegionIx, Option<i64>)>,
    /// Per agent: until which slot it is held without a vote.
    held_until: Vec<i64>,
    /// Per agent: the last slot that it measured in.
    heard: Vec<i64>,
    /// What users saw slot by slot over the last soft window, weighted by trust, endpoint by endpoint.
    pooled: VecDeque<Count>,
    mode: Mode,
    watched: Option<Left>,
    settling_until: i64,
    unknown_since: Option<i64>,
    calm: (Cause, i64),
    turning: Option<(Cause, i64)>,
    /// Labels of the slots before `next` that may still change.
    pub(crate) tail: VecDeque<Label>,
    /// Doubt about each agent in those slots.
    pub(crate) doubts: VecDeque<u8>,
    /// Sum of the hashes of all rows so far, after each of the last slots.
    pub(crate) sums: VecDeque<u128>,
    /// The run that the last settled slot belongs to.
    pub(crate) run: Option<Run>,
}

/// Buffers that are used again from slot to slot.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scratch {
    row: Vec<Cell>,
    old: Vec<Cell>,
}

impl State {
    /// Nothing was judged yet.
    pub(crate) fn new(topology: &Topology, start: i64) -> Self {
        let cells = topology.agents.len() * topology.targets.len();
        Self {
            next: start,
            start,
            hard: vec![Count::default(); cells],
            soft: vec![Count::default(); cells],
            entry_since: start,
            serving: Serving::new(topology),
            steered: None,
            abandoned: None,
            held_until: vec![start; topology.agents.len()],
            heard: vec![start - 1; topology.agents.len()],
            pooled: VecDeque::new(),
            mode: Mode::Calm,
            watched: None,
            settling_until: start,
            unknown_since: None,
            calm: (Cause::Healthy, start),
            turning: None,
            tail: VecDeque::new(),
            doubts: VecDeque::new(),
            sums: VecDeque::new(),
            run: None,
        }
    }

    /// Judges the next slot.
    pub(crate) fn step(&mut self, topology: &Topology, evidence: &Evidence, trace: &mut Trace, scratch: &mut Scratch) {
        let slot = self.next;
        self.take_in(topology, evidence, slot, scratch);
        let raw = Window { topology, counts: &self.hard }.doubts();
        let weights = self.trust(topology, &raw, slot);
        self.pool(topology, &scratch.row, &weights);
        self.push_label(topology, &raw, &weights, slot, &scratch.row);
        self.follow_traffic(topology, evidence, trace, &weights, slot);
        self.judge(topology, evidence, trace, &raw, &weights, slot);
        self.next = slot + 1;
        self.settle(topology, evidence, trace, scratch);
    }

    fn take_in(&mut self, topology: &Topology, evidence: &Evidence, slot: i64, scratch: &mut Scratch) {
        evidence.row(slot, &mut scratch.row);
        for (i, &cell) in scratch.row.iter().enumerate() {
            self.hard[i].add(cell);
            self.soft[i].add(cell);
            if cell.is_measured() {
                self.heard[i / topology.targets.len()] = slot;
            }
        }
        self.serving.add(topology, slot, &scratch.row);
        for hard in [true, false] {
            let window = if hard { topology.spans.hard_window } else { topology.spans.soft_window };
            let gone = slot - window;
            if gone < self.start {
                continue;
            }
            evidence.row(gone, &mut scratch.old);
            let counts = if hard { &mut self.hard } else { &mut self.soft };
            for (i, &cell) in scratch.old.iter().enumerate() {
                if gone >= self.entry_since || !is_entry(topology, i) {
                    counts[i].sub(cell);
                }
            }
            if hard {
                self.serving.sub(topology, &scratch.old);
            }
        }
    }

    /// Votes in halves, with the hold for those who were sick a moment ago.
    fn trust(&mut self, topology: &Topology, raw: &[Doubt], slot: i64) -> Vec<u32> {
        for (v, doubt) in raw.iter().enumerate() {
            if doubt.is_sick() || (self.held_until[v] > slot && *doubt == Doubt::Suspect) {
                self.held_until[v] = slot + 1 + topology.spans.trust_hold;
            }
        }
        (0..raw.len()).map(|v| if self.held_until[v] > slot { 0 } else { raw[v].weight() }).collect()
    }

    /// What users saw in this slot, weighted by trust.
    fn pool(&mut self, topology: &Topology, row: &[Cell], weights: &[u32]) {
        let (targets, active) = (topology.targets.len(), self.serving.active);
        for e in 0..topology.endpoints.len() {
            let mut sum = Count::default();
            if let Some(t) = topology.entry(e, active) {
                for (v, &weight) in weights.iter().enumerate() {
                    let mut one = Count::default();
                    one.add(row[v * targets + t]);
                    sum.plus(one, weight);
                }
            }
            self.pooled.push_back(sum);
        }
        let keep = usize::try_from(topology.spans.soft_window).unwrap_or(usize::MAX);
        while self.pooled.len() > keep.saturating_mul(topology.endpoints.len()) {
            self.pooled.pop_front();
        }
    }

    /// Bad and measured per slot for some endpoints, newest first, not reaching back over a restart.
    fn newest_first(
        &self,
        topology: &Topology,
        bad: &[EndpointIx],
        slow: bool,
        slots: i64,
        now: i64,
    ) -> Vec<(u64, u64)> {
        let endpoints = topology.endpoints.len();
        let slots = slots.min(now - self.entry_since + 1).max(0);
        let rows = (self.pooled.len() / endpoints.max(1)).min(usize::try_from(slots).unwrap_or(usize::MAX));
        let newest = self.pooled.len();
        let at = |back: usize, e: EndpointIx| self.pooled[newest - (back + 1) * endpoints + e];
        let all: Vec<EndpointIx> = (0..endpoints).collect();
        let bad = if bad.is_empty() { &all[..] } else { bad };
        let row = |back| {
            bad.iter().map(|&e| at(back, e)).fold((0, 0), |(b, n), c: Count| match slow {
                true => (b + u64::from(c.slow), n + u64::from(c.n.saturating_sub(c.failed))),
                false => (b + u64::from(c.failed), n + u64::from(c.n)),
            })
        };
        (0..rows).map(row).collect()
    }

    fn push_label(&mut self, topology: &Topology, raw: &[Doubt], weights: &[u32], slot: i64, row: &[Cell]) {
        let active = self.serving.active;
        let window = maintenance::quiet(topology, slot, active);
        let zone = self.serving.zone_out(active).map(|(zone, _)| zone);
        self.tail.push_back(Label {
            calm: self.calm.0,
            impact: None,
            unknown: None,
            window,
            switched: false,
            active,
            zone,
        });
        for (v, doubt) in raw.iter().enumerate() {
            let held = weights[v] == 0 && matches!(doubt, Doubt::None | Doubt::Suspect);
            self.doubts.push_back(if held { Doubt::Held } else { *doubt } as u8);
        }
        let before = self.sums.back().copied().unwrap_or(0);
        self.sums.push_back(before.wrapping_add(row_hash(slot, row)));
        let keep = topology.reach().saturating_add(topology.spans.soft_window).saturating_add(2);
        while self.sums.len() > usize::try_from(keep).unwrap_or(usize::MAX) {
            self.sums.pop_front();
        }
    }

    /// The first slot that the tail has a label for.
    pub(crate) fn tail_start(&self, end: i64) -> i64 {
        end - i64::try_from(self.tail.len()).unwrap_or(0)
    }

    /// Changes the labels of some slots, as far as they can still change.
    fn relabel(&mut self, from: i64, to: i64, mut change: impl FnMut(i64, &mut Label)) {
        let start = self.tail_start(self.next + 1);
        for slot in from.max(start)..=to {
            let at = usize::try_from(slot - start).unwrap_or(0);
            if let Some(label) = self.tail.get_mut(at) {
                change(slot, label);
            }
        }
    }

    /// Begins the windows of what users see anew.
    fn restart(&mut self, topology: &Topology, evidence: &Evidence, from: i64, now: i64) {
        self.entry_since = from;
        let mut row = Vec::new();
        let targets = topology.targets.len();
        for i in (0..self.hard.len()).filter(|&i| is_entry(topology, i % targets)) {
            (self.hard[i], self.soft[i]) = (Count::default(), Count::default());
        }
        for slot in from.max(now - topology.spans.soft_window + 1)..=now {
            evidence.row(slot, &mut row);
            for i in (0..row.len()).filter(|&i| is_entry(topology, i % targets)) {
                self.soft[i].add(row[i]);
                if slot > now - topology.spans.hard_window {
                    self.hard[i].add(row[i]);
                }
            }
        }
    }

    /// Follows the region that serves; a change closes whatever was open.
    fn follow_traffic(
        &mut self,
        topology: &Topology,
        evidence: &Evidence,
        trace: &mut Trace,
        weights: &[u32],
        slot: i64,
    ) {
        let Some(region) = self.serving.majority(topology).or_else(|| self.steered_to(topology, weights, slot)) else {
            return;
        };
        let first = !std::mem::replace(&mut self.serving.told, true);
        if region == self.serving.active {
            return;
        }
        let old = std::mem::replace(&mut self.serving.active, region);
        let at = if first { self.start } else { self.turned_at(topology, evidence, region, slot) };
        self.relabel(at, slot, |_, label| label.active = region);
        if !first {
            self.switched(topology, trace, old, at, slot);
        }
        self.restart(topology, evidence, at.max(self.entry_since), slot);
    }

    /// When users get no answer at all and exactly one region is dead, traffic goes there; for as long as a hard window.
    fn steered_to(&mut self, topology: &Topology, weights: &[u32], slot: i64) -> Option<RegionIx> {
        let court = Court::new(Window { topology, counts: &self.hard }, weights);
        let limit = threshold(topology.policy.hard_share);
        let dead = |t: TargetIx| court.view(t).failing() >= limit;
        let entry = topology.endpoints.iter().any(|e| e.entry.is_some_and(dead));
        let is_dead = |r: &&RegionIx| topology.endpoints.iter().any(|e| e.regional[**r].is_some_and(dead));
        let mut dead_regions = topology.deployed.iter().filter(is_dead);
        let named = match (entry, dead_regions.next(), dead_regions.next()) {
            (true, Some(&region), None) => Some(region),
            _ => None,
        };
        self.steered = match (named, self.steered) {
            (Some(region), Some((before, since))) if region == before => Some((region, since)),
            (region, _) => region.map(|r| (r, slot)),
        };
        self.steered.filter(|&(_, since)| slot - since + 1 >= topology.spans.hard_window).map(|(region, _)| region)
    }

    /// The slot from which on most probes were served by a region.
    fn turned_at(&self, topology: &Topology, evidence: &Evidence, region: RegionIx, now: i64) -> i64 {
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

    fn switched(&mut self, topology: &Topology, trace: &mut Trace, old: RegionIx, at: i64, now: i64) {
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

    fn judge(
        &mut self,
        topology: &Topology,
        evidence: &Evidence,
        trace: &mut Trace,
        raw: &[Doubt],
        weights: &[u32],
        slot: i64,
    ) {
        let (hard_counts, soft_counts) = (std::mem::take(&mut self.hard), std::mem::take(&mut self.soft));
        let hard = Court::new(Window { topology, counts: &hard_counts }, weights);
        let soft = Court::new(Window { topology, counts: &soft_counts }, weights);
        let active = self.serving.active;
        let reading = read(topology, &hard, &soft, active);
        if slot < self.settling_until {
            self.relabel(slot, slot, |_, label| label.switched = true);
        }
        self.mind_the_gap(topology, &hard, &reading, slot);
        self.watch_left(topology, &hard, &soft, slot);
        self.forgive(topology, &hard, slot);
        let silent = self.silent(topology, raw, slot);
        let left = self.abandoned.map(|(r, _)| r);
        let serving = self.serving.clone();
        let scene = Scene {
            topology,
            hard: &hard,
            soft: &soft,
            reading: &reading,
            serving: &serving,
            doubts: raw,
            silent,
            left,
        };
        self.keep_calm(topology, &scene, slot);
        let restart = match std::mem::replace(&mut self.mode, Mode::Calm) {
            // Silence neither breaks a run nor adds to it.
            mode if reading.level == Level::Unknown => {
                if let Mode::Impact(impact) = &mode {
                    self.say(topology, &hard, impact.cause, slot, slot);
                }
                self.mode = mode;
                None
            }
            Mode::Calm => self.while_calm(topology, &reading, slot),
            Mode::Pending(p) => self.while_pending(topology, evidence, trace, (&hard, &soft), &reading, p, slot),
            Mode::Impact(i) => self.while_impact(topology, evidence, trace, (&hard, &soft), &reading, i, slot),
        };
        (self.hard, self.soft) = (hard_counts, soft_counts);
        if let Some(from) = restart {
            self.restart(topology, evidence, from.max(self.entry_since), slot);
        }
    }

    /// Too little evidence for as long as a hard window is said so, from the first such slot; nothing at all at once.
    fn mind_the_gap(&mut self, topology: &Topology, hard: &Court<'_>, reading: &Reading, slot: i64) {
        if reading.level != Level::Unknown {
            self.unknown_since = None;
            return;
        }
        let mut since = *self.unknown_since.get_or_insert(slot);
        let nothing = hard.window.counts.iter().all(|c| c.n == 0);
        let cause = if nothing { Cause::NoData } else { Cause::InsufficientEvidence };
        if nothing {
            // What nobody measured was not measured from the first silent slot on.
            since = since.min(self.heard.iter().max().map_or(since, |last| last + 1)).max(self.start);
        }
        if slot - since + 1 >= topology.spans.hard_window {
            self.relabel(since, slot, |_, label| label.unknown = Some(label.unknown.unwrap_or(cause)));
        }
        if slot - since + 1 >= topology.spans.clear {
            self.mode = Mode::Calm;
        }
    }

    /// A region that was left early is watched until it is certain whether it had to be.
    fn watch_left(&mut self, topology: &Topology, hard: &Court<'_>, soft: &Court<'_>, slot: i64) {
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
        let excused = |s| maintenance::excuses(topology, s, left.cause, left.region, crate::share::ONE);
        let start = self.tail_start(slot + 1);
        for s in left.onset.max(start)..left.switched {
            let cause = if excused(s) { Cause::Maintenance } else { left.cause };
            self.relabel(s, s, |_, label| label.impact = Some(cause));
        }
    }

    /// A region that was left is a possible standby again once it was clean for long enough.
    fn forgive(&mut self, topology: &Topology, hard: &Court<'_>, slot: i64) {
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

    /// An agent that has said nothing for a soft window, while others speak.
    fn silent(&self, topology: &Topology, raw: &[Doubt], slot: i64) -> bool {
        let others = raw.iter().any(|d| *d != Doubt::Silent);
        others && self.heard.iter().any(|&last| slot - last >= topology.spans.soft_window)
    }

    fn keep_calm(&mut self, topology: &Topology, scene: &Scene<'_>, slot: i64) {
        let cause = calm::candidate(scene);
        if cause == self.calm.0 {
            self.turning = None;
            return;
        }
        let since = match (cause, self.turning) {
            (Cause::ZoneAbsorbed, _) => scene.serving.zone_out(scene.serving.active).map_or(slot, |(_, last)| last + 1),
            (_, Some((before, since))) if before == cause => since,
            (Cause::VantageFault, _) if scene.silent && (self.calm.0 == Cause::Healthy || echo(self.calm.0)) => {
                let healthy_since = if self.calm.0 == Cause::Healthy { self.calm.1 } else { self.start };
                let long = self.heard.iter().filter(|&&last| slot - last >= topology.spans.soft_window);
                long.min().map_or(slot, |last| last + 1).max(healthy_since)
            }
            _ => slot,
        };
        let hold = calm::hold(cause, &topology.spans);
        let active = self.serving.active;
        let zone = self.serving.zone_out(active).map(|(zone, _)| zone);
        if cause == Cause::Healthy || slot - since + 1 >= hold {
            self.relabel(since, slot, |_, label| {
                if label.active == active {
                    (label.calm, label.zone) = (cause, zone);
                }
            });
            (self.calm, self.turning) = ((cause, since), None);
            return;
        }
        self.turning = Some((cause, since));
        // Good news needs no hold: the windows it comes from already had to empty.
        if self.calm.0 != Cause::Healthy && !calm::still(scene, self.calm.0) {
            self.calm = (Cause::Healthy, slot);
            self.relabel(slot, slot, |_, label| label.calm = Cause::Healthy);
        }
    }

    fn while_calm(&mut self, topology: &Topology, reading: &Reading, slot: i64) -> Option<i64> {
        if reading.level < Level::Slow && reading.clear {
            return None;
        }
        let onset = self.onset(topology, reading, slot);
        let settling = onset < self.settling_until;
        let pending = Pending { onset, hard: None, soft: None, good_from: None, notable: false, settling };
        self.mode = Mode::Pending(self.hurt(topology, reading, pending, slot));
        None
    }

    /// Where the trouble that shows now began.
    fn onset(&self, topology: &Topology, reading: &Reading, slot: i64) -> i64 {
        let (policy, spans) = (&topology.policy, &topology.spans);
        let (ratio, slots, slow) = match reading.level {
            Level::Hard => (policy.hard_share, spans.hard_window, false),
            Level::Slow => (policy.slow_share, spans.soft_window, true),
            Level::Soft => (policy.soft_share, spans.soft_window, false),
            _ => (policy.soft_share, spans.hard_window, false),
        };
        let series = self.newest_first(topology, &reading.bad, slow, slots, slot);
        slot + 1 - worst_stretch(series.into_iter(), ratio).max(1)
    }

    /// Follows the runs of a pending impact.
    fn hurt(&self, topology: &Topology, reading: &Reading, mut p: Pending, slot: i64) -> Pending {
        let here = self.onset(topology, reading, slot);
        p.hard = (reading.level == Level::Hard).then(|| p.hard.unwrap_or(here));
        p.soft = (reading.level >= Level::Slow).then(|| p.soft.unwrap_or(here));
        p.onset = p.onset.min(p.hard.unwrap_or(p.onset)).min(p.soft.unwrap_or(p.onset));
        p.notable |= reading.level >= Level::Slow || (slot - p.onset) * 2 >= topology.spans.hard_window;
        p.good_from = self.good_from(topology, reading, p.good_from, slot);
        p
    }

    /// Where a clear stretch began, if this slot is clear.
    fn good_from(&self, topology: &Topology, reading: &Reading, before: Option<i64>, slot: i64) -> Option<i64> {
        if !reading.clear {
            return None;
        }
        before.or_else(|| {
            let (policy, span) = (&topology.policy, topology.spans.hard_window);
            let failed = self.newest_first(topology, &[], false, span, slot);
            let slow = self.newest_first(topology, &[], true, span, slot);
            let failed = good_stretch(failed.into_iter(), policy.soft_share);
            let slow = good_stretch(slow.into_iter(), policy.slow_share);
            Some(slot + 1 - failed.min(slow).max(1))
        })
    }

    #[expect(clippy::too_many_arguments, reason = "one arm of `judge`, with all that it looks at")]
    fn while_pending(
        &mut self,
        topology: &Topology,
        evidence: &Evidence,
        trace: &mut Trace,
        courts: (&Court<'_>, &Court<'_>),
        reading: &Reading,
        pending: Pending,
        slot: i64,
    ) -> Option<i64> {
        let p = self.hurt(topology, reading, pending, slot);
        if let Some(onset) = self.confirmed(topology, reading, &p, slot) {
            trace.notes.push(Note { slot: onset, known: slot, kind: NoteKind::Confirmed { hard: p.hard.is_some() } });
            let cause = self.blame(topology, evidence, courts, reading, onset, slot);
            self.say(topology, courts.0, cause, onset, slot);
            self.mode = Mode::Impact(Impact { onset, cause, turning: None, good_from: None });
            return None;
        }
        if let Some(end) = self.passed(topology, reading, p.good_from, slot) {
            self.well_again(end, slot);
            return Some(end);
        }
        if p.notable && !p.settling {
            let end = p.good_from.unwrap_or(slot + 1);
            self.say(topology, courts.0, Cause::Transient, p.onset, end - 1);
            self.well_so_far(end, slot);
        }
        self.mode = Mode::Pending(p);
        None
    }

    /// Whether an impact has held for long enough, and from where. The good slots at its end do not count.
    fn confirmed(&self, topology: &Topology, reading: &Reading, p: &Pending, slot: i64) -> Option<i64> {
        let (policy, spans) = (&topology.policy, &topology.spans);
        let good = |ratio, slots, slow| {
            good_stretch(self.newest_first(topology, &reading.bad, slow, slots, slot).into_iter(), ratio)
        };
        let held = |onset: i64, good: i64, span: i64| slot - onset + 1 - good >= span;
        let hard = p.hard.filter(|&o| held(o, good(policy.hard_share, spans.hard_window, false), spans.hard_duration));
        hard.or_else(|| {
            let slow = reading.level == Level::Slow;
            let ratio = if slow { policy.slow_share } else { policy.soft_share };
            p.soft.filter(|&o| held(o, good(ratio, spans.soft_window, slow), spans.soft_duration))
        })
    }

    /// Whether a clear stretch is long enough, and where it began.
    fn passed(&self, topology: &Topology, reading: &Reading, good_from: Option<i64>, slot: i64) -> Option<i64> {
        good_from.filter(|&from| reading.level < Level::Slow && slot - from + 1 >= topology.spans.clear)
    }

    #[expect(clippy::too_many_arguments, reason = "one arm of `judge`, with all that it looks at")]
    fn while_impact(
        &mut self,
        topology: &Topology,
        evidence: &Evidence,
        trace: &mut Trace,
        courts: (&Court<'_>, &Court<'_>),
        reading: &Reading,
        mut impact: Impact,
        slot: i64,
    ) -> Option<i64> {
        let before = impact.good_from;
        impact.good_from = self.good_from(topology, reading, before, slot);
        if let (Some(from), None) = (before, impact.good_from) {
            self.say(topology, courts.0, impact.cause, from, slot);
        }
        if let Some(end) = impact.good_from.filter(|&from| slot - from + 1 >= topology.spans.clear) {
            trace.notes.push(Note { slot: end, known: slot, kind: NoteKind::Cleared });
            self.well_again(end, slot);
            return Some(end);
        }
        if !reading.clear && reading.level >= Level::Slow {
            let cause = self.blame(topology, evidence, courts, reading, impact.onset, slot);
            self.turn(topology, courts.0, &mut impact, cause, slot);
        }
        let end = impact.good_from.unwrap_or(slot + 1);
        self.say(topology, courts.0, impact.cause, slot, slot.min(end - 1));
        self.well_so_far(end, slot);
        self.mode = Mode::Impact(impact);
        None
    }

    /// Users seem well from a slot on. What the emptying windows seem to tell meanwhile is the same trouble.
    fn well_so_far(&mut self, from: i64, now: i64) {
        self.relabel(from, now, |_, label| {
            label.impact = None;
            if echo(label.calm) {
                label.calm = Cause::Healthy;
            }
        });
    }

    /// Users are well again from a slot on. What still stands now that the windows are empty was no echo.
    fn well_again(&mut self, from: i64, now: i64) {
        if matches!(self.calm.0, Cause::MinorDegradation | Cause::EndpointFault) {
            self.calm = (Cause::Healthy, now + 1);
        }
        self.well_so_far(from, now);
        let (calm, since) = self.calm;
        if echo(calm) {
            self.relabel(since.max(from), now, |_, label| label.calm = calm);
        }
    }

    /// Blame turns only when the other cause holds for a while, and is then dated back.
    fn turn(&mut self, topology: &Topology, court: &Court<'_>, impact: &mut Impact, cause: Cause, slot: i64) {
        if cause == impact.cause {
            impact.turning = None;
            return;
        }
        let since = impact.turning.filter(|(before, _)| *before == cause).map_or(slot, |(_, since)| since);
        if slot - since + 1 < topology.spans.blame_hold {
            impact.turning = Some((cause, since));
            return;
        }
        (impact.cause, impact.turning) = (cause, None);
        self.say(topology, court, cause, since, slot);
    }

    /// Labels slots with the cause of an impact, or with the announcement that excuses it.
    fn say(&mut self, topology: &Topology, hard: &Court<'_>, cause: Cause, from: i64, to: i64) {
        let active = self.serving.active;
        let all: Vec<EndpointIx> = (0..topology.endpoints.len()).collect();
        let direct = Question { topology, court: hard, bad: &all, active }.region(active).failed;
        let now = self.next;
        let start = self.tail_start(now + 1);
        for slot in from.max(start)..=to {
            let excused = maintenance::excuses(topology, slot, cause, active, direct);
            let cause = if excused { Cause::Maintenance } else { cause };
            let at = usize::try_from(slot - start).unwrap_or(usize::MAX);
            if let Some(label) = self.tail.get_mut(at).filter(|l| l.active == active) {
                label.impact = Some(cause);
            }
        }
    }

    fn blame(
        &self,
        topology: &Topology,
        evidence: &Evidence,
        (hard, soft): (&Court<'_>, &Court<'_>),
        reading: &Reading,
        onset: i64,
        slot: i64,
    ) -> Cause {
        let early = reading.level == Level::Hard && slot - onset < topology.spans.blame_early;
        let court = if early { hard } else { soft };
        let active = self.serving.active;
        let dns = || {
            let from = (slot - topology.spans.hard_window + 1).max(self.start);
            let (mut row, mut failed, mut names) = (Vec::new(), 0u64, 0u64);
            for s in from..=slot {
                evidence.row(s, &mut row);
                for (_, cell) in row.iter().enumerate().filter(|(i, _)| is_entry(topology, *i)) {
                    failed += u64::from(cell.is_failed());
                    names += u64::from(cell.is_dns());
                }
            }
            names * 2 > failed
        };
        Question { topology, court, bad: &reading.bad, active }.blame(&dns)
    }

    /// Moves labels that can no longer change into runs.
    fn settle(&mut self, topology: &Topology, evidence: &Evidence, trace: &mut Trace, scratch: &mut Scratch) {
        let reach = usize::try_from(topology.reach()).unwrap_or(usize::MAX);
        while self.tail.len() > reach {
            let slot = self.tail_start(self.next);
            let Some(label) = self.tail.pop_front() else { return };
            let mut run = match self.run.take() {
                Some(run) if run.continues(&label) => run,
                old => {
                    trace.runs.extend(old);
                    Run::new(topology, slot, &label, self.sum_before(topology, slot))
                }
            };
            self.extend(evidence, &mut run, slot, 0, &mut scratch.old);
            self.doubts.drain(..topology.agents.len());
            self.run = Some(run);
        }
    }

    /// Adds a slot of the tail, the `at`th, to a run.
    fn extend(&self, evidence: &Evidence, run: &mut Run, slot: i64, at: usize, row: &mut Vec<Cell>) {
        if run.tells() {
            let agents = run.doubts.len();
            evidence.row(slot, row);
            run.tally(row, self.doubts.iter().copied().skip(at * agents).take(agents));
        }
        (run.to, run.sum) = (slot + 1, self.sum_at(slot));
    }

    /// All runs from the settled one that is still open to the last slot that was judged.
    pub(crate) fn open_runs(&self, topology: &Topology, evidence: &Evidence) -> Vec<Run> {
        let mut runs: Vec<Run> = self.run.iter().cloned().collect();
        let (start, mut row) = (self.tail_start(self.next), Vec::new());
        for (at, (slot, label)) in (start..).zip(&self.tail).enumerate() {
            if !runs.last().is_some_and(|r| r.continues(label)) {
                runs.push(Run::new(topology, slot, label, self.sum_before(topology, slot)));
            }
            if let Some(run) = runs.last_mut() {
                self.extend(evidence, run, slot, at, &mut row);
            }
        }
        runs
    }

    /// Whether nothing is known of any window, and the whole tail says so: more of the same changes nothing.
    pub(crate) fn is_void(&self, topology: &Topology) -> bool {
        let (reach, sums) = (topology.reach(), topology.reach() + topology.spans.soft_window + 2);
        let full = |len: usize, of: i64| i64::try_from(len).unwrap_or(i64::MAX) >= of;
        let empty = |l: &Label| l.unknown == Some(Cause::NoData) && !l.switched && !l.window;
        self.unknown_since.is_some()
            && full(self.tail.len(), reach)
            && full(self.sums.len(), sums)
            && self.sums.front() == self.sums.back()
            && self.soft.iter().all(|c| c.n == 0)
            && matches!(self.mode, Mode::Calm)
            && self.tail.iter().all(empty)
    }

    /// Goes on as if every slot up to one, or to the next window, were as void as those of the tail.
    pub(crate) fn skip_to(&mut self, topology: &Topology, slot: i64) {
        let edges = topology.windows.iter().flat_map(|w| [w.from, w.to]).filter(|&edge| edge >= self.next);
        let slot = edges.min().unwrap_or(slot).min(slot);
        let reach = i64::try_from(self.tail.len()).unwrap_or(0);
        if slot <= self.next + reach {
            return;
        }
        let skipped = u32::try_from(slot - self.next).unwrap_or(u32::MAX);
        self.next = slot;
        if let Some(run) = &mut self.run {
            run.to = slot - reach;
            for doubts in &mut run.doubts {
                let silent = &mut doubts[Doubt::Silent as usize];
                *silent = silent.saturating_add(skipped);
            }
        }
    }

    /// Bytes that this takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let counts = self.hard.len() + self.soft.len() + self.pooled.len();
        let run = self.run.as_ref().map_or(0, |r| r.counts.len() * size_of::<Count>() + r.doubts.len() * 32);
        size_of::<Self>()
            + counts * size_of::<Count>()
            + self.tail.len() * size_of::<Label>()
            + self.doubts.len()
            + self.sums.len() * 16
            + run
    }

    /// Whether anything but quiet time is in what may still change.
    pub(crate) fn is_quiet(&self) -> bool {
        let healthy = |l: &Label| matches!(l.answer(), (Cause::Healthy, _) | (_, true)) && !l.switched;
        matches!(self.mode, Mode::Calm) && self.run.as_ref().is_none_or(|r| !r.tells()) && self.tail.iter().all(healthy)
    }

    /// The first slot whose label may still change by what comes next. A switch or a run of trouble that shows later
    /// is dated back at most to the first slot of its window that hints at it.
    pub(crate) fn unsettled_from(&self, topology: &Topology) -> i64 {
        let spans = &topology.spans;
        let open = match &self.mode {
            Mode::Calm => self.next,
            Mode::Pending(p) => p.onset,
            Mode::Impact(i) => i.good_from.or(i.turning.map(|(_, since)| since)).unwrap_or(self.next),
        };
        let watched = self.watched.as_ref().map_or(self.next, |w| w.onset);
        let unknown = self.unknown_since.unwrap_or(self.next);
        let turning = self.turning.map_or(self.next, |(_, since)| since);
        let missing = self.heard.iter().map(|last| last + 1).filter(|&since| self.next - since < spans.soft_window);
        let zone = if self.calm.0 == Cause::ZoneAbsorbed { None } else { self.serving.zone_missing() };
        let window = self.next - spans.hard_window;
        let hints = [open, watched, unknown, turning, zone.unwrap_or(self.next), self.first_hint(topology), window];
        hints.into_iter().chain(missing).min().unwrap_or(window)
    }

    /// The first slot of the open windows in which users were hurt at all.
    fn first_hint(&self, topology: &Topology) -> i64 {
        let endpoints = topology.endpoints.len().max(1);
        let rows = self.pooled.len() / endpoints;
        let first = self.pooled.iter().enumerate().position(|(i, c)| {
            let slot = self.next - i64::try_from(rows - i / endpoints).unwrap_or(0);
            slot >= self.entry_since && c.failed + c.slow > 0
        });
        first.map_or(self.next, |i| self.next - i64::try_from(rows - i / endpoints).unwrap_or(0))
    }

    fn sum_at(&self, slot: i64) -> u128 {
        let back = usize::try_from(self.next - 1 - slot).unwrap_or(usize::MAX);
        self.sums.len().checked_sub(back.saturating_add(1)).and_then(|i| self.sums.get(i)).copied().unwrap_or(0)
    }

    fn sum_before(&self, topology: &Topology, slot: i64) -> u128 {
        self.sum_at(slot - topology.spans.soft_window - 1)
    }
}

/// Causes that look at the regions themselves, and so echo an impact for as long as their windows take to empty.
const fn echo(cause: Cause) -> bool {
    use Cause::{ChainPartner, DiagnosticOnly, EndpointFault, MinorDegradation, StandbyDown};
    matches!(cause, StandbyDown | EndpointFault | DiagnosticOnly | ChainPartner | MinorDegradation)
}

fn is_entry(topology: &Topology, i: usize) -> bool {
    matches!(topology.targets[i % topology.targets.len()].role, Role::Entry(_))
}

/// A hash of one row that tells slots, places and contents apart; the sum over rows names a stretch of evidence.
fn row_hash(slot: i64, row: &[Cell]) -> u128 {
    if row.iter().all(|&c| c == Cell::EMPTY) {
        return 0;
    }
    let mix = |h: u64, x: u64| (h ^ x).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let seed = slot.cast_unsigned();
    let (mut a, mut b) = (mix(0xcbf2_9ce4_8422_2325, seed), mix(0x6c62_272e_07bb_0142, seed.rotate_left(17)));
    for cell in row {
        let bits = cell.bits();
        (a, b) = (mix(a, bits), mix(b, bits.rotate_left(23).wrapping_add(a)));
    }
    u128::from(mix(a, seed)) << 64 | u128::from(mix(b, !seed))
}
