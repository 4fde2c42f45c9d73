//! How does a backup become a data directory that a collector starts on?
//!
//! Into an empty directory only, every sum checked on the way. A mark is written first and taken away last; a collector does not start
//! beside it, so that a restore that was killed can be mistaken for nothing else. Renaming a directory at the end would be
//! simpler, but a volume that is mounted cannot be renamed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uitwijk_model::Clock;

use super::BackupError;
use super::layout::{self, COLD, Listed, Manifest, Origin, PLANS, SHADOWS, STORE, VERDICTS, hex};
use super::records::{self, Record, Records, Summing};
use crate::store::{DiskOptions, DiskStore, HotStore as _, Writes};
use crate::verdict_log::VerdictLog;

/// Bytes of records that are written in one step.
const STEP_BYTES: usize = 4 << 20;

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// From this.
    pub manifest: Manifest,
    /// Where the files of sealed hours were put.
    pub cold: PathBuf,
}

/// What is to be restored of a backup, and where to.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The backup.
    pub from: &'a Path,
    /// The data directory to be.
    pub to: &'a Path,
    /// Where the files of sealed hours go; absent means where a collector looks for them that has no `cold.url`.
    pub cold: Option<&'a Path>,
    /// The logs of the verdicts and of the shadows too.
    pub verdicts: bool,
}

/// Makes a data directory of a backup.
///
/// # Errors
/// When the backup is unfinished or damaged, the directory not empty, or the disk fails. What was begun must be deleted then.
pub fn restore(wanted: &Wanted<'_>, clock: Arc<dyn Clock>) -> Result<Restored, BackupError> {
    let Wanted { from, to, cold, verdicts } = *wanted;
    let manifest = layout::read(from)?;
    layout::make_empty(to, "a restore needs an empty directory, so that nothing is lost that is still good")?;
    layout::begin_restore(to)?;
    let cold = cold.map_or_else(|| to.join("store/cold"), Path::to_owned);
    let mut restoring = Restoring { from, to, cold: &cold, folders: BTreeSet::new() };
    // A store is begun in an empty folder.
    let store = manifest.files.iter().find(|file| file.path == STORE);
    let store = store.ok_or_else(|| BackupError::damaged("manifest.json", format!("it lists no {STORE}")))?;
    restoring.store(store, &manifest, clock)?;
    let is_log = |file: &Listed| [VERDICTS, SHADOWS].contains(&file.path.as_str());
    for file in manifest.files.iter().filter(|file| file.path != STORE && (verdicts || !is_log(file))) {
        let restored = restoring.file(file, &manifest);
        restored.map_err(|error| match error {
            damage @ BackupError::Damaged { .. } if is_log(file) => BackupError::Verdicts(Box::new(damage)),
            other => other,
        })?;
    }
    restoring.folders.iter().try_for_each(|folder| layout::sync_dir(folder))?;
    let (collector, taken, taken_us) = (manifest.collector.clone(), manifest.taken.clone(), manifest.taken_us);
    Origin { collector, taken, taken_us, caught_up_us: None }.write(to)?;
    layout::end_restore(to)?;
    Ok(Restored { manifest, cold })
}

struct Restoring<'a> {
    from: &'a Path,
    to: &'a Path,
    cold: &'a Path,
    folders: BTreeSet<PathBuf>,
}

