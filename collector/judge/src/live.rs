//! What can be said right now, what is settled, and what must be corrected?

use std::collections::BTreeMap;

use uitwijk_model::{AgentId, Measurement, Plan, ServiceId, Slot, TargetId, WallTime};

use crate::evidence::{Evidence, Taken};
use crate::topology::{Topology, UnknownService};
use crate::verdict::{Revision, Segment};

/// The judge of one service, live.
#[derive(Debug, Clone)]
pub struct Live {
    topology: Topology,
    evidence: Evidence,
    frontiers: BTreeMap<AgentId, WallTime>,
}

impl Live {
    /// A judge that knows nothing yet.
    ///
    /// # Errors
    /// When the plan does not have the service.
    pub fn new(plan: &Plan, service: &ServiceId) -> Result<Self, UnknownService> {
        let topology = Topology::of(plan, service)?;
        Ok(Self { evidence: Evidence::new(&topology), topology, frontiers: BTreeMap::new() })
    }

    /// Whether a target has a part in the verdict of this service.
    #[must_use]
    pub fn rests_on(&self, target: &TargetId) -> bool {
        self.topology.target(target).is_some()
    }

    /// Takes one measurement in; repeats change nothing.
    pub fn observe(&mut self, agent: &AgentId, measurement: &Measurement, arrived: WallTime) -> Taken {
        let Some(v) = self.topology.agent(agent) else { return Taken::Foreign };
        self.evidence.add_measurement(&self.topology, v, measurement, arrived)
    }

    /// All records of an agent up to this moment have been observed.
    pub fn frontier(&mut self, agent: &AgentId, through: WallTime) {
        let known = self.frontiers.entry(agent.clone()).or_insert(through);
        *known = (*known).max(through);
    }

    /// The moment up to which every enrolled agent's records are in.
    #[must_use]
    pub fn watermark(&self) -> Option<WallTime> {
        self.topology.agents.iter().map(|a| self.frontiers.get(&a.id).copied()).min().flatten()
    }

    /// Judges what can be judged at this moment and answers the revisions that are new.
    pub fn advance(&mut self, _now: WallTime) -> Vec<Revision> {
        Vec::new()
    }

    /// Takes over what was published before a restart, oldest first, so that names and numbers go on.
    pub fn restore(&mut self, _published: &[Revision]) {}

    /// Goes on under another plan.
    ///
    /// # Errors
    /// When the plan no longer has the service.
    pub fn set_plan(&mut self, plan: &Plan) -> Result<(), UnknownService> {
        let topology = Topology::of(plan, &self.topology.service)?;
        self.evidence = self.evidence.moved(&self.topology, &topology);
        self.topology = topology;
        Ok(())
    }

    /// When `advance` should be called next, if nothing arrives before.
    #[must_use]
    pub fn next_wakeup(&self, now: WallTime) -> WallTime {
        let slot = self.topology.slot;
        let due = slot.slot_of(now.minus(self.topology.policy.grace));
        slot.start_of(Slot(due.0.saturating_add(1))).plus(self.topology.policy.grace)
    }

    /// What the service was judged to be, segment by adjacent segment.
    #[must_use]
    pub fn timeline(&self, _from: WallTime, _to: WallTime) -> Vec<Segment> {
        Vec::new()
    }
}
