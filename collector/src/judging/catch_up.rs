//! How long does a start wait before it judges?
//!
//! ```text
//!   stored rows | collector away | start      frontier of nl-1 .. ie-3 passed the start
//!   ------------+----------------+------------+-------------------------------> judge
//!               ^ kept by agents, delivered --/
//! ```
//!
//! While the collector was away nobody was silent: the agents kept on measuring and now deliver. Judged at once, that time
//! would look like a fleet without agents, and a verdict would say so. So the judge waits until each enrolled agent
//! has delivered all it had at the moment of the start, which its frontier says, or until a time has passed: who has
//! not delivered by then is silent as far as anybody can tell.

use std::collections::BTreeSet;

use uitwijk_model::{AgentId, Millis, Plan, WallTime};

/// A start that waits.
#[derive(Debug)]
pub(crate) struct CatchUp {
    started: WallTime,
    until: WallTime,
    awaited: BTreeSet<AgentId>,
}

impl CatchUp {
    pub(crate) fn begin(plan: &Plan, started: WallTime, longest: Millis) -> Self {
        Self { started, until: started.plus(longest), awaited: plan.agents.keys().cloned().collect() }
    }

    /// An agent has delivered everything up to a moment.
    pub(crate) fn frontier(&mut self, agent: &AgentId, through: WallTime) {
        if through >= self.started {
            self.awaited.remove(agent);
        }
    }

    /// Agents that the plan no longer has are not waited for; new ones have kept nothing for us.
    pub(crate) fn set_plan(&mut self, plan: &Plan) {
        self.awaited.retain(|agent| plan.agents.contains_key(agent));
    }

    /// Whether there is still somebody to wait for.
    pub(crate) fn waits(&self, now: WallTime) -> bool {
        !self.awaited.is_empty() && now < self.until
    }

    /// The agents that have not delivered.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &AgentId> {
        self.awaited.iter()
    }

    /// When the wait ends at the latest.
    pub(crate) fn until(&self) -> WallTime {
        self.until
    }
}
