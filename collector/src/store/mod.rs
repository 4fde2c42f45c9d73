//! What was measured, exactly once, and how does it outlive a power cut?
//!
//! ```text
//!   committer --Writes (one group)--> HotStore.write     atomic, on disk when it returns
//!   judge, API <--records, pages----- HotStore.scan, files of sealed hours (cold/)
//!
//!   batches   key.rs, record.rs    the batch as it came, and which of its rows count
//!   small     small.rs             ledgers, frontiers, the serial: in the same group as the rows they count
//! ```
//!
//! A batch stays as it came: columns in, columns out. What was not fresh in it is masked, not removed. No record spans more
//! than [`RECORD_SPAN`] of scheduled time, so a reader of a time range looks no further back than that.
//!
//! The choice left aside is one key per measurement. It answers point reads, which nobody asks for, and costs twenty times
//! the writes.

mod accepted;
mod cold;
mod disk;
mod error;
mod format;
mod frozen;
mod hot;
pub(crate) mod journal;
mod key;
mod ledger;
mod mask;
mod memory;
mod query;
mod record;
mod records;
mod retention;
mod samples;
pub mod small;
mod whole;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use uitwijk_model::{Clock, WallTime};

pub use accepted::AcceptedRows;
pub use cold::{
    CELLS_MAX, COLD_FORMAT, Cell, ColdRows, Counts, EDGES_US, Examined, Examiner, FILE_ROWS_MAX, Goes, Gone, Histogram,
    Hour, Objects, RollupKey, Rollups, RowKey, Sealed, SealedHour, Sealing, key_of,
};
pub use disk::{DiskOptions, DiskStore};
pub use error::{OpenError, StoreError};
pub use format::FORMAT;
pub use frozen::{Frozen, SealedFile};
pub use hot::{Entry, HotSnapshot, HotStore, ScanLimits, ScanPart, Space, WriteTimes, Writes};
pub use key::{RECORD_SPAN, RecordKey};
pub use ledger::{ISLANDS_ADOPTED_MAX, ISLANDS_MAX, Ledger};
pub use mask::Mask;
pub use memory::{Failing, MemoryStore};
pub use query::{Filter, PAGE_SIZE_MAX, Page, QueryError, StoredRecord};
pub use record::StoredBatch;
pub use records::{Part, Records};
pub use retention::remove_old;
pub(crate) use samples::Places;
pub use samples::{Names, Sample, Samples, Targets};
pub(crate) use whole::open_whole;

/// Records removed in one step, so that a writer never waits long for the journal.
const REMOVED_PER_STEP: usize = 256;

/// Measurements on disk. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    hot: Arc<dyn HotStore>,
    cold: Arc<cold::Cold>,
    damaged: Arc<AtomicU64>,
}

impl Store {
    /// Opens a store, or makes one in an empty or missing directory. Sealed hours lie in a folder of it.
    ///
    /// # Errors
    /// When the directory is not one of ours, of a newer format, in use, not writable or damaged.
    pub fn open(dir: &Path, options: DiskOptions, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let hot = DiskStore::open(dir, options, clock)?;
        let cold = |error: StoreError| OpenError::Cold { reason: error.to_string() };
        Self::joined(Arc::new(hot), Objects::folder(&dir.join("cold")).map_err(cold)?).map_err(cold)
    }

