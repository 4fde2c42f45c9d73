//! What does the log keep of a revision beside the revision itself?

use serde::{Deserialize, Serialize};
use uitwijk_judge::Revision;

use super::JudgingError;
use crate::verdict_log::{Entry, Publication};

/// A revision as it was published: the body of an entry of the verdict log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// What the judge said. Equal measurements give equal bytes here, whichever collector judged them, but for `decided`.
    pub revision: Revision,
    /// The collector that published it.
    pub collector: String,
    /// Trace context of the judgement; absent when it was not traced.
    pub traceparent: Option<String>,
    /// Milliseconds from the moment it could be known to the moment it was handed to the disk; absent when it was not made
    /// live (final and revised ones, and all that a start makes up for).
    pub publish_delay_ms: Option<u64>,
}

impl Published {
    /// What the log takes.
    pub(super) fn publication(&self) -> Publication {
        Publication {
            episode: self.revision.episode.as_str().to_owned(),
            service: self.revision.service.as_str().to_owned(),
            revision: self.revision.revision,
            from: self.revision.from,
            to: self.revision.to,
            body: serde_json::to_value(self).expect("a revision has only string keys and whole numbers"),
        }
    }

    /// Reads the body of an entry.
    ///
    /// # Errors
    /// When it is none that this version writes or reads.
    pub fn from_entry(entry: &Entry) -> Result<Self, JudgingError> {
        serde_json::from_value(entry.body.clone())
            .map_err(|e| JudgingError::Unreadable { sequence: entry.sequence, why: e.to_string() })
    }

    /// Whether the episode goes on.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.revision.to.is_none()
    }
}
