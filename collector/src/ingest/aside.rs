//! Which batches wait for an hour that lies far away, while everybody else goes on?
//!
//! ```text
//!   batch --> all its stretches of slots in memory, or on this disk? --yes--> group
//!                   | no                                               ^
//!                   v                                                  |
//!                 aside    a thread of its own asks the bucket --> Loaded
//! ```
//!
//! A batch with rows of a sealed hour may go into a group only when it is known what is stored of that hour. Where that has to be
//! asked of a bucket, which may take long or fail, the batch waits here, not acknowledged, and the next ones do not. It keeps
//! its share of what its stream may have under way, so an agent does not send more and more of them; and of all agents
//! together only so many rows wait. Beyond that a stream ends: what it sent is still with the agent.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::dedup::{Chunk, ChunkId, Dedup, range_of, read_back};
use super::metrics::IngestMetrics;
use super::work::{IncomingBatch, Work};
use crate::plans::Plans;
use crate::store::{Store, StoreError};

/// Stretches that are asked for at a time. One that never comes keeps its place.
const LOADS_MAX: usize = 32;
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Batches that wait.
pub(super) struct Aside {
    store: Store,
    plans: Arc<Plans>,
    /// Where what was read comes back. Weak: when nobody else sends any more, nobody waits.
    queue: mpsc::WeakSender<Work>,
    rows_max: usize,
    give_up: CancellationToken,
    metrics: IngestMetrics,
    waiting: Vec<IncomingBatch>,
    loading: HashSet<ChunkId>,
    /// What was not far when it was first looked at for the group that is made up now. Sealing goes on meanwhile, and what is read for
    /// the group must not be asked for from afar as well: that would come later and know less.
    near: HashSet<ChunkId>,
}

impl Aside {
    pub(super) fn new(
        store: Store,
        plans: Arc<Plans>,
        queue: mpsc::WeakSender<Work>,
        rows_max: usize,
        give_up: CancellationToken,
        metrics: IngestMetrics,
    ) -> Self {
        let (waiting, loading, near) = (Vec::new(), HashSet::new(), HashSet::new());
        Self { store, plans, queue, rows_max, give_up, metrics, waiting, loading, near }
    }

    /// What need not wait, or need not any longer.
    pub(super) fn admit(&mut self, work: Vec<Work>, dedup: &mut Dedup) -> Vec<Work> {
        let mut ready = Vec::with_capacity(work.len());
        let mut is_news = false;
        self.near.clear();
        for work in work {
            match work {
                Work::Batch(batch) => self.sort(*batch, dedup, &mut ready),
                Work::Loaded(id, chunk) => {
                    self.loading.remove(&id);
                    dedup.insert(id, *chunk);
                    is_news = true;
                }
                other => ready.push(other),
            }
        }
        if is_news || self.loading.is_empty() {
            for batch in std::mem::take(&mut self.waiting) {
                self.sort(batch, dedup, &mut ready);
            }
        }
        let rows: usize = self.waiting.iter().map(|batch| batch.count as usize).sum();
        self.metrics.rows_aside.set(i64::try_from(rows).unwrap_or(i64::MAX));
        ready
    }

    fn sort(&mut self, batch: IncomingBatch, dedup: &Dedup, ready: &mut Vec<Work>) {
        let missing = dedup.missing(batch.stretches());
        let far: Vec<ChunkId> = missing.into_iter().filter(|id| self.is_far(*id)).collect();
        if far.is_empty() {
            ready.push(Work::Batch(Box::new(batch)));
            return;
        }
        far.into_iter().for_each(|id| self.load(id));
        self.keep(batch);
    }

    /// What is on its way is far, even if it could be had on this disk by now: it must not be older than what is in memory.
    fn is_far(&mut self, id: ChunkId) -> bool {
        let (from, to) = range_of(id);
        let is_far = self.loading.contains(&id) || (!self.near.contains(&id) && self.store.is_far(from, to));
        if !is_far {
            self.near.insert(id);
        }
        is_far
    }

