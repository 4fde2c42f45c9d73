//! When is trouble announced, and for what?
//!
//! A [`Window`] excuses only what lies inside its time and inside its scope, and only when its kind and notice allow.
//! Probing goes on inside windows; they tag, they do not skip.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::{EndpointName, PartnerId, Region, ServiceId, Zone};
use crate::time::WallTime;

/// What kind of announcement a window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// Planned maintenance; excuses when announced early enough.
    Planned,
    /// Agreed with the clients; excuses.
    Agreed,
    /// Emergency maintenance; shown, never excuses.
    Emergency,
    /// A calamity by force majeure; excuses availability minutes, never the need.
    ForceMajeure,
}

impl WindowKind {
    /// The name in plans, tables and JSON.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Agreed => "agreed",
            Self::Emergency => "emergency",
            Self::ForceMajeure => "force_majeure",
        }
    }
}

/// What a window covers. An empty set means all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WindowScope {
    /// Services.
    pub services: BTreeSet<ServiceId>,
    /// Regions.
    pub regions: BTreeSet<Region>,
    /// Zones of those regions.
    pub zones: BTreeSet<Zone>,
    /// Chain partners.
    pub partners: BTreeSet<PartnerId>,
    /// Endpoints of those services. Left out of canonical JSON when empty, so that plans without it keep their version.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub endpoints: BTreeSet<EndpointName>,
}

/// An announced stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Its kind.
    pub kind: WindowKind,
    /// First moment.
    pub from: WallTime,
    /// First moment after it.
    pub to: WallTime,
    /// Working days between the announcement and the start; absent when nobody said.
    pub notice_working_days: Option<u32>,
    /// What it covers.
    pub scope: WindowScope,
    /// Who declared it.
    pub author: String,
    /// Why.
    pub reason: String,
}
