//! What can go wrong with the store, and who must act?

use std::io;
use std::path::{Path, PathBuf};

/// The store cannot be opened. The operator must act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Written by a later release.
    #[error(
        "the store at {dir} has format {found}, this release reads up to {known}: run a newer release, or set data_dir to another directory"
    )]
    NewerFormat {
        /// The directory.
        dir: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that is known here.
        known: u32,
    },
    /// A directory with something else in it.
    #[error("{dir} is not a store ({why}): set data_dir to an empty directory or to one that a collector made")]
    NotAStore {
        /// The directory.
        dir: PathBuf,
        /// What gave it away.
        why: String,
    },
    /// Another process has it.
    #[error("the store at {dir} is in use by another process: stop that one, or set data_dir to another directory")]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// Full, read-only, not permitted.
    #[error("the store at {dir} cannot be written: {source}: make it writable and free some space, or change data_dir")]
    NotWritable {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The place for the files of sealed hours.
    #[error("the files of sealed hours cannot be kept: {reason}: make the place usable, or change cold.url")]
    Cold {
        /// What was found.
        reason: String,
    },
    /// Bytes that are not what was written.
    #[error("the store at {dir} is damaged: {reason}: restore a backup, or move it aside and start with an empty one")]
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// What was found.
        reason: String,
    },
}

impl OpenError {
    pub(super) fn of_fjall(dir: &Path, error: fjall::Error) -> Self {
        let dir = dir.to_path_buf();
        match error {
            fjall::Error::Locked => Self::Locked { dir },
            fjall::Error::Io(source) if source.kind() == io::ErrorKind::InvalidData => {
                Self::Damaged { dir, reason: source.to_string() }
            }
            fjall::Error::Io(source) | fjall::Error::Storage(fjall::LsmError::Io(source)) => {
                Self::NotWritable { dir, source }
            }
            other => Self::Damaged { dir, reason: other.to_string() },
        }
    }
}

/// The open store does not do what it is asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Nothing of the group is promised to be there; the same group may be written again.
    #[error("cannot write to the store: {0}")]
    Write(String),
    /// A read failed.
    #[error("cannot read from the store: {0}")]
    Read(String),
    /// One record is not what was written; the others can be read.
    #[error("damaged record in the store: {0}")]
    Damaged(String),
}

/// The text of an error of fjall, without its wrapping where there is a better one inside.
pub(super) fn reason(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(io) | fjall::Error::Storage(fjall::LsmError::Io(io)) => io.to_string(),
        fjall::Error::Poisoned => "an earlier write failed".to_owned(),
        other => other.to_string(),
    }
}
