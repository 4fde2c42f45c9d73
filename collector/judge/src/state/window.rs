//! What do the windows hold after this slot, and whose word counts in it?

use super::{Scratch, State, is_entry};
use crate::evidence::{Cell, Evidence};
use crate::share::Count;
use crate::topology::{EndpointIx, Topology};
use crate::trust::Doubt;

impl State {
    pub(super) fn take_in(&mut self, topology: &Topology, evidence: &Evidence, slot: i64, scratch: &mut Scratch) {
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
            self.pooled.push_back(sum);
        }
        let keep = usize::try_from(topology.spans.soft_window).unwrap_or(usize::MAX);
        while self.pooled.len() > keep.saturating_mul(topology.endpoints.len()) {
            self.pooled.pop_front();
        }
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
