//! Which fleet is it: what is probed, from where, how, and by which rules is it judged?
//!
//! ```text
//!   plan.yaml --read.rs--> (every mistake, or) Plan --> targets()  what agents probe
//!                                                  --> policy      how the judge weighs
//!                                                  --> windows     what was announced
//!   Plan --> canonical JSON --> version (content hash), to agents over gRPC, remembered on their disk
//! ```
//!
//! The types in this file are the *resolved* plan: defaults filled in, environment expanded, names checked. How a
//! YAML file becomes one, with all its mistakes at once, is `read.rs`'s business.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{
    AgentId, ControlId, EndpointName, PartnerId, PlanVersion, Region, ServiceId, ShadowName, TargetId, Vantage, Zone,
};
use crate::time::{Millis, SlotLength};
use crate::window::Window;

mod overrides;
mod policy;
mod probe;
pub mod read;
mod render;
pub mod working_days;

pub use overrides::PolicyOverrides;
pub use policy::{Policy, Ratio, RatioError};
pub use probe::{
    BodyExpectation, ConnectOptions, DnsProbe, DnsRecordType, Expectation, GrpcProbe, HeaderExpectation, HttpProbe,
    HttpVersion, IpFamily, JsonExpectation, Probe, ProbeKind, SecretText, ServedFrom, ServedPlace, StatusRange,
    TcpProbe, TlsOptions, TlsProbe,
};

/// A fleet, resolved and checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Name of the fleet, for people and for the trust domain of nothing else.
    pub name: String,
    /// Counts up when the plan changes; of two plans the higher revision is the newer.
    pub revision: u64,
    /// Length of a slot.
    pub slot: SlotLength,
    /// The regions and their zones.
    pub regions: BTreeMap<Region, BTreeSet<Zone>>,
    /// The enrolled agents and where they stand.
    pub agents: BTreeMap<AgentId, Vantage>,
    /// What is judged.
    pub services: BTreeMap<ServiceId, Service>,
    /// Chain partners that services name.
    pub partners: BTreeMap<PartnerId, Partner>,
    /// Independent references that tell an agent its own network is sick.
    pub controls: BTreeMap<ControlId, Control>,
    /// How the judge weighs, unless a service has a policy of its own.
    pub policy: Policy,
    /// Policies that are judged by beside the real ones, to compare; they never alert.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shadow: BTreeMap<ShadowName, PolicyOverrides>,
    /// What was announced.
    pub windows: Vec<Window>,
}

/// Which contract a service is measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ServiceClass {
    /// Pages for people; objective 5 s unless the plan says otherwise.
    Website,
    /// Calls between programs; objective 1.5 s unless the plan says otherwise.
    Webservice,
}

impl ServiceClass {
    /// The response-time objective of the contract.
    #[must_use]
    pub const fn objective(self) -> Millis {
        match self {
            Self::Website => Millis(5000),
            Self::Webservice => Millis(1500),
        }
    }

    /// The name in plans, tables and labels.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Website => "website",
            Self::Webservice => "webservice",
        }
    }
}

/// Something users depend on, deployed in several regions behind one public name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Title for people.
    pub title: String,
    /// Its contract.
    pub class: ServiceClass,
    /// A complete answer that takes longer is `slow`.
    pub objective: Millis,
    /// The region behind the public name as long as no answer tells.
    pub active_region: Region,
    /// Partners that it depends on.
    pub chain: BTreeSet<PartnerId>,
    /// Its endpoints; at least one.
    pub endpoints: BTreeMap<EndpointName, Endpoint>,
    /// Replaces the plan's policy for this service.
    pub policy: Option<Policy>,
}

/// One function of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Share of the service that it carries, relative to the others; 1 to 1000.
    pub weight: u32,
    /// When it is bad, the service is.
    pub critical: bool,
    /// The deployment in each region, reached directly.
    pub regional: BTreeMap<Region, Probe>,
    /// One zone of a deployment, where it can be reached directly.
    pub zonal: BTreeMap<Region, BTreeMap<Zone, Probe>>,
    /// The public name.
    pub global: Option<Probe>,
}

/// A party that services depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partner {
    /// Title for people.
    pub title: String,
    /// Its diagnostic endpoint.
    pub probe: Probe,
    /// A complete answer that takes longer is `slow`.
    pub objective: Millis,
}

/// An independent reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// How it is reached.
    pub probe: Probe,
    /// A complete answer that takes longer is `slow`.
    pub objective: Millis,
}

