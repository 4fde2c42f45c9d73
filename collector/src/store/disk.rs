//! How are keys and values kept on disk?
//!
//! By fjall: a write goes to a journal, the journal is synced once per group, and the rest happens in the background. When a
//! write fails (a full disk), fjall refuses all further ones, and rightly: it cannot know what the disk holds. So
//! this file closes it and opens it again, which reads back what did reach the disk, but only once a probe shows that the disk
//! takes writes again. Until then reads are still served.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::SystemTime;

use bytes::Bytes;
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode, Readable as _,
};
use uitwijk_model::Clock;

use super::error::reason;
use super::format;
use super::hot::{Entry, HotSnapshot, HotStore, ScanLimits, ScanPart, Space, WriteTimes, Writes};
use super::journal;
use super::whole::{open_whole, sync_names};
use super::{OpenError, StoreError};

/// How fjall is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskOptions {
    /// Cache of blocks read from disk.
    pub cache_bytes: u64,
    /// The journals' size at which the memory tables are written out.
    pub journal_bytes_max: u64,
    /// Size of a memory table at which it is written out and another one begun. A store keeps that which it was made with.
    pub memtable_bytes: u64,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self { cache_bytes: 32 << 20, journal_bytes_max: 512 << 20, memtable_bytes: 8 << 20 }
    }
}

/// A store in a directory.
pub struct DiskStore {
    dir: PathBuf,
    options: DiskOptions,
    clock: Arc<dyn Clock>,
    /// Absent only while it is opened again, or when that failed.
    open: RwLock<Option<Open>>,
    failed: Arc<AtomicBool>,
    /// Below this everything was removed: a search for more need not wade through what is gone.
    removed_to: Mutex<Vec<u8>>,
}

struct Open {
    database: Database,
    batches: Keyspace,
    small: Keyspace,
    blobs: Blobs,
    /// Held while a group is written and synced: no two may be on their way (journal.rs).
    writing: Mutex<()>,
}

/// The folder of the files that values are kept in, apart from their keys. fjall syncs each file and not the folder, which is left to
/// the file system: ext4, XFS and btrfs keep the name of a new file with its sync. On others it must be done here, with the next
/// group; between the two a power cut could take a file away that the database already counts on.
struct Blobs {
    dir: PathBuf,
    /// When a name was last added or taken away, as far as it was synced.
    synced: Mutex<Option<SystemTime>>,
}

impl Blobs {
    fn sync(&self) -> std::io::Result<()> {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = std::fs::metadata(&self.dir).and_then(|about| about.modified()).ok();
        if changed.is_some() && *synced != changed {
            sync_names(&self.dir)?;
            *synced = changed;
        }
        Ok(())
    }
}

impl std::fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskStore").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl DiskStore {
    /// Opens a store, or makes one in an empty or missing directory.
    ///
    /// # Errors
    /// When the directory is not one of ours, of a newer format, in use, not writable or damaged.
    pub fn open(dir: &Path, options: DiskOptions, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        format::prepare(dir)?;
        let open = Open::at(dir, options).map_err(|e| OpenError::of_fjall(dir, e))?;
        let open = RwLock::new(Some(open));
        let (failed, removed_to) = (Arc::default(), Mutex::default());
        Ok(Self { dir: dir.to_path_buf(), options, clock, open, failed, removed_to })
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<Open>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// After a failed write: waits for nothing, and opens again if the disk takes writes.
    fn reopen(&self) -> Result<(), StoreError> {
        format::probe(&self.dir).map_err(|e| StoreError::Write(e.to_string()))?;
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        // The lock of the directory goes with the old handle.
        *open = None;
        let again = Open::at(&self.dir, self.options).map_err(|e| StoreError::Write(reason(&e)))?;
        *open = Some(again);
        self.failed.store(false, Ordering::Release);
        tracing::info!(dir = %self.dir.display(), "store opened again after a failed write");
        Ok(())
    }
}

