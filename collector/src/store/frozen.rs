//! What does the store hold at one moment, for whoever copies it?
//!
//! A moment of keys and values, and the files that it names. While somebody holds one, files and records that it needs stay; they
//! go afterwards, as they do after a long read.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::cold::{Manifest, Objects};
use super::hot::{Entry, HotSnapshot, ScanLimits, Space};
use super::small::{self, SmallState};
use super::{Store, StoreError};

const LIMITS: ScanLimits = ScanLimits { keys_max: 512, bytes_max: 1 << 20 };

/// A store as it was at a moment.
#[derive(Debug)]
pub struct Frozen {
    snapshot: Box<dyn HotSnapshot>,
    /// Keeps its files where they are.
    _held: Arc<Manifest>,
    objects: Objects,
    small: SmallState,
}

/// A file of a sealed hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedFile {
    /// Below the place of the cold tier.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Of all of it.
    pub sha256: Vec<u8>,
    /// Measurements in it; absent for a file of rollups.
    pub rows: Option<u64>,
}

impl Store {
    /// The store as it is now. Reads its small state.
    ///
    /// # Errors
    /// When the store fails, or its small state is damaged.
    pub fn freeze(&self) -> Result<Frozen, StoreError> {
        // Held before the moment: what the moment names is in it or newer, and so cannot have gone before this is let go.
        let held = self.cold.manifest();
        let snapshot = self.hot.snapshot()?;
        let mut entries = Vec::new();
        walk(&*snapshot, Space::Small, &mut |entry| -> Result<(), StoreError> {
            entries.push(entry);
            Ok(())
        })?;
        Ok(Frozen { small: small::read(&entries)?, snapshot, _held: held, objects: self.cold.objects().clone() })
    }
}

impl Frozen {
    /// Its small state.
    #[must_use]
    pub const fn small(&self) -> &SmallState {
        &self.small
    }

    /// Tells each entry of a space, in order.
    ///
    /// # Errors
    /// When the store fails, or what is told fails.
    pub fn each<E: From<StoreError>>(
        &self,
        space: Space,
        tell: &mut dyn FnMut(Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        walk(&*self.snapshot, space, tell)
    }

    /// The files of its sealed hours, the oldest hour first.
    #[must_use]
    pub fn files(&self) -> Vec<SealedFile> {
        self.small.sealed_files()
    }

    /// Some bytes of one of them.
    ///
    /// # Errors
    /// When it cannot be read, or is shorter.
    pub fn read(&self, path: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.objects.range(path, range)
    }

    /// The store failed and is to be opened again: let go of this.
    #[must_use]
    pub fn is_in_the_way(&self) -> bool {
        self.snapshot.is_in_the_way()
    }
}

impl SmallState {
    /// The files of sealed hours, the oldest hour first.
    #[must_use]
    pub fn sealed_files(&self) -> Vec<SealedFile> {
        let mut files = Vec::new();
        for (_, hour) in &self.hours {
            let of = |file: &super::cold::FileRow, rows| SealedFile {
                path: file.path.clone(),
                bytes: file.bytes,
                sha256: file.sha256.clone(),
                rows,
            };
            files.extend(hour.files().map(|file| of(file, Some(file.rows))));
            files.extend(hour.rollups().map(|file| of(file, None)));
        }
        files
    }

    /// How many hours are sealed.
    #[must_use]
    pub fn sealed_hours(&self) -> usize {
        self.hours.len()
    }
}

fn walk<E: From<StoreError>>(
    snapshot: &dyn HotSnapshot,
    space: Space,
    tell: &mut dyn FnMut(Entry) -> Result<(), E>,
) -> Result<(), E> {
    let mut next = Some(Bytes::new());
    while let Some(from) = next {
        let part = snapshot.scan(space, &from, LIMITS)?;
        part.entries.into_iter().try_for_each(&mut *tell)?;
        next = part.next;
    }
    Ok(())
}