    /// The same, with sealed hours elsewhere.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(
        dir: &Path,
        options: DiskOptions,
        clock: Arc<dyn Clock>,
        objects: Objects,
    ) -> Result<Self, OpenError> {
        let hot = DiskStore::open(dir, options, clock)?;
        Self::joined(Arc::new(hot), objects).map_err(|error| OpenError::Cold { reason: error.to_string() })
    }

    /// A store of keys and values, and a place for the files of the hours that it says are sealed.
    ///
    /// # Errors
    /// When what it says cannot be read.
    pub fn joined(hot: Arc<dyn HotStore>, objects: Objects) -> Result<Self, StoreError> {
        let manifest = small::read(&hot.small()?)?.manifest();
        Ok(Self { hot, cold: Arc::new(cold::Cold::new(objects, manifest)), damaged: Arc::default() })
    }

    /// A store over keys and values of which no hour was ever sealed.
    #[must_use]
    pub fn over(hot: Arc<dyn HotStore>) -> Self {
        let cold = cold::Cold::new(Objects::memory(), cold::Manifest::default());
        Self { hot, cold: Arc::new(cold), damaged: Arc::default() }
    }

    pub(crate) fn hot(&self) -> Arc<dyn HotStore> {
        self.hot.clone()
    }

    /// Everything with rows scheduled from `from` to `to`, and some beside them.
    #[must_use]
    pub fn records(&self, from: WallTime, to: WallTime) -> Records {
        Records::new(self, from, to, &Filter::default())
    }

    /// Whether a stretch of time has files that would have to be asked of a bucket.
    pub(crate) fn is_far(&self, from: WallTime, to: WallTime) -> bool {
        self.cold.is_far(from, to)
    }

    /// What the judge needs after a start: all rows that count of batches with rows since then, about in order of scheduled
    /// time. Damaged records are counted, logged and left out. Reads the disk.
    pub fn samples(&self, since: WallTime) -> impl Iterator<Item = Result<Samples, StoreError>> + use<> {
        self.each_part(since, |part| {
            Ok(part.samples()?.into_iter().filter(|samples| !samples.rows.is_empty()).collect())
        })
    }

    /// The same rows in full.
    pub fn recover(&self, since: WallTime) -> impl Iterator<Item = Result<AcceptedRows, StoreError>> + use<> {
        self.each_part(since, |part| Ok(part.accepted()?.into_iter().filter(|rows| !rows.rows.is_empty()).collect()))
    }

    fn each_part<T: 'static>(
        &self,
        since: WallTime,
        read: fn(&Part) -> Result<Vec<T>, StoreError>,
    ) -> impl Iterator<Item = Result<T, StoreError>> + use<T> {
        let store = self.clone();
        self.records(since, WallTime::from_micros(i64::MAX)).flat_map(move |part| {
            match part.and_then(|part| read(&part)) {
                Ok(batches) => batches.into_iter().map(Ok).collect::<Vec<_>>(),
                Err(error) => store.note_damage(&error).err().map(Err).into_iter().collect(),
            }
        })
    }

    /// Ledgers, frontiers and the serial as they are on disk. Reads the disk.
    ///
    /// # Errors
    /// When the store fails, or the state is damaged.
    pub fn small(&self) -> Result<small::SmallState, StoreError> {
        small::read(&self.hot.small()?)
    }

    /// Removes a bounded number of the records whose rows were all scheduled before a moment, oldest first, and says how
    /// many; 0 means that none is left. Reads and writes the disk.
    ///
    /// # Errors
    /// When the store fails.
    pub fn remove_before(&self, moment: WallTime) -> Result<usize, StoreError> {
        // A record that begins a span earlier has ended by then.
        self.hot.remove_below(&key::key_at(moment.minus(RECORD_SPAN)), REMOVED_PER_STEP)
    }

    /// Whoever waits for a file of a sealed hour waits no longer, and gets none any more: the collector stops.
    pub fn end_files(&self) {
        self.cold.objects().end();
    }

    /// Space taken on disk by the hot store and the files of sealed hours.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.hot.disk_bytes() + self.cold.bytes()
    }

    /// Damaged records met since the start.
    #[must_use]
    pub fn damaged_records(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Counts damage of one record as 1; any other error ends what was going on.
    pub(crate) fn note_damage(&self, error: &StoreError) -> Result<u64, StoreError> {
        match error {
            StoreError::Damaged(what) => {
                self.damaged.fetch_add(1, Ordering::Relaxed);
                tracing::error!(record = %what, "damaged record left out");
                Ok(1)
            }
            other => Err(other.clone()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