impl Open {
    fn at(dir: &Path, options: DiskOptions) -> fjall::Result<Self> {
        open_whole(&dir.join("hot"), |dir| Self::in_place(dir, options))
    }

    fn in_place(dir: &Path, options: DiskOptions) -> fjall::Result<Self> {
        journal::mend(dir)?;
        let database = Database::builder(dir)
            .cache_size(options.cache_bytes)
            .max_journaling_size(options.journal_bytes_max)
            .manual_journal_persist(true)
            // The columns are small numbers already; a journal lives for minutes.
            .journal_compression(CompressionType::None)
            .worker_threads(2)
            .open()?;
        // Values are tens of kilobytes and never change: kept apart from the keys they are written twice in their life
        // (journal and blob file), and not once per level. To pack them would cost more CPU than to check them, for the hours until
        // they are sealed; whoever wants them small lets agents pack them.
        let separated = KvSeparationOptions::default().separation_threshold(1024).compression(CompressionType::None);
        let batches = database.keyspace("batches", || {
            KeyspaceCreateOptions::default()
                .manual_journal_persist(true)
                .max_memtable_size(options.memtable_bytes)
                .with_kv_separation(Some(separated))
        })?;
        let small = database.keyspace("small", || KeyspaceCreateOptions::default().manual_journal_persist(true))?;
        let blobs = Blobs { dir: batches.path().join("blobs"), synced: Mutex::default() };
        Ok(Self { database, batches, small, blobs, writing: Mutex::default() })
    }

    fn write(&self, writes: &Writes, clock: &dyn Clock) -> fjall::Result<WriteTimes> {
        let began = clock.elapsed();
        let mut batch = self.database.batch();
        for (key, value) in &writes.batches {
            batch.insert(&self.batches, key.as_slice(), value.as_slice());
        }
        for (key, value) in &writes.small {
            match value {
                Some(value) => batch.insert(&self.small, key.as_slice(), value.as_slice()),
                None => batch.remove(&self.small, key.as_slice()),
            }
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        batch.commit()?;
        let written = clock.elapsed();
        self.database.persist(PersistMode::SyncData)?;
        self.blobs.sync()?;
        let synced = clock.elapsed();
        Ok(WriteTimes { total: synced.since(began), sync: synced.since(written) })
    }

    fn scan(&self, range: Range<&[u8]>, wanted: &dyn Fn(&[u8]) -> bool, limits: ScanLimits) -> fjall::Result<ScanPart> {
        gather(self.batches.range(range), wanted, limits)
    }

    fn remove(&self, keys: &[Vec<u8>]) -> fjall::Result<()> {
        let mut batch = self.database.batch();
        keys.iter().for_each(|key| batch.remove(&self.batches, key.as_slice()));
        batch.commit()
    }

    /// How many were removed, and the last of them.
    fn remove_between(&self, from: &[u8], to: &[u8], max: usize) -> fjall::Result<(usize, Vec<u8>)> {
        let mut batch = self.database.batch();
        let mut last = from.to_vec();
        for guard in self.batches.range(from..to).take(max) {
            let key = guard.key()?;
            last = key.to_vec();
            batch.remove(&self.batches, key);
        }
        let removed = batch.len();
        batch.commit()?;
        Ok((removed, last))
    }
}

/// A stretch of what an iterator gives.
fn gather(
    entries: impl Iterator<Item = fjall::Guard>,
    wanted: &dyn Fn(&[u8]) -> bool,
    limits: ScanLimits,
) -> fjall::Result<ScanPart> {
    let mut part = ScanPart::default();
    let (mut keys, mut bytes) = (0, 0);
    for guard in entries {
        let full = keys >= limits.keys_max || bytes >= limits.bytes_max;
        if full {
            part.next = Some(copied(&guard.key()?));
            break;
        }
        let (key, value) = guard.into_inner_if(|key| wanted(key))?;
        keys += 1;
        if let Some(value) = value {
            bytes += value.len();
            part.entries.push((copied(&key), copied(&value)));
        }
    }
    Ok(part)
}

/// A moment of the database. Holds it open, and with it the lock of its directory.
struct DiskSnapshot {
    moment: fjall::Snapshot,
    batches: Keyspace,
    small: Keyspace,
    failed: Arc<AtomicBool>,
}

impl std::fmt::Debug for DiskSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskSnapshot").finish_non_exhaustive()
    }
}

