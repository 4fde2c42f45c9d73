//! Which rows of a batch are new in the store, in full?

use uitwijk_model::{AgentId, BootId, Measurement, Sequence, Vantage, WallTime};

/// Rows of one agent that are on disk and were not there before.
#[derive(Debug, Clone, PartialEq)]
pub struct AcceptedRows {
    /// Who measured.
    pub agent: AgentId,
    /// Where it stood.
    pub vantage: Vantage,
    /// When the batch came in, collector's clock.
    pub arrived: WallTime,
    /// The start of the agent that it measured under.
    pub boot: BootId,
    /// In order of sequence; at least one.
    pub rows: Vec<Measurement>,
    /// The number of each row.
    pub sequences: Vec<Sequence>,
}
