//! What lies in a backup, and in a directory that was made from one?
//!
//! ```text
//!   format             one line, written first: whose directory this is
//!   store.records      small state, then the batches of the hot store
//!   verdicts.records   the verdict log, its indexes too
//!   shadows.records    the log of the shadow policies, where there is one
//!   plans/             every plan that was in force
//!   cold/              the files of sealed hours, as they are
//!   manifest.sha256    the sum of the next, as sha256sum writes it
//!   manifest.json      what is in the others: written last
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uitwijk_model::WallTime;

use super::BackupError;

/// The version of the layout that this release writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
/// The file that is written first.
const MARK: &str = "format";
const WORDS: &str = "uitwijk-collector backup ";
/// The file that is written last.
const MANIFEST: &str = "manifest.json";
const MANIFEST_SUM: &str = "manifest.sha256";
/// A larger manifest is none of ours: a hundred years of hours have fewer files.
const MANIFEST_BYTES_MAX: u64 = 1 << 30;

/// What was measured and said is for whoever made the copy.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// Small state and batches.
pub const STORE: &str = "store.records";
/// The verdict log.
pub const VERDICTS: &str = "verdicts.records";
/// The log of the shadow policies.
pub const SHADOWS: &str = "shadows.records";
/// The folder of plans.
pub const PLANS: &str = "plans/";
/// The folder of files of sealed hours.
pub const COLD: &str = "cold/";

/// In a data directory while it is made from a backup.
const RESTORING: &str = "unfinished-restore";
/// In a data directory that was made from one.
const RESTORED: &str = "restored.json";

/// A file with its sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// Below the backup, or below the place of the sealed hours.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// In hexadecimal.
    pub sha256: String,
}

/// What is in the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// Batches of the hot store.
    pub records: u64,
    /// Rows that count in them.
    pub record_rows: u64,
    /// Batches that could not be read when the backup was taken.
    pub records_damaged: u64,
    /// Ledgers of boots.
    pub ledgers: u64,
    /// Hours that are sealed.
    pub sealed_hours: u64,
    /// Their files of measurements.
    pub sealed_files: u64,
    /// Rows in those.
    pub sealed_rows: u64,
    /// Entries of the verdict log.
    pub verdict_entries: u64,
    /// The hash of the last of them.
    pub verdict_head: String,
    /// The same of the shadows; absent where there are none.
    pub shadows: Option<Chain>,
}

/// The end of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// Entries.
    pub entries: u64,
    /// The hash of the last.
    pub head: String,
}

/// What became of the files of sealed hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// Where they lay: `data_dir`, or the setting `cold.url`.
    pub place: String,
    /// Whether they were copied.
    pub copied: bool,
    /// Those that were not, for the place to be checked by.
    pub named: Vec<Listed>,
}

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the layout.
    pub format: u32,
    /// Version of the store whose records these are.
    #[serde(default = "first_store_format")]
    pub store_format: u32,
    /// Whose it is.
    pub collector: String,
    /// The moment, for people.
    pub taken: String,
    /// The moment, microseconds, collector's clock.
    pub taken_us: i64,
    /// What took it.
    pub software: String,
    /// Counts.
    pub contents: Contents,
    /// Sealed hours.
    pub sealed: Sealed,
    /// Every file but those that stand for the whole.
    pub files: Vec<Listed>,
}

/// The format of the stores of which the first backups were made, which do not say it.
pub(super) const fn first_store_format() -> u32 {
    2
}

impl Manifest {
    /// The moment.
    #[must_use]
    pub const fn moment(&self) -> WallTime {
        WallTime::from_micros(self.taken_us)
    }
}

/// Begins a backup in a directory that is missing or empty.
///
/// # Errors
/// When it cannot be made, or holds something.
pub fn begin(dir: &Path) -> Result<(), BackupError> {
    make_empty(dir, "name a new one")?;
    write_synced(&dir.join(MARK), format!("{WORDS}{FORMAT}\n").as_bytes())
}

