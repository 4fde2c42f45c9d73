//! What did the judge say about each slot, and what did it notice on the way?
//!
//! A [`Label`] is what is said about one slot, in layers: what can be told in quiet time, over it an impact, over that a
//! lack of evidence. Labels that can no longer change are pressed into [`Run`]s, which carry the counts they rest on.

use crate::evidence::Cell;
use crate::share::Count;
use crate::topology::{RegionIx, Topology};
use crate::trust::Doubt;
use crate::verdict::Cause;

/// What is said about one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label {
    /// What can be told while nobody is hurt.
    pub(crate) calm: Cause,
    /// Why users are hurt.
    pub(crate) impact: Option<Cause>,
    /// They were hurt so little that it may be a part of a minor degradation.
    pub(crate) mild: bool,
    /// Why nothing can be said.
    pub(crate) unknown: Option<Cause>,
    /// The active region is inside an announced window that excuses.
    pub(crate) window: bool,
    /// A switch happened just before.
    pub(crate) switched: bool,
    /// The region that serves.
    pub(crate) active: RegionIx,
    /// The zone that fell out of it.
    pub(crate) zone: Option<usize>,
}

impl Label {
    /// The one answer of all layers, and whether it is only an announcement without trouble.
    pub(crate) fn answer(&self) -> (Cause, bool) {
        match (self.unknown, self.impact, self.calm) {
            (Some(cause), ..) => (cause, false),
            // The failures while a zone is taken out belong to the zone.
            (None, Some(Cause::Transient), Cause::ZoneAbsorbed) => (Cause::ZoneAbsorbed, false),
            // A small share of failures reaches the policy's share by chance now and then.
            (None, Some(Cause::Transient), small @ (Cause::MinorDegradation | Cause::ChainPartner)) if self.mild => {
                (small, false)
            }
            (None, Some(cause), _) => (cause, false),
            (None, None, Cause::Healthy) if self.window => (Cause::Maintenance, true),
            (None, None, cause) => (cause, false),
        }
    }
}

/// Adjacent slots with one answer, and what was counted in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) cause: Cause,
    /// Announced, and no trouble.
    pub(crate) quiet: bool,
    pub(crate) switched: bool,
    pub(crate) active: RegionIx,
    pub(crate) zone: Option<usize>,
    /// Per agent and target; empty for quiet runs.
    pub(crate) counts: Vec<Count>,
    /// Slots per agent and doubt.
    pub(crate) doubts: Vec<[u32; Doubt::COUNT]>,
    /// By how many seconds the clock of each agent was ahead at most; empty when all were right.
    pub(crate) clocks: Vec<i64>,
    /// Sum of row hashes up to one soft window before, and up to the end.
    pub(crate) sum_before: u128,
    pub(crate) sum: u128,
}

impl Run {
    /// Bytes that this takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let counts = self.counts.len() * size_of::<Count>() + self.doubts.len() * size_of::<[u32; Doubt::COUNT]>();
        size_of::<Self>() + counts + self.clocks.len() * 8
    }

    /// A run without slots; with a topology it counts what it rests on, if it tells anything.
    pub(crate) fn new(counting: Option<&Topology>, slot: i64, label: &Label, sum_before: u128) -> Self {
        let (cause, quiet) = label.answer();
        let mut run = Self {
            from: slot,
            to: slot,
            cause,
            quiet,
            switched: label.switched,
            active: label.active,
            zone: label.zone,
            counts: Vec::new(),
            doubts: Vec::new(),
            clocks: Vec::new(),
            sum_before,
            sum: sum_before,
        };
        if let Some(topology) = counting.filter(|_| run.tells()) {
            run.counts = vec![Count::default(); topology.agents.len() * topology.targets.len()];
            run.doubts = vec![[0; Doubt::COUNT]; topology.agents.len()];
        }
        run
    }

    /// The same without what was counted.
    pub(crate) fn bare(&self) -> Self {
        let (counts, doubts, clocks) = (Vec::new(), Vec::new(), Vec::new());
        let Self { from, to, cause, quiet, switched, active, zone, sum_before, sum, .. } = *self;
        Self { from, to, cause, quiet, switched, active, zone, counts, doubts, clocks, sum_before, sum }
    }

    /// Whether it says and counts the same up to here, whatever came before it.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let Self { from, to, cause, quiet, switched, active, zone, counts, doubts, clocks, sum_before: _, sum: _ } =
            self;
        (*from, *to, *cause, *quiet) == (other.from, other.to, other.cause, other.quiet)
            && (*switched, *active, *zone) == (other.switched, other.active, other.zone)
            && (counts, doubts, clocks) == (&other.counts, &other.doubts, &other.clocks)
    }

    /// Worth an episode, or part of one.
    pub(crate) const fn tells(&self) -> bool {
        self.switched || !(matches!(self.cause, Cause::Healthy) || self.quiet)
    }

    pub(crate) fn continues(&self, label: &Label) -> bool {
        (self.cause, self.quiet) == label.answer() && self.switched == label.switched && self.active == label.active
    }

    /// Adds one slot.
    pub(crate) fn tally(&mut self, row: &[Cell], doubts: impl Iterator<Item = u8>) {
        for (count, &cell) in self.counts.iter_mut().zip(row) {
            count.add(cell);
        }
        for (slots, doubt) in self.doubts.iter_mut().zip(doubts) {
            slots[usize::from(doubt)] = slots[usize::from(doubt)].saturating_add(1);
        }
    }
}

/// Of each two offsets the farther; of equals the one ahead.
pub(crate) fn farthest(clocks: &mut Vec<i64>, others: &[i64]) {
    clocks.resize(clocks.len().max(others.len()), 0);
    for (clock, &other) in clocks.iter_mut().zip(others) {
        if (other.unsigned_abs(), other) > (clock.unsigned_abs(), *clock) {
            *clock = other;
        }
    }
}

/// Something that happened at a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) slot: i64,
    /// The slot whose evidence made it certain.
    pub(crate) known: i64,
    pub(crate) kind: NoteKind,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoteKind {
    /// Users were hurt for long enough since this slot.
    Confirmed { hard: bool },
    /// Users were well again from this slot on.
    Cleared,
    /// Another region served from this slot on.
    Switched { from: RegionIx, to: RegionIx },
    /// Somebody reported that another region serves from this slot on.
    Reported { from: RegionIx, to: RegionIx },
    /// What was reported of this slot was not so: another region answered.
    Refuted { told: RegionIx },
}

/// What is settled, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) runs: Vec<Run>,
    pub(crate) notes: Vec<Note>,
}
