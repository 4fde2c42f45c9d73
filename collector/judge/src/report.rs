//! What does a verdict rest on?

use uitwijk_model::{Slot, WallTime};

use crate::episode::Episode;
use crate::evidence::Evidence;
use crate::topology::Topology;
use crate::verdict::{EpisodeId, Revision, RevisionKind};

/// What a revision is called, and when it was made.
#[derive(Debug, Clone)]
pub(crate) struct Stamp {
    pub(crate) id: EpisodeId,
    pub(crate) number: u32,
    pub(crate) kind: RevisionKind,
    pub(crate) decided: WallTime,
    pub(crate) complete: bool,
}

/// Tells an episode with names and times.
pub(crate) fn revision(topology: &Topology, _evidence: &Evidence, e: &Episode, stamp: Stamp) -> Revision {
    let start = |slot| topology.slot.start_of(Slot(slot));
    let other = topology.deployed.iter().copied().find(|&r| r != e.active);
    Revision {
        episode: stamp.id,
        service: topology.service.clone(),
        revision: stamp.number,
        kind: stamp.kind,
        from: start(e.from),
        to: (!e.open).then(|| start(e.to)),
        decided: stamp.decided,
        need: e.need(),
        cause: e.cause,
        execution: e.execution,
        active_region: topology.regions[e.active].clone(),
        other_region: other.map(|r| topology.regions[r].clone()),
        findings: Vec::new(),
        rejected: Vec::new(),
        would_change: Vec::new(),
        plan_version: topology.plan_version.clone(),
        policy_version: topology.policy_version.clone(),
        evidence_hash: format!("{:032x}", e.sum.wrapping_sub(e.sum_before)),
        complete: stamp.complete,
    }
}
