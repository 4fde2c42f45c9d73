//! What can go wrong with the log, and who must act?

use std::path::{Path, PathBuf};

use uitwijk_model::WallTime;

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The operator must act: the directory cannot be used.
    #[error("cannot use {} for the verdict log: {why} (data_dir)", dir.display())]
    Open {
        /// The directory.
        dir: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The operator must act: run the newer collector, or another directory.
    #[error("the verdict log in {} has version {found}, this collector knows version {known}: run the collector that wrote it, or set data_dir to another directory", dir.display())]
    Version {
        /// The directory.
        dir: PathBuf,
        /// The version found.
        found: String,
        /// The version that this build writes.
        known: u32,
    },
    /// Somebody or something changed the log behind the collector's back.
    #[error("entry {sequence} of the verdict log is not what was written: {why}")]
    Damaged {
        /// The first entry that does not fit.
        sequence: u64,
        /// What does not fit.
        why: String,
    },
    /// A mistake of ours: revisions are published once, in order.
    #[error(
        "revision {revision} of {episode} cannot follow revision {last}: published revisions are never replaced or skipped"
    )]
    Order {
        /// The episode.
        episode: String,
        /// The revision handed in.
        revision: u32,
        /// The last one published, 0 for none.
        last: u32,
    },
    /// The peer must act: enough was said of this.
    #[error("{subject} has {max} labels already, which is the most: the latest counts")]
    Labels {
        /// The episode or drill.
        subject: String,
        /// How many it may have.
        max: usize,
    },
    /// The peer must act: nobody moves users that often.
    #[error("{service} has {max} switches since {since} already, which is the most: report only what was done")]
    Switches {
        /// The service.
        service: String,
        /// Since when they count.
        since: WallTime,
        /// How many it may have.
        max: usize,
    },
    /// The disk failed before, and the log could not be opened again yet.
    #[error("the verdict log is closed since the disk failed; it is tried again every second")]
    Closed,
    /// The disk failed.
    #[error("the verdict log cannot be read or written: {0}")]
    Storage(#[from] fjall::Error),
}

impl LogError {
    /// Whether it may go away by itself: a full disk, a mount that comes back.
    #[must_use]
    pub fn is_of_the_disk(&self) -> bool {
        matches!(self, Self::Storage(_) | Self::Closed | Self::Open { .. })
    }

    pub(super) fn open(dir: &Path, error: fjall::Error) -> Self {
        let why = match error {
            fjall::Error::Locked => "another process has it open".to_owned(),
            fjall::Error::Io(e) => e.to_string(),
            fjall::Error::InvalidVersion(version) => format!("it was written by another version ({version:?})"),
            other => other.to_string(),
        };
        Self::Open { dir: dir.to_owned(), why }
    }
}