/// Ends it. From now on it is a backup.
///
/// # Errors
/// When the disk fails.
pub fn end(dir: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let mut json = serde_json::to_vec_pretty(manifest).map_err(|e| BackupError::damaged(MANIFEST, e.to_string()))?;
    json.push(b'\n');
    let sum = format!("{}  {MANIFEST}\n", hex(&Sha256::digest(&json)));
    write_synced(&dir.join(MANIFEST_SUM), sum.as_bytes())?;
    let (new, path) = (dir.join("manifest.new"), dir.join(MANIFEST));
    write_synced(&new, &json)?;
    fs::rename(&new, &path).map_err(BackupError::io(&path))?;
    sync_dir(dir)
}

/// Whether a directory is a backup, finished or not.
#[must_use]
pub fn is_backup(dir: &Path) -> bool {
    fs::read_to_string(dir.join(MARK)).is_ok_and(|text| text.starts_with(WORDS))
}

/// What a backup says of itself.
///
/// # Errors
/// When it is none, is unfinished, of a newer layout, or its manifest was changed.
pub fn read(dir: &Path) -> Result<Manifest, BackupError> {
    if !is_backup(dir) {
        return Err(BackupError::directory(dir, "it is no backup of a collector"));
    }
    let path = dir.join(MANIFEST);
    let size = match fs::metadata(&path) {
        Ok(found) => found.len(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(BackupError::Unfinished { dir: dir.to_owned() }),
        Err(e) => return Err(BackupError::io(&path)(e)),
    };
    if size > MANIFEST_BYTES_MAX {
        return Err(BackupError::damaged(MANIFEST, format!("it has {size} bytes")));
    }
    let json = fs::read(&path).map_err(BackupError::io(&path))?;
    let sum_path = dir.join(MANIFEST_SUM);
    let noted = fs::read_to_string(&sum_path).map_err(BackupError::io(&sum_path))?;
    let sum = hex(&Sha256::digest(&json));
    if noted.split_whitespace().next() != Some(sum.as_str()) {
        return Err(BackupError::damaged(MANIFEST, format!("its SHA-256 is {sum}, {MANIFEST_SUM} says another")));
    }
    let said: serde_json::Value =
        serde_json::from_slice(&json).map_err(|e| BackupError::damaged(MANIFEST, e.to_string()))?;
    for (key, known, what) in [("format", FORMAT, "a backup"), ("store_format", crate::store::FORMAT, "a store")] {
        if let Some(found) = said.get(key).and_then(serde_json::Value::as_u64).filter(|f| *f > u64::from(known)) {
            let why =
                format!("it holds {what} of format {found}, this release reads up to {known}: run a newer release");
            return Err(BackupError::directory(dir, why));
        }
    }
    let manifest: Manifest = serde_json::from_value(said).map_err(|e| BackupError::damaged(MANIFEST, e.to_string()))?;
    for file in &manifest.files {
        place(dir, &file.path)?;
    }
    Ok(manifest)
}

/// Where a file of a backup lies.
///
/// # Errors
/// When its path leads elsewhere.
pub fn place(dir: &Path, path: &str) -> Result<PathBuf, BackupError> {
    let below = Path::new(path);
    let plain = !path.is_empty() && below.components().all(|part| matches!(part, Component::Normal(_)));
    match plain && !path.contains('\\') {
        true => Ok(dir.join(below)),
        false => Err(BackupError::damaged(MANIFEST, format!("{path:?} is no path below the backup"))),
    }
}

/// Makes a directory, or takes one that holds nothing.
pub(super) fn make_empty(dir: &Path, advice: &str) -> Result<(), BackupError> {
    make_folder(dir).map_err(|e| BackupError::directory(dir, e.to_string()))?;
    for entry in fs::read_dir(dir).map_err(|e| BackupError::directory(dir, e.to_string()))? {
        let name = entry.map_err(BackupError::io(dir))?.file_name();
        if name == RESTORING {
            let why = "it holds a restore that did not finish: empty it, and restore again";
            return Err(BackupError::directory(dir, why));
        }
        // What file systems put into every new volume.
        if name != "lost+found" {
            return Err(BackupError::directory(
                dir,
                format!("it is not empty (it holds {}): {advice}", name.display()),
            ));
        }
    }
    Ok(())
}

/// From now on nobody may start on a data directory.
pub(super) fn begin_restore(data_dir: &Path) -> Result<(), BackupError> {
    write_synced(&data_dir.join(RESTORING), b"a backup is being restored into this directory\n")?;
    sync_dir(data_dir)
}

/// Where a data directory came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Whose backup it was.
    pub collector: String,
    /// When that was taken, for people.
    pub taken: String,
    /// When it was taken, microseconds.
    pub taken_us: i64,
    /// When a catch-up last ended well, microseconds; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caught_up_us: Option<i64>,
}

