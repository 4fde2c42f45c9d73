//! How is a log copied while it is written to, and how does a copy become a log again?
//!
//! Every table as it is, its indexes too: they cannot all be made anew from the entries. Spaces are numbered by their place in a
//! list that only ever grows.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable as _};

use super::tables::open_database;
use super::{Hash, LogError, VerdictLog};

/// The tables, numbered from 1.
const SPACES: [&str; 8] = ["meta", "entries", "episodes", "newest", "labels", "labelled", "switches", "switched"];
/// The number of the entries themselves.
pub const ENTRIES: u8 = 2;
/// Bytes that are written in one step.
const STEP_BYTES: usize = 1 << 20;

/// Hears of an entry: number of the space, key, value.
pub type Tell<'a, E> = dyn FnMut(u8, &[u8], &[u8]) -> Result<(), E> + 'a;

/// A log as it was at a moment. Holds its directory open.
pub struct FrozenLog {
    moment: fjall::Snapshot,
    spaces: Vec<Keyspace>,
    head: (u64, Hash),
    reopening: Arc<AtomicBool>,
}

impl fmt::Debug for FrozenLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenLog").field("head", &self.head).finish_non_exhaustive()
    }
}

impl VerdictLog {
    /// The log as it is now.
    ///
    /// # Errors
    /// When the disk failed and it is not open.
    pub fn freeze(&self) -> Result<FrozenLog, LogError> {
        // Nobody appends between the head and the moment.
        let head = self.lock();
        let tables = self.tables()?;
        let spaces = keyspaces(&tables.db)?;
        let (moment, head) = (tables.db.snapshot(), (head.next - 1, head.hash));
        Ok(FrozenLog { moment, spaces, head, reopening: self.reopening.clone() })
    }

    /// Begins a log in a directory that is missing, to be filled with what another was.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn fill(dir: &Path) -> Result<Filling, LogError> {
        let db = open_database(dir)?;
        Ok(Filling { spaces: keyspaces(&db)?, db, waiting: Vec::new(), bytes: 0 })
    }
}

fn keyspaces(db: &Database) -> Result<Vec<Keyspace>, LogError> {
    SPACES.iter().map(|name| Ok(db.keyspace(name, KeyspaceCreateOptions::default)?)).collect()
}

impl FrozenLog {
    /// Number and hash of the last entry; 0 and zeros when there is none.
    #[must_use]
    pub const fn head(&self) -> (u64, Hash) {
        self.head
    }

    /// Tells all that is in it.
    ///
    /// # Errors
    /// When the disk fails, or what is told fails.
    pub fn each<E: From<LogError>>(&self, tell: &mut Tell<'_, E>) -> Result<(), E> {
        for (number, keyspace) in (1..).zip(&self.spaces) {
            for item in self.moment.iter(keyspace) {
                let (key, value) = item.into_inner().map_err(LogError::from)?;
                tell(number, &key, &value)?;
            }
        }
        Ok(())
    }

    /// The log is to be opened again after a failure: let go of this.
    #[must_use]
    pub fn is_in_the_way(&self) -> bool {
        self.reopening.load(Ordering::Acquire)
    }
}

/// A log that is being filled.
pub struct Filling {
    db: Database,
    spaces: Vec<Keyspace>,
    waiting: Vec<(u8, Vec<u8>, Vec<u8>)>,
    bytes: usize,
}

impl fmt::Debug for Filling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filling").finish_non_exhaustive()
    }
}

impl Filling {
    /// Puts back what was told.
    ///
    /// # Errors
    /// When the disk fails, or there is no such space.
    pub fn put(&mut self, space: u8, key: Vec<u8>, value: Vec<u8>) -> Result<(), LogError> {
        self.bytes += key.len() + value.len();
        self.waiting.push((space, key, value));
        if self.bytes >= STEP_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), LogError> {
        let mut batch = self.db.batch();
        for (space, key, value) in self.waiting.drain(..) {
            let unknown =
                || LogError::Damaged { sequence: 0, why: format!("it has a table {space}, which no release writes") };
            let keyspace = usize::from(space).checked_sub(1).and_then(|at| self.spaces.get(at)).ok_or_else(unknown)?;
            batch.insert(keyspace, key, value);
        }
        self.bytes = 0;
        Ok(batch.commit()?)
    }

    /// All of it is on disk.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn finish(mut self) -> Result<(), LogError> {
        self.write()?;
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }
}
