//! Whose clock is wrong, and by how much?
//!
//! ```text
//!   agent's clock      started -------- finished
//!   collector's clock                      | arrived?     finished > arrived: the agent's clock leads, at least so much
//! ```
//!
//! A record cannot arrive before it exists, so one that seems to proves a lead. A lag cannot be proven one way; agents
//! measure their offset against the collector two ways and ship it, and that value is believed before the proof.
//! Both are kept per agent and stretch (one hard window) by rules that do not depend on the order of arrival, and are
//! applied when the evidence is read, so that a proof that comes late moves what came before it.
//! Only whole slots matter to the judge: an offset moves an agent's samples by the nearest number of them.

use std::collections::{BTreeMap, BTreeSet};

use uitwijk_model::{Elapsed, WallTime};

use crate::topology::{AgentIx, Topology};

/// A clock that is further off is not corrected: its records cannot be told from those of another hour.
const FARTHEST_US: i64 = 3_600_000_000;

/// One stretch of one agent: the greatest lead that was proven, and the last offset that was measured.
#[derive(Debug, Clone, Copy, Default)]
struct Stretch {
    proven: i64,
    measured: Option<(i64, i64)>,
}

/// Offsets of all agents' clocks over time. Agents whose clock was always right take no room.
#[derive(Debug, Clone)]
pub(crate) struct Leads {
    slot_us: i64,
    stretch: i64,
    correct_us: i64,
    agents: Vec<BTreeMap<i64, Stretch>>,
    /// Per agent: every shift that its samples may have, each once, in order; 0 is always one.
    shifts: Vec<Vec<i64>>,
    widest: i64,
}

impl Leads {
    pub(crate) fn new(topology: &Topology) -> Self {
        let micros = |ms: u64| i64::try_from(ms.saturating_mul(1000)).unwrap_or(i64::MAX);
        Self {
            slot_us: micros(topology.slot.millis().0),
            stretch: topology.spans.hard_window,
            correct_us: micros(topology.policy.clock_correct.0).max(1),
            agents: vec![BTreeMap::new(); topology.agents.len()],
            shifts: vec![vec![0]; topology.agents.len()],
            widest: 0,
        }
    }

    /// Learns from one record; answers the first slot whose samples moved, if any did.
    pub(crate) fn observe(
        &mut self,
        v: AgentIx,
        slot: i64,
        started: WallTime,
        total: Option<Elapsed>,
        arrived: WallTime,
        offset: Option<i64>,
    ) -> Option<i64> {
        let total = i64::try_from(total.unwrap_or_default().as_micros()).unwrap_or(i64::MAX);
        let lead = started.micros_since(arrived).saturating_add(total);
        let proven = if (self.correct_us..=FARTHEST_US).contains(&lead) { lead } else { 0 };
        let wrong = |o: &i64| (self.correct_us..=FARTHEST_US).contains(&o.saturating_abs());
        let measured = offset.filter(wrong);
        if proven == 0 && measured.is_none() {
            return None;
        }
        let bucket = slot.div_euclid(self.stretch);
        let near = |leads: &Self| {
            let slots = [-1, 0, 1].map(|n| (bucket + n).saturating_mul(leads.stretch));
            slots.map(|slot| (leads.shift(v, slot), leads.seconds(v, slot)))
        };
        let (before, widest) = (near(self), self.widest);
        let entry = self.agents[v].entry(bucket).or_default();
        entry.proven = entry.proven.max(proven);
        entry.measured = entry.measured.max(measured.map(|o| (slot, o)));
        if near(self) == before {
            return None;
        }
        self.recount(v);
        // From here on samples were, or are now, taken for another slot.
        let first = (bucket - 1).saturating_mul(self.stretch);
        Some(first.saturating_sub(widest.max(self.widest)))
    }

