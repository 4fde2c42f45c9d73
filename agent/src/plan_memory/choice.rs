//! Which of the plans on offer runs?
//!
//! The highest revision. Among equal revisions with different content, which is a mistake of the operator's, the
//! collector that the agent's configuration names first of those that have spoken, so that the agents of one
//! configuration agree; a remembered plan comes last. A collector that offers less than what runs is behind, and waits:
//! to go back to an older plan, publish it with a higher revision.

use std::collections::BTreeMap;
use std::sync::Arc;

use uitwijk_model::{Plan, PlanVersion};
use uitwijk_proto::v1::PlanUpdate;

/// A plan that came from a collector, checked. It is kept as text: the plan as a value takes ten times as much memory,
/// and is only needed at the moment when it comes into force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Content hash.
    pub version: PlanVersion,
    /// Of two plans the higher revision is the newer.
    pub revision: u64,
    /// As it came.
    pub json: Arc<str>,
}

/// Why an offer is no plan. Each is a mistake of the collector's.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// Damaged or mislabelled.
    #[error("plan has version {claimed:?}, but its content has {found}")]
    Version {
        /// As the message says.
        claimed: String,
        /// As the content says.
        found: String,
    },
    /// Not JSON of a plan that this build knows.
    #[error("plan {version} cannot be read by this build: {error}")]
    Content {
        /// Its version.
        version: String,
        /// What serde says.
        error: String,
    },
    /// The number beside the plan is not the one in it.
    #[error("plan {version} has revision {claimed} beside it, but {found} in it")]
    Revision {
        /// Its version.
        version: String,
        /// As the message says.
        claimed: u64,
        /// As the plan says.
        found: u64,
    },
}

impl Offer {
    /// Checks text that should be the plan of this version.
    ///
    /// # Errors
    /// When the content is damaged, or not a plan.
    pub fn check(json: &[u8], version: &str) -> Result<Self, OfferError> {
        let found = uitwijk_model::plan::content_hash(json);
        if found != version {
            return Err(OfferError::Version { claimed: version.chars().take(64).collect(), found });
        }
        let content = |error: String| OfferError::Content { version: version.to_owned(), error };
        let json = std::str::from_utf8(json).map_err(|error| content(error.to_string()))?;
        let revision = Plan::from_canonical_json(json).map_err(|error| content(error.to_string()))?.revision;
        let version = PlanVersion::new(version).map_err(|error| content(error.to_string()))?;
        Ok(Self { version, revision, json: json.into() })
    }

    /// The plan as a value.
    ///
    /// # Errors
    /// None in practice: the text was checked when the offer was made.
    pub fn plan(&self) -> Result<Plan, OfferError> {
        let content = |error: serde_json::Error| OfferError::Content {
            version: self.version.to_string(),
            error: error.to_string(),
        };
        Plan::from_canonical_json(&self.json).map_err(content)
    }

    /// Checks what a collector sent.
    ///
    /// # Errors
    /// When it is damaged, not a plan, or another revision than it says.
    pub fn from_update(update: &PlanUpdate) -> Result<Self, OfferError> {
        let offer = Self::check(&update.plan_json, &update.version)?;
        if offer.revision == update.revision {
            return Ok(offer);
        }
        let (version, found) = (offer.version.to_string(), offer.revision);
        Err(OfferError::Revision { version, claimed: update.revision, found })
    }
}

/// The plans on offer and the one that runs.
#[derive(Debug, Default)]
pub struct Choice {
    running: Option<Offer>,
    /// What each collector offered last, by its place in the configuration.
    offers: BTreeMap<usize, Offer>,
}

impl Choice {
    /// Begins with the remembered plan, if there is one.
    #[must_use]
    pub fn new(remembered: Option<Offer>) -> Self {
        Self { running: remembered, offers: BTreeMap::new() }
    }

    /// The plan that runs.
    #[must_use]
    pub fn running(&self) -> Option<&Offer> {
        self.running.as_ref()
    }

