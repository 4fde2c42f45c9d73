//! Who changes the buffer?
//!
//! One thread. It takes what waits in the inbox, applies it, commits, and publishes what came of it:
//!
//! ```text
//!   inbox: rows, acknowledgements, questions -> apply -> commit: records, books, removals, one sync -> snapshot
//!                                                 |  on error: see recover.rs
//! ```
//!
//! Order makes a torn commit harmless: records go before the head that counts them, the head before the removals
//! that it allows. A start after a crash finds records to count or records to remove, never a cursor without cause.

use std::sync::Arc;
use std::time::Duration;

use uitwijk_model::{BootId, Elapsed};

use super::directory::Directory;
use super::inbox::{Chunk, Inbox, Work};
use super::ledger::{Ledger, Loss};
use super::open::{HEAD_KEY, boot_key};
use super::options::BufferOptions;
use super::reading;
use super::record::{self, Extent};
use super::shelf::Shelf;
use super::snapshot::{Counts, Health, Shared};
use super::state::encode_boot;
use super::store::StoreError;

/// Records that one commit removes at most, so that new measurements never wait long.
const REMOVALS_MAX: usize = 512;
/// Cursors that moved are written at least so often.
const ACKNOWLEDGED_WAIT: Duration = Duration::from_millis(500);
/// So often the file `books` is brought up to date, when it has to be.
const BOOKS_EVERY: Duration = Duration::from_secs(10);

/// The state of the buffer; only the owner thread has it.
pub(super) struct Owner {
    pub(super) options: BufferOptions,
    pub(super) shared: Arc<Shared>,
    pub(super) boot: BootId,
    /// `None` while the buffer is in memory.
    pub(super) directory: Option<Directory>,
    pub(super) shelf: Shelf,
    pub(super) ledger: Ledger,
    pub(super) health: Health,
    pub(super) counts: Counts,
    /// When the disk is tried again.
    pub(super) retry_at: Elapsed,
    /// When books of boots that are gone from the ledger are to be removed from the store.
    pub(super) gone: Vec<u64>,
    /// Something is not on disk that should be before long, since.
    pub(super) dirty_since: Option<Elapsed>,
    pub(super) books_at: Elapsed,
    pub(super) books_dirty: bool,
    /// When a damaged store was last moved aside.
    pub(super) abandoned_at: Option<Elapsed>,
    /// The store was made anew since the disk failed.
    pub(super) remade: bool,
    /// Readers may find something new.
    news: bool,
}

impl Owner {
    pub(super) fn new(
        options: BufferOptions,
        boot: BootId,
        directory: Option<Directory>,
        shelf: Shelf,
        ledger: Ledger,
    ) -> Self {
        let inbox = Inbox::new(options.waiting_rows_max, options.commit_every, options.pace.clone());
        let now = inbox.now();
        let health = if directory.is_some() { Health::Disk } else { Health::Memory };
        Self {
            shared: Arc::new(Shared::new(boot, inbox)),
            boot,
            directory,
            shelf,
            ledger,
            health,
            counts: Counts::default(),
            retry_at: after(now, options.retry_every),
            gone: Vec::new(),
            dirty_since: None,
            books_at: after(now, BOOKS_EVERY),
            books_dirty: false,
            abandoned_at: None,
            remade: false,
            news: true,
            options,
        }
    }

    /// What a buffer on disk needs once, before it is used.
    pub(super) fn prepare(&mut self, moved_aside: bool) {
        self.counts.moved_aside = moved_aside.into();
        self.set_ballast();
        for collector in self.options.collectors.clone() {
            self.advance(&collector);
        }
        self.save_books();
    }

    pub(super) fn run(mut self) {
        loop {
            let work = self.shared.inbox.wait(self.idle());
            if !self.turn(work) {
                break;
            }
        }
        self.finish();
    }

    /// The same as a task, for a simulation: turns follow each other as the time of the runtime does. When the task is
    /// dropped between two turns, what is on disk is what it would be after a kill.
    pub(super) async fn run_as_task(mut self) {
        loop {
            let work = self.shared.inbox.waited(self.idle()).await;
            if !self.turn(work) {
                break;
            }
        }
        self.finish();
    }

    pub(super) fn now(&self) -> Elapsed {
        self.shared.inbox.now()
    }

