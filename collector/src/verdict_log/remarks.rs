//! How do entries stand in the log that people made, and not the judge?
//!
//! ```text
//!   entries   sequence                  -> {"sequence":7,"previous":"9f3c…",…,"episode":SUBJECT,"revision":2,"body":{…}}
//!   list      start (falling), sequence -> service and stretch; the order of lists
//!   about     subject                   -> the entries about it, oldest first
//! ```
//!
//! A remark is an entry of the same chain, so nobody can change one, or slip one in, without it showing; its `revision` is its
//! number among the remarks on its subject. It stands in no index of episodes, so whoever reads revisions never meets it, and a build
//! that knows no remarks reads the log as before. Each kind of remark has a shelf of its own.

use fjall::{Keyspace, PersistMode};
use serde_json::Value;
use uitwijk_model::WallTime;

use super::chain::{Entry, Hash};
use super::index::{self, Filter, PageToken};
use super::tables::Tables;
use super::{Head, LogError};

/// What is handed in to be remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRemark {
    /// What it is about; names the kind unless it is an episode.
    pub subject: String,
    /// The service of that.
    pub service: String,
    /// Start of the stretch that it is about.
    pub from: WallTime,
    /// Its end; absent when it was open.
    pub to: Option<WallTime>,
    /// The remark itself.
    pub body: Value,
}

/// A remark as it stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Remark {
    /// The entry, whose body holds what was said.
    pub entry: Entry,
    /// No later remark of its kind is about the same subject.
    pub latest: bool,
}

/// Where remarks of one kind are found again.
pub(super) struct Shelf {
    list: Keyspace,
    about: Keyspace,
}

/// What a list knows of a remark without reading it.
type Place = (String, WallTime, Option<WallTime>);

impl Shelf {
    pub(super) const fn new(list: Keyspace, about: Keyspace) -> Self {
        Self { list, about }
    }

    /// The entries about a subject, oldest first.
    pub(super) fn about(&self, subject: &str) -> Result<Vec<u64>, LogError> {
        let Some(bytes) = self.about.get(subject)? else { return Ok(Vec::new()) };
        serde_json::from_slice(&bytes).map_err(|e| damaged(format!("the remarks on {subject} cannot be read: {e}")))
    }

    /// How many remarks on a service begin at or after a moment.
    pub(super) fn count_since(&self, service: &str, since: WallTime) -> Result<usize, LogError> {
        let mut count = 0;
        for item in self.list.range(..=key(since, u64::MAX)) {
            let (_, value) = item.into_inner()?;
            count += usize::from(place_of(&value)?.0 == service);
        }
        Ok(count)
    }
}

impl Tables {
    /// Writes and syncs a remark that follows others on its subject; answers its entry and where the next one goes.
    pub(super) fn append_remark(
        &self,
        shelf: &Shelf,
        head: Head,
        at: WallTime,
        (new, mut about): (&NewRemark, Vec<u64>),
    ) -> Result<(Entry, Head), LogError> {
        about.push(head.next);
        let entry = Entry {
            sequence: head.next,
            previous: head.hash,
            published_us: at.as_micros(),
            episode: new.subject.clone(),
            revision: u32::try_from(about.len()).unwrap_or(u32::MAX),
            body: new.body.clone(),
        };
        let bytes = entry.to_bytes();
        let next = Head { next: head.next + 1, hash: Hash::of(&bytes) };
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&self.entries, entry.sequence.to_be_bytes(), bytes);
        batch.insert(&shelf.list, key(new.from, entry.sequence), to_bytes(&(&new.service, new.from, new.to)));
        batch.insert(&shelf.about, new.subject.as_bytes(), to_bytes(&about));
        batch.commit()?;
        Ok((entry, next))
    }

    /// Remarks on stretches that pass the filter, latest start first, and where the next page begins.
    pub(super) fn remarks(
        &self,
        shelf: &Shelf,
        filter: &Filter,
        after: Option<&PageToken>,
        size: usize,
    ) -> Result<(Vec<Remark>, Option<PageToken>), LogError> {
        let mut page = Vec::new();
        for item in shelf.list.range(filter.begin(after)..) {
            let (key, value) = item.into_inner()?;
            let (service, from, to) = place_of(&value)?;
            if !filter.passes_service(service.as_bytes()) || !filter.passes(from, to) {
                continue;
            }
            if page.len() == size {
                return Ok((page, Some(PageToken::before(&key))));
            }
            let entry = self.entry(sequence_of(&key)?)?;
            let latest = shelf.about(&entry.episode)?.last() == Some(&entry.sequence);
            page.push(Remark { entry, latest });
        }
        Ok((page, None))
    }
}

fn key(from: WallTime, sequence: u64) -> Vec<u8> {
    [index::falling(from), sequence.to_be_bytes()].concat()
}

fn sequence_of(key: &[u8]) -> Result<u64, LogError> {
    let bytes = key.get(8..).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u64::from_be_bytes).ok_or_else(|| damaged(format!("the index of remarks has the key {key:?}")))
}

fn place_of(value: &[u8]) -> Result<Place, LogError> {
    serde_json::from_slice(value).map_err(|e| damaged(format!("the index of remarks cannot be read: {e}")))
}

fn to_bytes(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("an index is plain data")
}

fn damaged(why: String) -> LogError {
    LogError::Damaged { sequence: 0, why }
}