    /// Takes the offer of a collector; answers with the plan to run when it is another than before.
    pub fn offer(&mut self, collector: usize, offer: Offer) -> Option<Offer> {
        // Equal plans share their memory.
        let known = self.offers.values().chain(&self.running).find(|known| known.version == offer.version);
        let offer = known.cloned().unwrap_or(offer);
        self.offers.insert(collector, offer);
        let best = self.best()?.clone();
        let better = self.running.as_ref().is_none_or(|running| {
            best.revision > running.revision || (best.revision == running.revision && best.version != running.version)
        });
        better.then(|| {
            self.running = Some(best.clone());
            best
        })
    }

    /// Whether the running plan has another content than an offer of the same revision.
    #[must_use]
    pub fn contradicts(&self, offer: &Offer) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|r| r.revision == offer.revision && r.version != offer.version)
    }

    fn best(&self) -> Option<&Offer> {
        // `max_by` keeps the last of equals; in reverse order that is the collector named first.
        self.offers.values().rev().max_by_key(|offer| offer.revision)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A plan without anything in it.
    pub(crate) fn offer(revision: u64, name: &str) -> Offer {
        let plan = Plan {
            name: name.to_owned(),
            revision,
            slot: uitwijk_model::SlotLength::new(uitwijk_model::Millis::from_secs(10)).unwrap(),
            regions: BTreeMap::new(),
            agents: BTreeMap::new(),
            services: BTreeMap::new(),
            partners: BTreeMap::new(),
            controls: BTreeMap::new(),
            policy: uitwijk_model::Policy::default(),
            shadow: BTreeMap::new(),
            windows: Vec::new(),
        };
        Offer { version: plan.version(), revision, json: plan.to_canonical_json().into() }
    }

    /// Offers in order of arrival (collector, revision, name), and the plan that runs after each.
    fn check(remembered: Option<(u64, &str)>, story: &[(usize, u64, &str, &str)]) {
        let mut choice = Choice::new(remembered.map(|(revision, name)| offer(revision, name)));
        for (collector, revision, name, runs) in story {
            let runs_now = |choice: &Choice| choice.running().map(|r| r.plan().unwrap().name);
            let before = runs_now(&choice);
            let changed = choice.offer(*collector, offer(*revision, name));
            assert_eq!(runs_now(&choice).as_deref(), Some(*runs), "{story:?}");
            assert_eq!(changed.is_some(), before.as_deref() != Some(runs), "{story:?}");
        }
    }

    #[test]
    fn the_highest_revision_runs() {
        check(None, &[(1, 3, "a", "a"), (0, 4, "b", "b"), (1, 2, "c", "b"), (1, 5, "d", "d")]);
    }

    #[test]
    fn a_remembered_plan_gives_way_only_to_a_newer_or_to_another_of_its_revision() {
        check(Some((3, "old")), &[(0, 2, "a", "old"), (0, 3, "b", "b")]);
        check(Some((3, "old")), &[(1, 3, "old", "old"), (0, 4, "new", "new")]);
    }

    #[test]
    fn among_equals_the_collector_named_first_wins_whoever_speaks_first() {
        check(None, &[(1, 3, "second", "second"), (0, 3, "first", "first")]);
        check(None, &[(0, 3, "first", "first"), (1, 3, "second", "first")]);
    }

    #[test]
    fn an_offer_is_checked() {
        let good = offer(3, "a");
        let update = |version: &str, revision, json: &str| PlanUpdate {
            version: version.to_owned(),
            revision,
            plan_json: json.as_bytes().to_vec(),
        };
        let version = good.version.as_str();
        assert_eq!(Offer::from_update(&update(version, 3, &good.json)).unwrap(), good);
        let broken = good.json.replace("\"a\"", "\"b\"");
        for (update, expected) in [
            (update(version, 3, &broken), "but its content has"),
            (update(version, 4, &good.json), "has revision 4 beside it, but 3 in it"),
            (update(&uitwijk_model::plan::content_hash(b"{}"), 3, "{}"), "cannot be read by this build"),
        ] {
            let text = Offer::from_update(&update).unwrap_err().to_string();
            assert!(text.contains(expected), "{text}");
        }
    }
}