/// What a target is, with the names that make its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// A deployment in one region: `exchange/default@NL`.
    Regional {
        /// Service it belongs to.
        service: ServiceId,
        /// Endpoint of the service.
        endpoint: EndpointName,
        /// Region it stands in.
        region: Region,
    },
    /// One zone of a deployment: `exchange/default@NL/1`.
    Zonal {
        /// Service it belongs to.
        service: ServiceId,
        /// Endpoint of the service.
        endpoint: EndpointName,
        /// Region it stands in.
        region: Region,
        /// Zone within the region.
        zone: Zone,
    },
    /// The public name: `exchange/default@public`.
    Global {
        /// Service it belongs to.
        service: ServiceId,
        /// Endpoint of the service.
        endpoint: EndpointName,
    },
    /// A partner's diagnostic endpoint: `chain:idp`.
    Chain {
        /// The partner.
        partner: PartnerId,
    },
    /// An independent reference: `control:ctl-a`.
    Control {
        /// The control.
        control: ControlId,
    },
}

impl TargetKind {
    /// The id that names this target everywhere.
    #[must_use]
    pub fn id(&self) -> TargetId {
        TargetId::from_wire(&match self {
            Self::Regional { service, endpoint, region } => format!("{service}/{endpoint}@{region}"),
            Self::Zonal { service, endpoint, region, zone } => format!("{service}/{endpoint}@{region}/{zone}"),
            Self::Global { service, endpoint } => format!("{service}/{endpoint}@public"),
            Self::Chain { partner } => format!("chain:{partner}"),
            Self::Control { control } => format!("control:{control}"),
        })
    }

    /// The service it belongs to; partners and controls belong to none.
    #[must_use]
    pub const fn service(&self) -> Option<&ServiceId> {
        match self {
            Self::Regional { service, .. } | Self::Zonal { service, .. } | Self::Global { service, .. } => {
                Some(service)
            }
            Self::Chain { .. } | Self::Control { .. } => None,
        }
    }

    /// `regional`, `zonal`, `global`, `chain` or `control`.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Regional { .. } => "regional",
            Self::Zonal { .. } => "zonal",
            Self::Global { .. } => "global",
            Self::Chain { .. } => "chain",
            Self::Control { .. } => "control",
        }
    }
}

/// One thing to probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Its id, made from `kind`.
    pub id: TargetId,
    /// What it is.
    pub kind: TargetKind,
    /// How to probe it.
    pub probe: Probe,
    /// A complete answer that takes longer is `slow`.
    pub objective: Millis,
}

impl Plan {
    /// Everything that every agent probes, in order of kind and name.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        let mut push = |kind: TargetKind, probe: &Probe, objective: Millis| {
            targets.push(Target { id: kind.id(), kind, probe: probe.clone(), objective });
        };
        for (service, s) in &self.services {
            for (endpoint, e) in &s.endpoints {
                let (service, endpoint) = (service.clone(), endpoint.clone());
                for (region, probe) in &e.regional {
                    let (service, endpoint, region) = (service.clone(), endpoint.clone(), region.clone());
                    push(TargetKind::Regional { service, endpoint, region }, probe, s.objective);
                }
                for (region, zones) in &e.zonal {
                    for (zone, probe) in zones {
                        let (service, endpoint) = (service.clone(), endpoint.clone());
                        let (region, zone) = (region.clone(), zone.clone());
                        push(TargetKind::Zonal { service, endpoint, region, zone }, probe, s.objective);
                    }
                }
                if let Some(probe) = &e.global {
                    push(TargetKind::Global { service, endpoint }, probe, s.objective);
                }
            }
        }
        for (partner, p) in &self.partners {
            push(TargetKind::Chain { partner: partner.clone() }, &p.probe, p.objective);
        }
        for (control, c) in &self.controls {
            push(TargetKind::Control { control: control.clone() }, &c.probe, c.objective);
        }
        targets.sort_by(|a, b| a.kind.cmp(&b.kind));
        targets
    }

    /// The policy that a service is judged by.
    #[must_use]
    pub fn policy_of(&self, service: &ServiceId) -> &Policy {
        self.services.get(service).and_then(|s| s.policy.as_ref()).unwrap_or(&self.policy)
    }

    /// The policy that a service is judged by in the shadow of the real one; absent when there is no such shadow.
    #[must_use]
    pub fn shadow_policy_of(&self, shadow: &ShadowName, service: &ServiceId) -> Option<Policy> {
        self.shadow.get(shadow).map(|overrides| overrides.over(self.policy_of(service)))
    }

    /// The plan as JSON with one spelling, which agents receive and versions are made from.
    #[must_use]
    pub fn to_canonical_json(&self) -> String {
        serde_json::to_string(self).expect("a plan has only string keys and finite numbers")
    }

    /// Reads what [`Self::to_canonical_json`] wrote.
    ///
    /// # Errors
    /// When it is not such JSON, with serde's message.
    pub fn from_canonical_json(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// Content hash: the first 16 hexadecimal digits of the SHA-256 of the canonical JSON.
    #[must_use]
    pub fn version(&self) -> PlanVersion {
        PlanVersion::new(content_hash(self.to_canonical_json().as_bytes())).expect("hexadecimal digits are a name")
    }
}

/// The first 16 hexadecimal digits of the SHA-256 of some bytes.
#[must_use]
pub fn content_hash(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().take(8).map(|b| format!("{b:02x}")).collect()
}
