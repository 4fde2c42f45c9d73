//! What can the judge say?
//!
//! ```text
//!   Timeline = [Segment, Segment, ...]       adjacent, one per stretch with one answer
//!   Episode  = a stretch worth a verdict --> Revision 1 (provisional), 2, ... (final), ... (revised)
//!   Revision = need + cause + execution, with the findings it rests on
//!   Finding  = a sentence + the observations (vantage, target, slots, counts) it rests on
//! ```
//!
//! These are the only types that leave the crate. They carry names and wall times, never indexes, so that a revision
//! that was written to a log years ago still reads by itself.

use std::fmt;

use serde::{Deserialize, Serialize};
use uitwijk_model::{AgentId, PlanVersion, Region, ServiceId, Slot, TargetId, WallTime};

use crate::since::Since;

macro_rules! labelled {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $label:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in tables, labels and JSON.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.label())
            }
        }
    };
}

labelled! {
    /// Was a failover needed?
    Need {
        /// Users were served, or another region would have changed nothing that a failover is for.
        NotNeeded = "not_needed";
        /// Users were hurt by something in the active region that the other does not share.
        Needed = "needed";
        /// Users were hurt, but the other region was no better.
        Futile = "futile";
        /// The evidence does not carry an answer.
        Inconclusive = "inconclusive";
    }
}

labelled! {
    /// Why? Each cause belongs to one [`Need`].
    Cause {
        /// Nothing worth telling.
        Healthy = "healthy";
        /// A zone fell out of the active region and the others carried on.
        ZoneAbsorbed = "zone_absorbed";
        /// Users were hurt, but not for long enough.
        Transient = "transient";
        /// An observer was sick or silent, not the service.
        VantageFault = "vantage_fault";
        /// The way between some observers and the service was broken, the service was not.
        PathFault = "path_fault";
        /// Announced, and inside what was announced.
        Maintenance = "maintenance";
        /// A chain partner failed for both regions alike.
        ChainPartner = "chain_partner";
        /// Slower than usual, within the objective.
        SlowWithinObjective = "slow_within_objective";
        /// Some requests failed or were slow, fewer than the policy allows for.
        MinorDegradation = "minor_degradation";
        /// An endpoint that does not carry enough of the service was bad.
        EndpointFault = "endpoint_fault";
        /// The region that was not serving was bad.
        StandbyDown = "standby_down";
        /// The direct name of the active region was bad, the public name was not.
        DiagnosticOnly = "diagnostic_only";
        /// Most requests to the active region failed, the other was clearly better.
        RegionDown = "region_down";
        /// A part of the requests to the active region failed, the other was clearly better.
        RegionDegraded = "region_degraded";
        /// The active region was slow, the other was clearly better.
        RegionSlow = "region_slow";
        /// Both regions were bad.
        GlobalFault = "global_fault";
        /// The regions were fine, the shared entry was not.
        FrontDoor = "front_door";
        /// The regions were fine, the public name did not resolve.
        DnsGlobal = "dns_global";
        /// Too few trusted vantages or too few samples.
        InsufficientEvidence = "insufficient_evidence";
        /// Nobody measured anything.
        NoData = "no_data";
    }
}

impl Cause {
    /// The need that this cause goes with.
    #[must_use]
    pub const fn need(self) -> Need {
        match self {
            Self::RegionDown | Self::RegionDegraded | Self::RegionSlow => Need::Needed,
            Self::GlobalFault | Self::FrontDoor | Self::DnsGlobal => Need::Futile,
            Self::InsufficientEvidence | Self::NoData => Need::Inconclusive,
            _ => Need::NotNeeded,
        }
    }
}

labelled! {
    /// Was it done?
    Execution {
        /// Needed, and the serving region changed in time.
        Executed = "executed";
        /// Needed, not done (while the episode is open: not done so far).
        Missed = "missed";
        /// Done, though not needed or futile.
        Unnecessary = "unnecessary";
        /// Neither needed nor done.
        None = "none";
    }
}

