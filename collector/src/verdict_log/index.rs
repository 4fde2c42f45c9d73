//! Where do the revisions of an episode stand, and which episode is the newest?

use serde::{Deserialize, Serialize};
use uitwijk_model::WallTime;

use super::{LogError, Publication};

/// What is known of an episode without reading its revisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EpisodeIndex {
    /// Its service.
    pub(super) service: String,
    /// Its start in the first revision; never changes, so that pages keep their order.
    pub(super) first_from: WallTime,
    /// Its span in the latest revision.
    pub(super) from: WallTime,
    pub(super) to: Option<WallTime>,
    /// Entry of revision i + 1.
    pub(super) sequences: Vec<u64>,
}

impl EpisodeIndex {
    pub(super) fn begin(publication: &Publication) -> Self {
        Self {
            service: publication.service.clone(),
            first_from: publication.from,
            from: publication.from,
            to: publication.to,
            sequences: Vec::new(),
        }
    }

    pub(super) fn extend(&mut self, publication: &Publication, sequence: u64) -> Result<(), LogError> {
        let last = u32::try_from(self.sequences.len()).unwrap_or(u32::MAX);
        if publication.revision != last.saturating_add(1) {
            let (episode, revision) = (publication.episode.clone(), publication.revision);
            return Err(LogError::Order { episode, revision, last });
        }
        self.sequences.push(sequence);
        (self.from, self.to) = (publication.from, publication.to);
        Ok(())
    }

    /// Its span in the latest revision.
    pub(super) const fn span(&self) -> (WallTime, Option<WallTime>) {
        (self.from, self.to)
    }

    pub(super) fn latest(&self) -> u64 {
        self.sequences.last().copied().unwrap_or(0)
    }

    pub(super) fn sequence_of(&self, revision: Option<u32>) -> Option<u64> {
        match revision {
            None => self.sequences.last().copied(),
            Some(revision) => self.sequences.get(usize::try_from(revision.checked_sub(1)?).ok()?).copied(),
        }
    }

    pub(super) fn order_key(&self, episode: &str) -> Vec<u8> {
        [&falling(self.first_from), episode.as_bytes()].concat()
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an index is plain data")
    }

    pub(super) fn from_bytes(episode: &str, bytes: &[u8]) -> Result<Self, LogError> {
        serde_json::from_slice(bytes)
            .map_err(|e| LogError::Damaged { sequence: 0, why: format!("the index of {episode} cannot be read: {e}") })
    }
}

/// Bytes that sort later moments first.
pub(super) fn falling(at: WallTime) -> [u8; 8] {
    let rising = at.as_micros().cast_unsigned() ^ (1 << 63);
    (!rising).to_be_bytes()
}

/// The episode in a key of the order.
pub(super) fn episode_of(key: &[u8]) -> &str {
    std::str::from_utf8(key.get(8..).unwrap_or_default()).unwrap_or_default()
}

/// Which episodes are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this service; absent means any.
    pub service: Option<String>,
    /// That end after this moment, or are open.
    pub from: Option<WallTime>,
    /// That begin before this moment.
    pub to: Option<WallTime>,
    /// As they were known at this moment; absent means now.
    pub as_of: Option<WallTime>,
}

impl Filter {
    pub(super) fn begin(&self, after: Option<&PageToken>) -> Vec<u8> {
        after.map(|token| token.0.clone()).unwrap_or_default()
    }

    pub(super) fn passes_service(&self, service: &[u8]) -> bool {
        self.service.as_ref().is_none_or(|wanted| wanted.as_bytes() == service)
    }

    /// Whether a span passes, as it is known to begin and end.
    pub(super) fn passes_span(&self, (begin, end): (WallTime, Option<WallTime>)) -> bool {
        self.passes(begin, end)
    }

    /// Whether a stretch touches what is wanted; one without an end goes on.
    pub(super) fn passes(&self, begin: WallTime, end: Option<WallTime>) -> bool {
        let begins = self.to.is_none_or(|to| begin < to);
        let ends = match (self.from, end) {
            (Some(from), Some(to)) => to > from,
            _ => true,
        };
        begins && ends
    }
}

/// Where a page begins; opaque to callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageToken(Vec<u8>);

impl PageToken {
    /// The page that begins with this key.
    pub(super) fn before(key: &[u8]) -> Self {
        Self(key.to_vec())
    }

    /// As text for a client to hand back.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// From a text that a client handed back; absent when it is none of ours.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        if text.len() < 18 || text.len() > 1024 || !text.len().is_multiple_of(2) || !text.is_ascii() {
            return None;
        }
        let byte = |i: usize| u8::from_str_radix(&text[i..i + 2], 16).ok();
        (0..text.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>().map(Self)
    }
}
