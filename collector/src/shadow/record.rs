//! What does the log of the shadows keep?
//!
//! Entries of a chain like that of the verdict log, with names that begin with the shadow: `eager/exchange/2026-03-02T08:15:00Z`
//! is what the policy `eager` made of that time. Beside revisions it says since when a shadow is judged by.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uitwijk_judge::Revision;
use uitwijk_model::{Plan, PolicyOverrides, ServiceId, ShadowName, WallTime};

use super::ShadowError;
use crate::verdict_log::{Entry, Publication};

/// A revision of a shadow: the body of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shadowed {
    /// The shadow.
    pub shadow: ShadowName,
    /// What it said.
    pub revision: Revision,
}

/// Which shadows are judged by, and since when: the body of an entry. Written anew when that changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Began {
    /// By name.
    pub began: BTreeMap<ShadowName, Since>,
}

/// Since when a shadow is judged by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Since {
    /// Version of what is laid over the policies of the plan.
    pub overrides: String,
    /// When.
    pub at: WallTime,
}

/// The name under which the log finds the episodes of a service.
pub(super) fn service_key(shadow: &ShadowName, service: &ServiceId) -> String {
    format!("{shadow}/{service}")
}

/// The name under which the log finds which shadows are judged by. No service of a shadow has a name without a slash.
pub(super) const BEGAN: &str = "began";

impl Shadowed {
    /// What the log takes.
    pub(super) fn publication(&self) -> Publication {
        let r = &self.revision;
        Publication {
            episode: format!("{}/{}", self.shadow, r.episode),
            service: service_key(&self.shadow, &r.service),
            revision: r.revision,
            from: r.from,
            to: r.to,
            body: serde_json::to_value(self).expect("a revision has only string keys and whole numbers"),
        }
    }

    /// Reads an entry; absent when it says something else.
    pub(super) fn from_entry(entry: &Entry) -> Result<Option<Self>, ShadowError> {
        if entry.body.get("shadow").is_none() {
            return Ok(None);
        }
        read(entry).map(Some)
    }
}

impl Began {
    /// What holds from now on by a plan; a shadow that is as before keeps its beginning.
    pub(super) fn after(&self, plan: &Plan, now: WallTime) -> Self {
        let since = |(name, overrides): (&ShadowName, &PolicyOverrides)| {
            let overrides = overrides.version();
            let as_before = self.began.get(name).filter(|since| since.overrides == overrides);
            let at = as_before.map_or(now, |since| since.at);
            (name.clone(), Since { overrides, at })
        };
        Self { began: plan.shadow.iter().map(since).collect() }
    }

    /// What the log takes, as its n-th revision.
    pub(super) fn publication(&self, revision: u32, at: WallTime) -> Publication {
        let body = serde_json::to_value(self).expect("plain data");
        let (episode, service) = (BEGAN.to_owned(), BEGAN.to_owned());
        Publication { episode, service, revision, from: at, to: Some(at), body }
    }

    /// Reads an entry.
    pub(super) fn from_entry(entry: &Entry) -> Result<Self, ShadowError> {
        read(entry)
    }
}

fn read<T: serde::de::DeserializeOwned>(entry: &Entry) -> Result<T, ShadowError> {
    serde_json::from_value(entry.body.clone())
        .map_err(|e| ShadowError::Unreadable { sequence: entry.sequence, why: e.to_string() })
}
