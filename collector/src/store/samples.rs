//! What does the judge take of a batch that was stored?
//!
//! Of each row the few values that a verdict rests on, by number where the batch has them by name once. A row in full is three times
//! as large, and a million of them a second go from a stream to the committer to the judge.

use std::sync::Arc;

use uitwijk_model::{AgentId, BootId, Elapsed, Outcome, Sequence, ServedBy, Slot, TargetId, WallTime};
use uitwijk_proto::columns::RowView;

use super::AcceptedRows;
use crate::plans::{Known, TargetNumber};

/// Rows of one agent that are on disk and were not there before, as the judge takes them.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// Who measured.
    pub agent: AgentId,
    /// The start of the agent that it measured under.
    pub boot: BootId,
    /// The names that rows have by number.
    pub names: Arc<Names>,
    /// At least one.
    pub rows: Vec<Sample>,
}

/// What rows name, each once or more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// What was probed.
    pub targets: Targets,
    /// Who answered.
    pub places: Vec<ServedBy>,
}

/// What was probed: by name as it is stored, or by number where it was looked up on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// As the rows name them.
    Named(Vec<String>),
    /// By the numbers that they have in this process, where they are known, and what those stand for.
    Numbered(Vec<Option<TargetNumber>>, Arc<Known>),
}

impl Default for Targets {
    fn default() -> Self {
        Self::Named(Vec::new())
    }
}

impl Targets {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Named(names) => names.len(),
            Self::Numbered(numbers, _) => numbers.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What one is called; empty when that is not known.
    #[must_use]
    pub fn name(&self, at: usize) -> &str {
        match self {
            Self::Named(names) => names.get(at).map_or("", String::as_str),
            Self::Numbered(_, known) => {
                self.number(at).and_then(|number| known.name(number)).map_or("", TargetId::as_str)
            }
        }
    }

    /// Its number, if it was looked up.
    #[must_use]
    pub fn number(&self, at: usize) -> Option<TargetNumber> {
        match self {
            Self::Named(_) => None,
            Self::Numbered(numbers, _) => numbers.get(at).copied().flatten(),
        }
    }
}

/// What is taken of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Its number in transport.
    pub sequence: Sequence,
    /// When it came in, collector's clock.
    pub arrived: WallTime,
    /// What was probed, in [`Names::targets`].
    pub target: u32,
    /// Who answered, in [`Names::places`]; absent when nobody told.
    pub served: Option<u32>,
    /// The turn of the schedule.
    pub slot: Slot,
    /// 0 for the first attempt in the slot.
    pub attempt: u8,
    /// When it was due.
    pub scheduled: WallTime,
    /// When it began.
    pub started: WallTime,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub total: Option<Elapsed>,
    /// Agent's clock minus the collector's, microseconds, if the agent measured it.
    pub clock_offset_us: Option<i64>,
}

impl Sample {
    /// What is taken of a row of a batch; places become numbers in the order in which they are met.
    pub(crate) fn of(row: &RowView<'_>, sequence: Sequence, arrived: WallTime, places: &mut Places) -> Self {
        Self {
            sequence,
            arrived,
            target: row.target_index,
            served: row.served_index().and_then(|place| places.number(place, || row.served())),
            slot: row.slot,
            attempt: row.attempt,
            scheduled: row.scheduled,
            started: row.started,
            outcome: row.outcome,
            total: row.total,
            clock_offset_us: row.observer.clock_offset_us,
        }
    }
}

/// The places that rows of one batch named so far.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Where they stand in its dictionaries: region and zone.
    known: Vec<(usize, usize)>,
    places: Vec<ServedBy>,
    last: usize,
}

impl Places {
    /// The number of a place, which is made of its names when it is met for the first time.
    pub(crate) fn number(&mut self, place: (usize, usize), made: impl FnOnce() -> Option<ServedBy>) -> Option<u32> {
        if self.known.get(self.last) != Some(&place) {
            self.last = match self.known.iter().position(|known| *known == place) {
                Some(at) => at,
                None => {
                    self.places.push(made()?);
                    self.known.push(place);
                    self.known.len() - 1
                }
            };
        }
        u32::try_from(self.last).ok()
    }

    /// With the targets all names of a batch.
    pub(crate) fn names(self, targets: Targets) -> Arc<Names> {
        Arc::new(Names { targets, places: self.places })
    }
}

impl Samples {
    /// What is taken of rows in full.
    #[must_use]
    pub fn of(accepted: &AcceptedRows) -> Self {
        let (mut targets, mut places) = (Vec::new(), Vec::new());
        let numbered = accepted.rows.iter().enumerate();
        let rows = numbered.map(|(at, row)| Sample {
            sequence: accepted.sequences.get(at).copied().unwrap_or(0),
            arrived: accepted.arrived,
            target: place_of(&mut targets, row.target.as_str(), str::to_owned),
            served: row.served.as_ref().map(|served| place_of(&mut places, served, Clone::clone)),
            slot: row.slot,
            attempt: row.attempt,
            scheduled: row.scheduled,
            started: row.started,
            outcome: row.outcome,
            total: row.total,
            clock_offset_us: row.observer.clock_offset_us,
        });
        let rows = rows.collect();
        let names = Names { targets: Targets::Named(targets), places };
        Self { agent: accepted.agent.clone(), boot: accepted.boot, names: Arc::new(names), rows }
    }

    /// What a row is of.
    #[must_use]
    pub fn target(&self, row: &Sample) -> &str {
        self.names.targets.name(row.target as usize)
    }
}

/// The place of a name among others, to which it is added when the last one is another.
fn place_of<T, N: PartialEq<T> + ?Sized>(all: &mut Vec<T>, name: &N, own: impl FnOnce(&N) -> T) -> u32 {
    if all.last().is_none_or(|last| name != last) {
        all.push(own(name));
    }
    u32::try_from(all.len() - 1).unwrap_or(u32::MAX)
}
