//! What can be said right now, what is settled, and what must be corrected?
//!
//! ```text
//!   event time   ----[ settled ]----[ complete up to the watermark ]----[ open tail: slot end + grace <= now ]
//!   revisions         final                                               provisional
//!                     ^ a late record may change it: revised
//! ```
//!
//! [`Live`] holds the evidence of one service and one pass over it. Arrivals only mark the slots that they change;
//! [`Live::advance`] goes back to the checkpoint before the first of them, judges on, and compares what the episodes say now
//! with what was published. A revision is published when the answer differs (need, cause, execution, open or closed), when it
//! becomes final, and when a final answer changes. Bounds alone do not make a revision while an episode is provisional.
//!
//! An answer is final when nothing that may still arrive can change it: the slots up to the watermark are complete, and
//! with them every label of the episode is certain. After the horizon it is final even if records are missing; earlier than
//! that where what is kept for somebody who is away takes more memory than there may be (`live/room.rs`).

use std::collections::BTreeMap;

use uitwijk_model::{AgentId, Measurement, Millis, Plan, ServiceId, Slot, TargetId, WallTime};

use crate::episode::{Episode, episodes};
use crate::evidence::{Evidence, Numbered, Sample, Switch, Taken};
use crate::journal::{Arrival, Journal, seen};
use crate::published::Published;
use crate::scan::{Changed, Scan};
use crate::since::Origin;
use crate::timeline::segments;
use crate::topology::{AgentIx, Topology, UnknownService};
use crate::verdict::{Revision, Segment};
use room::Room;

mod publish;
mod room;

/// Settled runs that are kept for timelines and for late records.
const RUNS_MAX: usize = 4096;
/// Published episodes that are remembered.
const PUBLISHED_MAX: usize = 1024;

/// Where evidence ends that may still change.
#[derive(Debug, Clone, Copy)]
struct Ends {
    /// Slots before this no longer change, be it because nobody waits for them any more.
    settled: i64,
    /// Everything before this slot is in.
    complete: i64,
}

/// What happened to the samples of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Changed the evidence.
    pub changed: u64,
    /// Were known.
    pub known: u64,
    /// Belong to no enrolled agent, to a target that this service does not rest on, or to a slot far after they arrived.
    pub foreign: u64,
    /// Came after everything about their slot was forgotten.
    pub too_late: u64,
    /// How often it went back, because slots had changed that were judged.
    pub again: u64,
    /// How often it let go of slots that somebody may still tell of, because there was no more room.
    pub crowded: u64,
}

/// The judge of one service, live.
#[derive(Debug, Clone)]
pub struct Live {
    topology: Topology,
    evidence: Evidence,
    frontiers: BTreeMap<AgentId, WallTime>,
    scan: Option<Scan>,
    /// Slots that have changed since they were judged.
    changed: Changed,
    /// Oldest first.
    published: Vec<Published>,
    /// Segments from before the plan last changed.
    history: Vec<Segment>,
    counters: Counters,
    journal: Journal,
    room: Room,
}

impl Live {
    /// A judge that knows nothing yet.
    ///
    /// # Errors
    /// When the plan does not have the service.
    pub fn new(plan: &Plan, service: &ServiceId) -> Result<Self, UnknownService> {
        Topology::of(plan, service).map(Self::around)
    }

    /// A judge that knows nothing yet of the fleet around a service, which may be judged by another policy than the plan's.
    #[must_use]
    pub fn around(topology: Topology) -> Self {
        Self {
            evidence: Evidence::new(&topology),
            journal: Journal::new(&topology),
            topology,
            frontiers: BTreeMap::new(),
            scan: None,
            changed: Changed::default(),
            published: Vec::new(),
            history: Vec::new(),
            counters: Counters::default(),
            room: Room::default(),
        }
    }

    /// Whether a target has a part in the verdict of this service.
    #[must_use]
    pub fn rests_on(&self, target: &TargetId) -> bool {
        self.topology.target(target).is_some()
    }

    /// Takes one measurement in; repeats change nothing.
    pub fn observe(&mut self, agent: &AgentId, measurement: &Measurement, arrived: WallTime) -> Taken {
        self.observe_from(agent, measurement, arrived, None)
    }

