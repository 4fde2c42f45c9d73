//! Does what a collector holds equal what the agents started?
//!
//! ```text
//!   the agent's word (books)   \
//!   the collector's (ledger)    +-> accounts.rs    per boot: do the numbers add up?
//!                                 \
//!   the agent's record (a file)    +-> compare.rs  every key: in the store once, or accounted for?
//!   the store, row by row         /
//! ```
//!
//! Counters alone can agree and be wrong together, so the second question asks for the rows themselves, against a record that neither
//! the buffer nor the collector writes. Both answers are pure; `ask.rs` fetches what they need over the same API that any
//! program may use, so `uitwijk ledger` and the fault tests look through the same eyes.

mod accounts;
pub mod ask;
mod begun;
mod compare;

#[cfg(test)]
mod tests;

pub use accounts::{Account, Sums};
pub use begun::{Begun, BegunError, Line};
pub use compare::{Bounds, Comparison, Listed, Miscount, compare};

use uitwijk_model::{AgentId, BootId, Sequence, Slot, TargetId};
use uitwijk_proto::v1;

/// By what the store knows a measurement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Who measured.
    pub agent: AgentId,
    /// What.
    pub target: TargetId,
    /// In which turn.
    pub slot: Slot,
    /// Which try of it.
    pub attempt: u8,
}

/// A measurement with both of its names: the number that it travels by, and its key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which start of the agent.
    pub boot: BootId,
    /// Its number there.
    pub sequence: Sequence,
    /// By what the store knows it.
    pub key: Key,
}

impl Place {
    /// Of a stored measurement; nothing when no agent can be called so.
    #[must_use]
    pub fn of(m: &v1::Measurement) -> Option<Self> {
        let key = Key {
            agent: AgentId::new(&m.agent).ok()?,
            target: TargetId::from_wire(&m.target),
            slot: Slot(m.slot),
            attempt: u8::try_from(m.attempt).ok()?,
        };
        Some(Self { boot: BootId(m.boot), sequence: m.sequence, key })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Key { agent, target, slot, attempt } = &self.key;
        write!(f, "{agent} {} number {} {target} slot {} attempt {attempt}", self.boot, self.sequence, slot.0)
    }
}
