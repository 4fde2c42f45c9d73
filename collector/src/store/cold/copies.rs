//! Which files of a bucket lie on this disk as well?
//!
//! Whoever takes in a late row asks first what is stored of its hour, and a bucket that does not answer would hold up everybody. So
//! the newest files are kept here too, as they were put there: they never change. A copy is a help and no promise: one
//! that cannot be made or read is told, and the bucket is asked.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutPayload};

use super::super::StoreError;
use super::super::whole::make_folder;

/// Copies in a folder.
#[derive(Debug)]
pub(super) struct Copies {
    folder: LocalFileSystem,
    bytes_max: u64,
    /// What is there, the oldest hours first.
    known: Mutex<BTreeMap<Name, u64>>,
}

/// The part of a path that begins with the time, and all of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    time: String,
    path: Path,
}

impl Name {
    fn of(path: &Path) -> Self {
        let text = path.as_ref();
        let time = text.find("year=").map_or(text, |at| &text[at..]).to_owned();
        Self { time, path: path.clone() }
    }
}

impl Copies {
    /// Opens a folder, which is made when it is missing.
    pub(super) async fn open(dir: &FilePath, bytes_max: u64) -> Result<Self, StoreError> {
        let why = |e: String| StoreError::Write(format!("{}: {e}", dir.display()));
        make_folder(dir).map_err(|e| why(e.to_string()))?;
        let folder = LocalFileSystem::new_with_prefix(dir).map_err(|e| why(e.to_string()))?;
        let folder = folder.with_fsync(true).with_automatic_cleanup(true);
        let found: Vec<_> = folder.list(None).try_collect().await.map_err(|e| why(e.to_string()))?;
        let known = Mutex::new(found.into_iter().map(|file| (Name::of(&file.location), file.size)).collect());
        let copies = Self { folder, bytes_max, known };
        copies.make_room(0).await;
        Ok(copies)
    }

    /// Keeps a file that is in the bucket. The oldest make room for it.
    pub(super) async fn keep(&self, path: &Path, payload: PutPayload) {
        let bytes = payload.content_length() as u64;
        if bytes > self.bytes_max {
            return;
        }
        self.make_room(bytes).await;
        match self.folder.put(path, payload).await {
            Ok(_) => drop(self.known().insert(Name::of(path), bytes)),
            Err(error) => tracing::warn!(%path, %error, "no copy of an hour's file is kept on this disk"),
        }
    }

    /// Some stretches of bytes of a file, if there is a copy.
    pub(super) async fn ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Option<Vec<Bytes>> {
        let bytes = *self.known().get(&Name::of(path))?;
        if ranges.iter().any(|range| range.end > bytes) {
            return None;
        }
        match self.folder.get_ranges(path, ranges).await {
            Ok(all) => Some(all),
            Err(error) => {
                tracing::warn!(%path, %error, "the copy of an hour's file cannot be read: the bucket is asked");
                self.known().remove(&Name::of(path));
                None
            }
        }
    }

    /// Lets go of a file.
    pub(super) async fn forget(&self, path: &Path) {
        if self.known().remove(&Name::of(path)).is_some() {
            self.remove(path).await;
        }
    }

    async fn make_room(&self, bytes: u64) {
        while let Some(oldest) = self.surplus(bytes) {
            self.remove(&oldest).await;
        }
    }

    /// The oldest file, taken from the list, while there is no room for so many bytes more.
    fn surplus(&self, bytes: u64) -> Option<Path> {
        let mut known = self.known();
        let total: u64 = known.values().sum();
        if total.saturating_add(bytes) <= self.bytes_max {
            return None;
        }
        known.pop_first().map(|(name, _)| name.path)
    }

    async fn remove(&self, path: &Path) {
        match self.folder.delete(path).await {
            Err(error) if !matches!(error, object_store::Error::NotFound { .. }) => {
                tracing::warn!(%path, %error, "the copy of an hour's file cannot be taken away");
            }
            _ => {}
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Name, u64>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
