//! Where is the record with this number: on disk, or still in memory?
//!
//! ```text
//!   first_key ............. on disk ............. | tail: in memory ... next_key
//! ```
//!
//! Every record passes through the tail. While the disk is well a commit empties it; while the disk is
//! full or gone the tail is the buffer, bounded, and drops its oldest.

use std::collections::VecDeque;

use super::record::{Extent, Fresh};
use super::state::Head;
use super::store::{Store, StoreError};

/// All records in order of number.
pub(super) struct Shelf {
    /// `None` while the disk cannot be used at all.
    pub(super) store: Option<Store>,
    pub(super) head: Head,
    tail: VecDeque<(u64, Fresh)>,
    tail_bytes: usize,
    /// There is nothing on any disk.
    memory_only: bool,
}

impl Shelf {
    pub(super) fn new(store: Store, head: Head) -> Self {
        Self { store: Some(store), head, tail: VecDeque::new(), tail_bytes: 0, memory_only: false }
    }

    pub(super) fn in_memory() -> Self {
        let head = Head { first_key: 1, next_key: 1, ..Head::default() };
        Self { store: None, head, tail: VecDeque::new(), tail_bytes: 0, memory_only: true }
    }

    /// Joins the records of memory to a disk that came back; they get new numbers, so every place is void.
    pub(super) fn attach(&mut self, store: Store, mut head: Head) {
        for (key, _) in &mut self.tail {
            *key = head.next_key;
            head.next_key += 1;
        }
        self.head = head;
        self.store = Some(store);
        self.memory_only = false;
    }

    pub(super) fn push(&mut self, record: Fresh) {
        self.tail_bytes += record.bytes.len();
        self.tail.push_back((self.head.next_key, record));
        self.head.next_key += 1;
    }

    pub(super) const fn tail_bytes(&self) -> usize {
        self.tail_bytes
    }

    pub(super) fn pop_oldest_of_tail(&mut self) -> Option<Extent> {
        let (_, record) = self.tail.pop_front()?;
        self.tail_bytes -= record.bytes.len();
        if self.memory_only {
            self.head.first_key = self.tail_key();
            let first_key = self.head.first_key;
            self.head.positions.values_mut().for_each(|position| *position = first_key.max(*position));
        }
        Some(record.extent)
    }

    /// The records that are only in memory.
    pub(super) fn tail_extents(&self) -> Vec<Extent> {
        self.tail.iter().map(|(_, record)| record.extent).collect()
    }

    /// Where the tail begins.
    pub(super) fn tail_key(&self) -> u64 {
        self.tail.front().map_or(self.head.next_key, |(key, _)| *key)
    }

    /// Puts the tail on disk; it is forgotten when the sync succeeded.
    pub(super) fn write_tail(&mut self) -> Result<(), StoreError> {
        let store = self.store.as_ref().ok_or_else(no_store)?;
        for (key, record) in &self.tail {
            let old = store.insert(*key, &record.bytes)?.unwrap_or(0);
            self.head.raw_bytes = (self.head.raw_bytes + record.bytes.len() as u64).saturating_sub(old as u64);
        }
        Ok(())
    }

    pub(super) fn forget_tail(&mut self) {
        self.tail.clear();
        self.tail_bytes = 0;
    }

    /// What `read` makes of the first record at or after a number.
    pub(super) fn look<T>(&self, key: u64, read: impl Fn(&[u8]) -> T) -> Result<Option<(u64, T)>, StoreError> {
        let (key, tail_key) = (key.max(self.head.first_key), self.tail_key());
        if key < tail_key {
            let found = self.store.as_ref().ok_or_else(no_store)?.at_or_after(key)?;
            // What lies on disk from the tail on is left over from a commit that failed.
            if let Some((key, record)) = found.filter(|(key, _)| *key < tail_key) {
                return Ok(Some((key, read(&record))));
            }
        }
        let at = self.tail.partition_point(|(number, _)| *number < key);
        Ok(self.tail.get(at).map(|(number, record)| (*number, read(&record.bytes))))
    }

    /// Nothing is left on disk or in memory.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.look(self.head.first_key, |_| ()), Ok(None))
    }

    /// Nothing of the disk is still wanted by anyone.
    pub(super) fn is_drained(&self) -> bool {
        let wanted = self.head.positions.values().min().copied().unwrap_or(0);
        wanted >= self.tail_key()
    }
}

fn no_store() -> StoreError {
    StoreError::Disk(std::io::Error::other("the store is not open"))
}
