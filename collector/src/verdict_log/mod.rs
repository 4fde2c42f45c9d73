//! What was published, when, and in which order?
//!
//! ```text
//!   entries   sequence            -> {"sequence":2,"previous":"9f3c…","published_us":…,"episode":…,"revision":1,"body":{…}}
//!                                     ^ SHA-256 over the bytes of entry 1
//!   episodes  episode             -> where its revisions stand, its span and its service
//!   newest    start (falling), id -> service; the order of lists
//! ```
//!
//! Entries are only ever appended. Each carries the hash of the one before, so whoever changes, drops or inserts one has to
//! write all later ones anew, and a head hash noted elsewhere (it is in every log line about a publication) shows even
//! that. All that belongs to one publication is written in one batch and synced before anybody hears of it.
//!
//! The log has a directory of its own beside the store's: a verdict must not wait behind the sync of a million measurements.
//! The choice left aside is a plain file of lines; it would need its own index, torn-tail repair and version marker, all of
//! which the database already has.

mod chain;
mod error;
mod index;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use serde_json::Value;
use uitwijk_model::WallTime;

pub use chain::{Entry, Hash, Verified};
pub use error::LogError;
use index::EpisodeIndex;
pub use index::{Filter, PageToken};

/// The version of the layout; written once, checked at each open.
const VERSION: u32 = 1;

/// How many of the last entries are checked at each open; all of them by [`VerdictLog::verify`].
const CHECKED_AT_OPEN: u64 = 1000;

/// What is handed in to be published.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication {
    /// The episode.
    pub episode: String,
    /// Its service.
    pub service: String,
    /// From 1; one more than the last of the episode.
    pub revision: u32,
    /// Start of the episode as this revision sees it.
    pub from: WallTime,
    /// End, absent while it is open.
    pub to: Option<WallTime>,
    /// The revision itself.
    pub body: Value,
}

/// The append-only log of published revisions.
pub struct VerdictLog {
    db: Database,
    entries: Keyspace,
    episodes: Keyspace,
    newest: Keyspace,
    /// Owned by whoever appends.
    head: Mutex<Head>,
}

/// Where the next entry goes.
#[derive(Debug, Clone, Copy)]
struct Head {
    next: u64,
    hash: Hash,
}

impl std::fmt::Debug for VerdictLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerdictLog").field("head", &self.head()).finish_non_exhaustive()
    }
}

