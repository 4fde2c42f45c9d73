//! What is the judge fed?

use std::sync::Arc;

use uitwijk_model::{AgentId, Measurement, Plan, Vantage, WallTime};

/// One thing that happened, in the order in which it became durable.
#[derive(Debug, Clone)]
pub enum JudgeInput {
    /// Measurements that are on disk. Never the same one twice.
    Rows(AcceptedRows),
    /// Nothing that this agent scheduled before `through` is still to come.
    Frontier {
        /// The agent.
        agent: AgentId,
        /// A moment on the agent's clock.
        through: WallTime,
    },
    /// Another plan is in force.
    Plan(Arc<Plan>),
}

/// Measurements of one agent that arrived together.
#[derive(Debug, Clone)]
pub struct AcceptedRows {
    /// Who measured.
    pub agent: AgentId,
    /// Where it stands.
    pub vantage: Vantage,
    /// Collector's clock when they came in.
    pub arrived: WallTime,
    /// The measurements.
    pub rows: Vec<Measurement>,
}