    /// The same of a measurement whose name in transport is known, so that revisions can tell that it came in.
    pub fn observe_from(
        &mut self,
        agent: &AgentId,
        measurement: &Measurement,
        arrived: WallTime,
        origin: Option<Origin>,
    ) -> Taken {
        let agent = self.topology.agent(agent);
        let sample = agent.and_then(|v| Numbered::of_measurement(&self.topology, v, measurement, arrived));
        self.observe_numbered(sample.as_ref(), origin)
    }

    /// The same for a sample.
    pub fn observe_sample(&mut self, sample: &Sample) -> Taken {
        self.observe_numbered(Numbered::of(&self.topology, sample).as_ref(), None)
    }

    /// The same for a sample whose names were looked up in [`Self::topology`]; absent where one was not found.
    pub fn observe_numbered(&mut self, sample: Option<&Numbered>, origin: Option<Origin>) -> Taken {
        let taken = sample.map_or(Taken::Foreign, |sample| self.take(sample, origin));
        let taken = self.count(taken);
        self.make_room_to_begin();
        taken
    }

    /// The fleet as this judge sees it; a new plan makes another one.
    #[must_use]
    pub const fn topology(&self) -> &Topology {
        &self.topology
    }

    fn count(&mut self, taken: Taken) -> Taken {
        let counter = match taken {
            Taken::Changed { .. } => {
                self.change(taken);
                &mut self.counters.changed
            }
            Taken::Known => &mut self.counters.known,
            Taken::Foreign => &mut self.counters.foreign,
            Taken::TooLate => &mut self.counters.too_late,
        };
        *counter += 1;
        taken
    }

    /// Keeps in mind which slots must be judged again. Those that were not judged yet need no mention.
    fn change(&mut self, taken: Taken) {
        if let Taken::Changed { from, to } = taken
            && from < self.judged_to()
        {
            self.changed.add(from, to);
        }
    }

    /// Takes in a switch that somebody reported; repeats change nothing.
    pub fn switch(&mut self, switch: &Switch) -> Taken {
        let taken = self.evidence.add_switch(&self.topology, switch);
        self.change(taken);
        taken
    }

    /// Adds a sample to the evidence, and keeps what it changed.
    fn take(&mut self, sample: &Numbered, origin: Option<Origin>) -> Taken {
        let (slot, arrived, place) = (sample.slot.0, sample.arrived, (sample.agent, sample.target));
        let late = slot < self.slot_before(arrived, self.topology.policy.grace);
        let cell = |live: &Self| live.evidence.cell(slot, place.0, place.1);
        let before = late.then(|| cell(self));
        let taken = self.evidence.add_numbered(sample);
        if matches!(taken, Taken::Changed { .. }) {
            self.journal.arrived(&Arrival { agent: place.0, slot, origin, arrived, late });
            if let Some(before) = before.filter(|&before| cell(self) != before) {
                self.journal.changed(place, slot, arrived, (seen(before), seen(cell(self))));
            }
        }
        taken
    }

    /// All records of an agent up to this moment have been observed.
    pub fn frontier(&mut self, agent: &AgentId, through: WallTime) {
        let known = self.frontiers.entry(agent.clone()).or_insert(through);
        *known = (*known).max(through);
    }

    /// The moment up to which every enrolled agent's records are in; absent until every agent has said so once. What an agent
    /// whose clock leads says about a moment, it says about an earlier one.
    #[must_use]
    pub fn watermark(&self) -> Option<WallTime> {
        let agents = self.topology.agents.iter().enumerate();
        let through = agents.map(|(v, a)| self.frontiers.get(&a.id).map(|&t| self.in_true_time(v, t)));
        through.min().flatten()
    }

    fn in_true_time(&self, v: AgentIx, at: WallTime) -> WallTime {
        let lead = self.evidence.lead(v, self.topology.slot.slot_of(at).0).max(0);
        WallTime::from_micros(at.as_micros().saturating_sub(lead))
    }

