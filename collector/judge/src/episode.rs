//! Which stretches are worth a verdict, and was there a switch when there should have been one?
//!
//! ```text
//!   runs      healthy | region_degraded | region_down | healthy | vantage_fault | healthy
//!   episodes          |          needed, missed        |         |  not_needed   |
//! ```
//!
//! Adjacent runs that say the same need about the same region are one episode; what needs no failover is told apart by
//! cause. A switch belongs to the needed stretch that it ended, or followed within the grace; if there is none it was
//! unnecessary, and that is an episode too, even when all was well.

use crate::share::Count;
use crate::topology::{RegionIx, Topology};
use crate::trace::{Note, NoteKind, Run, farthest};
use crate::trust::Doubt;
use crate::verdict::{Cause, Execution, Need};

/// A stretch worth a verdict, in slots and indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Episode {
    pub(crate) from: i64,
    /// The first slot after it; while it is open, the first slot that was not judged.
    pub(crate) to: i64,
    pub(crate) open: bool,
    pub(crate) cause: Cause,
    pub(crate) execution: Execution,
    pub(crate) active: RegionIx,
    /// The zone that fell out.
    pub(crate) zone: Option<usize>,
    /// The switch that it was crossed with.
    pub(crate) switch: Option<(i64, RegionIx)>,
    /// Switches that were reported around it: slot, from, to, and the region that answered instead.
    pub(crate) reports: Vec<(i64, RegionIx, RegionIx, Option<RegionIx>)>,
    /// When it was certain that users were hurt for long enough.
    pub(crate) confirmed: Option<(i64, bool)>,
    /// Its causes in order, with the slot that each began at.
    pub(crate) causes: Vec<(i64, Cause)>,
    pub(crate) counts: Vec<Count>,
    pub(crate) doubts: Vec<[u32; Doubt::COUNT]>,
    /// By how many seconds the clock of each agent was ahead at most; empty when all were right.
    pub(crate) clocks: Vec<i64>,
    pub(crate) sum_before: u128,
    pub(crate) sum: u128,
}

impl Episode {
    fn begin(run: &Run) -> Self {
        Self {
            from: run.from,
            to: run.to,
            open: false,
            cause: run.cause,
            execution: Execution::None,
            active: run.active,
            zone: run.zone,
            switch: None,
            reports: Vec::new(),
            confirmed: None,
            causes: vec![(run.from, run.cause)],
            counts: run.counts.clone(),
            doubts: run.doubts.clone(),
            clocks: run.clocks.clone(),
            sum_before: run.sum_before,
            sum: run.sum,
        }
    }

    pub(crate) const fn need(&self) -> Need {
        self.cause.need()
    }

    /// Whether a run tells the same story.
    fn continues(&self, run: &Run) -> bool {
        let same = match run.cause.need() {
            Need::NotNeeded => run.cause == self.cause,
            need => need == self.need(),
        };
        same && run.from == self.to && run.active == self.active && run.cause != Cause::Healthy && !run.quiet
    }

    fn extend(&mut self, run: &Run) {
        for (sum, count) in self.counts.iter_mut().zip(&run.counts) {
            sum.plus(*count, 1);
        }
        for (sum, slots) in self.doubts.iter_mut().zip(&run.doubts) {
            sum.iter_mut().zip(slots).for_each(|(s, n)| *s = s.saturating_add(*n));
        }
        farthest(&mut self.clocks, &run.clocks);
        if self.causes.last().is_none_or(|(_, cause)| *cause != run.cause) {
            self.causes.push((run.from, run.cause));
        }
        (self.to, self.sum) = (run.to, run.sum);
    }

    /// The cause that held for most slots; of equals the first in the order of causes.
    fn settle_cause(&mut self) {
        let end = self.to;
        let ends = self.causes.iter().skip(1).map(|(from, _)| *from).chain([end]);
        let mut slots: Vec<(Cause, i64)> = Vec::new();
        for ((from, cause), to) in self.causes.iter().zip(ends) {
            match slots.iter_mut().find(|(c, _)| c == cause) {
                Some((_, n)) => *n += to - from,
                None => slots.push((*cause, to - from)),
            }
        }
        slots.sort_by_key(|&(cause, n)| (std::cmp::Reverse(n), cause));
        self.cause = slots.first().map_or(self.cause, |(cause, _)| *cause);
    }
}

/// All episodes of some runs, in order.
pub(crate) fn episodes(topology: &Topology, runs: &[Run], notes: &[Note], end: i64) -> Vec<Episode> {
    let mut all: Vec<Episode> = Vec::new();
    for run in runs.iter().filter(|r| r.tells()) {
        match all.last_mut() {
            Some(last) if last.continues(run) => last.extend(run),
            _ => all.push(Episode::begin(run)),
        }
    }
    for e in &mut all {
        e.settle_cause();
        e.open = e.to == end && e.cause != Cause::Healthy;
        let within = |n: &&Note| e.from <= n.slot && n.slot < e.to;
        e.confirmed = notes.iter().filter(within).find_map(|n| match n.kind {
            NoteKind::Confirmed { hard } => Some((n.known, hard)),
            _ => None,
        });
    }
    cross(topology, &mut all, notes);
    report(topology, &mut all, notes);
    all.retain(|e| e.cause != Cause::Healthy || e.execution != Execution::None);
    all
}

/// The region that answered though a switch was reported, if one did.
fn refuted(notes: &[Note], switch: &Note) -> Option<RegionIx> {
    notes.iter().find_map(|n| match n.kind {
        NoteKind::Refuted { told } if n.slot == switch.slot => Some(told),
        _ => None,
    })
}

/// Tells each episode which switches were reported in it or just around it.
fn report(topology: &Topology, all: &mut [Episode], notes: &[Note]) {
    let grace = topology.spans.switch_grace;
    for note in notes {
        let NoteKind::Reported { from, to } = note.kind else { continue };
        let near =
            |e: &&mut Episode| e.from <= note.slot.saturating_add(grace) && note.slot <= e.to.saturating_add(grace);
        for e in all.iter_mut().filter(near) {
            e.reports.push((note.slot, from, to, refuted(notes, note)));
        }
    }
}

/// Crosses what was needed with what was done.
fn cross(topology: &Topology, all: &mut [Episode], notes: &[Note]) {
    let grace = topology.spans.switch_grace;
    for e in all.iter_mut().filter(|e| e.need() == Need::Needed) {
        e.execution = Execution::Missed;
    }
    for note in notes {
        let NoteKind::Switched { from, to } = note.kind else { continue };
        let slot = note.slot;
        if refuted(notes, note).is_some() {
            continue;
        }
        let needed = |e: &Episode| {
            e.need() == Need::Needed && e.active == from && e.from < slot && slot <= e.to.saturating_add(grace)
        };
        let idle = |e: &Episode| {
            e.need() != Need::Needed && e.cause != Cause::Healthy && e.active == from && e.from < slot && slot <= e.to
        };
        let healthy = |e: &Episode| e.cause == Cause::Healthy && e.from <= slot && slot < e.to;
        let landing = |e: &Episode| e.need() != Need::Needed && e.active == to && e.from <= slot && slot < e.to;
        let execution = |e: &Episode| match e.need() {
            Need::Needed => Execution::Executed,
            _ => Execution::Unnecessary,
        };
        let wanted: [&dyn Fn(&Episode) -> bool; 4] = [&needed, &idle, &healthy, &landing];
        let found = wanted.iter().find_map(|test| all.iter().position(test));
        if let Some(e) = found.and_then(|i| all.get_mut(i)) {
            e.execution = execution(e);
            e.switch = Some((slot, to));
        }
    }
}