impl Origin {
    /// What a data directory says of itself; nothing when it was not made from a backup.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn of(data_dir: &Path) -> Result<Option<Self>, BackupError> {
        let path = data_dir.join(RESTORED);
        match fs::read(&path) {
            Ok(json) => match serde_json::from_slice(&json) {
                Ok(origin) => Ok(Some(origin)),
                Err(e) => Err(BackupError::damaged(&path.display().to_string(), e.to_string())),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(BackupError::io(&path)(e)),
        }
    }

    /// Keeps it.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn write(&self, data_dir: &Path) -> Result<(), BackupError> {
        let json = serde_json::to_vec_pretty(self).map_err(|e| BackupError::damaged(RESTORED, e.to_string()))?;
        let (new, path) = (data_dir.join("restored.new"), data_dir.join(RESTORED));
        write_synced(&new, &json)?;
        fs::rename(&new, &path).map_err(BackupError::io(&path))?;
        sync_dir(data_dir)
    }
}

/// The data directory is whole.
pub(super) fn end_restore(data_dir: &Path) -> Result<(), BackupError> {
    let path = data_dir.join(RESTORING);
    fs::remove_file(&path).map_err(BackupError::io(&path))?;
    sync_dir(data_dir)
}

/// Refuses a data directory that a restore did not finish.
///
/// # Errors
/// When it is one.
pub fn refuse_unfinished(data_dir: &Path) -> Result<(), BackupError> {
    match data_dir.join(RESTORING).exists() {
        true => Err(BackupError::directory(data_dir, "a restore into it did not finish: empty it, and restore again")),
        false => Ok(()),
    }
}

/// Refuses a data directory that was made from the backup of another collector.
///
/// # Errors
/// When it is one, or does not say.
pub fn refuse_another(data_dir: &Path, name: &str) -> Result<(), BackupError> {
    match Origin::of(data_dir)? {
        Some(origin) if origin.collector != name => {
            let whose = origin.collector;
            let why = format!(
                "it was restored from a backup of {whose}, and the certificate is for {name}: name the directory of {name}, or the certificate of {whose} (tls.cert_file)"
            );
            Err(BackupError::directory(data_dir, why))
        }
        _ => Ok(()),
    }
}

/// Writes a file and syncs it; whoever calls syncs the directory.
pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(BackupError::io(path))
}

/// A new file, for nobody else to read.
pub(super) fn make_file(path: &Path) -> Result<File, BackupError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path);
    made.map_err(BackupError::io(path))
}

/// A folder with those above it, for nobody else to look into. One that is there stays as it is.
pub(super) fn make_folder(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(dir)
}

/// What was made in a directory stays after a power cut.
pub(super) fn sync_dir(dir: &Path) -> Result<(), BackupError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(BackupError::io(dir))
}

/// Makes the folders above a file, and syncs each that was made into the one above it.
pub(super) fn make_parents(root: &Path, file: &Path) -> Result<(), BackupError> {
    let mut missing: Vec<&Path> = file.ancestors().skip(1).take_while(|dir| *dir != root && !dir.exists()).collect();
    while let Some(dir) = missing.pop() {
        make_folder(dir).map_err(BackupError::io(dir))?;
        sync_dir(dir.parent().unwrap_or(root))?;
    }
    Ok(())
}

/// Bytes as people write a sum.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
