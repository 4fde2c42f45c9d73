//! How is evidence judged once, and only what changed judged again?
//!
//! ```text
//!   checkpoints   |...........|.....|.....|.....|...
//!                             ^ x   late record x: go back to here, judge again from here
//!                                         ^ nothing would be judged otherwise any more: what was judged stands (`rejoin`)
//! ```
//!
//! Old checkpoints stand farther apart than new ones: within a sixteenth of their age. So those of a day take three times what
//! those of an hour and a half take, and what comes a day late costs the judging of up to three hours.

use crate::evidence::Evidence;
use crate::state::{Scratch, State};
use crate::topology::Topology;
use crate::trace::{Run, Trace};

pub(crate) use changed::Changed;
use passed::{Passed, Slots};

mod changed;
mod passed;
mod rejoin;
#[cfg(test)]
mod tests;

/// Least slots between checkpoints.
const EVERY: i64 = 32;

/// Twice as many of the newest checkpoints stand as close as they were made; from there on each second one is left, from twice
/// as far each fourth, and so on.
const CLOSE: i64 = 16;

/// Slots between checkpoints. A state grows with the slots that its windows hold, so longer windows have them farther
/// apart: what they take then grows with the time that is kept, not with its square.
fn every(topology: &Topology) -> i64 {
    (topology.spans.soft_window / 2).max(EVERY)
}

/// Whether a checkpoint is needed beside the newest one, with so many slots between those that are made.
fn stays(checkpoint: i64, newest: i64, every: i64, close: i64) -> bool {
    let number = checkpoint.div_euclid(every);
    let ages = (newest.div_euclid(every) - number) / close;
    number.rem_euclid(1 << ages.max(1).ilog2()) == 0
}

/// A state that can go back.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Checkpoint {
    state: State,
    runs: usize,
    notes: usize,
}

/// One pass over the evidence of a service.
#[derive(Debug, Clone)]
pub(crate) struct Scan {
    pub(crate) state: State,
    pub(crate) trace: Trace,
    checkpoints: Vec<Checkpoint>,
    /// How many of them stand close.
    close: i64,
    /// No checkpoints are made: nobody will go back.
    once: bool,
    /// What is remembered of each slot that was judged.
    slots: Slots,
    /// Entries of the trace that were dropped for age.
    dropped: (usize, usize),
    /// Slots that were judged, each as often as it was.
    judged: u64,
    scratch: Scratch,
}

impl Scan {
    pub(crate) fn new(topology: &Topology, start: i64) -> Self {
        let state = State::new(topology, start);
        let first = Checkpoint { state: state.clone(), runs: 0, notes: 0 };
        Self {
            state,
            trace: Trace::default(),
            checkpoints: vec![first],
            close: CLOSE,
            once: false,
            slots: Slots::new(topology.agents.len(), start),
            dropped: (0, 0),
            judged: 0,
            scratch: Scratch::default(),
        }
    }

    /// A pass over evidence that does not change any more.
    pub(crate) fn once(topology: &Topology, start: i64) -> Self {
        Self { once: true, ..Self::new(topology, start) }
    }

    /// Judges up to a slot, which is not judged itself.
    pub(crate) fn run_to(&mut self, topology: &Topology, evidence: &Evidence, end: i64) {
        while self.state.next < end {
            self.go_on(topology, evidence, end);
        }
    }

    /// Judges the next slot, or skips what says nothing. True where a checkpoint was made.
    fn go_on(&mut self, topology: &Topology, evidence: &Evidence, end: i64) -> bool {
        if self.state.is_void(topology) {
            let next = evidence.next_slot(self.state.next).unwrap_or(end).min(end);
            let next = evidence.next_switch(self.state.next).unwrap_or(next).min(next);
            let before = self.state.next;
            self.state.skip_to(topology, next);
            if self.state.next > before {
                self.slots.restart(self.state.next);
            }
            if self.state.next >= end {
                return false;
            }
        }
        self.judged += 1;
        let heard = self.state.step(topology, evidence, &mut self.trace, &mut self.scratch);
        if self.once {
            return false;
        }
        let passed = Passed {
            unsettled: self.state.unsettled_from(topology),
            rising: self.state.rising_since(topology),
            slower: self.state.slower_since(),
            active: heard.active,
        };
        self.slots.push(passed, heard.weights.into_iter());
        let here = self.state.next.rem_euclid(every(topology)) == 0;
        if here {
            self.state.simplify();
            self.checkpoints.push(Checkpoint {
                state: self.state.clone(),
                runs: self.trace.runs.len() + self.dropped.0,
                notes: self.trace.notes.len() + self.dropped.1,
            });
            self.thin_out(topology);
        }
        here
    }

