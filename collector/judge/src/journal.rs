//! Which measurements changed what, since which revision?
//!
//! ```text
//!   mark      the last revision that was published before a measurement came in
//!   block     agent, boot, mark, stretch of slots  -->  sequence numbers from..to, how many, first and last arrival
//!   change    agent, target, mark, slots           -->  before, after; only of slots that were due when it came
//! ```
//!
//! Nearly every measurement only moves the ends of the block that the one before it moved; nothing is looked up and
//! nothing allocated for it. The choice left aside is to keep every measurement: days of them, for a question that is
//! asked about a few minutes.

use std::collections::BTreeMap;

use uitwijk_model::{BootId, Sequence, Slot, WallTime};

use crate::evidence::Cell;
use crate::since::{ARRIVALS_MAX, Arrivals, CELLS_MAX, CellChange, Origin, RANGES_MAX, Seen, SequenceRange};
use crate::topology::{AgentIx, TargetIx, Topology};

/// Slots that a block may reach over.
const STRETCH: i64 = 32;
/// Blocks that are kept per agent.
const BLOCKS_MAX: usize = 256;
/// Newest blocks of an agent that a measurement may still belong to.
const RECENT: usize = 8;
/// Changes that are kept; further ones are counted.
const CHANGES_MAX: usize = 2048;
/// Revisions that are told apart.
const MARKS_MAX: usize = 1024;

/// What one agent delivered of one stretch between two revisions.
#[derive(Debug, Clone)]
struct Block {
    mark: WallTime,
    boot: Option<BootId>,
    sequences: Option<(Sequence, Sequence)>,
    slots: (i64, i64),
    changed: u64,
    late: u64,
    first: WallTime,
    last: WallTime,
}

/// Cells in a row that changed alike.
#[derive(Debug, Clone)]
struct Change {
    mark: WallTime,
    place: (AgentIx, TargetIx),
    slots: (i64, i64),
    classes: (Seen, Seen),
}

/// One measurement that changed the evidence.
pub(crate) struct Arrival {
    pub(crate) agent: AgentIx,
    pub(crate) slot: i64,
    pub(crate) origin: Option<Origin>,
    pub(crate) arrived: WallTime,
    /// It came after its slot was due.
    pub(crate) late: bool,
}

/// What is kept of arrivals.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journal {
    /// When revisions were decided, in order.
    marks: Vec<WallTime>,
    /// Judging has begun. Before, measurements are being put back, and their time of arrival tells what they came after.
    begun: bool,
    /// Per agent, newest last.
    blocks: Vec<Vec<Block>>,
    changes: Vec<Change>,
    /// The newest change of a place.
    newest: BTreeMap<(AgentIx, TargetIx), usize>,
    /// Changes that did not fit, by mark.
    surplus: BTreeMap<WallTime, u64>,
}

/// What a cell says, in short.
pub(crate) fn seen(cell: Cell) -> Seen {
    match (cell.is_measured(), cell.is_failed(), cell.is_slow()) {
        (false, ..) => Seen::Empty,
        (_, true, _) => Seen::Failed,
        (.., true) => Seen::Slow,
        _ => Seen::Ok,
    }
}

impl Journal {
    pub(crate) fn new(topology: &Topology) -> Self {
        Self { blocks: vec![Vec::new(); topology.agents.len()], ..Self::default() }
    }

    /// Judging begins: from now on what comes in came after everything that was published.
    pub(crate) const fn begin(&mut self) {
        self.begun = true;
    }

    /// A revision was published.
    pub(crate) fn mark(&mut self, decided: WallTime) {
        let at = self.marks.partition_point(|m| *m < decided);
        if self.marks.get(at) != Some(&decided) {
            self.marks.insert(at, decided);
        }
        let surplus = self.marks.len().saturating_sub(MARKS_MAX);
        self.marks.drain(..surplus);
    }

