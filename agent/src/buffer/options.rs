//! How large may the buffer be, and what did opening it find?

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use uitwijk_model::{BootId, Clock, SystemClock};

/// How the buffer is to be opened.
#[derive(Debug, Clone)]
pub struct BufferOptions {
    /// Its folder; made when it is not there. Nothing else may live in it.
    pub dir: PathBuf,
    /// Disk space it may take. The measurements themselves get a third, the store needs the rest for its log.
    pub disk_bytes_max: u64,
    /// Space set aside, given up when the disk is full; 0 for none.
    pub ballast_bytes: u64,
    /// Memory for measurements that the disk does not take, and for all of them without a disk.
    pub memory_bytes_max: usize,
    /// Measurements that may wait for the next group commit; more are lost as `unwritable`.
    pub waiting_rows_max: usize,
    /// A measurement waits at most so long for its group commit. With the sync itself it must stay below 250 ms.
    pub commit_every: Duration,
    /// So often a disk that failed is tried again.
    pub retry_every: Duration,
    /// A drained store larger than this is made anew, because its file never shrinks.
    pub recreate_bytes: u64,
    /// Unreadable stores that are kept for a look at them; the oldest goes first.
    pub aside_max: usize,
    /// Who gets the measurements, by name, at least one.
    pub collectors: Vec<String>,
    /// Names the moments.
    pub clock: Arc<dyn Clock>,
    /// Paces group commits and new tries: the time of the machine, whatever clock names the moments; a simulation has its own.
    pub pace: Arc<dyn Clock>,
    /// The boot that begins; drawn by chance when absent, as it should be outside a simulation.
    pub boot: Option<BootId>,
    pub(super) faults: Arc<Faults>,
}

impl BufferOptions {
    /// The defaults, for this folder and these collectors.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, collectors: Vec<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            dir: dir.into(),
            disk_bytes_max: 256 << 20,
            ballast_bytes: 4 << 20,
            memory_bytes_max: 4 << 20,
            waiting_rows_max: 32_768,
            commit_every: Duration::from_millis(150),
            retry_every: Duration::from_secs(5),
            recreate_bytes: 32 << 20,
            aside_max: 2,
            collectors,
            clock,
            pace: Arc::new(SystemClock),
            boot: None,
            faults: Arc::new(Faults::default()),
        }
    }

    /// Bytes of records that may be kept.
    pub(super) const fn raw_bytes_max(&self) -> u64 {
        self.disk_bytes_max / 3
    }
}

/// What opening found.
#[derive(Debug)]
pub struct OpenReport {
    /// The boot that begins now: random, never 0.
    pub boot: BootId,
    /// Measurements of earlier boots that are kept.
    pub rows_kept: u64,
    /// Bytes of the store on disk.
    pub disk_bytes: u64,
    /// Where an unreadable store was moved to, and what was wrong with it.
    pub moved_aside: Option<(PathBuf, String)>,
    /// Collectors that are no longer configured; what waited for them alone is gone.
    pub forgotten: Vec<String>,
    /// Why there is no disk: the buffer is in memory until it is there.
    pub in_memory: Option<OpenError>,
}

/// Why the buffer could not be opened. All are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No collector is configured.
    #[error("the buffer has nobody to keep measurements for: name at least one collector under collectors")]
    NoCollectors,
    /// Another process has it.
    #[error(
        "buffer {dir} is in use by another agent: stop that agent, or give this one a data_dir of its own", dir = dir.display()
    )]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// A later version made it.
    #[error(
        "buffer {dir} has format {found:?}, this agent reads up to {supported}: run the agent version that made it, \
         or move the folder away and lose what it holds", dir = dir.display()
    )]
    NewerFormat {
        /// The folder.
        dir: PathBuf,
        /// What its file `format` says.
        found: String,
        /// The newest that this program reads.
        supported: u32,
    },
    /// The disk is full.
    #[error(
        "no space left for the buffer at {path}: free some, or lower buffer.disk_bytes_max or \
         buffer.ballast_bytes: {source}", path = path.display()
    )]
    Full {
        /// What could not be written.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It may not be written.
    #[error(
        "the buffer cannot be written at {path}: make it writable for the user of the agent, or \
         set data_dir to a folder that is: {source}", path = path.display()
    )]
    NotWritable {
        /// What could not be written.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Anything else that the system said.
    #[error("buffer at {path} failed: {source}; check the disk, or set data_dir to another", path = path.display())]
    Io {
        /// What failed.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl OpenError {
    pub(super) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        let path = path.into();
        match source.kind() {
            Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => Self::Full { path, source },
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem | Kind::NotADirectory => {
                Self::NotWritable { path, source }
            }
            _ => Self::Io { path, source },
        }
    }

    /// The disk is to blame, and may come back: measuring can go on in memory.
    pub(super) const fn is_of_the_disk(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::NotWritable { .. } | Self::Io { .. })
    }
}

/// A disk that fails on demand, for tests; nothing outside them makes it fail.
#[derive(Debug)]
pub(super) struct Faults {
    /// Writes that still succeed.
    left: AtomicI64,
}

impl Default for Faults {
    fn default() -> Self {
        Self { left: AtomicI64::new(i64::MAX) }
    }
}

impl Faults {
    /// Lets so many writes succeed, and none after them.
    #[cfg(test)]
    pub(super) fn fail_after(&self, writes: i64) {
        self.left.store(writes, Ordering::SeqCst);
    }

    #[cfg(test)]
    pub(super) fn set_full(&self, full: bool) {
        self.fail_after(if full { 0 } else { i64::MAX });
    }

    /// Lets the owner of the buffer panic at its next write.
    #[cfg(test)]
    pub(super) fn panic_next(&self) {
        self.left.store(-1, Ordering::SeqCst);
    }

    /// Fails where a full disk would.
    pub(super) fn check(&self) -> std::io::Result<()> {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left - i64::from(left > 0)));
        #[cfg(test)]
        assert_ne!(left, Ok(-1), "a panic on demand");
        if left.is_ok_and(|left| left > 0) { Ok(()) } else { Err(std::io::ErrorKind::StorageFull.into()) }
    }
}
