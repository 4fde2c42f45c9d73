//! What came in between two revisions?
//!
//! ```text
//!   revision 1 ----------------------------------> revision 2
//!      not_needed/transient                           needed/region_down
//!      judged up to 08:12:40    measurements arrive   judged up to 08:16:10
//!                               cells change
//! ```
//!
//! Every revision but the first of an episode says what its judge knew that the judge of the one before did not: slots
//! that were judged for the first time, measurements that changed the evidence in the reach of the episode, and cells of
//! slots that were due when they arrived. Lists are bounded; what does not fit is counted.

use serde::{Deserialize, Serialize};
use uitwijk_model::{AgentId, BootId, Sequence, Slot, TargetId, WallTime};

use crate::verdict::{Cause, Execution, Need};

/// Agents and boots that are listed.
pub const ARRIVALS_MAX: usize = 64;
/// Ranges of sequence numbers that are listed per agent and boot.
pub const RANGES_MAX: usize = 8;
/// Changes of cells that are listed.
pub const CELLS_MAX: usize = 64;

/// The name of a measurement on its way from the agent, beside the agent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The start of the agent that it was made under.
    pub boot: BootId,
    /// Its number under that start.
    pub sequence: Sequence,
}

/// The answer of a revision in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Was a failover needed?
    pub need: Need,
    /// Why?
    pub cause: Cause,
    /// Was it done?
    pub execution: Execution,
}

/// What came in between a revision and the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// When the revision before was decided.
    pub decided: WallTime,
    /// What it said.
    pub before: Answer,
    /// First slot that was judged for the first time since.
    pub judged_from: Slot,
    /// First slot that was not judged yet; the same when only judged slots were judged again.
    pub judged_to: Slot,
    /// Measurements that changed the evidence in the reach of the episode, by name of the agent and boot.
    pub arrivals: Vec<Arrivals>,
    /// Measurements of agents and boots that did not fit.
    pub arrivals_more: u64,
    /// Cells that changed after their slot was due, by agent, target and slot.
    pub cells: Vec<CellChange>,
    /// Cells that changed as well and did not fit.
    pub cells_more: u64,
}

/// What one start of an agent delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrivals {
    /// Who measured.
    pub agent: AgentId,
    /// Under which start; absent when whoever fed the judge did not say.
    pub boot: Option<BootId>,
    /// Its sequence numbers in order. A range holds everything of the service between its ends that changed anything.
    pub ranges: Vec<SequenceRange>,
    /// Ranges that did not fit.
    pub ranges_more: u32,
    /// Measurements that changed evidence.
    pub changed: u64,
    /// Of them, those that came after their slot was due.
    pub late: u64,
    /// First arrival, collector's clock.
    pub first: WallTime,
    /// Last arrival.
    pub last: WallTime,
}

/// Sequence numbers from and to, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceRange {
    /// The first.
    pub from: Sequence,
    /// The last.
    pub to: Sequence,
}

/// What a cell of the evidence says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// Nothing arrived, or it could not be measured.
    Empty,
    /// A complete right answer within the objective.
    Ok,
    /// A complete right answer over the objective.
    Slow,
    /// No complete right answer.
    Failed,
}

impl Seen {
    /// The name in tables and JSON.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Ok => "ok",
            Self::Slow => "slow",
            Self::Failed => "failed",
        }
    }
}

/// Cells of one agent and target that changed alike in slots one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellChange {
    /// Who measured.
    pub agent: AgentId,
    /// What was measured.
    pub target: TargetId,
    /// First slot, by the agent's clock.
    pub from_slot: Slot,
    /// First slot after them.
    pub to_slot: Slot,
    /// What the cells said.
    pub before: Seen,
    /// What they say now.
    pub after: Seen,
}
