//! What does the store do, without a disk?
//!
//! The plain model of [`HotStore`] for tests. It can be told to fail, before or after it has written.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::StoreError;
use super::hot::{Entry, HotSnapshot, HotStore, ScanLimits, ScanPart, Space, WriteTimes, Writes};

/// How writes fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Failing {
    /// They do not.
    #[default]
    No,
    /// Nothing is written.
    Before,
    /// Everything is written, and the sync fails.
    After,
}

/// Two ordered maps.
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    batches: BTreeMap<Vec<u8>, Bytes>,
    small: BTreeMap<Vec<u8>, Bytes>,
    failing: Failing,
    writes: u64,
}

impl MemoryStore {
    /// From now on writes fail like this.
    pub fn fail(&self, how: Failing) {
        self.lock().failing = how;
    }

    /// Writes that were asked for, the failed ones included.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HotStore for MemoryStore {
    fn write(&self, writes: &Writes) -> Result<WriteTimes, StoreError> {
        let mut inner = self.lock();
        inner.writes += 1;
        if inner.failing == Failing::Before {
            return Err(StoreError::Write("no space left on device".into()));
        }
        inner.batches.extend(writes.batches.iter().map(|(k, v)| (k.clone(), Bytes::copy_from_slice(v))));
        for (key, value) in &writes.small {
            match value {
                Some(value) => inner.small.insert(key.clone(), Bytes::copy_from_slice(value)),
                None => inner.small.remove(key),
            };
        }
        match inner.failing {
            Failing::After => Err(StoreError::Write("input/output error".into())),
            _ => Ok(WriteTimes::default()),
        }
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
        Ok(gather(self.lock().batches.range(range.start.to_vec()..range.end.to_vec()), wanted, limits))
    }

    fn small(&self) -> Result<Vec<Entry>, StoreError> {
        Ok(self.lock().small.iter().map(|(k, v)| (Bytes::copy_from_slice(k), v.clone())).collect())
    }

    fn remove_below(&self, key: &[u8], max: usize) -> Result<usize, StoreError> {
        let mut inner = self.lock();
        let keys: Vec<Vec<u8>> = inner.batches.range(..key.to_vec()).take(max).map(|(k, _)| k.clone()).collect();
        keys.iter().for_each(|key| drop(inner.batches.remove(key)));
        Ok(keys.len())
    }

    fn remove(&self, keys: &[Vec<u8>]) -> Result<(), StoreError> {
        let mut inner = self.lock();
        keys.iter().for_each(|key| drop(inner.batches.remove(key)));
        Ok(())
    }

    fn disk_bytes(&self) -> u64 {
        self.lock().batches.iter().map(|(k, v)| (k.len() + v.len()) as u64).sum()
    }

    fn snapshot(&self) -> Result<Box<dyn HotSnapshot>, StoreError> {
        let inner = self.lock();
        Ok(Box::new(MemorySnapshot { batches: inner.batches.clone(), small: inner.small.clone() }))
    }
}

#[derive(Debug)]
struct MemorySnapshot {
    batches: BTreeMap<Vec<u8>, Bytes>,
    small: BTreeMap<Vec<u8>, Bytes>,
}

impl HotSnapshot for MemorySnapshot {
    fn scan(&self, space: Space, from: &[u8], limits: ScanLimits) -> Result<ScanPart, StoreError> {
        let map = match space {
            Space::Batches => &self.batches,
            Space::Small => &self.small,
        };
        Ok(gather(map.range(from.to_vec()..), &|_| true, limits))
    }

    fn is_in_the_way(&self) -> bool {
        false
    }
}

/// A stretch of what an iterator gives.
fn gather<'a>(
    entries: impl Iterator<Item = (&'a Vec<u8>, &'a Bytes)>,
    wanted: &dyn Fn(&[u8]) -> bool,
    limits: ScanLimits,
) -> ScanPart {
    let mut part = ScanPart::default();
    let (mut keys, mut bytes) = (0, 0);
    for (key, value) in entries {
        if keys >= limits.keys_max || bytes >= limits.bytes_max {
            part.next = Some(Bytes::copy_from_slice(key));
            break;
        }
        keys += 1;
        if wanted(key) {
            bytes += value.len();
            part.entries.push((Bytes::copy_from_slice(key), value.clone()));
        }
    }
    part
}
