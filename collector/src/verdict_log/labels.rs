//! What did people say of an episode afterwards, and when was a test announced?
//!
//! ```text
//!   entries   sequence                  -> {"sequence":7,"previous":"9f3c…",…,"episode":"exchange/…","revision":2,"body":{"label":{…}}}
//!   labels    start (falling), sequence -> service; the order of lists
//!   labelled  subject                   -> the entries that label it, oldest first
//! ```
//!
//! A label is an entry of the same chain, so nobody can change one, or slip one in, without it showing; its `revision` is its
//! number among the labels on its subject. It stands in no index of episodes, so whoever reads revisions never meets it, and a build
//! that knows no labels reads the log as before.

use fjall::PersistMode;
use serde_json::Value;
use uitwijk_model::WallTime;

use super::chain::{Entry, Hash};
use super::index::{self, Filter, PageToken};
use super::tables::Tables;
use super::{Head, LogError};

/// Labels on one subject; who needs more does not want a label but a discussion.
pub const LABELS_PER_SUBJECT_MAX: usize = 1000;

/// What is handed in to be remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLabel {
    /// What it is about: an episode, or the name of a drill.
    pub subject: String,
    /// The service of that.
    pub service: String,
    /// Start of the stretch that it is about.
    pub from: WallTime,
    /// Its end; absent when it was open.
    pub to: Option<WallTime>,
    /// The label itself.
    pub body: Value,
}

/// A label as it stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// The entry, whose body holds the label.
    pub entry: Entry,
    /// No later label is about the same subject.
    pub latest: bool,
}

impl Tables {
    /// Writes and syncs a label; answers its entry and where the next one goes.
    pub(super) fn append_label(&self, head: Head, at: WallTime, new: &NewLabel) -> Result<(Entry, Head), LogError> {
        let mut sequences = self.labels_on(&new.subject)?;
        if sequences.len() >= LABELS_PER_SUBJECT_MAX {
            return Err(LogError::Labels { subject: new.subject.clone(), max: LABELS_PER_SUBJECT_MAX });
        }
        sequences.push(head.next);
        let entry = Entry {
            sequence: head.next,
            previous: head.hash,
            published_us: at.as_micros(),
            episode: new.subject.clone(),
            revision: u32::try_from(sequences.len()).unwrap_or(u32::MAX),
            body: new.body.clone(),
        };
        let bytes = entry.to_bytes();
        let next = Head { next: head.next + 1, hash: Hash::of(&bytes) };
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&self.entries, entry.sequence.to_be_bytes(), bytes);
        batch.insert(&self.labels, key(new.from, entry.sequence), span(new));
        batch.insert(&self.labelled, new.subject.as_bytes(), to_bytes(&sequences));
        batch.commit()?;
        Ok((entry, next))
    }

    fn labels_on(&self, subject: &str) -> Result<Vec<u64>, LogError> {
        let Some(bytes) = self.labelled.get(subject)? else { return Ok(Vec::new()) };
        serde_json::from_slice(&bytes).map_err(|e| damaged(format!("the labels on {subject} cannot be read: {e}")))
    }

    /// Labels on stretches that pass the filter, latest start first, and where the next page begins.
    pub(super) fn labels(
        &self,
        filter: &Filter,
        after: Option<&PageToken>,
        size: usize,
    ) -> Result<(Vec<Labelled>, Option<PageToken>), LogError> {
        let mut page = Vec::new();
        for item in self.labels.range(filter.begin(after)..) {
            let (key, value) = item.into_inner()?;
            let (service, from, to): (String, WallTime, Option<WallTime>) = serde_json::from_slice(&value)
                .map_err(|e| damaged(format!("the index of labels cannot be read: {e}")))?;
            if !filter.passes_service(service.as_bytes()) || !filter.passes(from, to) {
                continue;
            }
            if page.len() == size {
                return Ok((page, Some(PageToken::before(&key))));
            }
            let entry = self.entry(sequence_of(&key)?)?;
            let latest = self.labels_on(&entry.episode)?.last() == Some(&entry.sequence);
            page.push(Labelled { entry, latest });
        }
        Ok((page, None))
    }
}

fn key(from: WallTime, sequence: u64) -> Vec<u8> {
    [index::falling(from), sequence.to_be_bytes()].concat()
}

fn sequence_of(key: &[u8]) -> Result<u64, LogError> {
    let bytes = key.get(8..).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u64::from_be_bytes).ok_or_else(|| damaged(format!("the index of labels has the key {key:?}")))
}

fn span(new: &NewLabel) -> Vec<u8> {
    to_bytes(&(&new.service, new.from, new.to))
}

fn to_bytes(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("an index is plain data")
}

fn damaged(why: String) -> LogError {
    LogError::Damaged { sequence: 0, why }
}

#[cfg(test)]
mod tests;