    /// Finds the shifts of an agent anew.
    fn recount(&mut self, v: AgentIx) {
        let mut all = BTreeSet::from([0]);
        for &bucket in self.agents[v].keys() {
            for near in [-1, 0, 1] {
                all.insert(self.shift(v, bucket.saturating_add(near).saturating_mul(self.stretch)));
            }
        }
        self.shifts[v] = all.into_iter().collect();
        self.widest = self.shifts.iter().flatten().copied().map(i64::saturating_abs).max().unwrap_or(0);
    }

    /// Whether any clock was ever wrong.
    pub(crate) const fn any(&self) -> bool {
        self.widest > 0
    }

    /// Lead of an agent's clock at a slot of its own, microseconds.
    pub(crate) fn lead(&self, v: AgentIx, slot: i64) -> i64 {
        let Some(map) = self.agents.get(v).filter(|m| !m.is_empty()) else { return 0 };
        let bucket = slot.div_euclid(self.stretch);
        let near = map.range(bucket.saturating_sub(1)..=bucket.saturating_add(1));
        let (mut proven, mut measured) = (0, None);
        for (_, s) in near {
            proven = proven.max(s.proven);
            measured = measured.max(s.measured);
        }
        measured.map_or(proven, |(_, offset)| offset)
    }

    /// Whether any clock was ever found wrong, be it by less than a slot.
    pub(crate) fn any_off(&self) -> bool {
        self.agents.iter().any(|stretches| !stretches.is_empty())
    }

    /// The same lead in whole seconds, as it is told.
    pub(crate) fn seconds(&self, v: AgentIx, slot: i64) -> i64 {
        self.lead(v, slot).saturating_add(500_000).div_euclid(1_000_000)
    }

    /// How far an agent's clock was off for the samples that are read at a slot of true time, in whole seconds: the
    /// farthest, where the clock stepped and samples of several slots of its own meet.
    pub(crate) fn seconds_at(&self, v: AgentIx, slot: i64) -> i64 {
        let shifts = self.shifts[v].iter().copied();
        let own =
            shifts.map(|shift| (shift, slot.saturating_add(shift))).filter(|&(shift, at)| self.shift(v, at) == shift);
        own.map(|(_, at)| self.seconds(v, at)).max_by_key(|s| (s.unsigned_abs(), *s)).unwrap_or(0)
    }

    /// By how many slots an agent's samples at a slot of its own must go back.
    pub(crate) fn shift(&self, v: AgentIx, slot: i64) -> i64 {
        let lead = self.lead(v, slot);
        lead.saturating_add(self.slot_us / 2).div_euclid(self.slot_us)
    }

    /// Whether a slot can have begun when its record arrived, by any clock that could be put right.
    pub(crate) const fn can_be(&self, slot: i64, arrived: WallTime) -> bool {
        WallTime::from_micros(slot.saturating_mul(self.slot_us)).micros_since(arrived) <= FARTHEST_US
    }

    /// Every shift that an agent's samples may have.
    pub(crate) fn shifts(&self, v: AgentIx) -> &[i64] {
        &self.shifts[v]
    }

    /// The slots of true time, from the first to the last, that a slot of an agent may land in.
    pub(crate) fn landing(&self, v: AgentIx, slot: i64) -> (i64, i64) {
        let there = if self.any() { slot.saturating_sub(self.shift(v, slot)) } else { slot };
        (there.min(slot), there.max(slot))
    }

    /// The widest shift in either direction.
    pub(crate) const fn widest(&self) -> i64 {
        self.widest
    }

    pub(crate) fn drop_before(&mut self, slot: i64) {
        let first = slot.div_euclid(self.stretch).saturating_sub(2);
        for map in &mut self.agents {
            if !map.is_empty() {
                *map = map.split_off(&first);
            }
        }
        for v in 0..self.agents.len() {
            if self.shifts[v].len() > 1 {
                self.recount(v);
            }
        }
    }

    pub(crate) fn moved(&self, old: &Topology, new: &Topology) -> Self {
        let mut moved = Self::new(new);
        for (a, map) in old.agents.iter().zip(&self.agents) {
            if let Some(v) = new.agent(&a.id) {
                moved.agents[v].clone_from(map);
                moved.recount(v);
            }
        }
        moved
    }
}
