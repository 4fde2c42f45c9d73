//! What do the windows hold after this slot, and whose word counts in it?

use std::collections::VecDeque;

use super::{State, is_entry};
use crate::evidence::{Cell, Evidence};
use crate::share::Count;
use crate::topology::{EndpointIx, Topology};
use crate::trust::Doubt;

/// What users saw slot by slot, endpoint by endpoint, the newest last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Pooled {
    counts: VecDeque<Count>,
    /// How many of them hold a failure or a slow answer; nearly always none.
    hurt: usize,
}

impl Pooled {
    fn push(&mut self, count: Count) {
        self.hurt += usize::from(is_hurt(&count));
        self.counts.push_back(count);
    }

    /// Forgets the oldest, so that no more than so many are left.
    fn keep(&mut self, most: usize) {
        while self.counts.len() > most {
            let gone = self.counts.pop_front();
            self.hurt -= usize::from(gone.as_ref().is_some_and(is_hurt));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// The first at a place that suits, of those that hold a failure or a slow answer.
    pub(super) fn first_hurt(&self, suits: impl Fn(usize) -> bool) -> Option<usize> {
        if self.hurt == 0 {
            return None;
        }
        self.counts.iter().enumerate().position(|(i, count)| is_hurt(count) && suits(i))
    }
}

const fn is_hurt(count: &Count) -> bool {
    count.failed + count.slow > 0
}

impl State {
    /// Moves the windows on by one slot, whose row is handed in.
    pub(super) fn take_in(
        &mut self,
        topology: &Topology,
        evidence: &Evidence,
        slot: i64,
        row: &[Cell],
        old: &mut Vec<Cell>,
    ) {
        for (heard, seen) in self.heard.iter_mut().zip(row.chunks(topology.targets.len().max(1))) {
            if seen.iter().any(|c| c.is_measured()) {
                *heard = slot;
            }
        }
        self.serving.add(topology, slot, row);
        for hard in [true, false] {
            let window = if hard { topology.spans.hard_window } else { topology.spans.soft_window };
            let counts = if hard { &mut self.hard } else { &mut self.soft };
            let gone = slot - window;
            if gone < self.start {
                counts.iter_mut().zip(row).for_each(|(count, &cell)| count.add(cell));
                continue;
            }
            let left = evidence.read(gone, old);
            if gone >= self.entry_since {
                slide(counts, row, left);
            } else {
                let targets = topology.targets.len().max(1);
                for (i, count) in counts.iter_mut().enumerate() {
                    count.add(row[i]);
                    if !topology.entries[i % targets] {
                        count.sub(left[i]);
                    }
                }
            }
            if hard {
                self.serving.sub(topology, left);
            }
        }
    }

    /// Votes in halves, with the hold for those who were sick a moment ago.
    pub(super) fn trust(&mut self, topology: &Topology, raw: &[Doubt], slot: i64) -> Vec<u32> {
        for (v, doubt) in raw.iter().enumerate() {
            if doubt.is_sick() || (self.held_until[v] > slot && *doubt == Doubt::Suspect) {
                self.held_until[v] = slot + 1 + topology.spans.trust_hold;
            }
        }
        (0..raw.len()).map(|v| if self.held_until[v] > slot { 0 } else { raw[v].weight() }).collect()
    }

    /// What users saw in this slot, weighted by trust.
    pub(super) fn pool(&mut self, topology: &Topology, row: &[Cell], weights: &[u32]) {
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
            self.pooled.push(sum);
        }
        let keep = usize::try_from(topology.spans.soft_window).unwrap_or(usize::MAX);
        self.pooled.keep(keep.saturating_mul(topology.endpoints.len()));
    }

    /// Bad and measured per slot for some endpoints, newest first, not reaching back over a restart.
    pub(super) fn newest_first(
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
        let at = |back: usize, e: EndpointIx| self.pooled.counts[newest - (back + 1) * endpoints + e];
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

    /// Begins the windows of what users see anew.
    pub(super) fn restart(&mut self, topology: &Topology, evidence: &Evidence, from: i64, now: i64) {
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
}

/// Adds one row and takes out another. Where both count alike, which is nearly everywhere, the sum stays what it is.
fn slide(counts: &mut [Count], new: &[Cell], old: &[Cell]) {
    for ((count, &new), &old) in counts.iter_mut().zip(new).zip(old) {
        if !new.counts_like(old) {
            count.add(new);
            count.sub(old);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uitwijk_model::{Fault, Outcome, Unmeasured};

    use super::*;
    use crate::evidence::Place;

    fn any_cell() -> impl Strategy<Value = Cell> {
        let outcomes = [
            Some(Outcome::Up),
            Some(Outcome::Slow),
            Some(Outcome::Down(Fault::WaitTimeout)),
            Some(Outcome::Unmeasured(Unmeasured::Overload)),
            None,
        ];
        (proptest::sample::select(outcomes.to_vec()), 0u8..3)
            .prop_map(|(outcome, attempt)| outcome.map_or(Cell::EMPTY, |o| Cell::pack(o, attempt, Place::UNTOLD, None)))
    }

    proptest! {
        #[test]
        fn the_first_that_hurts_is_found_whatever_went(
            hurts in proptest::collection::vec((0..4u32, 0..2u32, 0..2u32), 0..40), most in 0usize..20, from in 0usize..30,
        ) {
            let mut pooled = Pooled::default();
            for (n, failed, slow) in hurts {
                pooled.push(Count { n, failed, slow });
                pooled.keep(most);
            }
            let is_one = |(i, c): (usize, &Count)| i >= from && c.failed + c.slow > 0;
            prop_assert_eq!(pooled.first_hurt(|i| i >= from), pooled.counts.iter().enumerate().position(is_one));
            prop_assert_eq!(pooled.hurt, pooled.counts.iter().filter(|c| is_hurt(c)).count());
            prop_assert!(pooled.len() <= most);
        }

        #[test]
        fn sliding_is_adding_and_taking_out(
            cells in proptest::collection::vec((any_cell(), any_cell(), 0u32..4, 0u32..4, 0u32..4), 1..40),
        ) {
            let (new, old): (Vec<Cell>, Vec<Cell>) = cells.iter().map(|c| (c.0, c.1)).unzip();
            let before: Vec<Count> =
                cells.iter().map(|&(_, _, n, failed, slow)| Count { n, failed, slow }).collect();
            let (mut slid, mut summed) = (before.clone(), before);
            slide(&mut slid, &new, &old);
            for (i, count) in summed.iter_mut().enumerate() {
                count.add(new[i]);
                count.sub(old[i]);
            }
            prop_assert_eq!(slid, summed);
        }
    }
}
