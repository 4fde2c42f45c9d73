//! What does the rest of the agent see of the buffer?
//!
//! A picture that the owner replaces after each turn; readers of it never wait for the disk.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use uitwijk_model::BootId;
use uitwijk_proto::v1;

use super::inbox::Inbox;
use super::ledger::{Books, Ledger};

/// Where new measurements go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// To the disk: synced with each group.
    #[default]
    Disk,
    /// The disk is full or failing: to memory, bounded, while uplinks drain the disk.
    Full,
    /// There was no usable disk at the start: to memory, bounded.
    Memory,
}

impl Health {
    /// The name in metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Full => "full",
            Self::Memory => "memory",
        }
    }
}

/// Figures since the buffer was opened, for metrics and heartbeats.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counts {
    /// Bytes of the store on disk.
    pub disk_bytes: u64,
    /// Bytes of records kept on disk, before the overhead of the store.
    pub raw_bytes: u64,
    /// Bytes of records that are only in memory.
    pub memory_bytes: u64,
    /// Measurements that some collector will never get: expired, unwritable, unreadable.
    pub lost: [u64; 3],
    /// Writes that failed.
    pub failures: u64,
    /// Stores that could not be read and were moved aside.
    pub moved_aside: u64,
    /// Drained stores that were made anew.
    pub recreated: u64,
    /// The ballast is in place.
    pub ballast: bool,
    /// How long the last group commit took, its sync included.
    pub commit_seconds: f64,
}

#[derive(Debug, Default)]
struct Picture {
    health: Health,
    counts: Counts,
    ledger: Ledger,
}

/// What the owner thread, the handle and the readers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) boot: BootId,
    pub(super) inbox: Inbox,
    picture: Mutex<Arc<Picture>>,
    /// Rises with every turn that may have something for readers.
    progress: watch::Sender<u64>,
    closed: AtomicBool,
    /// Rises when readers have to start over.
    epoch: AtomicU64,
}

impl Shared {
    pub(super) fn new(boot: BootId, inbox: Inbox) -> Self {
        Self {
            boot,
            inbox,
            picture: Mutex::default(),
            progress: watch::Sender::new(0),
            closed: AtomicBool::new(false),
            epoch: AtomicU64::new(0),
        }
    }

    fn picture(&self) -> Arc<Picture> {
        self.picture.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn publish(&self, health: Health, counts: Counts, ledger: &Ledger, news: bool) {
        let picture = Arc::new(Picture { health, counts, ledger: ledger.clone() });
        *self.picture.lock().unwrap_or_else(PoisonError::into_inner) = picture;
        if news {
            self.progress.send_modify(|turn| *turn += 1);
        }
    }

    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.progress.subscribe()
    }

    pub(super) fn mark_closed(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.progress.send_modify(|turn| *turn += 1);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub(super) fn start_over(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    pub(super) fn health(&self) -> Health {
        self.picture().health
    }

    pub(super) fn counts(&self) -> Counts {
        self.picture().counts
    }

    /// The books of one collector; what still waits in the inbox counts as buffered.
    pub(super) fn books(&self, collector: &str) -> Vec<Books> {
        let picture = self.picture();
        let next = self.inbox.next_sequence();
        let mut books = picture.ledger.books(collector);
        if let Some(running) = books.last_mut().filter(|books| books.boot == self.boot) {
            let waiting = (next - 1).saturating_sub(running.started);
            running.started += waiting;
            running.buffered += waiting;
        }
        books
    }

    /// What each boot still has for a collector, and the running boot even when that is nothing: a collector that lost its
    /// store learns from it how much it will not get again.
    pub(super) fn ranges(&self, collector: &str) -> Vec<v1::BootRange> {
        let picture = self.picture();
        let range = |boot: &super::ledger::Boot| {
            let account = boot.accounts.get(collector)?;
            let held = v1::BootRange { boot: boot.id.0, first_sequence: account.cursor, next_sequence: boot.next };
            (account.cursor < boot.next || boot.id == self.boot).then_some(held)
        };
        picture.ledger.boots.iter().filter_map(range).collect()
    }

    pub(super) fn cursor(&self, collector: &str, boot: BootId) -> Option<u64> {
        self.picture().ledger.account(collector, boot).map(|account| account.cursor)
    }
}
