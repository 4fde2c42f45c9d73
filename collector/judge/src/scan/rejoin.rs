//! From where on does what was judged before still stand?
//!
//! ```text
//!   before    ----c----c----c----c----c----c----c---->|
//!   now           c-x--c----c~~~~~~~~~~~~~~~~~~~~~~~~>|   x changed; judged again to the first checkpoint at which the
//!                           ^ alike                        state is as it was; from there only the drift is followed
//! ```
//!
//! Without this, each record that is hours late costs the judging of all slots since. What is carried over is the same to
//! the byte as what judging again would give; a law says so.

use std::collections::VecDeque;

use super::passed::Slots;
use super::{Checkpoint, Scan};
use crate::evidence::Evidence;
use crate::state::{Carried, Following, State};
use crate::topology::Topology;
use crate::trace::{Note, Run};

/// What was judged after the slot that is gone back to.
#[derive(Debug)]
struct Later {
    state: State,
    checkpoints: VecDeque<Checkpoint>,
    slots: Slots,
    runs: VecDeque<Run>,
    notes: VecDeque<Note>,
    /// Entries of the trace, from its beginning, before those that are left here.
    before: (usize, usize),
}

impl Later {
    /// Lets go of what lies before a checkpoint at a slot. False when there was none.
    fn drop_to(&mut self, slot: i64) -> bool {
        while self.checkpoints.front().is_some_and(|c| c.state.next < slot) {
            self.checkpoints.pop_front();
        }
        let Some(here) = self.checkpoints.front().filter(|c| c.state.next == slot) else { return false };
        let (runs, notes) = (here.runs.saturating_sub(self.before.0), here.notes.saturating_sub(self.before.1));
        self.runs.drain(..runs.min(self.runs.len()));
        self.notes.drain(..notes.min(self.notes.len()));
        self.before = (here.runs, here.notes);
        true
    }

    /// Whether a run that counts what it rests on has counted any of some slots.
    fn has_counted(&self, slots: Option<(i64, i64)>) -> bool {
        let Some((from, to)) = slots else { return false };
        let runs = self.runs.iter().chain(&self.state.run);
        runs.filter(|run| run.tells()).any(|run| run.from <= to && from < run.to)
    }
}

impl Scan {
    /// Judges again what stretches of changed slots, in the order of where they begin, change before `end`.
    pub(crate) fn judge_again(
        &mut self,
        topology: &Topology,
        evidence: &Evidence,
        mut changed: VecDeque<(i64, i64)>,
        end: i64,
    ) {
        let Some(&(first, _)) = changed.front().filter(|(first, _)| *first < self.state.next) else { return };
        let mut later = self.back_to(first);
        // From where to where slots changed, since the last of what was judged before was carried over.
        let mut again: Option<(i64, i64)> = None;
        while self.state.next < end && self.state.next < later.state.next && later.state.next <= end {
            let at_checkpoint = self.go_on(topology, evidence, end);
            while let Some(&(from, to)) = changed.front().filter(|(from, _)| *from < self.state.next) {
                again = Some(again.map_or((from, to), |(first, last)| (first.min(from), last.max(to))));
                changed.pop_front();
            }
            // What changed must lie behind all windows: two rows may count alike and still be told apart later, by who
            // answered or what failed. Nothing reads farther back but the counts of labels.
            let window = topology.spans.soft_window;
            let behind = again.is_none_or(|(_, last)| last.saturating_add(window) < self.state.next);
            if !at_checkpoint || !behind || !later.drop_to(self.state.next) {
                continue;
            }
            let is_like = later.checkpoints.front().is_some_and(|c| self.state.is_like(&c.state));
            if is_like && !later.has_counted(again) {
                let until = changed.front().map_or(i64::MAX, |&(from, _)| from);
                let here = self.state.next;
                self.rejoin(topology, evidence, &mut later, until);
                again = again.filter(|_| self.state.next == here);
            }
        }
        self.thin_out(topology);
    }

    /// Goes back so that a slot is judged again, to the newest checkpoint before it, or to the oldest there is. Answers
    /// what is there behind it.
    fn back_to(&mut self, slot: i64) -> Later {
        let at = self.checkpoints.partition_point(|c| c.state.next <= slot).max(1);
        let checkpoints = self.checkpoints.split_off(at).into();
        let last = &self.checkpoints[self.checkpoints.len() - 1];
        let state = std::mem::replace(&mut self.state, last.state.clone());
        let (runs, notes) = (last.runs.saturating_sub(self.dropped.0), last.notes.saturating_sub(self.dropped.1));
        let runs = self.trace.runs.split_off(runs.min(self.trace.runs.len()));
        let notes = self.trace.notes.split_off(notes.min(self.trace.notes.len()));
        Later {
            slots: self.slots.split_off(self.state.next),
            state,
            checkpoints,
            runs: runs.into(),
            notes: notes.into(),
            before: (self.dropped.0 + self.trace.runs.len(), self.dropped.1 + self.trace.notes.len()),
        }
    }

    /// At a checkpoint where the state is as it was: carries over what was judged after it, as far as the drift of the
    /// answers tells the same and to no checkpoint after a slot that changed.
    fn rejoin(&mut self, topology: &Topology, evidence: &Evidence, later: &mut Later, until: i64) {
        let Some(here) = later.checkpoints.pop_front() else { return };
        let now = self.state.clone();
        let carried = Carried::new(&now, &here.state);
        let mut drift = Following::of(&now);
        let is_same = drift.is_as_in(&here.state);
        let mut votes = Vec::new();
        let mut passed = self.slots.empty_from(now.next);
        let end = later.state.next;
        for slot in now.next..end.min(until) {
            // Where slots were skipped, those before were not judged one by one.
            let Some(mut was) = later.slots.get(slot, &mut votes) else { return };
            if !is_same {
                let (slower, rising) = drift.add(topology, evidence, slot, (&votes, was.active));
                if slower != was.slower {
                    return;
                }
                was.rising = rising;
            }
            passed.push(was, votes.iter().copied());
            if later.checkpoints.front().is_some_and(|c| c.state.next == slot + 1) {
                let Some(there) = later.checkpoints.pop_front() else { return };
                self.slots.append(&mut passed);
                self.carry_trace(topology, &carried, later, (there.runs, there.notes));
                self.state = carried.state(topology, there.state, (!is_same).then_some(&drift));
                self.checkpoints.push(Checkpoint {
                    state: self.state.clone(),
                    runs: self.trace.runs.len() + self.dropped.0,
                    notes: self.trace.notes.len() + self.dropped.1,
                });
            }
        }
        if until >= end {
            self.slots.append(&mut passed);
            self.carry_trace(topology, &carried, later, (usize::MAX, usize::MAX));
            self.state = carried.state(topology, later.state.clone(), (!is_same).then_some(&drift));
        }
    }

    /// Carries over runs and notes up to some of those that were there.
    fn carry_trace(&mut self, topology: &Topology, carried: &Carried<'_>, later: &mut Later, to: (usize, usize)) {
        let runs = to.0.saturating_sub(later.before.0).min(later.runs.len());
        let notes = to.1.saturating_sub(later.before.1).min(later.notes.len());
        self.trace.runs.extend(later.runs.drain(..runs).map(|run| carried.run(topology, run)));
        self.trace.notes.extend(later.notes.drain(..notes));
        later.before = (later.before.0 + runs, later.before.1 + notes);
    }
}
