//! What may stand in a plan file?
//!
//! These structs are the format. Their comments are what editors show, and what `uitwijk plan schema` prints. Where a value has
//! a type of the model, that type reads it; where the file is shorter than the model, `build.rs` fills in the rest.

use std::collections::{BTreeMap, BTreeSet};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::format::text;
use super::raw_probe::{RawProbe, Target};
use crate::id::{AgentId, ControlId, EndpointName, PartnerId, Region, ServiceId, ShadowName, Zone};
use crate::plan::{Policy, ServiceClass};
use crate::time::{Millis, SlotLength};
use crate::window::WindowKind;

/// The plan of a fleet: what is probed, from where, how, and by which rules it is judged. `${NAME}` and
/// `${NAME:-default}` in values are filled in from the environment of the collector.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Plan")]
pub(in crate::plan) struct RawPlan {
    /// Name of the fleet, for people. 1 to 100 characters.
    #[schemars(required, length(min = 1, max = 100))]
    pub name: Option<String>,
    /// Counts up when the plan changes: of two plans the higher revision is the newer.
    #[schemars(required, range(min = 1))]
    pub revision: Option<u64>,
    /// Length of a turn of the schedule: every agent probes every target once per slot. Default 10s; 100ms to 1h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<SlotLength>,
    /// Time zone of days and of moments without an offset. Default Europe/Amsterdam.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<text::TimeZone>")]
    pub time_zone: Option<String>,
    /// Days that are not working days besides weekends and the Dutch public holidays. At most 1000.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "BTreeSet<text::Day>", extend("maxItems" = 1000))]
    pub holidays: BTreeSet<jiff::civil::Date>,
    /// Regions and the names of their zones. 1 to 32 regions of 1 to 64 zones each.
    #[schemars(required, extend("minProperties" = 1, "maxProperties" = 32))]
    pub regions: Option<Named<Region, Zones>>,
    /// Enrolled agents and where each stands, written REGION/ZONE. At most 10000.
    #[schemars(required, with = "Named<AgentId, text::Place>", extend("minProperties" = 1, "maxProperties" = 10_000))]
    pub agents: Option<Named<AgentId, String>>,
    /// What is taken where an endpoint, partner or control does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<RawDefaults>,
    /// What is judged. At most 10000.
    #[schemars(required, extend("minProperties" = 1, "maxProperties" = 10_000))]
    pub services: Option<Named<ServiceId, RawService>>,
    /// Parties that services depend on, each with a diagnostic endpoint.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub partners: Named<PartnerId, RawPartner>,
    /// Independent references that tell an agent that its own network is sick.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub controls: Named<ControlId, RawControl>,
    /// How the judge weighs; a service may replace parts of it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schemars(with = "Policy")]
    pub policy: Value,
    /// Policies that are judged by beside the real ones, to compare; they never alert. Each says what differs and is laid over the
    /// policy of every service. At most 4.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    #[schemars(with = "Named<ShadowName, Policy>", extend("maxProperties" = 4))]
    pub shadow: Named<ShadowName, Value>,
    /// Maintenance and force majeure, announced. At most 1000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 1000))]
    pub windows: Vec<RawWindow>,
}

/// Zone names of a region. 1 to 64.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("minItems" = 1, "maxItems" = 64))]
pub(in crate::plan) struct Zones(pub BTreeSet<Zone>);

/// What is taken where others do not say.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Defaults")]
pub(in crate::plan) struct RawDefaults {
    /// Parts of probes. Several kinds may stand here; each serves the probes of its kind.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schemars(with = "RawProbe")]
    pub probe: Value,
}

/// Something users depend on, deployed in several regions behind one public name.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Service")]
pub(in crate::plan) struct RawService {
    /// Title for people. Default: the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub title: Option<String>,
    /// Contract that it is measured by: website (objective 5s) or webservice (objective 1500ms).
    #[schemars(required)]
    pub class: Option<ServiceClass>,
    /// A complete answer that takes longer is slow. Default: that of the class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<Millis>,
    /// The region behind the public name as long as no answer tells.
    #[schemars(required)]
    pub active_region: Option<Region>,
    /// Partners that it depends on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "BTreeSet<PartnerId>")]
    pub chain: Vec<PartnerId>,
    /// Its functions. 1 to 1000.
    #[schemars(required, extend("minProperties" = 1, "maxProperties" = 1000))]
    pub endpoints: Option<Named<EndpointName, RawEndpoint>>,
    /// Replaces parts of the policy of the plan.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schemars(with = "Policy")]
    pub policy: Value,
}

