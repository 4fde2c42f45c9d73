//! When do two pasts have the same future, and what of the one holds after the other?
//!
//! ```text
//!   before, without a late record    ----------c=====k=====>      judged after it: the windows, the mode, the tail
//!   now, with it                     ---x------c                  are alike again at c, so k and all after it stand,
//!                                                                 but for what is summed since the beginning
//! ```
//!
//! Two things reach farther back than any window. The sums of row hashes differ by the same amount from here on. What is
//! usual for answers is learned over a day; that is followed by itself, which is cheap, and what was judged stands for as
//! long as it tells the judge the same.

use super::State;
use super::drift::Drift;
use crate::evidence::{Cell, Evidence};
use crate::topology::{RegionIx, Topology};
use crate::trace::Run;

impl State {
    /// Whether the same evidence from here on leads to the same labels, if the drift of the answers tells the same.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        // Taken apart, so that nothing new is left out.
        let Self {
            next,
            start,
            hard,
            soft,
            entry_since,
            serving,
            steered,
            abandoned,
            held_until,
            heard,
            pooled,
            drift: _,
            mode,
            watched,
            reported,
            settling_until,
            unknown_since,
            calm,
            turning,
            tail,
            doubts,
            sums,
            run,
        } = self;
        let run = match (run, &other.run) {
            (Some(run), Some(other)) => run.is_like(other),
            (None, None) => true,
            _ => false,
        };
        let dates = (*next, *start, *entry_since, *settling_until, *unknown_since, *calm, *turning);
        let o = other;
        dates == (o.next, o.start, o.entry_since, o.settling_until, o.unknown_since, o.calm, o.turning)
            && (steered, abandoned) == (&other.steered, &other.abandoned)
            && (mode, watched, reported) == (&other.mode, &other.watched, &other.reported)
            && (hard, soft, heard) == (&other.hard, &other.soft, &other.heard)
            && (serving, pooled) == (&other.serving, &other.pooled)
            && (tail, doubts) == (&other.tail, &other.doubts)
            && held_until == &other.held_until
            && (run && sums.len() == other.sums.len())
    }

    /// Lets go of what makes no difference any more, so that pasts with the same future look the same.
    pub(crate) fn simplify(&mut self) {
        self.serving.count_anew();
        for until in self.held_until.iter_mut().filter(|until| **until <= self.next) {
            *until = self.start;
        }
    }
}

/// What was judged after a slot, and holds after another past as well.
pub(crate) struct Carried<'a> {
    /// The state that is there now, in whose place another was before.
    now: &'a State,
    /// By how much the sums are more now.
    more: u128,
}

impl<'a> Carried<'a> {
    pub(crate) fn new(now: &'a State, before: &State) -> Self {
        let sum = |state: &State| state.sums.back().copied().unwrap_or(0);
        Self { now, more: sum(now).wrapping_sub(sum(before)) }
    }

    /// What was summed up to a slot, if it was so much before.
    fn sum(&self, slot: i64, before: u128) -> u128 {
        if slot < self.now.next { self.now.sum_at(slot) } else { before.wrapping_add(self.more) }
    }

    /// A run that ends later.
    pub(crate) fn run(&self, topology: &Topology, mut run: Run) -> Run {
        run.sum_before = match &self.now.run {
            Some(now) if now.from == run.from => now.sum_before,
            _ => self.sum(run.from - topology.spans.soft_window - 1, run.sum_before),
        };
        run.sum = self.sum(run.to - 1, run.sum);
        run
    }

    /// A later state, with the drift that was followed up to there if it differs.
    pub(crate) fn state(&self, topology: &Topology, mut state: State, drift: Option<&Following>) -> State {
        let first = state.next - i64::try_from(state.sums.len()).unwrap_or(0);
        for (slot, sum) in (first..).zip(&mut state.sums) {
            *sum = self.sum(slot, *sum);
        }
        state.run = state.run.map(|run| self.run(topology, run));
        if let Some(Following { drift, .. }) = drift {
            state.drift.clone_from(drift);
        }
        state
    }
}

/// The drift of the answers, followed by itself through slots whose votes are known.
#[derive(Debug)]
pub(crate) struct Following {
    drift: Drift,
    row: Vec<Cell>,
}

impl Following {
    pub(crate) fn of(state: &State) -> Self {
        Self { drift: state.drift.clone(), row: Vec::new() }
    }

    /// Whether it is what it is in another state after the same slot, and will stay so.
    pub(crate) fn is_as_in(&self, state: &State) -> bool {
        self.drift == state.drift
    }

    /// Follows one slot. Answers since when answers are slower, and where rising ones could be dated back to.
    pub(crate) fn add(
        &mut self,
        topology: &Topology,
        evidence: &Evidence,
        slot: i64,
        (weights, active): (&[u32], RegionIx),
    ) -> (Option<i64>, Option<i64>) {
        let row = evidence.read(slot, &mut self.row);
        self.drift.add(topology, slot, row, weights, active);
        (self.drift.since, self.drift.rising_since(topology, slot + 1))
    }
}
