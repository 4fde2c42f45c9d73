//! How does a plan survive a restart?
//!
//! ```text
//!   file = "uitwijk-plan 1 " version "\n" canonical-JSON
//! ```

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::choice::Offer;

const HEAD: &str = "uitwijk-plan 1 ";
/// A larger file is no plan.
const BYTES_MAX: u64 = 64 << 20;

/// A remembered plan that cannot be used, or not be kept.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The disk.
    #[error("cannot {what} {path}: {error}")]
    Disk {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The content; the file was moved.
    #[error("the remembered plan is not usable ({reason}) and was moved to {moved_to}")]
    Broken {
        /// What is wrong with it.
        reason: String,
        /// Where it is now.
        moved_to: PathBuf,
    },
}

/// The file that the running plan is kept in.
#[derive(Debug, Clone)]
pub struct PlanMemory {
    path: PathBuf,
}

impl PlanMemory {
    /// In this folder.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self { path: data_dir.join("plan") }
    }

    /// The plan that was kept last, if any.
    ///
    /// # Errors
    /// When it cannot be read or used; then it is out of the way and the agent goes on without.
    pub fn load(&self) -> Result<Option<Offer>, MemoryError> {
        let size = match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.disk("look at", error)),
            Ok(metadata) => metadata.len(),
        };
        if size > BYTES_MAX {
            return Err(self.move_aside(format!("it has {size} bytes, at most {BYTES_MAX} are read")));
        }
        let bytes = fs::read(&self.path).map_err(|error| self.disk("read", error))?;
        parse(&bytes).map(Some).map_err(|reason| self.move_aside(reason))
    }

    /// Keeps a plan; after a crash at any moment there is the old one or the new one.
    ///
    /// # Errors
    /// When the disk refuses; the old file stays.
    pub fn save(&self, offer: &Offer) -> Result<(), MemoryError> {
        let new = self.path.with_extension("new");
        let write = || -> io::Result<()> {
            let mut file = File::create(&new)?;
            writeln!(file, "{HEAD}{}", offer.version)?;
            file.write_all(offer.json.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        };
        write().map_err(|error| self.disk("write", error))
    }

    fn disk(&self, what: &'static str, error: io::Error) -> MemoryError {
        MemoryError::Disk { what, path: self.path.clone(), error }
    }

    fn move_aside(&self, reason: String) -> MemoryError {
        let moved_to = self.path.with_extension("broken");
        match fs::rename(&self.path, &moved_to) {
            Ok(()) => MemoryError::Broken { reason, moved_to },
            Err(error) => self.disk("move aside", error),
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Offer, String> {
    let rest = bytes.strip_prefix(HEAD.as_bytes()).ok_or("it does not begin as one")?;
    let end = rest.iter().position(|b| *b == b'\n').ok_or("it ends in its first line")?;
    let version = std::str::from_utf8(&rest[..end]).map_err(|_| "its version is not text")?;
    Offer::check(&rest[end + 1..], version).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::choice::tests::offer;
    use super::*;

    #[test]
    fn a_plan_is_remembered_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let memory = PlanMemory::new(dir.path());
        assert!(memory.load().unwrap().is_none());
        for plan in [offer(1, "a"), offer(2, "b")] {
            memory.save(&plan).unwrap();
            assert_eq!(memory.load().unwrap(), Some(plan));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left behind");
    }

    #[test]
    fn a_broken_file_is_moved_aside_and_forgotten() {
        let good = {
            let dir = tempfile::tempdir().unwrap();
            PlanMemory::new(dir.path()).save(&offer(1, "a")).unwrap();
            fs::read(dir.path().join("plan")).unwrap()
        };
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let versions: [&[u8]; 5] = [b"", b"garbage", &good[..20], &good[..good.len() - 1], &flipped];
        for bytes in versions {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("plan"), bytes).unwrap();
            let memory = PlanMemory::new(dir.path());
            let error = memory.load().unwrap_err();
            assert!(matches!(error, MemoryError::Broken { .. }), "{error}");
            assert!(dir.path().join("plan.broken").exists());
            assert!(memory.load().unwrap().is_none());
        }
    }

    #[test]
    fn a_disk_that_refuses_is_named() {
        let memory = PlanMemory::new(Path::new("/nowhere/at/all"));
        let text = memory.save(&offer(1, "a")).unwrap_err().to_string();
        assert!(text.starts_with("cannot write /nowhere/at/all/plan:"), "{text}");
    }
}
