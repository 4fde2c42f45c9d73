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

use std::collections::BTreeMap;

use uitwijk_model::{AgentId, Elapsed, Fault, Measurement, Outcome, ServedBy, Slot, TargetId, WallTime};

use crate::clock::Leads;
use crate::logarithm::log;
use crate::topology::{AgentIx, RegionIx, TargetIx, Topology};

/// What the judge takes from one measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Who measured.
    pub agent: AgentId,
    /// What was measured.
    pub target: TargetId,
    /// The turn of the schedule, by the agent's clock.
    pub slot: Slot,
    /// 0 for the first attempt in the slot.
    pub attempt: u8,
    /// When it began, agent's clock.
    pub started: WallTime,
    /// When it was stored, collector's clock.
    pub arrived: WallTime,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub total: Option<Elapsed>,
    /// Who answered.
    pub served: Option<ServedBy>,
    /// Agent's clock minus the collector's, microseconds, if the agent measured it.
    pub clock_offset_us: Option<i64>,
}

impl Sample {
    /// What the judge takes from a measurement.
    #[must_use]
    pub fn of(agent: &AgentId, m: &Measurement, arrived: WallTime) -> Self {
        Self {
            agent: agent.clone(),
            target: m.target.clone(),
            slot: m.slot,
            attempt: m.attempt,
            started: m.started,
            arrived,
            outcome: m.outcome,
            total: m.total,
            served: m.served.clone(),
            clock_offset_us: m.observer.clock_offset_us,
        }
    }
}

/// One observation, packed. Lower wins: measured before unmeasured, earlier attempts before later ones, then by content.
///
/// ```text
///   bit 63 unmeasured | 62..55 attempt | 54..53 outcome | 52..45 fault | 44..33 region + 1 | 32..21 zone + 1
///   20..16 nothing | 15..0 logarithm of the total + 1, of answers
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell(u64);

/// A served region that the plan does not know.
const ELSEWHERE: u64 = 0xfff;

impl Cell {
    /// Nothing arrived.
    pub const EMPTY: Self = Self(u64::MAX);

    fn pack(
        topology: &Topology,
        outcome: Outcome,
        attempt: u8,
        served: Option<&ServedBy>,
        total: Option<Elapsed>,
    ) -> Self {
        let (state, fault) = match outcome {
            Outcome::Up => (0, 0),
            Outcome::Slow => (1, 0),
            Outcome::Down(fault) => (2, u64::from(fault.code())),
            Outcome::Unmeasured(reason) => (0, u64::from(reason.code())),
        };
        // An error answer tells who gave it as well as a right one does.
        let (region, zone) = served.filter(|_| outcome.is_measured()).map_or((0, 0), |s| place(topology, s));
        let unmeasured = u64::from(!outcome.is_measured());
        let length = total.filter(|_| outcome.is_answer()).map_or(0, |t| log(t.as_micros()).unsigned_abs() + 1);
        let what = unmeasured << 63 | u64::from(attempt) << 55 | state << 53 | fault << 45;
        Self(what | region << 33 | zone << 21 | length.min(0xffff))
    }

    /// The observation as a number.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Something was measured here.
    #[must_use]
    pub const fn is_measured(self) -> bool {
        self.0 >> 63 == 0
    }

    /// Measured, and no complete right answer.
    #[must_use]
    pub const fn is_failed(self) -> bool {
        self.is_measured() && (self.0 >> 53) & 3 == 2
    }

    /// Measured, right, over the objective.
    #[must_use]
    pub const fn is_slow(self) -> bool {
        self.is_measured() && (self.0 >> 53) & 3 == 1
    }

    /// Failed before there was an address.
    #[must_use]
    pub fn is_dns(self) -> bool {
        let fault = u32::try_from((self.0 >> 45) & 0xff).ok().and_then(Fault::from_code);
        self.is_failed()
            && matches!(
                fault,
                Some(Fault::DnsName | Fault::DnsNoAddress | Fault::DnsServer | Fault::DnsTimeout | Fault::DnsAnswer)
            )
    }

    /// The logarithm of how long a right answer took, in microseconds, on the scale of [`crate::logarithm`].
    #[must_use]
    pub fn log_total(self) -> Option<i64> {
        let length = i64::try_from(self.0 & 0xffff).ok().filter(|&l| l > 0)?;
        self.is_measured().then_some(length - 1)
    }

    /// The region and zone that served, as far as the answer told and the plan knows them.
    #[must_use]
    pub fn served(self) -> Option<(RegionIx, Option<usize>)> {
        let region = (self.0 >> 33) & 0xfff;
        if !self.is_measured() || region == 0 || region == ELSEWHERE {
            return None;
        }
        let zone = (self.0 >> 21) & 0xfff;
        let zone = if zone == 0 || zone == ELSEWHERE { None } else { usize::try_from(zone - 1).ok() };
        Some((usize::try_from(region - 1).ok()?, zone))
    }
}