    /// How long nothing has to be done by itself.
    fn idle(&self) -> Duration {
        let now = self.now();
        let commit = self.dirty_since.map(|since| after(since, ACKNOWLEDGED_WAIT));
        let retry = (self.health != Health::Disk || !self.counts.ballast).then_some(self.retry_at);
        let books = (self.books_dirty && self.directory.is_some()).then_some(self.books_at);
        let next = [commit, retry, books].into_iter().flatten().min();
        next.map_or(Duration::from_secs(60), |at| at.since(now).into())
    }

    /// One turn; false after the last.
    pub(super) fn turn(&mut self, work: Work) -> bool {
        let Work { chunks, refused, next, acknowledged, requests, syncs, closing } = work;
        for ((collector, boot), next) in acknowledged {
            self.acknowledge(&collector, boot, next);
        }
        for (first, end) in refused {
            self.lose(first, end, Loss::Unwritable);
        }
        let fresh = !chunks.is_empty();
        self.take(chunks);
        if let (Some(next), Some(boot)) = (next, self.ledger.boot_mut(self.boot)) {
            boot.next = next;
            boot.dirty = true;
            self.books_dirty = true;
        }
        if self.now() >= self.retry_at {
            self.retry();
        }
        let stale = self.dirty_since.is_some_and(|since| after(since, ACKNOWLEDGED_WAIT) <= self.now());
        if fresh || stale || closing || !syncs.is_empty() {
            self.commit();
        }
        for request in requests {
            self.answer(request);
        }
        self.keep_books(closing);
        self.publish();
        for done in syncs {
            let _ = done.send(self.health == Health::Disk);
        }
        !closing
    }

    fn take(&mut self, chunks: impl IntoIterator<Item = Chunk>) {
        for chunk in chunks {
            let end = chunk.first + chunk.rows.len() as u64;
            if self.ledger.is_full_of_holes(self.boot) {
                self.lose(chunk.first, end, Loss::Unwritable);
                continue;
            }
            for record in record::encode(self.boot, chunk.first, &chunk.rows) {
                self.shelf.push(record);
            }
        }
    }

    pub(super) fn lose(&mut self, first: u64, end: u64, reason: Loss) {
        self.ledger.lose(self.boot, first, end, reason);
        self.counts.lost[reason as usize - 1] += end - first;
        self.news = true;
        self.touch();
    }

    fn touch(&mut self) {
        let now = self.now();
        self.dirty_since.get_or_insert(now);
        self.books_dirty = true;
    }

    fn acknowledge(&mut self, collector: &str, boot: BootId, next: u64) {
        if !self.ledger.acknowledge(collector, boot, next) {
            return;
        }
        self.touch();
        self.advance(collector);
    }

    /// Moves the position of a collector past every record that it has in full.
    pub(super) fn advance(&mut self, collector: &str) {
        let Some(mut key) = self.shelf.head.positions.get(collector).copied() else { return };
        while let Ok(found) = self.shelf.look(key, Extent::of) {
            match found {
                Some((_, Some(extent))) if !self.ledger.is_settled(collector, extent.boot(), extent.end()) => break,
                Some((at, _)) => key = at + 1,
                None => {
                    key = self.shelf.head.next_key;
                    break;
                }
            }
        }
        self.shelf.head.positions.insert(collector.to_owned(), key);
    }

    fn answer(&mut self, request: reading::ReadRequest) {
        let collector = request.collector.as_str();
        // Records of memory get other numbers when a disk comes back, and a question may be on its way then.
        let place = request.place.filter(|_| request.epoch == self.shared.epoch());
        let (ledger, shelf) = (&mut self.ledger, &self.shelf);
        if request.ahead {
            let mut place = place.unwrap_or_else(|| reading::at_the_end(ledger, shelf));
            let delivery = reading::read_ahead(ledger, shelf, collector, &mut place, request.limits);
            let _ = request.reply.send((place, delivery));
            return;
        }
        let mut place = place.unwrap_or_else(|| reading::rewind(ledger, shelf, collector));
        let (delivery, lost) = reading::read_next(ledger, shelf, collector, &mut place, request.limits);
        let _ = request.reply.send((place, delivery));
        if lost > 0 {
            self.counts.lost[Loss::Unreadable as usize - 1] += lost;
            self.touch();
        }
    }

    /// Brings memory and disk together.
    fn commit(&mut self) {
        self.persist();
        self.bound_memory();
        self.recreate_if_drained();
    }

