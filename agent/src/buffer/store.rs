//! How is sled kept honest?
//!
//! Records live in sled's default tree under their big-endian number, the buffer's own entries in the tree `meta`.
//! Six things are done around it. `flush` does not make data survive a power loss, so the data file is open here once more
//! and is synced after it. Where its log begins again after one is made sure of (`segments.rs`), and no thread of its own
//! writes. A panic inside sled on damaged data is an error like any other. After an error it cannot go on: the owner closes it
//! and opens it again. And closing may hang on a thread that died, so it happens on a thread of its own that is waited for only so long.

use std::cell::Cell;
use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use super::directory::sync_names;
use super::options::Faults;
use super::record::RECORD_BYTES_MAX;
use super::segments::{self, Marks, SEGMENT_BYTES};

/// One access for so many bytes keeps what piles up at 16,384 times as much.
const STIR_BYTES: usize = 256;
/// A sync at least so often, so that less than one segment of the log waits for it.
const UNSYNCED_BYTES_MAX: usize = SEGMENT_BYTES / 4 * 3;
/// What a change takes of the log, in its own length: itself, and its share of the pages that are split or written anew for it.
const SHARE_OF_PAGES: usize = 3;
/// And in the length of the largest record: nine changes have sled move two pages, whichever, of up to twenty records.
const SHARE_OF_MOVES: usize = 5;
/// What an entry takes beside its value.
const ENTRY_BYTES: usize = 64;
const CLOSE_WAIT: Duration = Duration::from_secs(10);

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    /// The disk is full, gone, or not ours to write.
    #[error("{0}")]
    Disk(#[from] io::Error),
    /// What is on disk makes no sense.
    #[error("{0}")]
    Damaged(String),
}

impl From<sled::Error> for StoreError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(e) if !matches!(e.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) => {
                Self::Disk(e)
            }
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// An open store.
pub(super) struct Store {
    db: sled::Db,
    meta: sled::Tree,
    data: File,
    marks: Marks,
    /// What the log has grown since the last sync, at most.
    unsynced: Cell<usize>,
    /// The largest record that may be in the store.
    largest: Cell<usize>,
    path: PathBuf,
    faults: Arc<Faults>,
}

/// A key and its value.
pub(super) type Entry = (sled::IVec, sled::IVec);

impl Store {
    /// Opens a store, or makes one. sled does not sync its settings, and a store whose settings were torn by a power loss opens no more.
    /// So a mark stands beside a new store until all its files are safe; what is found beside a mark is made anew.
    pub(super) fn open(path: &Path, faults: &Arc<Faults>) -> Result<Self, StoreError> {
        let mark = path.with_extension("making");
        if mark.exists() {
            fs::remove_dir_all(path).or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
        } else if path.join("db").exists() {
            return Self::open_in_place(path, faults);
        }
        // Where the folder that it is in is missing, a disk is: the mark cannot be set, and nothing is made.
        faults.check()?;
        File::create(&mark)?;
        sync_parent(path)?;
        let store = Self::open_in_place(path, faults)?;
        sync_files(path)?;
        sync_parent(path)?;
        fs::remove_file(&mark)?;
        sync_parent(path)?;
        Ok(store)
    }

    fn open_in_place(path: &Path, faults: &Arc<Faults>) -> Result<Self, StoreError> {
        faults.check()?;
        remove_unfinished(path)?;
        let data = path.join("db");
        if data.exists() {
            segments::mend(&data)?;
        }
        let config = sled::Config::new().path(path).segment_size(SEGMENT_BYTES);
        // No thread of sled's own, which would tidy up the log, megabytes of it, between two syncs. Each page that is written anew
        // tidies up another.
        let config = config.cache_capacity(1 << 20).flush_every_ms(None);
        let (db, meta) = guarded(|| {
            let db = config.open()?;
            let meta = db.open_tree("meta")?;
            Ok((db, meta))
        })?;
        let data = File::options().read(true).write(true).open(data)?;
        let (marks, unsynced) = (Marks::default(), Cell::new(0));
        let largest = Cell::new(if db.is_empty() { 0 } else { RECORD_BYTES_MAX });
        let store = Self { db, meta, data, marks, unsynced, largest, path: path.to_owned(), faults: faults.clone() };
        store.sync()?;
        sync_names(path)?;
        Ok(store)
    }

