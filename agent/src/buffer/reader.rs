//! How does an uplink take measurements out of the buffer?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{oneshot, watch};

use super::reading::{Delivery, Limits, Place, ReadRequest};
use super::snapshot::Shared;

/// Everything that one collector does not have, in order: boots oldest first, sequences rising, gaps as tombstones.
///
/// It reads ahead of the acknowledgements; [`Self::rewind`] goes back to them. Dropping a pending call loses nothing.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    collector: String,
    id: u64,
    progress: watch::Receiver<u64>,
    place: Option<Place>,
    /// Gets only what is measured from its start on.
    ahead: bool,
    epoch: u64,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, collector: &str, ahead: bool) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (progress, epoch) = (shared.watch(), shared.epoch());
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { shared, collector: collector.to_owned(), id, progress, place: None, ahead, epoch }
    }

    /// Starts over at what is acknowledged, as after a reconnect. Acknowledge what the collector says it has first.
    pub fn rewind(&mut self) {
        self.place = None;
    }

    /// The next rows or tombstone; waits until there is one, `None` once the buffer is closed.
    ///
    /// Records of one boot are merged up to the limits. A single record is never split: it has at most 256
    /// rows, and at most 6 KiB unless it is a single row.
    pub async fn next(&mut self, rows_max: u32, bytes_max: usize) -> Option<Delivery> {
        let limits = Limits { rows_max: rows_max.into(), bytes_max };
        loop {
            self.progress.mark_unchanged();
            if self.epoch != self.shared.epoch() {
                self.epoch = self.shared.epoch();
                self.place = None;
            }
            if let Some(delivery) = self.ask(limits).await {
                return Some(delivery);
            }
            if self.shared.is_closed() {
                return None;
            }
            self.progress.changed().await.ok()?;
        }
    }

    async fn ask(&mut self, limits: Limits) -> Option<Delivery> {
        let (reply, answer) = oneshot::channel();
        let (collector, place, ahead) = (self.collector.clone(), self.place, self.ahead);
        let request = ReadRequest { collector, place, epoch: self.epoch, ahead, limits, reply };
        self.shared.inbox.request(self.id, request);
        // A buffer that closes drops the question unanswered.
        let (place, delivery) = answer.await.ok()?;
        self.place = Some(place);
        delivery
    }
}
