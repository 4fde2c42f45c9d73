//! Which batches lie in a stretch of time?

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use uitwijk_model::WallTime;

use super::hot::{Entry, HotStore, ScanLimits};
use super::key::{self, KeyView, RECORD_SPAN};
use super::{StoreError, StoredBatch};

const LIMITS: ScanLimits = ScanLimits { keys_max: 512, bytes_max: 2 << 20 };

/// Decides by its key whether a record is read.
type Wanted<'a> = Box<dyn Fn(&KeyView<'_>) -> bool + Send + 'a>;

/// Batches with rows in a stretch of scheduled time, in order of their first row. Holds little in memory and nothing
/// open, so it may be left lying.
pub struct Records<'a> {
    hot: Arc<dyn HotStore>,
    next: Option<Bytes>,
    end: [u8; 8],
    wanted: Wanted<'a>,
    read: VecDeque<Entry>,
}

impl<'a> Records<'a> {
    pub(super) fn new(
        hot: Arc<dyn HotStore>,
        from: WallTime,
        to: WallTime,
        wanted: impl Fn(&KeyView<'_>) -> bool + Send + 'a,
    ) -> Self {
        let start = Bytes::copy_from_slice(&key::key_at(from.minus(RECORD_SPAN)));
        let wanted = Box::new(move |k: &KeyView<'_>| k.to >= from && wanted(k));
        Self { hot, next: Some(start), end: key::key_at(to), wanted, read: VecDeque::new() }
    }

    fn read_on(&mut self, start: &Bytes) -> Result<(), StoreError> {
        // A key that cannot be read is wanted, so that it is reported and not passed over.
        let wanted = |key: &[u8]| key::view(key).is_none_or(|view| (self.wanted)(&view));
        let part = self.hot.scan(&start[..]..&self.end[..], &wanted, LIMITS)?;
        self.next = part.next;
        self.read.extend(part.entries);
        Ok(())
    }
}

/// After an error other than [`StoreError::Damaged`] there is no more.
impl Iterator for Records<'_> {
    type Item = Result<StoredBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.read.pop_front() {
                return Some(StoredBatch::decode(&key, value));
            }
            let start = self.next.take()?;
            if let Err(error) = self.read_on(&start) {
                return Some(Err(error));
            }
        }
    }
}