    /// Writes what is not on disk yet, if the disk takes anything.
    pub(super) fn persist(&mut self) {
        self.news = true;
        if self.health == Health::Disk {
            let began = self.now();
            match self.write() {
                Ok(()) => {
                    self.shelf.forget_tail();
                    self.dirty_since = None;
                    self.counts.commit_seconds = Duration::from(self.now().since(began)).as_secs_f64();
                }
                Err(error) => self.fail(error),
            }
        }
    }

    /// Records, then the head and the boots, then removals, then one sync.
    fn write(&mut self) -> Result<(), StoreError> {
        self.shelf.write_tail()?;
        self.gone.extend(self.ledger.sweep(self.boot));
        let removals = self.pick_removals()?;
        let Some(store) = &self.shelf.store else { return Ok(()) };
        for boot in self.ledger.boots.iter().filter(|boot| boot.dirty) {
            store.put_meta(&boot_key(boot.ordinal), &encode_boot(boot))?;
        }
        store.put_meta(HEAD_KEY, &prost::Message::encode_to_vec(&self.shelf.head))?;
        for ordinal in &self.gone {
            store.remove_meta(&boot_key(*ordinal))?;
        }
        for key in removals {
            store.remove(key)?;
        }
        store.sync()?;
        self.gone.clear();
        self.ledger.boots.iter_mut().for_each(|boot| boot.dirty = false);
        Ok(())
    }

    /// The records that everyone has, and the oldest beyond the cap; what is beyond it is declared expired.
    fn pick_removals(&mut self) -> Result<Vec<u64>, StoreError> {
        let wanted = self.shelf.head.positions.values().min().copied().unwrap_or(0);
        let mut removals = Vec::new();
        let mut key = self.shelf.head.first_key;
        while removals.len() < REMOVALS_MAX {
            let over = self.shelf.head.raw_bytes > self.options.raw_bytes_max();
            let Some((at, (extent, bytes))) = self.shelf.look(key, |record| (Extent::of(record), record.len()))? else {
                self.shelf.head.raw_bytes = 0;
                break;
            };
            if at >= wanted && !over {
                break;
            }
            if let Some(extent) = extent {
                self.drop_record(extent, at >= wanted);
            }
            self.shelf.head.raw_bytes = self.shelf.head.raw_bytes.saturating_sub(bytes as u64);
            removals.push(at);
            key = at + 1;
        }
        if !removals.is_empty() {
            self.shelf.head.first_key = key;
            self.shelf.head.positions.values_mut().for_each(|position| *position = key.max(*position));
        }
        Ok(removals)
    }

    fn drop_record(&mut self, extent: Extent, expired: bool) {
        if expired {
            self.ledger.lose(extent.boot(), extent.first, extent.end(), Loss::Expired);
            self.counts.lost[Loss::Expired as usize - 1] += u64::from(extent.count);
            self.books_dirty = true;
        }
        if let Some(boot) = self.ledger.boot_mut(extent.boot()) {
            boot.base = boot.base.max(extent.end());
            boot.dirty = true;
        }
    }

    fn keep_books(&mut self, closing: bool) {
        if self.books_dirty && self.directory.is_some() && (closing || self.now() >= self.books_at) {
            self.save_books();
        }
    }

    fn finish(self) {
        let Self { shelf, directory, shared, .. } = self;
        if shelf.store.is_some_and(|store| !store.close()) {
            tracing::error!("the store of the buffer did not close in time");
        }
        drop(directory);
        shared.mark_closed();
    }

    pub(super) fn publish(&mut self) {
        if self.news {
            self.counts.disk_bytes = self.shelf.store.as_ref().map_or(0, super::store::Store::disk_bytes);
        }
        self.counts.memory_bytes = self.shelf.tail_bytes() as u64;
        self.counts.raw_bytes = self.shelf.head.raw_bytes;
        self.shared.publish(self.health, self.counts, &self.ledger, std::mem::take(&mut self.news));
    }

    /// False when the disk did not take them; they are tried again.
    pub(super) fn save_books(&mut self) -> bool {
        let Some(directory) = &self.directory else { return false };
        let saved = super::open::save_books(directory, &self.shelf.head, &self.ledger);
        self.books_dirty = !saved;
        self.books_at = after(self.now(), BOOKS_EVERY);
        saved
    }
}

pub(super) fn after(since: Elapsed, wait: Duration) -> Elapsed {
    Elapsed::from_micros(since.as_micros().saturating_add(Elapsed::from(wait).as_micros()))
}
