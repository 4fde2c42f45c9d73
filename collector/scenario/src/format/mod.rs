//! What is in a scenario?
//!
//! ```text
//!   faults ------------\
//!   actual_failovers ---+--> what really happened            expect --> what an expert says about it
//!   maintenance -------/--> what was announced
//!   services ------------> what is watched
//! ```
//!
//! These are checked values: times are lengths since the start, names are names, every default is filled in. How a line
//! of JSON becomes one, with all its mistakes at once, is the business of `read.rs`.

use std::collections::BTreeSet;

use uitwijk_judge::{Cause, Execution, Need};
use uitwijk_model::{
    ControlId, EndpointName, Millis, PartnerId, Region, ServiceClass, ServiceId, WallTime, WindowKind, Zone,
};

mod effects;
mod expectations;
mod object;
mod read;

pub use read::{Found, Mistake, Mistakes, find, read_file, read_text};

/// 2026-03-02T08:00:00Z, when scenarios start that do not say otherwise.
pub const START: WallTime = WallTime::from_millis(1_772_438_400_000);

/// What happened, and what an expert says about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Its name.
    pub id: String,
    /// One line for people.
    pub title: String,
    /// Where it comes from.
    pub source: String,
    /// The expert's reasoning.
    pub why: String,
    /// How long it lasts.
    pub duration: Millis,
    /// When it starts.
    pub start: WallTime,
    /// The region behind the public name at the start.
    pub active_region: Region,
    /// What is watched, in the order of the file; never empty.
    pub services: Vec<ServiceSpec>,
    /// What went wrong.
    pub faults: Vec<Fault>,
    /// What was done.
    pub failovers: Vec<Failover>,
    /// What was announced.
    pub maintenance: Vec<Maintenance>,
    /// What should be said.
    pub expect: Vec<Expect>,
}

impl Scenario {
    /// A moment so long after the start.
    #[must_use]
    pub fn at(&self, since: Millis) -> WallTime {
        self.start.plus(since)
    }

    /// When it ends.
    #[must_use]
    pub fn end(&self) -> WallTime {
        self.at(self.duration)
    }

    /// The service that a label is about.
    #[must_use]
    pub fn service_of<'a>(&'a self, expect: &'a Expect) -> &'a ServiceId {
        expect.service.as_ref().unwrap_or(&self.services[0].id)
    }
}

/// A service that is watched.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSpec {
    /// Its name.
    pub id: ServiceId,
    /// Its contract.
    pub class: ServiceClass,
    /// A complete answer that takes longer is slow.
    pub objective: Millis,
    /// Its endpoints; never empty.
    pub endpoints: Vec<EndpointSpec>,
    /// Partners that it depends on.
    pub chain: Vec<PartnerId>,
}

/// One function of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointSpec {
    /// Its name.
    pub name: EndpointName,
    /// Its share of the service, relative to the others.
    pub weight: f64,
    /// When it is bad, the service is.
    pub critical: bool,
}

/// Something that went wrong for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// First moment.
    pub from: Millis,
    /// First moment after it.
    pub to: Millis,
    /// What it touches.
    pub scope: Scope,
    /// What it does there.
    pub effect: Effect,
}

/// Which probes a fault touches: those that every given key fits. An empty list means that the key is not given.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scope {
    /// Deployments in these regions, and the public name while it is served from there.
    pub target_region: Option<Regions>,
    /// Only requests that land in these zones.
    pub target_zones: Vec<Zone>,
    /// Only these services.
    pub services: Vec<ServiceId>,
    /// Only these endpoints.
    pub endpoints: Vec<EndpointName>,
    /// Only the public name; without `target_region` the shared entry itself.
    pub global: bool,
    /// Only the direct regional targets.
    pub regional: bool,
    /// The diagnostic endpoints of these partners.
    pub chain_partners: Vec<PartnerId>,
    /// These controls.
    pub control: Option<Controls>,
    /// Only as seen from these regions.
    pub vantage_region: Option<Regions>,
    /// Only as seen from these zones.
    pub vantage_zones: Vec<Zone>,
    /// On which way it lies.
    pub path: FaultPath,
}

/// One or more regions, or all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Regions {
    /// Every region.
    All,
    /// These.
    These(BTreeSet<Region>),
}