/// One function of a service, and the targets through which it is reached.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Endpoint")]
pub(in crate::plan) struct RawEndpoint {
    /// Share of the service that it carries, relative to the others. Default 1; 1 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub weight: Option<u32>,
    /// When it is bad, the service is. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical: Option<bool>,
    /// How all its targets are probed; a target may replace parts.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schemars(with = "RawProbe")]
    pub probe: Value,
    /// The deployment in each region, reached directly.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub regional: Named<Region, Target>,
    /// Single zones of a deployment, where they can be reached directly.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub zonal: Named<Region, Named<Zone, Target>>,
    /// The public name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global: Option<Target>,
}

/// A party that services depend on.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Partner")]
pub(in crate::plan) struct RawPartner {
    /// Title for people. Default: the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub title: Option<String>,
    /// A complete answer that takes longer is slow. Default 1500ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<Millis>,
    /// Its diagnostic endpoint.
    #[schemars(required)]
    pub probe: Option<Target>,
}

/// An independent reference that has nothing to do with the services.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Control")]
pub(in crate::plan) struct RawControl {
    /// A complete answer that takes longer is slow. Default 5s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<Millis>,
    /// How it is reached.
    #[schemars(required)]
    pub probe: Option<Target>,
}

/// An announced stretch of time. Probing goes on inside it.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Window")]
pub(in crate::plan) struct RawWindow {
    /// Kind of announcement.
    #[schemars(required)]
    pub kind: Option<WindowKind>,
    /// First moment: RFC 3339, or local time of `time_zone` without an offset.
    #[schemars(required, with = "text::Moment")]
    pub from: Option<String>,
    /// First moment after it.
    #[schemars(required, with = "text::Moment")]
    pub to: Option<String>,
    /// Day on which it was announced, from which the working days of notice follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<text::Day>")]
    pub announced: Option<jiff::civil::Date>,
    /// Working days of notice, where the day of announcement is not given. 0 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1000))]
    pub notice_working_days: Option<u32>,
    /// What it covers; what is left out means all.
    #[serde(default, skip_serializing_if = "RawScope::is_all")]
    pub scope: RawScope,
    /// Who declared it.
    #[schemars(required, length(min = 1, max = 200))]
    pub author: Option<String>,
    /// Why.
    #[schemars(required, length(min = 1, max = 1000))]
    pub reason: Option<String>,
}

/// What a window covers; what is left out means all.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Scope")]
pub(in crate::plan) struct RawScope {
    /// Services.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "BTreeSet<ServiceId>")]
    pub services: Vec<ServiceId>,
    /// Regions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "BTreeSet<Region>")]
    pub regions: Vec<Region>,
    /// Zones of those regions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "BTreeSet<Zone>")]
    pub zones: Vec<Zone>,
    /// Chain partners.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "BTreeSet<PartnerId>")]
    pub partners: Vec<PartnerId>,
    /// Endpoints of those services; what fails beside them is not excused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "BTreeSet<EndpointName>")]
    pub endpoints: Vec<EndpointName>,
}

impl RawScope {
    fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

/// A map whose keys are names of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent, bound(deserialize = "K: Ord + Deserialize<'de>, V: Deserialize<'de>"))]
pub(in crate::plan) struct Named<K, V>(pub BTreeMap<K, V>);

impl<K, V> Default for Named<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K, V> Named<K, V> {
    pub(in crate::plan) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: JsonSchema, V: JsonSchema> JsonSchema for Named<K, V> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Named_{}_{}", K::schema_name(), V::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        // Keys are always texts, also of zones.
        let mut names = K::json_schema(generator);
        names.insert("type".into(), "string".into());
        let values = generator.subschema_for::<V>();
        json_schema!({ "type": "object", "propertyNames": names, "additionalProperties": values })
    }
}
