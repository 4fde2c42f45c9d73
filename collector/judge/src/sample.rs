//! What does the judge take from one measurement, by name and by number?
//!
//! A [`Sample`] names its agent and target. A [`Numbered`] is the same with the names looked up, once, so that whoever judges
//! the same samples again and again, or has millions of them in memory, does not look names up for each.

use uitwijk_model::{AgentId, Elapsed, Measurement, Outcome, ServedBy, Slot, TargetId, WallTime};

use crate::cell::Place;
use crate::topology::{AgentIx, TargetIx, Topology};

/// What the judge takes from one measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Who measured.
    pub agent: AgentId,
    /// What was measured.
    pub target: TargetId,
    /// The turn of the schedule, by the agent's clock.
    pub slot: Slot,
    /// 0 for the first attempt in the slot.
    pub attempt: u8,
    /// When it began, agent's clock.
    pub started: WallTime,
    /// When it was stored, collector's clock.
    pub arrived: WallTime,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub total: Option<Elapsed>,
    /// Who answered.
    pub served: Option<ServedBy>,
    /// Agent's clock minus the collector's, microseconds, if the agent measured it.
    pub clock_offset_us: Option<i64>,
}

impl Sample {
    /// What the judge takes from a measurement.
    #[must_use]
    pub fn of(agent: &AgentId, m: &Measurement, arrived: WallTime) -> Self {
        Self {
            agent: agent.clone(),
            target: m.target.clone(),
            slot: m.slot,
            attempt: m.attempt,
            started: m.started,
            arrived,
            outcome: m.outcome,
            total: m.total,
            served: m.served.clone(),
            clock_offset_us: m.observer.clock_offset_us,
        }
    }
}

/// A sample with its names looked up in one topology. It is good for that topology only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// Who measured.
    pub agent: AgentIx,
    /// What was measured.
    pub target: TargetIx,
    /// The turn of the schedule, by the agent's clock.
    pub slot: Slot,
    /// 0 for the first attempt in the slot.
    pub attempt: u8,
    /// When it began, agent's clock.
    pub started: WallTime,
    /// When it was stored, collector's clock.
    pub arrived: WallTime,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub total: Option<Elapsed>,
    /// Who answered.
    pub served: Place,
    /// Agent's clock minus the collector's, microseconds, if the agent measured it.
    pub clock_offset_us: Option<i64>,
}

impl Numbered {
    /// Looks the names of a sample up; absent when the agent is not enrolled or the service does not rest on the target.
    #[must_use]
    pub fn of(topology: &Topology, sample: &Sample) -> Option<Self> {
        Some(Self {
            agent: topology.agent(&sample.agent)?,
            target: topology.target(&sample.target)?,
            slot: sample.slot,
            attempt: sample.attempt,
            started: sample.started,
            arrived: sample.arrived,
            outcome: sample.outcome,
            total: sample.total,
            served: place(topology, sample.outcome, sample.served.as_ref()),
            clock_offset_us: sample.clock_offset_us,
        })
    }

    /// The same for a measurement of an agent that was looked up already.
    #[must_use]
    pub fn of_measurement(topology: &Topology, agent: AgentIx, m: &Measurement, arrived: WallTime) -> Option<Self> {
        Some(Self {
            agent,
            target: topology.target(&m.target)?,
            slot: m.slot,
            attempt: m.attempt,
            started: m.started,
            arrived,
            outcome: m.outcome,
            total: m.total,
            served: place(topology, m.outcome, m.served.as_ref()),
            clock_offset_us: m.observer.clock_offset_us,
        })
    }
}

fn place(topology: &Topology, outcome: Outcome, served: Option<&ServedBy>) -> Place {
    served.filter(|_| outcome.is_measured()).map_or(Place::UNTOLD, |s| Place::of(topology, s))
}
