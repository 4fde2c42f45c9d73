//! Where do hours lie that are complete, and how does a reader see them and the hot store as one?
//!
//! ```text
//!   hot records --seal.rs--> files (Parquet)            sheet.rs, schema.rs, write.rs -> objects.rs
//!                       \--> manifest, one synced write  manifest.rs: the moment from which the files are the truth
//!                        \-> hot records go              in small steps, when no reader needs them any more
//!
//!   readers   take the manifest of a moment: files for what it covers, hot records for the rest     read.rs, rows.rs
//! ```
//!
//! A kill before the write of the manifest leaves the hot records as they were and perhaps a file that nobody knows, which goes
//! when the hour is next sealed. A kill after it leaves hot records that readers pass over, which go at the next start.
//!
//! A reader may take long. It holds the manifest that it began with, and neither hot records nor files that an older manifest
//! needs are taken away while somebody holds it.

mod copies;
mod drop;
mod examine;
mod histogram;
mod hour;
mod manifest;
mod objects;
mod read;
mod rollup;
mod rows;
mod schema;
mod seal;
mod sheet;
mod write;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

pub use drop::{Goes, Gone, SealedHour};
pub use examine::{Counts, Examined, Examiner};
pub use histogram::{EDGES_US, Histogram};
pub use hour::Hour;
pub use objects::Objects;
pub use rollup::{CELLS_MAX, Cell, RollupKey, Rollups, key_of};
pub use rows::{ColdRows, RowKey};
pub use schema::COLD_FORMAT;
pub use seal::{FILE_ROWS_MAX, Sealed, Sealing};

pub(super) use manifest::{Cover, Manifest, hours_of};
pub(super) use rows::Keys;

use uitwijk_model::WallTime;

use super::{Filter, StoreError};
use manifest::HourRow;
use read::ColdFile;

pub(in crate::store) use manifest::FileRow;
pub(in crate::store) use manifest::HourRow as HourState;
pub(in crate::store) use manifest::read as read_hour;

/// The cold tier of a store.
#[derive(Debug)]
pub(super) struct Cold {
    objects: Objects,
    current: RwLock<Arc<Manifest>>,
    /// Manifests that were current and may still be held by readers.
    older: Mutex<Vec<Weak<Manifest>>>,
    /// Held by whoever changes the manifest.
    changing: Mutex<()>,
    /// The end of the latest hour whose measurements went, microseconds.
    dropped_through: AtomicI64,
}

impl Cold {
    pub(super) fn new(objects: Objects, manifest: Manifest) -> Self {
        let went = manifest.hours.iter().filter(|(_, row)| row.went()).map(|(hour, _)| hour.end().as_micros());
        let dropped_through = AtomicI64::new(went.max().unwrap_or(i64::MIN));
        let current = RwLock::new(Arc::new(manifest));
        Self { objects, current, older: Mutex::default(), changing: Mutex::default(), dropped_through }
    }

    /// The manifest as it is now.
    pub(super) fn manifest(&self) -> Arc<Manifest> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn objects(&self) -> &Objects {
        &self.objects
    }

    /// One at a time may change the manifest.
    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on readers see the hour like this. The change is on disk already.
    fn publish(&self, hour: Hour, row: Option<HourRow>) {
        if row.as_ref().is_some_and(HourRow::went) {
            self.dropped_through.fetch_max(hour.end().as_micros(), Ordering::AcqRel);
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Manifest::clone(&current);
        match row {
            Some(row) => drop(next.hours.insert(hour, row)),
            None => drop(next.hours.remove(&hour)),
        }
        let old = std::mem::replace(&mut *current, Arc::new(next));
        self.older.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&old));
    }

    /// Whether no reader holds a manifest older than the current one.
    fn is_current_everywhere(&self) -> bool {
        let mut older = self.older.lock().unwrap_or_else(PoisonError::into_inner);
        older.retain(|manifest| manifest.strong_count() > 0);
        older.is_empty()
    }

    pub(super) fn dropped_through(&self) -> WallTime {
        WallTime::from_micros(self.dropped_through.load(Ordering::Acquire))
    }

    /// Whether a file with rows in a stretch of time is on no disk here.
    pub(super) fn is_far(&self, from: WallTime, to: WallTime) -> bool {
        self.objects.is_far() && self.manifest().files(from, to).any(|file| !self.objects.has_copy(&file.path))
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        let manifest = self.manifest();
        manifest.hours.values().flat_map(|row| row.files().chain(row.rollups())).map(|file| file.bytes).sum()
    }
}

/// The files with rows in a stretch of time, in order of their first row, a row group at a time.
#[derive(Debug)]
pub(super) struct ColdWalk {
    objects: Objects,
    /// The next file is the last.
    files: Vec<FileRow>,
    open: Option<(Arc<ColdFile>, FileRow, usize)>,
    range: (WallTime, WallTime),
    filter: Filter,
}

impl ColdWalk {
    pub(super) fn new(cold: &Cold, manifest: &Manifest, range: (WallTime, WallTime), filter: Filter) -> Self {
        let mut files: Vec<FileRow> = manifest.files(range.0, range.1).cloned().collect();
        files.sort_by(|a, b| (b.from_us, &b.path).cmp(&(a.from_us, &a.path)));
        Self { objects: cold.objects.clone(), files, open: None, range, filter }
    }

    /// Nothing that comes was scheduled before this; absent at the end.
    pub(super) fn mark(&self) -> Option<WallTime> {
        let file = self.open.as_ref().map(|(_, file, _)| file).or(self.files.last())?;
        Some(WallTime::from_micros(file.from_us))
    }
}

/// After an error the file it was in is passed over.
impl Iterator for ColdWalk {
    type Item = Result<ColdRows, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.open.is_none() {
                let file = self.files.pop()?;
                match ColdFile::open(&self.objects, &file.path, file.bytes, &schema::names()) {
                    Ok(open) => self.open = Some((Arc::new(open), file, 0)),
                    Err(error) => return Some(Err(error)),
                }
            }
            let Some((file, row, group)) = &mut self.open else { continue };
            if *group >= file.groups() {
                self.open = None;
                continue;
            }
            let mark = WallTime::from_micros(row.from_us);
            let (from, to) = self.range;
            let rows = ColdRows { file: file.clone(), group: *group, from, to, mark };
            *group += 1;
            if rows.may_hold(&self.filter) {
                return Some(Ok(rows));
            }
        }
    }
}
