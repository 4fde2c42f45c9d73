//! What must a store of keys and values be able to do for us?

use std::fmt::Debug;
use std::ops::Range;

use bytes::Bytes;
use uitwijk_model::Elapsed;

use super::{StoreError, StoredBatch};

/// A key and its value.
pub type Entry = (Bytes, Bytes);

/// One group: all of it becomes durable, or none.
#[derive(Debug, Clone, Default)]
pub struct Writes {
    /// Records with their keys.
    pub batches: Vec<(Vec<u8>, Vec<u8>)>,
    /// Small state; `None` removes the key.
    pub small: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Writes {
    /// Adds a record.
    pub fn batch(&mut self, batch: &StoredBatch) {
        self.batches.push((batch.key.encode(), batch.encode()));
    }

    /// Nothing to write.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.small.is_empty()
    }
}

/// Where the time of a write went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteTimes {
    /// Everything, the sync included.
    pub total: Elapsed,
    /// The sync.
    pub sync: Elapsed,
}

/// A stretch of a scan.
#[derive(Debug, Default)]
pub struct ScanPart {
    /// In order of key.
    pub entries: Vec<Entry>,
    /// Where to go on; absent at the end of the range.
    pub next: Option<Bytes>,
}

/// How much one call of [`HotStore::scan`] may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanLimits {
    /// Keys looked at.
    pub keys_max: usize,
    /// Bytes of values handed back; the value that goes over is the last.
    pub bytes_max: usize,
}

/// Keys and values on disk, in order of key, in two spaces.
pub trait HotStore: Send + Sync + Debug {
    /// Writes a group; on disk when it returns. After an error the caller writes the same group again, which
    /// changes nothing where the first attempt did reach the disk.
    ///
    /// # Errors
    /// When it is not known to be on disk.
    fn write(&self, writes: &Writes) -> Result<WriteTimes, StoreError>;

    /// Records in a range of keys, a stretch at a time; values only of keys that are wanted.
    ///
    /// # Errors
    /// When the disk or the store fails.
    fn scan(
        &self,
        range: Range<&[u8]>,
        wanted: &dyn Fn(&[u8]) -> bool,
        limits: ScanLimits,
    ) -> Result<ScanPart, StoreError>;

    /// All small state.
    ///
    /// # Errors
    /// When the disk or the store fails.
    fn small(&self) -> Result<Vec<Entry>, StoreError>;

    /// Removes up to `max` of the first records below a key, and says how many.
    ///
    /// # Errors
    /// When the disk or the store fails.
    fn remove_below(&self, key: &[u8], max: usize) -> Result<usize, StoreError>;

    /// Removes records by their keys. After a kill some of them may be there again.
    ///
    /// # Errors
    /// When the disk or the store fails.
    fn remove(&self, keys: &[Vec<u8>]) -> Result<(), StoreError>;

    /// Space taken on disk.
    fn disk_bytes(&self) -> u64;

    /// Both spaces as of one moment: a group is in it whole or not at all.
    ///
    /// # Errors
    /// When the disk or the store fails.
    fn snapshot(&self) -> Result<Box<dyn HotSnapshot>, StoreError>;
}

/// The two spaces of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// Records.
    Batches,
    /// Small state.
    Small,
}

/// A store as it was at a moment. What is removed meanwhile takes space as long as somebody holds this.
pub trait HotSnapshot: Send + Debug {
    /// Entries of a space from a key on, a stretch at a time.
    ///
    /// # Errors
    /// When the disk or the store fails.
    fn scan(&self, space: Space, from: &[u8], limits: ScanLimits) -> Result<ScanPart, StoreError>;

    /// The store is to be opened again after a failed write, which has to wait for this to go.
    fn is_in_the_way(&self) -> bool;
}
