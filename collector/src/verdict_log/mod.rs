//! What was published, when, and in which order?
//!
//! ```text
//!   entries   sequence            -> {"sequence":2,"previous":"9f3c…","published_us":…,"episode":…,"revision":1,"body":{…}}
//!                                     ^ SHA-256 over the bytes of entry 1
//!   episodes  episode             -> where its revisions stand, its span and its service
//!   newest    start (falling), id -> service; the order of lists
//!   labels, switches    what people said of episodes, and what they did: see remarks.rs
//! ```
//!
//! Entries are only ever appended. Each carries the hash of the one before, so whoever changes, drops or inserts one has to
//! write all later ones anew, and a head hash noted elsewhere (it is in every log line about a publication) shows even
//! that. All that belongs to one publication is written in one batch and synced before anybody hears of it.
//!
//! The log has a directory of its own beside the store's: a verdict must not wait behind the sync of a million measurements.
//! The choice left aside is a plain file of lines; it would need its own index, torn-tail repair and version marker, all of
//! which the database already has.

mod audit;
mod chain;
mod copy;
mod error;
mod index;
mod labels;
mod remarks;
mod switches;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use serde_json::Value;
use uitwijk_model::WallTime;

pub use audit::Audit;
pub use chain::{Check, Entry, Hash, Verified};
pub use copy::{ENTRIES, Filling, FrozenLog, Tell};
pub use error::LogError;
pub use index::{Filter, PageToken};
pub use labels::LABELS_PER_SUBJECT_MAX;
pub use remarks::{NewRemark, Remark};
pub use switches::SWITCHES_PER_SERVICE_MAX;
use tables::Tables;

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
    dir: PathBuf,
    /// Absent only while it is opened again, or when that failed.
    tables: RwLock<Option<Tables>>,
    /// Owned by whoever appends.
    head: Mutex<Head>,
    /// It is to be opened again: whoever holds a moment of it lets go.
    reopening: Arc<AtomicBool>,
    #[cfg(test)]
    failing: AtomicBool,
}

/// The open database, for as long as it is read.
struct Reading<'a>(RwLockReadGuard<'a, Option<Tables>>);

impl std::ops::Deref for Reading<'_> {
    type Target = Tables;

    fn deref(&self) -> &Tables {
        self.0.as_ref().expect("it was there when the guard was taken")
    }
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
        let (tables, head) = Tables::open(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            tables: RwLock::new(Some(tables)),
            head: Mutex::new(head),
            reopening: Arc::default(),
            #[cfg(test)]
            failing: false.into(),
        })
    }

    /// Opens it again after the disk failed, which reads back what did reach the disk. A database whose write failed takes no
    /// more, and rightly: it cannot know what the disk holds.
    ///
    /// # Errors
    /// When the disk still fails; the log cannot be read either then, until this succeeds.
    pub fn reopen(&self) -> Result<(), LogError> {
        self.reopening.store(true, Ordering::Release);
        let mut head = self.lock();
        let mut place = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        // The old one has the lock of the directory.
        *place = None;
        if !self.dir.exists() {
            // A disk that is away is not a log that is new: entries would be published twice.
            return Err(LogError::open(&self.dir, std::io::Error::from(std::io::ErrorKind::NotFound).into()));
        }
        let (tables, found) = Tables::open(&self.dir)?;
        (*place, *head) = (Some(tables), found);
        self.reopening.store(false, Ordering::Release);
        Ok(())
    }

    /// From now on the disk fails, or works again.
    #[cfg(test)]
    pub(crate) fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    fn tables(&self) -> Result<Reading<'_>, LogError> {
        let guard = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        if guard.is_some() { Ok(Reading(guard)) } else { Err(LogError::Closed) }
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
        #[cfg(test)]
        if self.failing.load(Ordering::SeqCst) {
            return Err(fjall::Error::Poisoned.into());
        }
        let (entries, next) = self.tables()?.append(*head, published, publications)?;
        *head = next;
        Ok(entries)
    }

    /// One revision of an episode, the latest when none is named.
    ///
    /// # Errors
    /// When the disk fails or holds something unreadable.
    pub fn get(&self, episode: &str, revision: Option<u32>) -> Result<Option<Entry>, LogError> {
        self.tables()?.get(episode, revision)
    }

    /// Every revision of an episode, oldest first; none when it is not known.
    ///
    /// # Errors
    /// When the disk fails or holds something unreadable.
    pub fn revisions(&self, episode: &str) -> Result<Vec<Entry>, LogError> {
        self.tables()?.revisions(episode)
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
        self.tables()?.page(filter, after, size, wanted)
    }

    /// The latest revision of each episode that passes the filter, oldest episode first.
    ///
    /// # Errors
    /// When the disk fails or holds something unreadable.
    pub fn all(&self, filter: &Filter) -> Result<Vec<Entry>, LogError> {
        self.tables()?.as_of(filter)
    }

    /// All revisions of the episodes of which something lies at or after a moment, in the order of publication.
    ///
    /// # Errors
    /// When the disk fails or holds something unreadable.
    pub fn since(&self, from: WallTime) -> Result<Vec<Entry>, LogError> {
        self.tables()?.since(from)
    }

    /// Checks the whole chain.
    ///
    /// # Errors
    /// Names the first entry that does not fit.
    pub fn verify(&self) -> Result<Verified, LogError> {
        self.tables()?.verify_from(1)
    }

    /// Number and hash of the last entry; 0 and zeros when there is none.
    #[must_use]
    pub fn head(&self) -> (u64, Hash) {
        let head = self.lock();
        (head.next - 1, head.hash)
    }
}

#[cfg(test)]
mod tests;
