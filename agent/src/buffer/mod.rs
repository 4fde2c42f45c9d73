//! Where do measurements wait until every collector has them?
//!
//! ```text
//!   append --> inbox --> owner thread --> sled (one record = one group) --> Reader, one per collector --> uplink
//!                            ^   group commit, sync_data                                                    |
//!                            +------------------------- acknowledge (a cursor) <----------------------------+
//! ```
//!
//! A measurement gets its sequence when it is appended and is on disk at most 250 ms later. It stays until every
//! configured collector acknowledged it, or until it is the oldest of a full buffer; then a tombstone says how many went.
//! Nothing here stops probing: a full disk, an unreadable store, a slow sync each cost measurements at worst, and each is counted by
//! reason in the [`Books`], which always balance.
//!
//! Chosen: one thread that owns all state. Left: locks around sled from every task, whose
//! order of record, cursor and removal no one could read off the code.

mod directory;
#[doc(hidden)]
pub mod fuzzing;
mod inbox;
mod ledger;
mod open;
mod options;
mod owner;
mod reader;
mod reading;
mod record;
mod recover;
mod segments;
mod shelf;
mod snapshot;
mod state;
mod store;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;
use uitwijk_model::{BootId, Measurement, Sequence};
use uitwijk_proto::v1;

pub use inbox::Appended;
pub use ledger::{Books, Loss};
pub use options::{BufferOptions, OpenError, OpenReport};
pub use reader::Reader;
pub use reading::Delivery;
pub use snapshot::{Counts, Health};

use owner::Owner;
use shelf::Shelf;
use snapshot::Shared;

/// The buffer of an agent. Clones are handles to the same one; it closes with [`Self::close`] or with the last handle.
#[derive(Debug, Clone)]
pub struct Buffer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    collectors: Vec<String>,
    /// The owner thread; taken by whoever waits for its end.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// How often it is looked whether the owner still lives.
const BROKEN_EVERY: std::time::Duration = std::time::Duration::from_millis(500);

impl Buffer {
    /// Opens the buffer and begins a boot. Reads and writes files, so call it where blocking is allowed.
    ///
    /// # Errors
    /// When the folder belongs to another agent or to a newer version, or when the disk cannot be used. An
    /// unreadable store is no error: it is moved aside, and the report says so.
    pub fn open(options: BufferOptions) -> Result<(Self, OpenReport), OpenError> {
        let opened = open::open(&options)?;
        Self::start_on_disk(options, opened)
    }

    /// As [`Self::open`], but a disk that cannot be used leads to a buffer in memory, which moves to the disk by
    /// itself once that can be used.
    ///
    /// # Errors
    /// When the folder belongs to another agent or to a newer version, or no collector is named.
    pub fn open_or_memory(options: BufferOptions) -> Result<(Self, OpenReport), OpenError> {
        let error = match open::open(&options) {
            Ok(opened) => match Self::start_on_disk(options.clone(), opened) {
                Err(error) => error,
                opened => return opened,
            },
            Err(error) => error,
        };
        if error.is_of_the_disk() { Self::start_in_memory(options, error) } else { Err(error) }
    }