impl Regions {
    /// Whether a region is one of them.
    #[must_use]
    pub fn has(&self, region: &Region) -> bool {
        match self {
            Self::All => true,
            Self::These(regions) => regions.contains(region),
        }
    }
}

/// Some controls, or all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Controls {
    /// Every control.
    All,
    /// These.
    These(BTreeSet<ControlId>),
}

/// On which way a fault lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum FaultPath {
    /// Between agents and what they probe.
    #[default]
    Target,
    /// Between agents and the collector.
    Collector,
    /// In the agent itself.
    Agent,
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// What.
    pub kind: EffectKind,
    /// Grows from nothing to full over the interval.
    pub ramp: bool,
    /// Active only in the first part of each turn.
    pub cycle: Option<Cycle>,
    /// How long after it fails a zone is taken out of the balance; absent when it never is.
    pub drain: Option<Millis>,
    /// Share of the requests of services that depend on the partner, which fail with it.
    pub service_impact: f64,
}

/// On for so long, off for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cycle {
    /// Active.
    pub on: Millis,
    /// Not active.
    pub off: Millis,
}

/// What a fault does, with its numbers. Rates and shares are from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub enum EffectKind {
    /// No answer, or the agent is not running.
    Down {
        /// A refused connection instead of none.
        refused: bool,
        /// Share of the requests.
        rate: f64,
    },
    /// An HTTP error.
    Error {
        /// Share of the requests.
        rate: f64,
        /// The status.
        status: u16,
    },
    /// Longer answers.
    Slow {
        /// By so many milliseconds.
        add_ms: f64,
        /// Share of the requests.
        rate: f64,
    },
    /// Packets are lost.
    Loss {
        /// Share of the requests that are lost; as many again are delayed by a second.
        p: f64,
    },
    /// The name does not resolve.
    Dns {
        /// Share of the requests.
        rate: f64,
    },
    /// The certificate has expired.
    TlsExpired {
        /// Share of the requests.
        rate: f64,
    },
    /// The content is wrong.
    WrongBody {
        /// Share of the requests.
        rate: f64,
    },
    /// Nothing passes.
    Partition {
        /// Records are kept and delivered after the end, instead of lost.
        replay: bool,
        /// Over so long.
        spread: Millis,
    },
    /// Records arrive late.
    Delay {
        /// By so much.
        add: Millis,
        /// And by up to so much more.
        jitter: Millis,
    },
    /// The same records arrive again.
    Duplicate {
        /// So many times.
        copies: u32,
        /// So long after one another.
        every: Millis,
        /// Share of the records.
        p: f64,
    },
    /// The agent's clock is wrong.
    Skew {
        /// Ahead by so many milliseconds.
        offset_ms: i64,
    },
}

/// The region behind the public name was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failover {
    /// When.
    pub at: Millis,
    /// From this region.
    pub from: Region,
    /// To this one.
    pub to: Region,
    /// How long clients take to follow.
    pub ttl: Millis,
}

/// An announcement.
#[derive(Debug, Clone, PartialEq)]
pub struct Maintenance {
    /// First moment.
    pub from: Millis,
    /// First moment after it.
    pub to: Millis,
    /// Its kind.
    pub kind: WindowKind,
    /// Working days ahead.
    pub notice: Option<u32>,
    /// What it covers.
    pub scope: Scope,
}

/// What an expert says about a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// First moment.
    pub from: Millis,
    /// First moment after it.
    pub to: Millis,
    /// How long at the start nobody can know.
    pub tolerance: Millis,
    /// About which service; absent: the first.
    pub service: Option<ServiceId>,
    /// What should be said.
    pub label: Label,
    /// What counts as right too.
    pub accept: Vec<Accepted>,
    /// What counts as right as long as late records are not in.
    pub live_accept: Vec<Accepted>,
}

/// A verdict, in three words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    /// Was a failover needed?
    pub need: Need,
    /// Why?
    pub cause: Cause,
    /// Was it done?
    pub executed: Execution,
}

/// A verdict that counts as right; what is absent is as in the label or, where only the need is given, anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Accepted {
    /// This need.
    pub need: Need,
    /// This cause, or any that goes with the need.
    pub cause: Option<Cause>,
    /// This execution, or that of the label.
    pub executed: Option<Execution>,
}
