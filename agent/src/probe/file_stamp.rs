//! Has a file changed since it was read?
//!
//! A stamp is compared, never trusted for more: modification time, length and inode together change when a file is
//! rewritten, replaced by rename, or mounted anew, as secret stores do.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileStamp {
    modified: (i64, i64),
    length: u64,
    inode: u64,
}

impl FileStamp {
    /// The stamp of a file now; none when it cannot be seen.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        Some(Self { modified: (meta.mtime(), meta.mtime_nsec()), length: meta.len(), inode: meta.ino() })
    }
}
