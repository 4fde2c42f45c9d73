//! What lies in a stretch of time, in files and in the hot store, each row once?
//!
//! ```text
//!   files of sealed hours   |--- a ---|--- b ---|             a row group at a time
//!   hot records                   . .     .   . . . . . .     those that no file stands for
//!   given                   a    .  .  b   .  . . . . . .     in order of mark: nothing that follows was scheduled earlier
//! ```
//!
//! A walk goes by the manifest that it began with, to its end, and so sees an hour either in files or in the hot store. While it
//! holds that manifest, nothing that it may still need is removed.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use uitwijk_model::WallTime;

use super::cold::{ColdRows, ColdWalk, Cover, Manifest, RowKey};
use super::hot::{Entry, HotStore, ScanLimits};
use super::key::{self, KeyView, RECORD_SPAN};
use super::{AcceptedRows, Filter, Samples, Store, StoreError, StoredBatch};

const LIMITS: ScanLimits = ScanLimits { keys_max: 512, bytes_max: 2 << 20 };

/// Some rows of the store.
#[derive(Debug, Clone)]
pub enum Part {
    /// A batch of the hot store.
    Batch(StoredBatch),
    /// A row group of a file.
    Cold(ColdRows),
}

impl Part {
    /// Nothing that a walk gives after this was scheduled earlier.
    #[must_use]
    pub const fn mark(&self) -> WallTime {
        match self {
            Self::Batch(batch) => batch.key.from,
            Self::Cold(rows) => rows.mark(),
        }
    }

    /// What the judge takes of its rows that count, by agent and start.
    ///
    /// # Errors
    /// When its columns are damaged, or a file cannot be read.
    pub fn samples(&self) -> Result<Vec<Samples>, StoreError> {
        match self {
            Self::Batch(batch) => Ok(vec![batch.samples()?]),
            Self::Cold(rows) => rows.samples(),
        }
    }

    /// Its rows that count, by the batch that they came in.
    ///
    /// # Errors
    /// When its columns are damaged, or a file cannot be read.
    pub fn accepted(&self) -> Result<Vec<AcceptedRows>, StoreError> {
        match self {
            Self::Batch(batch) => Ok(vec![batch.accepted()?]),
            Self::Cold(rows) => rows.accepted(),
        }
    }

    /// Which measurements it holds.
    ///
    /// # Errors
    /// When its columns are damaged, or a file cannot be read.
    pub fn each_key(&self, mut each: impl FnMut(RowKey<'_>)) -> Result<(), StoreError> {
        match self {
            Self::Batch(batch) => {
                let rows = batch.rows()?;
                let agent = batch.key.agent.as_str();
                for row in batch.mask.ones(rows.len()).filter_map(|i| rows.row(i).ok()) {
                    let (target, slot, attempt, scheduled) = (row.target, row.slot, row.attempt, row.scheduled);
                    each(RowKey { agent, target, slot, attempt, scheduled });
                }
            }
            Self::Cold(rows) => {
                let keys = rows.keys()?;
                keys.rows().filter_map(|row| keys.get(row)).for_each(each);
            }
        }
        Ok(())
    }
}

/// Decides by its key whether a record is read.
type Wanted = Box<dyn Fn(&KeyView<'_>) -> bool + Send>;

/// Records of the hot store with rows in a stretch of scheduled time, in order of their first row.
pub(super) struct HotWalk {
    hot: Arc<dyn HotStore>,
    next: Option<Bytes>,
    from: WallTime,
    end: [u8; 8],
    wanted: Wanted,
    read: VecDeque<Entry>,
}

impl HotWalk {
    pub(super) fn new(
        hot: Arc<dyn HotStore>,
        (from, to): (WallTime, WallTime),
        wanted: impl Fn(&KeyView<'_>) -> bool + Send + 'static,
    ) -> Self {
        let start = Bytes::copy_from_slice(&key::key_at(from.minus(RECORD_SPAN)));
        Self { hot, next: Some(start), from, end: key::key_at(to), wanted: Box::new(wanted), read: VecDeque::new() }
    }

    fn read_on(&mut self, start: &Bytes) -> Result<(), StoreError> {
        // A key that cannot be read is wanted, so that it is reported and not passed over.
        let wanted = |key: &[u8]| key::view(key).is_none_or(|view| view.to >= self.from && (self.wanted)(&view));
        let part = self.hot.scan(&start[..]..&self.end[..], &wanted, LIMITS)?;
        self.next = part.next;
        self.read.extend(part.entries);
        Ok(())
    }
}

/// After an error there is no more.
impl Iterator for HotWalk {
    type Item = Result<Entry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.read.pop_front() {
                return Some(Ok(entry));
            }
            let start = self.next.take()?;
            if let Err(error) = self.read_on(&start) {
                return Some(Err(error));
            }
        }
    }
}

/// Everything with rows in a stretch of scheduled time, in order of [`Part::mark`]. Holds little in memory and nothing
/// open, so it may be left lying.
pub struct Records {
    hot: HotWalk,
    cold: ColdWalk,
    manifest: Arc<Manifest>,
    /// The next of the hot store.
    waiting: Option<Result<StoredBatch, StoreError>>,
}

impl Records {
    /// The filter only spares reading; some that it does not take may come.
    pub(super) fn new(store: &Store, from: WallTime, to: WallTime, filter: &Filter) -> Self {
        let manifest = store.cold.manifest();
        let cold = ColdWalk::new(&store.cold, &manifest, (from, to), filter.clone());
        let (agent, covered) = (filter.agent.clone(), manifest.clone());
        let wanted = move |key: &KeyView<'_>| {
            agent.as_ref().is_none_or(|a| a.as_str() == key.agent) && covered.cover(key) != Cover::Whole
        };
        Self { hot: HotWalk::new(store.hot(), (from, to), wanted), cold, manifest, waiting: None }
    }

    fn next_hot(&mut self) -> Option<Result<StoredBatch, StoreError>> {
        let entry = self.hot.next()?;
        Some(entry.and_then(|(key, value)| {
            let part = key::view(&key).is_some_and(|view| self.manifest.cover(&view) == Cover::Part);
            let batch = StoredBatch::decode(&key, value)?;
            match part {
                true => self.without_covered(batch),
                false => Ok(batch),
            }
        }))
    }

    /// A record on the edge of an hour that is sealed: its rows of that hour are in files.
    fn without_covered(&self, mut batch: StoredBatch) -> Result<StoredBatch, StoreError> {
        batch.mask = self.manifest.without_covered(&batch)?;
        Ok(batch)
    }
}

/// After an error other than [`StoreError::Damaged`] there is no more to be relied on.
impl Iterator for Records {
    type Item = Result<Part, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.waiting.is_none() {
            self.waiting = self.next_hot();
        }
        let hot = match &self.waiting {
            Some(Ok(batch)) => Some(batch.key.from),
            // Told at once.
            Some(Err(_)) => return self.waiting.take().map(|error| error.map(Part::Batch)),
            None => None,
        };
        match (self.cold.mark(), hot) {
            (Some(cold), Some(hot)) if hot < cold => {}
            (Some(_), _) => match self.cold.next() {
                Some(rows) => return Some(rows.map(Part::Cold)),
                // The rest of the files had nothing.
                None => return self.next(),
            },
            (None, _) => {}
        }
        self.waiting.take().map(|batch| batch.map(Part::Batch))
    }
}