impl VerdictLog {
    /// Opens the log in a directory, creating it when there is none.
    ///
    /// # Errors
    /// When the directory cannot be used, holds a newer version, or its last entries do not fit together.
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        let open = |e| LogError::open(dir, e);
        let db = Database::builder(dir).worker_threads(1).cache_size(4 << 20).open().map_err(open)?;
        let keyspace = |name| db.keyspace(name, KeyspaceCreateOptions::default).map_err(|e| LogError::open(dir, e));
        check_version(dir, &db, &keyspace("meta")?)?;
        let (entries, episodes, newest) = (keyspace("entries")?, keyspace("episodes")?, keyspace("newest")?);
        let last = last_sequence(&entries)?;
        let log = Self { db, entries, episodes, newest, head: Mutex::new(Head { next: 1, hash: Hash::ZERO }) };
        let verified = log.verify_from((last + 1).saturating_sub(CHECKED_AT_OPEN).max(1))?;
        *log.lock() = Head { next: last + 1, hash: verified.head };
        Ok(log)
    }

    fn lock(&self) -> MutexGuard<'_, Head> {
        // A panic while it was held can only have happened before the batch was committed; the head is still true.
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes: when this returns, the entries are on disk.
    ///
    /// # Errors
    /// When a revision exists already or skips one (nothing of the call is written then), or the disk fails.
    pub fn append(&self, published: WallTime, publications: &[Publication]) -> Result<Vec<Entry>, LogError> {
        let mut head = self.lock();
        let mut next = *head;
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        let mut entries = Vec::with_capacity(publications.len());
        let mut indexes: Vec<(String, EpisodeIndex)> = Vec::new();
        for publication in publications {
            let index = self.extend_index(&mut indexes, publication, next.next)?;
            let key = index.order_key(&publication.episode);
            let entry = Entry::new(next.next, next.hash, published, publication);
            let bytes = entry.to_bytes();
            next = Head { next: next.next + 1, hash: Hash::of(&bytes) };
            batch.insert(&self.entries, entry.sequence.to_be_bytes(), bytes);
            batch.insert(&self.newest, key, publication.service.as_bytes());
            entries.push(entry);
        }
        for (episode, index) in &indexes {
            batch.insert(&self.episodes, episode.as_bytes(), index.to_bytes());
        }
        batch.commit()?;
        *head = next;
        Ok(entries)
    }

    /// Adds a publication to the index of its episode, which may have been extended by the same call before.
    fn extend_index<'a>(
        &self,
        indexes: &'a mut Vec<(String, EpisodeIndex)>,
        publication: &Publication,
        sequence: u64,
    ) -> Result<&'a EpisodeIndex, LogError> {
        let place = match indexes.iter().position(|(episode, _)| *episode == publication.episode) {
            Some(place) => place,
            None => {
                let index = self.index(&publication.episode)?.unwrap_or_else(|| EpisodeIndex::begin(publication));
                indexes.push((publication.episode.clone(), index));
                indexes.len() - 1
            }
        };
        let index = &mut indexes[place].1;
        index.extend(publication, sequence)?;
        Ok(index)
    }

    fn index(&self, episode: &str) -> Result<Option<EpisodeIndex>, LogError> {
        self.episodes.get(episode)?.map(|bytes| EpisodeIndex::from_bytes(episode, &bytes)).transpose()
    }

    /// One revision of an episode, the latest when none is named.
    ///
    /// # Errors
    /// When the disk fails or holds something unreadable.
    pub fn get(&self, episode: &str, revision: Option<u32>) -> Result<Option<Entry>, LogError> {
        let Some(index) = self.index(episode)? else { return Ok(None) };
        match index.sequence_of(revision) {
            Some(sequence) => self.entry(sequence).map(Some),
            None => Ok(None),
        }
    }

    /// Every revision of an episode, oldest first; none when it is not known.
    ///
    /// # Errors
    /// When the disk fails or holds something unreadable.
    pub fn revisions(&self, episode: &str) -> Result<Vec<Entry>, LogError> {
        let Some(index) = self.index(episode)? else { return Ok(Vec::new()) };
        index.sequences.iter().map(|&sequence| self.entry(sequence)).collect()
    }

    /// The latest revision of each episode that passes the filter, newest episode first, and where the next page begins.
    ///
    /// # Errors
    /// When the disk fails or holds something unreadable.
    pub fn page(
        &self,
        filter: &Filter,
        after: Option<&PageToken>,
        size: usize,
        wanted: &dyn Fn(&Entry) -> bool,
    ) -> Result<(Vec<Entry>, Option<PageToken>), LogError> {
        let mut page = Vec::new();
        for item in self.newest.range(filter.begin(after)..) {
            let (key, service) = item.into_inner()?;
            if !filter.passes_service(&service) {
                continue;
            }
            let Some(entry) = self.latest_in(filter, index::episode_of(&key))? else { continue };
            if !wanted(&entry) {
                continue;
            }
            if page.len() == size {
                return Ok((page, Some(PageToken::before(&key))));
            }
            page.push(entry);
        }
        Ok((page, None))
    }

    fn latest_in(&self, filter: &Filter, episode: &str) -> Result<Option<Entry>, LogError> {
        match self.index(episode)? {
            Some(index) if filter.passes_span(&index) => self.entry(index.latest()).map(Some),
            _ => Ok(None),
        }
    }

    /// All revisions of the episodes of which something lies at or after a moment, in the order of publication.
    ///
    /// # Errors
    /// When the disk fails or holds something unreadable.
    pub fn since(&self, from: WallTime) -> Result<Vec<Entry>, LogError> {
        let filter = Filter { service: None, from: Some(from), to: None };
        let mut sequences = Vec::new();
        for item in self.episodes.iter() {
            let (episode, bytes) = item.into_inner()?;
            let index = EpisodeIndex::from_bytes(&String::from_utf8_lossy(&episode), &bytes)?;
            if filter.passes_span(&index) {
                sequences.extend(index.sequences);
            }
        }
        sequences.sort_unstable();
        sequences.into_iter().map(|sequence| self.entry(sequence)).collect()
    }

    fn entry(&self, sequence: u64) -> Result<Entry, LogError> {
        match self.entries.get(sequence.to_be_bytes())? {
            Some(bytes) => Entry::from_bytes(sequence, &bytes),
            None => Err(LogError::Damaged { sequence, why: "it is missing".to_owned() }),
        }
    }

    /// Checks the whole chain.
    ///
    /// # Errors
    /// Names the first entry that does not fit.
    pub fn verify(&self) -> Result<Verified, LogError> {
        self.verify_from(1)
    }

    fn verify_from(&self, first: u64) -> Result<Verified, LogError> {
        let mut check = chain::Check::from(first);
        for item in self.entries.range(first.to_be_bytes()..) {
            let (key, bytes) = item.into_inner()?;
            check.next(&key, &bytes)?;
        }
        Ok(check.end())
    }

    /// Number and hash of the last entry; 0 and zeros when there is none.
    #[must_use]
    pub fn head(&self) -> (u64, Hash) {
        let head = self.lock();
        (head.next - 1, head.hash)
    }
}

fn last_sequence(entries: &Keyspace) -> Result<u64, LogError> {
    let Some(last) = entries.last_key_value() else { return Ok(0) };
    chain::sequence_of(&last.key()?)
}

fn check_version(dir: &Path, db: &Database, meta: &Keyspace) -> Result<(), LogError> {
    let Some(found) = meta.get("version")? else {
        meta.insert("version", VERSION.to_string())?;
        return Ok(db.persist(PersistMode::SyncAll)?);
    };
    let found = String::from_utf8_lossy(&found).into_owned();
    match found.parse::<u32>() {
        Ok(VERSION) => Ok(()),
        _ => Err(LogError::Version { dir: dir.to_owned(), found, known: VERSION }),
    }
}

#[cfg(test)]
mod tests;