    /// As [`Self::open`], but the owner is a task that the caller spawns, not a thread: for a simulation, where time is that of
    /// the runtime (`options.pace` must tell the same). A task that is dropped leaves on disk what a kill would.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_as_task(
        options: BufferOptions,
    ) -> Result<(Self, OpenReport, impl Future<Output = ()> + Send + use<>), OpenError> {
        let opened = open::open(&options)?;
        let (mut owner, report) = Self::owner_on_disk(options, opened)?;
        let buffer = Self::of(&mut owner);
        Ok((buffer, report, owner.run_as_task()))
    }

    fn start_on_disk(options: BufferOptions, opened: open::Opened) -> Result<(Self, OpenReport), OpenError> {
        let (owner, report) = Self::owner_on_disk(options, opened)?;
        Ok((Self::start(owner)?, report))
    }

    fn owner_on_disk(options: BufferOptions, opened: open::Opened) -> Result<(Owner, OpenReport), OpenError> {
        let open::Opened { directory, store, mut head, mut ledger, moved_aside, forgotten } = opened;
        let boot = new_boot(&options);
        let mut gone = ledger.sweep(boot);
        let rows_kept = options.collectors.iter().map(|name| buffered(&ledger.books(name))).max().unwrap_or(0);
        gone.extend(open::begin_boot(&mut head, &mut ledger, boot, &options.collectors));
        if let Err(error) = open::write_all(&store, &head, &mut ledger, &gone) {
            store.close();
            return Err(OpenError::io(directory.store_path(), std::io::Error::other(error.to_string())));
        }
        let report =
            OpenReport { boot, rows_kept, disk_bytes: store.disk_bytes(), moved_aside, forgotten, in_memory: None };
        let shelf = Shelf::new(store, head);
        let mut owner = Owner::new(options, boot, Some(directory), shelf, ledger);
        owner.prepare(report.moved_aside.is_some());
        Ok((owner, report))
    }

    fn start_in_memory(options: BufferOptions, error: OpenError) -> Result<(Self, OpenReport), OpenError> {
        tracing::error!(%error, "the buffer is in memory only: what is not delivered is lost with the process");
        let boot = new_boot(&options);
        let mut shelf = Shelf::in_memory();
        let mut ledger = ledger::Ledger::default();
        open::begin_boot(&mut shelf.head, &mut ledger, boot, &options.collectors);
        shelf.head.positions = options.collectors.iter().map(|name| (name.clone(), shelf.head.first_key)).collect();
        let owner = Owner::new(options, boot, None, shelf, ledger);
        let report = OpenReport {
            boot,
            rows_kept: 0,
            disk_bytes: 0,
            moved_aside: None,
            forgotten: Vec::new(),
            in_memory: Some(error),
        };
        Ok((Self::start(owner)?, report))
    }

    fn start(mut owner: Owner) -> Result<Self, OpenError> {
        let mut buffer = Self::of(&mut owner);
        let dir = owner.options.dir.clone();
        let thread = std::thread::Builder::new().name("buffer".into()).spawn(move || owner.run());
        let thread = thread.map_err(|e| OpenError::io(dir, e))?;
        if let Some(inner) = Arc::get_mut(&mut buffer.inner) {
            inner.thread = Mutex::new(Some(thread));
        }
        Ok(buffer)
    }

    fn of(owner: &mut Owner) -> Self {
        owner.publish();
        let (shared, collectors) = (owner.shared.clone(), owner.options.collectors.clone());
        Self { inner: Arc::new(Inner { shared, collectors, thread: Mutex::default() }) }
    }

    /// The boot that runs.
    #[must_use]
    pub fn boot(&self) -> BootId {
        self.inner.shared.boot
    }

    /// Gives the measurements their sequences and hands them to the next group commit. Never waits for the disk: what finds no
    /// room is lost and counted, and the answer says so.
    pub fn append(&self, rows: Vec<Measurement>) -> Appended {
        self.inner.shared.inbox.append(rows)
    }

    /// The sequence that the next measurement will get.
    #[must_use]
    pub fn next_sequence(&self) -> Sequence {
        self.inner.shared.inbox.next_sequence()
    }

    /// Waits until everything appended before is on disk; false when it is not (full disk, memory only, closed).
    pub async fn sync(&self) -> bool {
        let (done, synced) = oneshot::channel();
        self.inner.shared.inbox.sync(done);
        tokio::select! {
            synced = synced => synced.unwrap_or(false),
            () = self.broken() => false,
        }
    }

    /// Waits until the owner of the buffer has ended though nobody closed the buffer: measurements get nowhere any more.
    pub async fn broken(&self) {
        while !self.is_broken() {
            tokio::time::sleep(BROKEN_EVERY).await;
        }
    }

    fn is_broken(&self) -> bool {
        let thread = self.inner.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.as_ref().is_some_and(JoinHandle::is_finished) && !self.inner.shared.is_closed()
    }

    /// A reader for one collector, at its cursor; `None` when no such collector is configured. One at a time.
    #[must_use]
    pub fn reader(&self, collector: &str) -> Option<Reader> {
        let known = self.inner.collectors.iter().any(|name| name == collector);
        known.then(|| Reader::new(self.inner.shared.clone(), collector, false))
    }

    /// A reader for one collector of what is measured from its first question on, whatever waits before it. What it hands out counts
    /// as not sent: the reader in order hands it out again unless the collector's cursor passes it first.
    #[must_use]
    pub fn reader_ahead(&self, collector: &str) -> Option<Reader> {
        let known = self.inner.collectors.iter().any(|name| name == collector);
        known.then(|| Reader::new(self.inner.shared.clone(), collector, true))
    }

    /// The collector settled everything of this boot below `next`. Of several calls the highest holds.
    pub fn acknowledge(&self, collector: &str, boot: BootId, next: Sequence) {
        self.inner.shared.inbox.acknowledge(collector, boot, next);
    }

    /// The books of every boot that is not settled at this collector, the running one last.
    #[must_use]
    pub fn books(&self, collector: &str) -> Vec<Books> {
        self.inner.shared.books(collector)
    }

    /// What is held for this collector, oldest boot first, as `Hello` tells it.
    #[must_use]
    pub fn ranges(&self, collector: &str) -> Vec<v1::BootRange> {
        self.inner.shared.ranges(collector)
    }

    /// Everything of this boot below is settled at this collector; `None` when all of the boot is.
    #[must_use]
    pub fn cursor(&self, collector: &str, boot: BootId) -> Option<Sequence> {
        self.inner.shared.cursor(collector, boot)
    }

    /// Measurements that this collector does not have yet.
    #[must_use]
    pub fn backlog(&self, collector: &str) -> u64 {
        buffered(&self.books(collector))
    }

    /// Where new measurements go.
    #[must_use]
    pub fn health(&self) -> Health {
        self.inner.shared.health()
    }

    /// Figures for metrics and heartbeats.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.inner.shared.counts()
    }

    /// Commits what waits, writes the books, closes the files. Later measurements are lost and counted.
    pub async fn close(&self) {
        self.inner.shared.inbox.close();
        let mut progress = self.inner.shared.watch();
        let closed = async { while !self.inner.shared.is_closed() && progress.changed().await.is_ok() {} };
        tokio::select! {
            () = closed => {}
            () = self.broken() => tracing::error!("the buffer could not be closed in order: its owner had panicked"),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.inbox.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the owner of the buffer panicked");
        }
    }
}

fn buffered(books: &[Books]) -> u64 {
    books.iter().map(|books| books.buffered).sum()
}

fn new_boot(options: &BufferOptions) -> BootId {
    options.boot.unwrap_or_else(|| BootId(rand::random::<u64>().max(1)))
}
