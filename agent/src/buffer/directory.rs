//! What lies in the folder of the buffer, and whose is it?
//!
//! ```text
//!   format       version of this layout, a number
//!   lock         held by the one agent that uses the folder
//!   ballast      space to give up when the disk is full
//!   books        the books of all boots, for when the store cannot be read
//!   store/       the store, sled's own
//!   store.making stands there until all of a new store is safe on disk
//!   aside-*/     stores that could not be read, the newest few
//!   removing-*/  stores on their way out
//! ```

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uitwijk_model::Clock;

use super::options::{BufferOptions, Faults, OpenError};

/// The version of the layout and of every record that this program writes and reads.
pub(super) const FORMAT: u32 = 1;

const BALLAST_BLOCK: usize = 64 * 1024;

/// A folder that this process has to itself.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    ballast_bytes: u64,
    aside_max: usize,
    clock: Arc<dyn Clock>,
    faults: Arc<Faults>,
    /// Unlocked by the system when it is closed, however the process ends.
    _lock: File,
}

impl Directory {
    /// Takes the folder, or says whose it is.
    pub(super) fn open(options: &BufferOptions) -> Result<Self, OpenError> {
        let root = options.dir.clone();
        options.faults.check().map_err(|e| OpenError::io(&root, e))?;
        make(&root).map_err(|e| OpenError::io(&root, e))?;
        let lock = lock(&root)?;
        let directory = Self {
            root,
            ballast_bytes: options.ballast_bytes,
            aside_max: options.aside_max,
            clock: options.clock.clone(),
            faults: options.faults.clone(),
            _lock: lock,
        };
        directory.check_format()?;
        directory.remove_leftovers();
        Ok(directory)
    }

    fn check_format(&self) -> Result<(), OpenError> {
        let path = self.root.join("format");
        match fs::read_to_string(&path) {
            Ok(text) if text.trim().parse::<u32>().is_ok_and(|found| (1..=FORMAT).contains(&found)) => Ok(()),
            Ok(text) => Err(OpenError::NewerFormat {
                dir: self.root.clone(),
                found: text.trim().chars().take(40).collect(),
                supported: FORMAT,
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.write("format", format!("{FORMAT}\n").as_bytes()).map_err(|e| OpenError::io(path, e))
            }
            Err(e) => Err(OpenError::io(path, e)),
        }
    }

    fn remove_leftovers(&self) {
        for path in self.entries("removing-") {
            let _ = fs::remove_dir_all(path);
        }
    }

    /// Folders with this prefix, by name, which is by age.
    fn entries(&self, prefix: &str) -> Vec<PathBuf> {
        let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
        let read = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = read.map(|entry| entry.path()).filter(named).collect();
        paths.sort();
        paths
    }

    /// Where the store is.
    pub(super) fn store_path(&self) -> PathBuf {
        self.root.join("store")
    }

    /// Writes a small file so that it is there in whole or not at all.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.faults.check()?;
        let draft = self.root.join(format!("{name}.new"));
        let mut file = File::create(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(draft, self.root.join(name))?;
        self.sync()
    }

    /// Reads a small file; `None` when there is none.
    pub(super) fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.root.join(name)).ok()
    }

    /// Makes what was made, renamed and removed in the folder survive a power loss.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.root)?.sync_all()
    }

    /// Moves the store away for a look at it; of such stores the newest few are kept.
    pub(super) fn move_store_aside(&self) -> io::Result<PathBuf> {
        let aside = self.fresh_name("aside");
        fs::rename(self.store_path(), &aside)?;
        let old = self.entries("aside-");
        for path in &old[..old.len().saturating_sub(self.aside_max)] {
            tracing::warn!(path = %path.display(), "removing the oldest store that was moved aside");
            fs::remove_dir_all(path)?;
        }
        self.sync()?;
        Ok(aside)
    }

    /// Gives up the stores that were moved aside: on a full disk new measurements are worth more.
    pub(super) fn drop_asides(&self) {
        for path in self.entries("aside-") {
            tracing::warn!(path = %path.display(), "removing a store that was moved aside, the disk is full");
            let _ = fs::remove_dir_all(path);
        }
    }

    /// Removes the store; a crash in between leaves none rather than half of one.
    pub(super) fn remove_store(&self) -> io::Result<()> {
        let away = self.fresh_name("removing");
        match fs::rename(self.store_path(), &away) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        }
        self.sync()?;
        fs::remove_dir_all(away)
    }

    fn fresh_name(&self, prefix: &str) -> PathBuf {
        let at = self.clock.wall().as_micros().max(0);
        let names = (at..).map(|at| self.root.join(format!("{prefix}-{at:020}")));
        names.into_iter().find(|path| !path.exists()).unwrap_or_else(|| self.root.join(prefix))
    }

    /// Gives up the ballast.
    pub(super) fn drop_ballast(&self) {
        let _ = fs::remove_file(self.root.join("ballast"));
    }

    /// Sets the ballast aside; that it can be is the proof that the disk takes data.
    pub(super) fn set_ballast(&self) -> io::Result<()> {
        self.faults.check()?;
        let path = self.root.join("ballast");
        if fs::metadata(&path).is_ok_and(|found| found.len() == self.ballast_bytes) {
            return Ok(());
        }
        let filled = self.fill(&path);
        if filled.is_err() {
            self.drop_ballast();
        }
        filled
    }

    fn fill(&self, path: &Path) -> io::Result<()> {
        // Real bytes, not a hole; and not zeros, which some file systems keep as holes.
        let block: Vec<u8> = (0..BALLAST_BLOCK).map(|i| u8::try_from(i * 7 % 251).unwrap_or(1)).collect();
        let mut file = File::create(path)?;
        let mut left = self.ballast_bytes;
        while left > 0 {
            let size = usize::try_from(left).unwrap_or(BALLAST_BLOCK).min(BALLAST_BLOCK);
            file.write_all(&block[..size])?;
            left -= size as u64;
        }
        file.sync_all()
    }
}

/// Makes a folder whose name survives a power loss, with the folders that it is in.
fn make(root: &Path) -> io::Result<()> {
    let made: Vec<&Path> = root.ancestors().take_while(|path| !path.exists()).collect();
    fs::create_dir_all(root)?;
    let at_least = made.len().max(1);
    root.ancestors().skip(1).take(at_least).try_for_each(sync_names)
}

/// Makes the names in a folder survive a power loss. A folder that may not be read is somebody else's, and so are its names.
pub(super) fn sync_names(folder: &Path) -> io::Result<()> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    match File::open(here) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        opened => opened?.sync_all(),
    }
}

fn lock(root: &Path) -> Result<File, OpenError> {
    let path = root.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|e| OpenError::io(&path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { dir: root.to_owned() }),
        Err(TryLockError::Error(e)) => Err(OpenError::io(path, e)),
    }
}