    /// Adds a record; returns the length of the one that had its number.
    pub(super) fn insert(&self, key: u64, record: &[u8]) -> Result<Option<usize>, StoreError> {
        self.faults.check()?;
        let old = guarded(|| {
            let old = self.db.insert(key.to_be_bytes(), record)?;
            self.stir(key, record.len())?;
            Ok(old.map(|old| old.len()))
        })?;
        self.largest.set(self.largest.get().max(record.len()));
        self.count(record.len())?;
        Ok(old)
    }

    fn count(&self, bytes: usize) -> Result<(), StoreError> {
        let log = (bytes + ENTRY_BYTES) * SHARE_OF_PAGES + self.largest.get() * SHARE_OF_MOVES;
        self.unsynced.update(|unsynced| unsynced + log);
        if self.unsynced.get() < UNSYNCED_BYTES_MAX { Ok(()) } else { self.sync() }
    }

    /// Makes sled keep to its cache. It counts accesses in 256 queues and looks at a queue only when 64 are in it, so pages
    /// that are touched once each pile up, 16,384 of them, whatever the cache may hold. Some more accesses of a
    /// large record fill its queue, and the pages before it go.
    fn stir(&self, key: u64, bytes: usize) -> sled::Result<()> {
        (0..bytes / STIR_BYTES).try_for_each(|_| self.db.contains_key(key.to_be_bytes()).map(drop))
    }

    /// Removes a record and returns it.
    pub(super) fn remove(&self, key: u64) -> Result<Option<sled::IVec>, StoreError> {
        self.faults.check()?;
        let removed = guarded(|| self.db.remove(key.to_be_bytes()))?;
        self.count(removed.as_ref().map_or(0, |removed| removed.len()))?;
        Ok(removed)
    }

    /// The first record at or after a number.
    pub(super) fn at_or_after(&self, key: u64) -> Result<Option<(u64, sled::IVec)>, StoreError> {
        let found = guarded(|| match self.db.get(key.to_be_bytes())? {
            Some(record) => Ok(Some((key.to_be_bytes().to_vec().into(), record))),
            None => self.db.range(key.to_be_bytes()..).next().transpose(),
        })?;
        let Some((key, record)) = found else { return Ok(None) };
        let key = <[u8; 8]>::try_from(&key[..]).map_err(|_| StoreError::Damaged(format!("record number {key:?}")))?;
        let key = u64::from_be_bytes(key);
        guarded(|| self.stir(key, record.len()))?;
        Ok(Some((key, record)))
    }

    pub(super) fn put_meta(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.faults.check()?;
        guarded(|| self.meta.insert(key, value).map(drop))?;
        self.count(value.len())
    }

    pub(super) fn remove_meta(&self, key: &[u8]) -> Result<(), StoreError> {
        self.faults.check()?;
        guarded(|| self.meta.remove(key).map(drop))?;
        self.count(0)
    }

    pub(super) fn all_meta(&self) -> Result<Vec<Entry>, StoreError> {
        guarded(|| self.meta.iter().collect())
    }

    /// Returns when everything before is on the disk.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.faults.check()?;
        guarded(|| self.db.flush())?;
        self.marks.sync(&self.data)?;
        self.unsynced.set(0);
        Ok(())
    }

    /// What it takes on disk.
    pub(super) fn disk_bytes(&self) -> u64 {
        let length = |path: PathBuf| fs::metadata(path).map_or(0, |found| found.len());
        let files = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let blobs = fs::read_dir(self.path.join("blobs")).into_iter().flatten().flatten();
        files.chain(blobs).map(|entry| entry.path()).filter(|path| path.is_file()).map(length).sum()
    }

    /// Closes it; false when it is still not closed after a while, and then its folder must be left alone.
    pub(super) fn close(self) -> bool {
        let (done, closed) = mpsc::channel();
        let closing = std::thread::Builder::new().name("buffer-close".into()).spawn(move || {
            let _ = guarded(|| {
                drop(self);
                Ok(())
            });
            let _ = done.send(());
        });
        closing.is_ok() && closed.recv_timeout(CLOSE_WAIT).is_ok()
    }
}

/// sled makes a snapshot under a name of its own and then renames it, and takes one that was left unfinished for the newest there is:
/// a buffer that lost its power there would be called damaged.
fn remove_unfinished(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "generating") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), sync_names)
}

/// Makes the files of a folder survive a power loss, and their names.
fn sync_files(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() {
            File::open(path)?.sync_all()?;
        }
    }
    sync_names(folder)
}

fn guarded<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => Ok(result?),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(StoreError::Damaged(format!("the store panicked: {}", text.unwrap_or("no reason given"))))
        }
    }
}