    fn keep(&mut self, batch: IncomingBatch) {
        // An agent that came back sends again what waits here. The new one knows whom to answer.
        let is_same = |other: &IncomingBatch| {
            other.peer.agent == batch.peer.agent
                && (other.boot, other.first_sequence, other.count) == (batch.boot, batch.first_sequence, batch.count)
        };
        self.waiting.retain(|other| !is_same(other));
        let rows: usize = self.waiting.iter().map(|batch| batch.count as usize).sum();
        if rows + batch.count as usize > self.rows_max {
            batch.peer.mailbox.end(tonic::Status::unavailable(
                "measurements of an hour whose files cannot be read now: too many wait for it already",
            ));
            return;
        }
        self.waiting.push(batch);
    }

    /// Asks for a stretch, if it is not asked for and not too many are. What is left is asked for when one has come.
    fn load(&mut self, id: ChunkId) {
        if self.loading.contains(&id) || self.loading.len() >= LOADS_MAX {
            return;
        }
        let loader = Loader {
            store: self.store.clone(),
            plans: self.plans.clone(),
            queue: self.queue.clone(),
            give_up: self.give_up.clone(),
            id,
        };
        match std::thread::Builder::new().name("far-hour".into()).spawn(move || loader.run()) {
            Ok(_) => drop(self.loading.insert(id)),
            Err(error) => tracing::error!(%error, "no thread to read the files of an hour"),
        }
    }
}

/// Asks for one stretch until it has it or nobody waits.
struct Loader {
    store: Store,
    plans: Arc<Plans>,
    queue: mpsc::WeakSender<Work>,
    give_up: CancellationToken,
    id: ChunkId,
}

impl Loader {
    fn run(self) {
        let mut pause = RETRY_FIRST;
        while !self.give_up.is_cancelled() && self.queue.strong_count() > 0 {
            match read_back(&self.store, &self.plans, self.id) {
                Ok(chunk) => return self.hand_over(chunk),
                Err(error) => self.failed(&error, pause),
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    fn failed(&self, error: &StoreError, pause: Duration) {
        if pause == RETRY_FIRST {
            let (from, to) = range_of(self.id);
            tracing::error!(%error, %from, %to,
                "measurements of sealed hours wait, not acknowledged, until the files of those hours can be read: is the bucket of cold.url there?");
        }
    }

    fn hand_over(self, chunk: Chunk) {
        if let Some(queue) = self.queue.upgrade() {
            let _ = queue.blocking_send(Work::Loaded(self.id, Box::new(chunk)));
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use uitwijk_model::{Millis, Slot, SlotLength};

    use super::*;
    use crate::ingest::dedup::Stretch;
    use crate::store::tests::sealing::{remove_covered, seal_all};
    use crate::store::tests::{stored, write};
    use crate::store::{MemoryStore, Objects};
    use crate::testing::{plan, row, slot_now};

    #[test]
    fn what_was_near_for_a_group_is_near_until_the_next() {
        let store = Store::joined(Arc::<MemoryStore>::default(), Objects::far(Arc::new(InMemory::new()))).unwrap();
        let old = slot_now() - 3 * 360;
        write(&store, &[stored("nl-1", 1, &[row("control:ctl-0", old, 0, 1)])]);
        let id = Stretch::of(SlotLength::new(Millis(10_000)).unwrap(), Slot(old)).id;
        let (plans, queue) = (Arc::new(Plans::fixed(plan(1, 1))), mpsc::channel(1).0.downgrade());
        let metrics = IngestMetrics::default();
        let mut aside = Aside::new(store.clone(), plans, queue, 100, CancellationToken::new(), metrics);
        assert!(!aside.is_far(id), "it was not sealed");
        seal_all(&store, 100);
        remove_covered(&store);
        assert!(!aside.is_far(id), "the group reads it, whatever that takes");
        aside.admit(Vec::new(), &mut Dedup::new(store, 1 << 20));
        assert!(aside.is_far(id));
    }
}