impl Restoring<'_> {
    fn file(&mut self, file: &Listed, manifest: &Manifest) -> Result<(), BackupError> {
        let contents = &manifest.contents;
        match file.path.as_str() {
            VERDICTS => self.log(file, "verdicts", contents.verdict_entries, &contents.verdict_head),
            SHADOWS => {
                let (entries, head) = contents.shadows.as_ref().map_or((0, ""), |s| (s.entries, s.head.as_str()));
                self.log(file, "shadows", entries, head)
            }
            path if path.starts_with(PLANS) => self.copy(file, &layout::place(self.to, path)?, self.to),
            path => match path.strip_prefix(COLD) {
                Some(below) => self.copy(file, &layout::place(self.cold, below)?, self.cold),
                None => Err(BackupError::damaged("manifest.json", format!("it lists {path}, which no release writes"))),
            },
        }
    }

    fn open(&self, file: &Listed) -> Result<Summing<BufReader<File>>, BackupError> {
        let path = layout::place(self.from, &file.path)?;
        Ok(Summing::new(BufReader::new(File::open(&path).map_err(BackupError::io(&path))?)))
    }

    /// A folder for a database, which makes its files as the umask says.
    fn folder(&self, name: &str) -> Result<PathBuf, BackupError> {
        let dir = self.to.join(name);
        layout::make_folder(&dir).map_err(BackupError::io(&dir))?;
        Ok(dir)
    }

    fn store(&self, file: &Listed, manifest: &Manifest, clock: Arc<dyn Clock>) -> Result<(), BackupError> {
        let store = DiskStore::open(&self.folder("store")?, DiskOptions::default(), clock)?;
        let mut reading = Records::new(self.open(file)?);
        let (mut writes, mut bytes, mut found) = (Writes::default(), 0, 0);
        while let Some(Record { space, key, value }) = reading.next().map_err(|why| BackupError::damaged(STORE, why))? {
            bytes += key.len() + value.len();
            match space {
                records::SMALL => writes.small.push((key, Some(value))),
                records::BATCHES => {
                    found += 1;
                    writes.batches.push((key, value));
                }
                other => return Err(BackupError::damaged(STORE, format!("a record of space {other}"))),
            }
            if bytes >= STEP_BYTES {
                store.write(&std::mem::take(&mut writes))?;
                bytes = 0;
            }
        }
        store.write(&writes)?;
        agrees(file, reading.into_inner())?;
        match found == manifest.contents.records {
            true => Ok(()),
            false => Err(BackupError::damaged(STORE, format!("it has {found} batches, the manifest says otherwise"))),
        }
    }

    fn log(&self, file: &Listed, name: &str, entries: u64, head: &str) -> Result<(), BackupError> {
        let dir = self.folder(name)?;
        let mut filling = VerdictLog::fill(&dir)?;
        let mut reading = Records::new(self.open(file)?);
        while let Some(Record { space, key, value }) =
            reading.next().map_err(|why| BackupError::damaged(&file.path, why))?
        {
            filling.put(space, key, value)?;
        }
        agrees(file, reading.into_inner())?;
        filling.finish()?;
        let audit = VerdictLog::audit(&dir, &mut |_, _| {})?;
        if let Some(damage) = audit.damage {
            return Err(damage.into());
        }
        let (found, found_head) = (audit.good.entries, audit.good.head.to_string());
        if found != entries || found_head != head {
            let why = format!("its {found} entries end in {found_head}, the manifest says otherwise");
            return Err(BackupError::damaged(&file.path, why));
        }
        Ok(())
    }

    fn copy(&mut self, file: &Listed, to: &Path, root: &Path) -> Result<(), BackupError> {
        layout::make_folder(root).map_err(BackupError::io(root))?;
        layout::make_parents(root, to)?;
        self.folders.extend(to.parent().map(Path::to_owned));
        let mut reading = self.open(file)?;
        let mut writing = layout::make_file(to)?;
        std::io::copy(&mut reading, &mut writing).map_err(BackupError::io(to))?;
        agrees(file, reading)?;
        writing.flush().and_then(|()| writing.sync_all()).map_err(BackupError::io(to))
    }
}

/// What was read is what was written.
pub(super) fn agrees(file: &Listed, read: Summing<BufReader<File>>) -> Result<(), BackupError> {
    let (bytes, sum) = read.finish().map_err(BackupError::io(Path::new(&file.path)))?;
    if bytes != file.bytes {
        let why = format!("it has {bytes} bytes, the manifest says {}", file.bytes);
        return Err(BackupError::damaged(&file.path, why));
    }
    match hex(&sum) == file.sha256 {
        true => Ok(()),
        false => Err(BackupError::damaged(&file.path, "its SHA-256 is another than the manifest says")),
    }
}