fn place(topology: &Topology, served: &ServedBy) -> (u64, u64) {
    let pack = |ix: Option<usize>| ix.and_then(|i| u64::try_from(i + 1).ok()).map_or(ELSEWHERE, |n| n.min(ELSEWHERE));
    let region = topology.region(&served.region);
    let zone = match (region, &served.zone) {
        (Some(r), Some(zone)) => pack(topology.zones[r].binary_search(zone).ok()),
        _ => 0,
    };
    (pack(region), zone)
}

/// Slots that are kept together.
const CHUNK: i64 = 16;
const CHUNK_ROWS: usize = 16;

/// Slots beyond this, either way, lie outside the time that can be named.
const SLOT_MAX: u64 = i64::MAX.unsigned_abs() / 100_000;

/// What became of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The evidence changed from this slot on.
    Changed(i64),
    /// It was known, or another attempt of the same slot stands before it.
    Known,
    /// No enrolled agent, or a target that this service does not rest on.
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
    chunks: BTreeMap<i64, Box<[Cell]>>,
    leads: Leads,
}

impl Evidence {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(topology: &Topology) -> Self {
        Self {
            agents: topology.agents.len(),
            targets: topology.targets.len(),
            floor: i64::MIN,
            chunks: BTreeMap::new(),
            leads: Leads::new(topology),
        }
    }

    /// Adds a sample.
    pub fn add(&mut self, topology: &Topology, sample: &Sample) -> Taken {
        let Some(v) = topology.agent(&sample.agent) else { return Taken::Foreign };
        let offset = sample.clock_offset_us;
        let span = (sample.started, sample.total, sample.arrived);
        let place = (sample.slot, sample.attempt);
        self.put(topology, v, &sample.target, place, sample.outcome, sample.served.as_ref(), span, offset)
    }

