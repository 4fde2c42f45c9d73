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

use crate::calm::{self, Scene};
use crate::evidence::{Cell, Evidence};
use crate::reading::{Level, Reading, read};
use crate::serving::Serving;
use crate::share::{Count, good_stretch, worst_stretch};
use crate::topology::{EndpointIx, RegionIx, Topology};
use crate::trace::{Label, Run, Trace};
use crate::trust::{Court, Doubt, Window};
use crate::verdict::Cause;

pub(crate) use alike::{Carried, Following};
use drift::Drift;
use reported::Reported;
use window::Pooled;

mod alike;
mod drift;
mod impact;
mod reported;
mod settle;
mod traffic;
mod window;

/// A run of failures that now and then pauses by chance, and what was counted in it so far.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lasting {
    from: i64,
    endpoints: Vec<EndpointIx>,
    bad: u64,
    n: u64,
}

/// Users are hurt, but not yet for long enough.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pending {
    /// First slot that users were hurt in, by any measure.
    onset: i64,
    /// Where the unbroken run of hard impact began.
    hard: Option<i64>,
    /// Where the unbroken run of any impact began.
    soft: Option<i64>,
    /// The same with pauses: hard impact, and soft impact.
    lasting_hard: Option<Lasting>,
    /// See `lasting_hard`.
    lasting_soft: Option<Lasting>,
    /// Where it would end, once it is clear for long enough.
    good_from: Option<i64>,
    /// It was more than a shiver: worth an episode of its own when it passes.
    notable: bool,
    /// It never was much: it may be a part of a minor degradation.
    mild: bool,
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
    pooled: Pooled,
    /// Whether answers got slower than they used to be.
    drift: Drift,
    mode: Mode,
    watched: Option<Left>,
    /// A switch that was reported and that the answers have not confirmed yet.
    reported: Option<Reported>,
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
    buffer: Vec<Cell>,
    old: Vec<Cell>,
}

