//! What is known: which vantage saw what of which target in which slot?
//!
//! ```text
//!   (agent, target, slot, attempt) ---> one cell per (agent, target, slot)
//!
//!              NL    IE    public  idp   ctl-a
//!   nl-1       up    up    up      up    up        slot 177243840
//!   nl-2       down  up    down    up    up
//!   ie-1       .     .     .       .     .         silent: never a vote
//! ```
//!
//! A cell is one number whose order is the order of precedence, and putting a sample in keeps the least. So the matrix
//! is a union: repeats, order and splits of arrival cannot matter. The first attempt of a slot is the observation;
//! retries only stand in when it could not be measured. A retry that succeeds is good news for the retrier, but a user
//! does not retry, and counting it would make the share of failures depend on how eager the agent is.

use std::collections::BTreeSet;

use uitwijk_model::{Measurement, Region, WallTime};

pub use crate::cell::{Cell, Place};
use crate::chunks::Chunks;
use crate::clock::Leads;
pub use crate::sample::{Numbered, Sample};
use crate::topology::{AgentIx, RegionIx, TargetIx, Topology};

/// A switch that somebody reported: who serves, since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// When it was done, collector's clock.
    pub at: WallTime,
    /// The region that was left.
    pub from: Region,
    /// The region that serves since.
    pub to: Region,
}

/// Slots beyond this, either way, lie outside the time that can be named.
const SLOT_MAX: u64 = i64::MAX.unsigned_abs() / 100_000;

/// What became of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The evidence changed in these slots, both ends included.
    Changed {
        /// The first.
        from: i64,
        /// The last, the end of time where a clock turned out to be wrong.
        to: i64,
    },
    /// It was known, or another attempt of the same slot stands before it.
    Known,
    /// No enrolled agent, a target that this service does not rest on, or a slot more than an hour after its record
    /// arrived: such would never be forgotten.
    Foreign,
    /// Older than what is still kept.
    TooLate,
}

/// The evidence matrix of one service.
#[derive(Debug, Clone)]
pub struct Evidence {
    agents: usize,
    targets: usize,
    /// Samples of slots below are not taken in any more.
    floor: i64,
    chunks: Chunks,
    leads: Leads,
    /// What a slot looks like that nobody told anything of.
    silent: Box<[Cell]>,
    /// Switches that were reported: slot, from, to.
    switches: BTreeSet<(i64, RegionIx, RegionIx)>,
}

impl Evidence {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(topology: &Topology) -> Self {
        let (agents, targets) = (topology.agents.len(), topology.targets.len());
        Self {
            agents,
            targets,
            floor: i64::MIN,
            chunks: Chunks::new(agents * targets),
            leads: Leads::new(topology),
            silent: vec![Cell::EMPTY; agents * targets].into_boxed_slice(),
            switches: BTreeSet::new(),
        }
    }

    /// Adds a sample.
    pub fn add(&mut self, topology: &Topology, sample: &Sample) -> Taken {
        Numbered::of(topology, sample).map_or(Taken::Foreign, |sample| self.add_numbered(&sample))
    }

    /// Adds a measurement of an agent.
    pub fn add_measurement(&mut self, topology: &Topology, v: AgentIx, m: &Measurement, arrived: WallTime) -> Taken {
        Numbered::of_measurement(topology, v, m, arrived).map_or(Taken::Foreign, |sample| self.add_numbered(&sample))
    }

    /// Adds a sample whose names were looked up before, in the topology that this evidence is of.
    pub fn add_numbered(&mut self, sample: &Numbered) -> Taken {
        let (v, slot) = (sample.agent, sample.slot.0);
        if v >= self.agents || sample.target >= self.targets || slot.unsigned_abs() > SLOT_MAX {
            return Taken::Foreign;
        }
        if !self.leads.can_be(slot, sample.arrived) {
            return Taken::Foreign;
        }
        if slot < self.floor {
            return Taken::TooLate;
        }
        let moved = self.leads.observe(v, slot, sample.started, sample.total, sample.arrived, sample.clock_offset_us);
        let cell = Cell::pack(sample.outcome, sample.attempt, sample.served, sample.total);
        let known = &mut self.chunks.row_mut(slot)[v * self.targets + sample.target];
        let changed = cell < *known;
        if changed {
            *known = cell;
        }
        let here = changed.then(|| self.leads.landing(v, slot));
        match (here, moved) {
            (here, Some(first)) => Taken::Changed { from: here.map_or(first, |(a, _)| a.min(first)), to: i64::MAX },
            (Some((from, to)), None) => Taken::Changed { from, to },
            (None, None) => Taken::Known,
        }
    }

    /// Adds a switch that somebody reported to have made.
    pub fn add_switch(&mut self, topology: &Topology, switch: &Switch) -> Taken {
        let slot = topology.slot.slot_of(switch.at).0;
        let (Some(from), Some(to)) = (topology.region(&switch.from), topology.region(&switch.to)) else {
            return Taken::Foreign;
        };
        if slot.unsigned_abs() > SLOT_MAX || !topology.deployed.contains(&to) {
            return Taken::Foreign;
        }
        if slot < self.floor {
            return Taken::TooLate;
        }
        let is_new = self.switches.insert((slot, from, to));
        if is_new { Taken::Changed { from: slot, to: slot } } else { Taken::Known }
    }

    /// The switch that was reported in a slot, from where to where; of several the last by name.
    pub(crate) fn switch_in(&self, slot: i64) -> Option<(RegionIx, RegionIx)> {
        self.switches.range((slot, 0, 0)..=(slot, usize::MAX, usize::MAX)).next_back().map(|&(_, from, to)| (from, to))
    }