    /// Adds a measurement of an agent.
    pub fn add_measurement(&mut self, topology: &Topology, v: AgentIx, m: &Measurement, arrived: WallTime) -> Taken {
        let span = (m.started, m.total, arrived);
        let offset = m.observer.clock_offset_us;
        self.put(topology, v, &m.target, (m.slot, m.attempt), m.outcome, m.served.as_ref(), span, offset)
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a sample, borrowed from either of two shapes")]
    fn put(
        &mut self,
        topology: &Topology,
        v: AgentIx,
        target: &TargetId,
        (slot, attempt): (Slot, u8),
        outcome: Outcome,
        served: Option<&ServedBy>,
        (started, total, arrived): (WallTime, Option<Elapsed>, WallTime),
        offset: Option<i64>,
    ) -> Taken {
        let Some(t) = topology.target(target) else { return Taken::Foreign };
        if slot.0.unsigned_abs() > SLOT_MAX {
            return Taken::Foreign;
        }
        if slot.0 < self.floor {
            return Taken::TooLate;
        }
        let moved = self.leads.observe(v, slot.0, started, total, arrived, offset);
        let cell = Cell::pack(topology, outcome, attempt, served, total);
        let at = self.index(slot.0, v, t);
        let size = CHUNK_ROWS * self.agents * self.targets;
        let chunk =
            self.chunks.entry(slot.0.div_euclid(CHUNK)).or_insert_with(|| vec![Cell::EMPTY; size].into_boxed_slice());
        let changed = cell < chunk[at];
        if changed {
            chunk[at] = cell;
        }
        let here = changed.then(|| self.leads.earliest(v, slot.0));
        match (here, moved) {
            (Some(a), Some(b)) => Taken::Changed(a.min(b)),
            (Some(a), None) | (None, Some(a)) => Taken::Changed(a),
            (None, None) => Taken::Known,
        }
    }

    /// What an agent saw of a target in a slot of its own clock.
    #[must_use]
    pub fn cell(&self, slot: i64, v: AgentIx, t: TargetIx) -> Cell {
        let chunk = self.chunks.get(&slot.div_euclid(CHUNK));
        chunk.map_or(Cell::EMPTY, |cells| cells[self.index(slot, v, t)])
    }

    fn index(&self, slot: i64, v: AgentIx, t: TargetIx) -> usize {
        let in_chunk = usize::try_from(slot.rem_euclid(CHUNK)).unwrap_or(0);
        (in_chunk * self.agents + v) * self.targets + t
    }

    /// What every agent saw in a slot of true time: agent by agent, target by target.
    pub fn row(&self, slot: i64, row: &mut Vec<Cell>) {
        row.clear();
        row.resize(self.agents * self.targets, Cell::EMPTY);
        if !self.leads.any() {
            self.merge(slot, 0, self.agents, row);
            return;
        }
        for v in 0..self.agents {
            for &shift in self.leads.shifts(v) {
                let at = slot.saturating_add(shift);
                if self.leads.shift(v, at) == shift {
                    self.merge(at, v, v + 1, row);
                }
            }
        }
    }

    fn merge(&self, slot: i64, from: AgentIx, to: AgentIx, row: &mut [Cell]) {
        let Some(chunk) = self.chunks.get(&slot.div_euclid(CHUNK)) else { return };
        let start = self.index(slot, 0, 0);
        for i in from * self.targets..to * self.targets {
            row[i] = row[i].min(chunk[start + i]);
        }
    }

    /// The first slot at or after this one that may hold anything.
    #[must_use]
    pub fn next_slot(&self, slot: i64) -> Option<i64> {
        let (widest, agents) = (self.leads.widest(), self.agents * self.targets);
        let from = slot.saturating_sub(widest);
        for (chunk, cells) in self.chunks.range(from.div_euclid(CHUNK)..) {
            let full = cells.chunks(agents.max(1)).position(|row| row.iter().any(|&c| c != Cell::EMPTY));
            let last = cells.chunks(agents.max(1)).rposition(|row| row.iter().any(|&c| c != Cell::EMPTY));
            let slot_of = |i: usize| chunk.saturating_mul(CHUNK).saturating_add(i64::try_from(i).unwrap_or(0));
            if let (Some(first), Some(last)) = (full, last)
                && slot_of(last) >= from
            {
                return Some(slot_of(first).saturating_sub(widest).max(slot));
            }
        }
        None
    }

    /// The first slot of true time, at or after this one, that holds anything.
    #[must_use]
    pub fn first_slot(&self, from: i64) -> Option<i64> {
        let first = self.next_slot(from)?;
        let mut row = Vec::new();
        let reach = self.leads.widest().saturating_mul(2);
        let holds = |slot: &i64| {
            self.row(*slot, &mut row);
            row.iter().any(|&c| c != Cell::EMPTY)
        };
        Some((first..=first.saturating_add(reach)).find(holds).unwrap_or(first))
    }

    /// The first slot after the last one that holds anything.
    #[must_use]
    pub fn end(&self) -> Option<i64> {
        let (chunk, cells) = self.chunks.last_key_value()?;
        let rows = cells.chunks((self.agents * self.targets).max(1));
        let last =
            rows.enumerate().filter(|(_, row)| row.iter().any(|&c| c != Cell::EMPTY)).map(|(i, _)| i).next_back()?;
        let end = chunk.saturating_mul(CHUNK).saturating_add(i64::try_from(last).unwrap_or(0)).saturating_add(1);
        Some(end.saturating_add(self.leads.widest()))
    }

    /// The lead of an agent's clock in slots of time around a slot, in microseconds; negative when it lags.
    #[must_use]
    pub fn lead(&self, v: AgentIx, slot: i64) -> i64 {
        self.leads.lead(v, slot)
    }

    /// Forgets what lies before `slot`, and takes nothing more in that lies before `closed`, which is not earlier.
    pub fn drop_before(&mut self, slot: i64, closed: i64) {
        self.floor = self.floor.max(closed.max(slot).saturating_add(self.leads.widest()));
        let first = slot.saturating_sub(self.leads.widest()).div_euclid(CHUNK);
        self.chunks = self.chunks.split_off(&first);
        self.leads.drop_before(slot);
    }

    /// Samples of slots below are not taken in any more.
    #[must_use]
    pub const fn floor(&self) -> i64 {
        self.floor
    }

    /// Bytes that the cells take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.chunks.values().map(|c| c.len() * size_of::<Cell>()).sum()
    }

    /// The same evidence under another topology: agents and targets that it no longer has are left out.
    #[must_use]
    pub fn moved(&self, old: &Topology, new: &Topology) -> Self {
        let mut moved = Self { floor: self.floor, leads: self.leads.moved(old, new), ..Self::new(new) };
        let agents: Vec<_> = old.agents.iter().map(|a| new.agent(&a.id)).collect();
        let targets: Vec<_> = old.targets.iter().map(|t| new.target(&t.id)).collect();
        for (&chunk, cells) in &self.chunks {
            let size = CHUNK_ROWS * moved.agents * moved.targets;
            let mut copy = vec![Cell::EMPTY; size].into_boxed_slice();
            for (i, &cell) in cells.iter().enumerate() {
                let (row, t) = (i / self.targets, i % self.targets);
                if let (Some(v), Some(t)) = (agents[row % self.agents], targets[t]) {
                    copy[(row / self.agents * moved.agents + v) * moved.targets + t] = cell.renamed(old, new);
                }
            }
            moved.chunks.insert(chunk, copy);
        }
        moved
    }
}

impl Cell {
    /// The same observation with the region and zone numbers of another topology.
    fn renamed(self, old: &Topology, new: &Topology) -> Self {
        let Some((r, z)) = self.served() else { return self };
        let zone = z.and_then(|z| old.zones[r].get(z)).cloned();
        let (region, zone) = place(new, &ServedBy { region: old.regions[r].clone(), zone });
        Self(self.0 & !(0xff_ffff << 21) | region << 33 | zone << 21)
    }
}