labelled! {
    /// How firm is a revision?
    RevisionKind {
        /// Made within the grace after a slot; records may still be missing.
        Provisional = "provisional";
        /// The watermark, or the horizon, passed the end of the episode.
        Final = "final";
        /// Later records changed a final answer.
        Revised = "revised";
    }
}

/// Name of an episode: the service and the start of the episode as it was first seen, `exchange/2026-03-02T08:15:00Z`.
/// It never changes, even when later records move the start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EpisodeId(pub String);

impl EpisodeId {
    /// The name of the episode of a service that was first seen to start at some moment.
    #[must_use]
    pub fn new(service: &ServiceId, first_seen: WallTime) -> Self {
        Self(format!("{service}/{first_seen}"))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EpisodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Counts of one target as seen from one vantage over a stretch of slots. Slots without a measurement are not in here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Who saw it; absent where the counts are summed over agents.
    pub agent: Option<AgentId>,
    /// What was seen.
    pub target: TargetId,
    /// First slot.
    pub from_slot: Slot,
    /// First slot after it.
    pub to_slot: Slot,
    /// Slots with a measurement.
    pub measured: u32,
    /// Of them without a complete right answer.
    pub failed: u32,
    /// Of them right, but over the objective.
    pub slow: u32,
}

/// What was seen, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Name for machines, such as `public_name_hurt`.
    pub code: String,
    /// One English sentence with numbers, places and times.
    pub text: String,
    /// The same in Dutch.
    pub text_nl: String,
    /// What it rests on.
    pub observations: Vec<Observation>,
}

/// A cause that was weighed and put aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// The cause.
    pub cause: Cause,
    /// Why not, one English sentence.
    pub reason: String,
    /// The same in Dutch.
    pub reason_nl: String,
    /// The finding that decided so.
    pub finding_code: String,
}

/// What would have changed the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WouldChange {
    /// One English sentence.
    pub text: String,
    /// The same in Dutch.
    pub text_nl: String,
}

/// One revision of the verdict on one episode. Later revisions never replace earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// The episode.
    pub episode: EpisodeId,
    /// The service.
    pub service: ServiceId,
    /// Number of the revision within the episode, from 1.
    pub revision: u32,
    /// How firm it is.
    pub kind: RevisionKind,
    /// Event time of the first slot.
    pub from: WallTime,
    /// Event time after the last slot; absent while the episode is open.
    pub to: Option<WallTime>,
    /// Clock of the collector when this was decided.
    pub decided: WallTime,
    /// Was a failover needed?
    pub need: Need,
    /// Why?
    pub cause: Cause,
    /// Was it done?
    pub execution: Execution,
    /// The region that served when the episode began.
    pub active_region: Region,
    /// The best of the others; absent when there is no other.
    pub other_region: Option<Region>,
    /// What the verdict rests on, the deciding findings first.
    pub findings: Vec<Finding>,
    /// What was weighed and put aside.
    pub rejected: Vec<Rejected>,
    /// What would have changed the answer.
    pub would_change: Vec<WouldChange>,
    /// The plan it was judged under.
    pub plan_version: PlanVersion,
    /// The policy it was judged under.
    pub policy_version: String,
    /// Hash over the evidence from one soft window before the episode to its end, 32 hexadecimal digits.
    pub evidence_hash: String,
    /// True when the records of every enrolled agent up to the end were in.
    pub complete: bool,
    /// What came in since the revision before; absent in the first, and in those that were written before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
}

/// A stretch of time with one answer. The segments of a timeline are adjacent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// First moment.
    pub from: WallTime,
    /// First moment after it.
    pub to: WallTime,
    /// Was a failover needed?
    pub need: Need,
    /// Why?
    pub cause: Cause,
    /// Was it done?
    pub execution: Execution,
    /// The episode that tells more; absent in quiet time.
    pub episode: Option<EpisodeId>,
    /// The latest revision of that episode, 0 without one.
    pub revision: u32,
    /// The region that served; absent when nothing ever told.
    pub served_region: Option<Region>,
}