/// Whose answers were compared in a slot.
pub(crate) struct Heard {
    /// Votes per agent, in halves.
    pub(crate) weights: Vec<u32>,
    /// The region that served.
    pub(crate) active: RegionIx,
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
            pooled: Pooled::default(),
            drift: Drift::new(topology),
            mode: Mode::Calm,
            watched: None,
            reported: None,
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
    pub(crate) fn step(
        &mut self,
        topology: &Topology,
        evidence: &Evidence,
        trace: &mut Trace,
        scratch: &mut Scratch,
    ) -> Heard {
        let slot = self.next;
        let row = evidence.read(slot, &mut scratch.buffer);
        self.take_in(topology, evidence, slot, row, &mut scratch.old);
        let raw = Window { topology, counts: &self.hard }.doubts();
        let weights = self.trust(topology, &raw, slot);
        self.pool(topology, row, &weights);
        self.push_label(topology, &raw, &weights, slot, row);
        self.follow_traffic(topology, evidence, trace, &weights, slot);
        let active = self.serving.active;
        self.drift.add(topology, slot, row, &weights, active);
        self.judge(topology, evidence, trace, &raw, &weights, slot);
        self.next = slot + 1;
        self.settle(topology, evidence, trace, &mut scratch.old);
        Heard { weights, active }
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
        let gap = self.mind_the_gap(topology, &hard, &reading, slot);
        self.watch_left(topology, &hard, &soft, slot);
        self.forgive(topology, &hard, slot);
        let silent = self.silent(topology, raw, slot);
        let left = self.abandoned.map(|(r, _)| r);
        let scene = Scene {
            topology,
            hard: &hard,
            soft: &soft,
            reading: &reading,
            serving: &self.serving,
            doubts: raw,
            silent,
            told: self.calm.0,
            left,
            slower: self.drift.since.is_some(),
        };
        let cause = calm::candidate(&scene);
        let stands = cause == self.calm.0 || calm::still(&scene, self.calm.0);
        self.keep_calm(topology, (cause, stands, silent), slot);
        let restart = match std::mem::replace(&mut self.mode, Mode::Calm) {
            // Silence neither breaks a run nor adds to it.
            mode if reading.level == Level::Unknown => {
                if let Mode::Impact(impact) = &mode {
                    self.say(topology, &hard, impact.cause, slot, slot);
                }
                self.mode = mode;
                gap
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
    /// A gap that is long enough ends what was open. What comes after an impact is another question, which begins with
    /// the gap: dated back over it, a transient would take back what was confirmed before.
    fn mind_the_gap(&mut self, topology: &Topology, hard: &Court<'_>, reading: &Reading, slot: i64) -> Option<i64> {
        if reading.level != Level::Unknown {
            self.unknown_since = None;
            return None;
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
        if slot - since + 1 < topology.spans.clear {
            return None;
        }
        let before = std::mem::replace(&mut self.mode, Mode::Calm);
        matches!(before, Mode::Impact(_)).then_some(since)
    }

    /// An agent that has said nothing for a soft window, while others speak.
    fn silent(&self, topology: &Topology, raw: &[Doubt], slot: i64) -> bool {
        let others = raw.iter().any(|d| *d != Doubt::Silent);
        others && self.heard.iter().any(|&last| slot - last >= topology.spans.soft_window)
    }

    /// Follows what can be told in quiet time: the answer that fits now, and whether the one that was told still does.
    fn keep_calm(&mut self, topology: &Topology, (cause, stands, silent): (Cause, bool, bool), slot: i64) {
        if cause == self.calm.0 {
            self.turning = None;
            return;
        }
        let since = match (cause, self.turning) {
            (Cause::Healthy, _) if self.calm.0 == Cause::MinorDegradation => {
                slot + 1 - self.minor_stretch(topology, slot).1
            }
            (Cause::ZoneAbsorbed, _) => self.serving.zone_out(self.serving.active).map_or(slot, |(_, last)| last + 1),
            (_, Some((before, since))) if before == cause => since,
            (Cause::MinorDegradation, _) => slot + 1 - self.minor_stretch(topology, slot).0,
            (Cause::VantageFault, _) if silent && (self.calm.0 == Cause::Healthy || echo(self.calm.0)) => {
                let healthy_since = if self.calm.0 == Cause::Healthy { self.calm.1 } else { self.start };
                let long = self.heard.iter().filter(|&&last| slot - last >= topology.spans.soft_window);
                long.min().map_or(slot, |last| last + 1).max(healthy_since)
            }
            // Back to where it began, but not over what was told since.
            (Cause::SlowWithinObjective, _) if self.calm.0 == Cause::Healthy => {
                self.drift.since.unwrap_or(slot).max(self.calm.1)
            }
            _ => slot,
        };
        let over = if cause == Cause::MinorDegradation { self.minor_stretch(topology, slot).1 } else { 0 };
        let hold = calm::hold(cause, &topology.spans).saturating_add(over);
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
        if self.calm.0 != Cause::Healthy && !stands {
            self.calm = (Cause::Healthy, slot);
            self.relabel(slot, slot, |_, label| label.calm = Cause::Healthy);
        }
    }

    /// How many slots ago a small share of failures or slowness began, and for how many slots it has been over.
    fn minor_stretch(&self, topology: &Topology, slot: i64) -> (i64, i64) {
        let (policy, window) = (&topology.policy, topology.spans.soft_window);
        let [failed, slow] = [(false, policy.soft_share), (true, policy.slow_share)].map(|(slow, ratio)| {
            let series = self.newest_first(topology, &[], slow, window, slot);
            // Half of the ratio: each bad one counts twice.
            let twice = || series.iter().map(|&(bad, n)| (bad * 2, n));
            (worst_stretch(twice(), ratio), good_stretch(twice(), ratio))
        });
        (failed.0.max(slow.0).max(1), failed.1.min(slow.1))
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
            + self.drift.bytes()
            + run
    }
}

/// Causes that look at the regions themselves, and so echo an impact for as long as their windows take to empty.
const fn echo(cause: Cause) -> bool {
    use Cause::{ChainPartner, DiagnosticOnly, EndpointFault, MinorDegradation, SlowWithinObjective, StandbyDown};
    matches!(
        cause,
        StandbyDown | EndpointFault | DiagnosticOnly | ChainPartner | MinorDegradation | SlowWithinObjective
    )
}

fn is_entry(topology: &Topology, i: usize) -> bool {
    topology.entries[i % topology.targets.len()]
}