    /// The last revision before an arrival.
    fn mark_of(&self, arrived: WallTime) -> WallTime {
        let before = if self.begun { self.marks.len() } else { self.marks.partition_point(|m| *m < arrived) };
        before.checked_sub(1).map_or(WallTime::from_micros(i64::MIN), |at| self.marks[at])
    }

    /// Keeps that a measurement changed the evidence.
    pub(crate) fn arrived(&mut self, a: &Arrival) {
        let (mark, boot) = (self.mark_of(a.arrived), a.origin.map(|o| o.boot));
        let stretch = a.slot.div_euclid(STRETCH);
        let blocks = &mut self.blocks[a.agent];
        let fits = |b: &Block| (b.mark, b.boot, b.slots.0.div_euclid(STRETCH)) == (mark, boot, stretch);
        let number = a.origin.map(|o| (o.sequence, o.sequence));
        let Some(block) = blocks.iter_mut().rev().take(RECENT).find(|b| fits(b)) else {
            if blocks.len() >= BLOCKS_MAX {
                blocks.remove(0);
            }
            blocks.push(Block {
                mark,
                boot,
                sequences: number,
                slots: (a.slot, a.slot),
                changed: 1,
                late: u64::from(a.late),
                first: a.arrived,
                last: a.arrived,
            });
            return;
        };
        block.sequences = block.sequences.zip(number).map(|((x, y), (n, _))| (x.min(n), y.max(n)));
        block.slots = (block.slots.0.min(a.slot), block.slots.1.max(a.slot));
        (block.first, block.last) = (block.first.min(a.arrived), block.last.max(a.arrived));
        block.changed += 1;
        block.late += u64::from(a.late);
    }

    /// Keeps that a cell changed after its slot was due.
    pub(crate) fn changed(&mut self, place: (AgentIx, TargetIx), slot: i64, arrived: WallTime, classes: (Seen, Seen)) {
        let mark = self.mark_of(arrived);
        let last = self.newest.get(&place).and_then(|&at| self.changes.get_mut(at));
        if let Some(c) = last.filter(|c| c.mark == mark && c.classes == classes && c.slots.1 == slot) {
            c.slots.1 = slot.saturating_add(1);
        } else if self.changes.len() < CHANGES_MAX {
            self.newest.insert(place, self.changes.len());
            self.changes.push(Change { mark, place, slots: (slot, slot.saturating_add(1)), classes });
        } else {
            *self.surplus.entry(mark).or_default() += 1;
        }
    }

    /// What came in after a revision about a stretch of slots: each list with the count of what did not fit.
    pub(crate) fn since(
        &self,
        topology: &Topology,
        decided: WallTime,
        (from, to): (i64, i64),
    ) -> ((Vec<Arrivals>, u64), (Vec<CellChange>, u64)) {
        let wanted = |b: &Block| b.mark >= decided && b.slots.0 < to && b.slots.1 >= from;
        let mut arrivals: Vec<Arrivals> = Vec::new();
        for (v, blocks) in self.blocks.iter().enumerate() {
            let mut boots: Vec<Option<BootId>> = blocks.iter().filter(|b| wanted(b)).map(|b| b.boot).collect();
            boots.sort_unstable();
            boots.dedup();
            let of = |boot| blocks.iter().filter(move |b| b.boot == boot).collect::<Vec<&Block>>();
            arrivals.extend(boots.into_iter().map(|boot| sum(topology, v, of(boot), &wanted)));
        }
        let arrivals_more = arrivals.iter().skip(ARRIVALS_MAX).map(|a| a.changed).sum();
        arrivals.truncate(ARRIVALS_MAX);
        let touches = |c: &&Change| c.mark >= decided && c.slots.0 < to && c.slots.1 > from;
        let mut changes: Vec<&Change> = self.changes.iter().filter(touches).collect();
        let surplus: u64 = self.surplus.range(decided..).map(|(_, n)| n).sum();
        // Of many changes the longest stay, but they are told in order of place and time.
        changes.sort_by_key(|c| (c.slots.0 - c.slots.1, c.place, c.slots.0));
        let left_out = changes.iter().skip(CELLS_MAX).map(|c| c.slots.1.abs_diff(c.slots.0));
        let cells_more = left_out.sum::<u64>().saturating_add(surplus);
        changes.truncate(CELLS_MAX);
        changes.sort_by_key(|c| (c.place, c.slots.0));
        ((arrivals, arrivals_more), (changes.into_iter().map(|c| told(topology, c)).collect(), cells_more))
    }

