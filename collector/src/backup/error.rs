//! Why is there no backup, or no collector from one, and who must act?

use std::io;
use std::path::{Path, PathBuf};

use crate::store::{OpenError, StoreError};
use crate::verdict_log::LogError;

/// Why it came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// Another directory is needed.
    #[error("{} cannot be used: {why}", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Killed or failed before its end.
    #[error("the backup in {} is unfinished: it was killed or failed before its end, delete it and take another", dir.display())]
    Unfinished {
        /// The directory.
        dir: PathBuf,
    },
    /// It is not what was written.
    #[error("{path} is not what was written: {why}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A log of a backup is not good.
    #[error(
        "{0}: empty the directory and restore an older backup, or leave the logs of verdicts out (--without-verdicts)"
    )]
    Verdicts(#[source] Box<Self>),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The collector did not give all of it.
    #[error("the collector did not give a whole backup: {0}")]
    Collector(String),
    /// The store does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The verdict log fails.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl BackupError {
    /// Another directory, or none, would have to be named on the command line.
    #[must_use]
    pub const fn is_of_the_command_line(&self) -> bool {
        matches!(self, Self::Directory { .. })
    }

    pub(super) fn directory(dir: &Path, why: impl Into<String>) -> Self {
        Self::Directory { dir: dir.to_owned(), why: why.into() }
    }

    pub(super) fn damaged(path: &str, why: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), why: why.into() }
    }

    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}