    /// The slot of the first switch that was reported from a slot on.
    pub(crate) fn next_switch(&self, slot: i64) -> Option<i64> {
        self.switches.range((slot, 0, 0)..).next().map(|&(at, ..)| at)
    }

    /// What an agent saw of a target in a slot of its own clock.
    #[must_use]
    pub fn cell(&self, slot: i64, v: AgentIx, t: TargetIx) -> Cell {
        self.chunks.row(slot).and_then(|row| row.get(v * self.targets + t)).copied().unwrap_or(Cell::EMPTY)
    }

    /// What every agent saw in a slot of true time: agent by agent, target by target.
    pub fn row(&self, slot: i64, row: &mut Vec<Cell>) {
        let mut buffer = Vec::new();
        row.clear();
        row.extend_from_slice(self.read(slot, &mut buffer));
    }

    /// The same; the buffer is only used when some clock was ever wrong, because then a row is put together from several.
    pub(crate) fn read<'a>(&'a self, slot: i64, buffer: &'a mut Vec<Cell>) -> &'a [Cell] {
        if !self.leads.any() {
            return self.chunks.row(slot).unwrap_or(&self.silent);
        }
        buffer.clear();
        buffer.extend_from_slice(&self.silent);
        for v in 0..self.agents {
            for &shift in self.leads.shifts(v) {
                let at = slot.saturating_add(shift);
                if self.leads.shift(v, at) == shift {
                    self.merge(at, v, buffer);
                }
            }
        }
        buffer
    }

    fn merge(&self, slot: i64, v: AgentIx, row: &mut [Cell]) {
        let Some(seen) = self.chunks.row(slot) else { return };
        for i in v * self.targets..(v + 1) * self.targets {
            row[i] = row[i].min(seen[i]);
        }
    }

    /// The first slot at or after this one that may hold anything.
    #[must_use]
    pub fn next_slot(&self, slot: i64) -> Option<i64> {
        let widest = self.leads.widest();
        let from = slot.saturating_sub(widest);
        let (first, _) = self.chunks.filled_from(from).find(|&(_, last)| last >= from)?;
        Some(first.saturating_sub(widest).max(slot))
    }

    /// The first slot of true time, at or after this one, that holds anything.
    #[must_use]
    pub fn first_slot(&self, from: i64) -> Option<i64> {
        let first = self.next_slot(from)?;
        let mut row = Vec::new();
        let reach = self.leads.widest().saturating_mul(2);
        let holds = |slot: &i64| self.read(*slot, &mut row).iter().any(|&c| c != Cell::EMPTY);
        Some((first..=first.saturating_add(reach)).find(holds).unwrap_or(first))
    }

    /// The first slot after the last one that holds anything.
    #[must_use]
    pub fn end(&self) -> Option<i64> {
        let (_, last) = self.chunks.filled_from(i64::MIN).next_back()?;
        Some(last.saturating_add(1).saturating_add(self.leads.widest()))
    }

    /// The lead of an agent's clock around a slot of its own, in microseconds; negative when it lags.
    #[must_use]
    pub fn lead(&self, v: AgentIx, slot: i64) -> i64 {
        self.leads.lead(v, slot)
    }

    /// Whether any agent's clock was ever found wrong.
    #[must_use]
    pub fn any_clock_off(&self) -> bool {
        self.leads.any_off()
    }

    /// How far an agent's clock was off for what is read at a slot of true time, in whole seconds, as it is told.
    #[must_use]
    pub fn clock_seconds(&self, v: AgentIx, slot: i64) -> i64 {
        self.leads.seconds_at(v, slot)
    }

    /// Forgets what lies before `slot`, and takes nothing more in that lies before `closed`, which is not earlier.
    pub fn drop_before(&mut self, slot: i64, closed: i64) {
        self.floor = self.floor.max(closed.max(slot).saturating_add(self.leads.widest()));
        self.chunks.drop_before(slot.saturating_sub(self.leads.widest()));
        self.leads.drop_before(slot);
        self.switches = self.switches.split_off(&(slot, 0, 0));
    }

    /// Samples of slots below are not taken in any more.
    #[must_use]
    pub const fn floor(&self) -> i64 {
        self.floor
    }

    /// Bytes that the cells take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.chunks.bytes()
    }

    /// The same evidence under another topology: agents and targets that it no longer has are left out.
    #[must_use]
    pub fn moved(&self, old: &Topology, new: &Topology) -> Self {
        let mut moved = Self { floor: self.floor, leads: self.leads.moved(old, new), ..Self::new(new) };
        let agents: Vec<_> = old.agents.iter().map(|a| new.agent(&a.id)).collect();
        let targets: Vec<_> = old.targets.iter().map(|t| new.target(&t.id)).collect();
        for (slot, row) in self.chunks.rows() {
            let copy = moved.chunks.row_mut(slot);
            for (i, &cell) in row.iter().enumerate() {
                if let (Some(v), Some(t)) = (agents[i / self.targets], targets[i % self.targets]) {
                    copy[v * moved.targets + t] = cell.renamed(old, new);
                }
            }
        }
        for &(slot, from, to) in &self.switches {
            let region = |r: RegionIx| new.region(&old.regions[r]);
            moved.switches.extend(region(from).zip(region(to)).map(|(from, to)| (slot, from, to)));
        }
        moved
    }
}