    /// What happened to the samples so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Bytes that evidence, states and checkpoints take, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.evidence.bytes() + self.scan.as_ref().map_or(0, Scan::bytes) + self.journal.bytes()
    }

    /// Judges what can be judged at this moment and answers the revisions that are new.
    pub fn advance(&mut self, now: WallTime) -> Vec<Revision> {
        self.advance_by(now, false)
    }

    /// The same, but what came late and far behind the slots that are due now is left for the next [`Self::advance`], as long
    /// as there is nothing to say. What is said rests on all that was observed.
    pub fn advance_ahead(&mut self, now: WallTime) -> Vec<Revision> {
        self.advance_by(now, true)
    }

    /// Whether slots that were judged have changed and were not judged again yet.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.behind_from().is_some()
    }

    /// The begin of the first of those slots.
    #[must_use]
    pub fn behind_from(&self) -> Option<WallTime> {
        let first = self.changed.first().filter(|&slot| slot < self.judged_to())?;
        Some(self.topology.slot.start_of(Slot(first)))
    }

    fn advance_by(&mut self, now: WallTime, ahead_only: bool) -> Vec<Revision> {
        self.journal.begin();
        let due = self.slot_before(now, self.topology.policy.grace);
        let complete = self.watermark().map_or(i64::MIN, |w| self.topology.slot.slot_of(w).0);
        // What is let go of must have been judged with all that came in.
        let ahead_only = !self.make_room(due, complete) && ahead_only;
        let mut changed_from = self.catch_up(due, ahead_only);
        let settled = complete.max(self.slot_before(now, self.topology.policy.horizon)).max(self.room.closed);
        let ends = Ends { settled, complete };
        if ahead_only && self.is_behind() && self.has_news(changed_from, ends) {
            changed_from = changed_from.min(self.catch_up(due, false));
        }
        let revisions = self.publish(now, changed_from, ends);
        if !revisions.is_empty() {
            self.journal.mark(now);
        }
        self.forget(now, complete);
        revisions
    }

    fn slot_before(&self, now: WallTime, span: Millis) -> i64 {
        self.topology.slot.slot_of(now.minus(span)).0
    }

    /// Judges up to a slot; answers the first slot that was judged again. Changes that no slot that is due now can feel
    /// may be left for later.
    fn catch_up(&mut self, due: i64, ahead_only: bool) -> i64 {
        let changed = self.changed.first().filter(|&slot| slot < due);
        let restart = match (&self.scan, changed) {
            (Some(scan), Some(slot)) => slot < scan.state.start,
            (scan, _) => scan.is_none(),
        };
        if restart {
            let first = self.evidence.first_slot(i64::MIN / 4);
            let Some(first) = first.filter(|&f| f < due) else { return due };
            self.counters.again += u64::from(self.scan.is_some());
            self.scan = Some(Scan::new(&self.topology, first));
            self.changed.clear();
        }
        let Some(scan) = &mut self.scan else { return due };
        let near = self.changed.near(scan.state.next, scan.felt_for(&self.topology));
        let changes = match ahead_only && scan.is_close_behind(&self.topology, near) {
            true => self.changed.take(near, due),
            false => self.changed.take_before(due),
        };
        let from = changes.front().map_or(i64::MAX, |&(from, _)| from).min(scan.state.next);
        self.counters.again += u64::from(!changes.is_empty());
        scan.judge_again(&self.topology, &self.evidence, changes, due);
        scan.run_to(&self.topology, &self.evidence, due);
        from.min(scan.state.next)
    }

    /// The first slot that was not judged yet.
    fn judged_to(&self) -> i64 {
        self.scan.as_ref().map_or(i64::MIN, |s| s.state.next)
    }

    /// Drops what can no longer matter.
    fn forget(&mut self, now: WallTime, complete: i64) {
        let horizon = self.topology.policy.horizon;
        let old = self.slot_before(now, Millis(horizon.0.saturating_mul(2)));
        self.let_go(complete.max(old).max(self.room.closed));
        let surplus = self.published.len().saturating_sub(PUBLISHED_MAX);
        self.published.drain(..surplus);
    }

    /// Drops what is not needed to judge again from a slot on.
    fn let_go(&mut self, slot: i64) {
        let keep_from = slot.saturating_sub(self.topology.reach());
        // What is to be judged again must still be there.
        let keep_from = self.changed.first().map_or(keep_from, |changed| changed.min(keep_from));
        if let Some(scan) = &mut self.scan {
            let (needed, closed) = scan.forget_before(&self.topology, keep_from.min(scan.state.next), RUNS_MAX);
            self.evidence.drop_before(needed, closed);
            self.journal.drop_before(needed);
        }
    }

    /// Takes over what was published before a restart, oldest first, so that names and numbers go on.
    pub fn restore(&mut self, published: &[Revision]) {
        for r in published.iter().filter(|r| r.service == self.topology.service) {
            let slot = |t| self.topology.slot.slot_of(t).0;
            // An open episode reached to the last slot that was judged when this was decided.
            let judged = self.slot_before(r.decided, self.topology.policy.grace);
            let entry = Published {
                id: r.episode.clone(),
                number: r.revision,
                from: slot(r.from),
                to: r.to.map_or(judged, slot),
                open: r.to.is_none(),
                cause: r.cause,
                execution: r.execution,
                last: r.kind,
                decided: r.decided,
                judged_to: self.slot_before(r.decided, self.topology.policy.grace),
            };
            self.journal.mark(r.decided);
            match self.published.iter_mut().find(|p| p.id == entry.id) {
                Some(p) if p.number >= entry.number => {}
                Some(p) => *p = entry,
                None => self.published.push(entry),
            }
        }
        self.published.sort_by(|a, b| (a.from, &a.id).cmp(&(b.from, &b.id)));
    }

    /// A judge that has published the same and observed nothing yet, for whoever has more of the past than this one kept.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self {
            journal: self.journal.anew(&self.topology),
            frontiers: self.frontiers.clone(),
            published: self.published.clone(),
            counters: self.counters,
            ..Self::around(self.topology.clone())
        }
    }

    /// Goes on in the place of another judge: what that one said of the time before the first that this one knows stays said.
    pub fn take_over(&mut self, other: &Self) {
        let first = self.evidence.first_slot(i64::MIN / 4);
        let until = first.map_or(WallTime::from_micros(i64::MAX), |first| self.topology.slot.start_of(Slot(first)));
        self.history = other.timeline(WallTime::from_micros(i64::MIN), until);
        let surplus = self.history.len().saturating_sub(RUNS_MAX);
        self.history.drain(..surplus);
    }

    /// Goes on under another plan: what is still kept of the evidence is judged again under it.
    ///
    /// # Errors
    /// When the plan no longer has the service.
    pub fn set_plan(&mut self, plan: &Plan) -> Result<(), UnknownService> {
        self.set_topology(Topology::of(plan, &self.topology.service)?);
        Ok(())
    }

    /// The same under another view of the fleet around the service.
    pub fn set_topology(&mut self, topology: Topology) {
        let version = |t: &Topology| (t.plan_version.clone(), t.policy_version.clone());
        if version(&topology) == version(&self.topology) {
            return;
        }
        let evidence = self.evidence.moved(&self.topology, &topology);
        let first = evidence.first_slot(i64::MIN / 4);
        if let Some(first) = first {
            let from = WallTime::from_micros(i64::MIN);
            self.history = self.timeline(from, self.topology.slot.start_of(Slot(first)));
            let surplus = self.history.len().saturating_sub(RUNS_MAX);
            self.history.drain(..surplus);
        }
        if topology.slot != self.topology.slot {
            // Slots of another length name other moments; what was seen in them cannot be carried over.
            self.evidence = Evidence::new(&topology);
            (self.room.closed, self.room.looked) = (i64::MIN, 0);
        } else {
            self.evidence = evidence;
        }
        self.journal = std::mem::take(&mut self.journal).moved(&self.topology, &topology);
        self.topology = topology;
        (self.scan, self.changed) = (None, Changed::default());
    }

    /// When `advance` should be called next, if nothing arrives before.
    #[must_use]
    pub fn next_wakeup(&self, now: WallTime) -> WallTime {
        let (slot, grace) = (self.topology.slot, self.topology.policy.grace);
        let due = slot.slot_of(now.minus(grace));
        slot.start_of(Slot(due.0.saturating_add(1))).plus(grace)
    }

    /// What the service was judged to be, segment by adjacent segment, as far as it is kept.
    #[must_use]
    pub fn timeline(&self, from: WallTime, to: WallTime) -> Vec<Segment> {
        let mut all = self.history.clone();
        if let Some(scan) = &self.scan {
            let first = self.topology.slot.slot_of(from).0;
            let runs = scan.runs_since(&self.topology, None, first);
            let found = episodes(&self.topology, &runs, &scan.trace.notes, scan.state.next);
            let name = |e: &Episode| {
                let none = vec![false; self.published.len()];
                self.published_of(&none, e).map(|at| (self.published[at].id.clone(), self.published[at].number))
            };
            all.extend(segments(&self.topology, &runs, &found, &name));
        }
        all.retain(|s| s.to > from && s.from < to);
        for s in &mut all {
            (s.from, s.to) = (s.from.max(from), s.to.min(to));
        }
        all
    }
}
