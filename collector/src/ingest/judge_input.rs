//! What is the judge told, and in which order?

use std::sync::Arc;

use uitwijk_model::{AgentId, Plan, WallTime};

use crate::store::Samples;
use crate::switches::HeardSwitch;

/// One message to the judge. Everything in it is on disk.
#[derive(Debug, Clone)]
pub enum JudgeInput {
    /// Rows that were not there before.
    Rows(Samples),
    /// Everything that this agent scheduled before `through` came before this message.
    Frontier {
        /// The agent.
        agent: AgentId,
        /// Agent's clock; never goes back for one agent.
        through: WallTime,
    },
    /// Somebody reported that users were moved to another region.
    Switch(HeardSwitch),
    /// A new plan is in force.
    Plan(Arc<Plan>),
}