    /// Forgets what lies before a slot.
    pub(crate) fn drop_before(&mut self, slot: i64) {
        for blocks in self.blocks.iter_mut().filter(|b| b.first().is_some_and(|b| b.slots.1 < slot)) {
            blocks.retain(|b| b.slots.1 >= slot);
        }
        if self.changes.iter().any(|c| c.slots.1 <= slot) {
            self.changes.retain(|c| c.slots.1 > slot);
            self.newest = self.changes.iter().enumerate().map(|(at, c)| (c.place, at)).collect();
        }
        if self.changes.is_empty() {
            self.surplus.clear();
        }
    }

    /// The same before any measurement came in.
    pub(crate) fn anew(&self, topology: &Topology) -> Self {
        Self { marks: self.marks.clone(), ..Self::new(topology) }
    }

    /// The same under another topology: agents and targets that it no longer has are left out.
    pub(crate) fn moved(self, old: &Topology, new: &Topology) -> Self {
        let mut moved = Self { marks: self.marks, begun: self.begun, surplus: self.surplus, ..Self::new(new) };
        for (agent, blocks) in old.agents.iter().zip(self.blocks) {
            if let Some(v) = new.agent(&agent.id) {
                moved.blocks[v] = blocks;
            }
        }
        for change in self.changes {
            let (v, t) = (new.agent(&old.agents[change.place.0].id), new.target(&old.targets[change.place.1].id));
            if let (Some(v), Some(t)) = (v, t) {
                moved.newest.insert((v, t), moved.changes.len());
                moved.changes.push(Change { place: (v, t), ..change });
            }
        }
        moved
    }

    /// Bytes that this takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(|b| b.capacity() * size_of::<Block>()).sum();
        blocks + self.changes.capacity() * size_of::<Change>()
    }
}

/// All wanted blocks of one start of an agent, in one. Blocks that follow each other make one range.
fn sum(topology: &Topology, v: AgentIx, mut blocks: Vec<&Block>, wanted: &dyn Fn(&Block) -> bool) -> Arrivals {
    blocks.sort_by_key(|b| b.sequences);
    let (mut ranges, mut joins): (Vec<SequenceRange>, bool) = (Vec::new(), false);
    for (b, wanted) in blocks.iter().map(|b| (b, wanted(b))) {
        match (b.sequences.filter(|_| wanted), ranges.last_mut().filter(|_| joins)) {
            (Some((_, to)), Some(last)) => last.to = last.to.max(to),
            (Some((from, to)), None) => ranges.push(SequenceRange { from, to }),
            (None, _) => {}
        }
        joins = wanted;
    }
    let ranges_more = u32::try_from(ranges.len().saturating_sub(RANGES_MAX)).unwrap_or(u32::MAX);
    ranges.truncate(RANGES_MAX);
    let kept = || blocks.iter().filter(|b| wanted(b));
    let never = WallTime::from_micros(0);
    Arrivals {
        agent: topology.agents[v].id.clone(),
        boot: kept().next().and_then(|b| b.boot),
        ranges,
        ranges_more,
        changed: kept().map(|b| b.changed).sum(),
        late: kept().map(|b| b.late).sum(),
        first: kept().map(|b| b.first).min().unwrap_or(never),
        last: kept().map(|b| b.last).max().unwrap_or(never),
    }
}

fn told(topology: &Topology, c: &Change) -> CellChange {
    CellChange {
        agent: topology.agents[c.place.0].id.clone(),
        target: topology.targets[c.place.1].id.clone(),
        from_slot: Slot(c.slots.0),
        to_slot: Slot(c.slots.1),
        before: c.classes.0,
        after: c.classes.1,
    }
}