impl HotSnapshot for DiskSnapshot {
    fn scan(&self, space: Space, from: &[u8], limits: ScanLimits) -> Result<ScanPart, StoreError> {
        let keyspace = match space {
            Space::Batches => &self.batches,
            Space::Small => &self.small,
        };
        gather(self.moment.range(keyspace, from..), &|_| true, limits).map_err(|e| StoreError::Read(reason(&e)))
    }

    fn is_in_the_way(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}

const BUSY: &str = "it is being opened again after a failed write";

impl HotStore for DiskStore {
    fn write(&self, writes: &Writes) -> Result<WriteTimes, StoreError> {
        if self.failed.load(Ordering::Acquire) {
            self.reopen()?;
        }
        let done = match &*self.read() {
            Some(open) => open.write(writes, &*self.clock).map_err(|e| StoreError::Write(reason(&e))),
            None => Err(StoreError::Write(BUSY.into())),
        };
        if done.is_err() {
            self.failed.store(true, Ordering::Release);
        }
        done
    }

    fn scan(
        &self,
        range: Range<&[u8]>,
        wanted: &dyn Fn(&[u8]) -> bool,
        limits: ScanLimits,
    ) -> Result<ScanPart, StoreError> {
        if range.start >= range.end {
            return Ok(ScanPart::default());
        }
        match &*self.read() {
            Some(open) => open.scan(range, wanted, limits).map_err(|e| StoreError::Read(reason(&e))),
            None => Err(StoreError::Read(BUSY.into())),
        }
    }

    fn small(&self) -> Result<Vec<Entry>, StoreError> {
        let open = self.read();
        let open = open.as_ref().ok_or_else(|| StoreError::Read(BUSY.into()))?;
        let copy = |guard: fjall::Guard| guard.into_inner().map(|(k, v)| (copied(&k), copied(&v)));
        open.small.iter().map(|guard| copy(guard).map_err(|e| StoreError::Read(reason(&e)))).collect()
    }

    fn remove_below(&self, key: &[u8], max: usize) -> Result<usize, StoreError> {
        let mut removed_to = self.removed_to.lock().unwrap_or_else(PoisonError::into_inner);
        if key <= removed_to.as_slice() {
            return Ok(0);
        }
        let done = match &*self.read() {
            Some(open) => open.remove_between(&removed_to, key, max).map_err(|e| StoreError::Write(reason(&e))),
            None => Err(StoreError::Write(BUSY.into())),
        };
        let (removed, last) = done.inspect_err(|_| self.failed.store(true, Ordering::Release))?;
        *removed_to = last;
        Ok(removed)
    }

    fn remove(&self, keys: &[Vec<u8>]) -> Result<(), StoreError> {
        let done = match &*self.read() {
            _ if keys.is_empty() => return Ok(()),
            Some(open) => open.remove(keys).map_err(|e| StoreError::Write(reason(&e))),
            None => Err(StoreError::Write(BUSY.into())),
        };
        done.inspect_err(|_| self.failed.store(true, Ordering::Release))
    }

    fn disk_bytes(&self) -> u64 {
        self.read().as_ref().and_then(|open| open.database.disk_space().ok()).unwrap_or(0)
    }

    fn snapshot(&self) -> Result<Box<dyn HotSnapshot>, StoreError> {
        let open = self.read();
        let open = open.as_ref().ok_or_else(|| StoreError::Read(BUSY.into()))?;
        let (batches, small, failed) = (open.batches.clone(), open.small.clone(), self.failed.clone());
        Ok(Box::new(DiskSnapshot { moment: open.database.snapshot(), batches, small, failed }))
    }
}

fn copied(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