    /// Forgets checkpoints that stand closer than they need to at their age. Which are left depends on nothing else. The oldest
    /// stays: nothing before it is known.
    fn thin_out(&mut self, topology: &Topology) {
        let Some(newest) = self.checkpoints.last().map(|c| c.state.next) else { return };
        let (every, close, mut is_oldest) = (every(topology), self.close, true);
        self.checkpoints.retain(|c| std::mem::take(&mut is_oldest) || stays(c.state.next, newest, every, close));
    }

    /// For how many slots at most a change of one is felt by those that are judged after it, or again because of it.
    pub(crate) fn felt_for(&self, topology: &Topology) -> i64 {
        every(topology).saturating_add(topology.reach()).saturating_add(topology.spans.soft_window).saturating_add(2)
    }

    /// Whether the checkpoint that is gone back to for a slot is no farther before it than checkpoints usually are. Where
    /// slots were skipped it may be.
    pub(crate) fn is_close_behind(&self, topology: &Topology, slot: i64) -> bool {
        let at = self.checkpoints.partition_point(|c| c.state.next <= slot);
        let apart = every(topology).max((self.state.next - slot) / self.close);
        slot >= self.state.next || (at > 0 && slot - self.checkpoints[at - 1].state.next <= apart)
    }

    /// The slot from which on it can judge again.
    pub(crate) fn oldest(&self) -> i64 {
        self.checkpoints[0].state.next
    }

    /// Forgets checkpoints that no slot from `slot` on needs, and all but the newest `keep` entries of the trace.
    /// Answers from where evidence is still needed, and from where it may still change.
    pub(crate) fn forget_before(&mut self, topology: &Topology, slot: i64, keep: usize) -> (i64, i64) {
        let at = self.checkpoints.partition_point(|c| c.state.next <= slot);
        self.checkpoints.drain(..at.saturating_sub(1));
        let oldest = &self.checkpoints[0];
        self.slots.drop_before(slot);
        let runs = self.trace.runs.len().saturating_sub(keep).min(oldest.runs.saturating_sub(self.dropped.0));
        let notes = self.trace.notes.len().saturating_sub(keep).min(oldest.notes.saturating_sub(self.dropped.1));
        self.trace.runs.drain(..runs);
        self.trace.notes.drain(..notes);
        self.dropped = (self.dropped.0 + runs, self.dropped.1 + notes);
        let window = topology.spans.soft_window.saturating_add(1);
        // The tail of the oldest checkpoint is counted again when it settles.
        let needed = oldest.state.tail_start(oldest.state.next).min(oldest.state.next.saturating_sub(window));
        // As long as nothing was forgotten, a record from before the first one may still come.
        if at <= 1 && oldest.state.next == oldest.state.start {
            (i64::MIN, i64::MIN)
        } else {
            (needed, oldest.state.next)
        }
    }

    /// With all evidence before `end` in: the first slot whose label may still change.
    pub(crate) fn settled_at(&self, end: i64) -> i64 {
        // The watermark is often ahead of the grace; what was not judged yet settles nothing.
        let end = end.min(self.state.next);
        self.slots.settled_after(end.saturating_sub(1)).unwrap_or_else(|| self.state.start.min(end))
    }

    /// Every run that is kept, up to the last slot that was judged.
    pub(crate) fn runs(&self, topology: &Topology, evidence: &Evidence) -> Vec<Run> {
        self.runs_since(topology, Some(evidence), i64::MIN)
    }

    /// The runs that end after a slot, and those before them that may belong to the same episode. Without evidence they
    /// say the same, but nothing is counted in them: that is enough to see whether there is anything new to say.
    pub(crate) fn runs_since(&self, topology: &Topology, evidence: Option<&Evidence>, slot: i64) -> Vec<Run> {
        let mut first = self.trace.runs.partition_point(|r| r.to <= slot);
        while first > 0 && self.trace.runs[first - 1].tells() {
            first -= 1;
        }
        let settled = &self.trace.runs[first..];
        let mut runs = if evidence.is_some() { settled.to_vec() } else { settled.iter().map(Run::bare).collect() };
        runs.extend(self.state.open_runs(topology, evidence));
        runs
    }

    /// Bytes that states, checkpoints and settled runs take, about.
    pub(crate) fn bytes(&self) -> usize {
        self.state.bytes() + self.bytes_to_go_back() + self.trace.runs.iter().map(Run::bytes).sum::<usize>()
    }

    /// Those that are only there so that it can go back.
    pub(crate) fn bytes_to_go_back(&self) -> usize {
        self.checkpoints.iter().map(|c| c.state.bytes()).sum::<usize>() + self.slots.bytes()
    }
}
