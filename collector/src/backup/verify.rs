//! Is a backup, or a data directory, what it says?
//!
//! ```text
//!   backup           every sum; then what is in the files, as below, beside what the manifest says
//!   data directory   every batch reads, every file of a sealed hour has its sum and its rows, ledgers count what is there,
//!                    the verdict log is a chain
//! ```
//!
//! It asks no collector, and needs one that is stopped to look at its directory.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use uitwijk_model::{Clock, Plan};

use super::BackupError;
use super::layout::{self, COLD, Chain, Listed, Manifest, PLANS, SHADOWS, STORE, VERDICTS};
use super::records::{self, Record, Records, Summing};
use super::restore::agrees;
use crate::store::{Counts, DiskOptions, Entry, Examined, Examiner, Objects, Store};
use crate::verdict_log::{Audit, Check, ENTRIES, VerdictLog};

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// What it is.
    title: String,
    /// What was counted.
    lines: Vec<(&'static str, String)>,
    /// What a reader should know, though it is no fault.
    notes: Vec<String>,
    /// Faults; the first of each kind are told.
    found: Examined,
}

impl Report {
    /// Nothing is wrong.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.found.faults == 0
    }

    fn wrong(&mut self, what: impl fmt::Display) {
        self.found.wrong(|| what.to_string());
    }

    fn counts(&mut self, counts: &Counts) {
        let Counts { records, record_rows, ledgers, sealed_hours, sealed_files, sealed_rows, rows, rows_gone } =
            *counts;
        self.lines.push(("hot store", format!("{records} batches with {record_rows} rows")));
        self.lines.push(("sealed", format!("{sealed_hours} hours, {sealed_files} files with {sealed_rows} rows")));
        let gone = if rows_gone > 0 { format!(", {rows_gone} more went with their hours") } else { String::new() };
        self.lines.push(("ledgers", format!("{ledgers} boots, {rows} rows{gone}")));
    }

    fn chain(&mut self, name: &'static str, entries: u64, head: impl fmt::Display) {
        self.lines.push((name, format!("{entries} entries, head {head}")));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        self.lines.iter().try_for_each(|(name, text)| writeln!(f, "  {name:<10} {text}"))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))?;
        self.found.told.iter().try_for_each(|fault| writeln!(f, "wrong: {fault}"))?;
        match self.found.faults {
            0 => writeln!(f, "good"),
            faults if faults > self.found.told.len() as u64 => {
                writeln!(f, "{faults} things are wrong, the first {} are told", self.found.told.len())
            }
            1 => writeln!(f, "1 thing is wrong"),
            faults => writeln!(f, "{faults} things are wrong"),
        }
    }
}

/// Looks at a backup or at a data directory. The files of sealed hours are looked for at `cold` if it is named.
///
/// # Errors
/// When it is neither, or cannot be looked at.
pub fn verify(dir: &Path, cold: Option<&str>, clock: Arc<dyn Clock>) -> Result<Report, BackupError> {
    if layout::is_backup(dir) {
        return backup(dir, cold);
    }
    if dir.join("store/format").is_file() {
        layout::refuse_unfinished(dir)?;
        return data_dir(dir, cold, clock);
    }
    Err(BackupError::directory(dir, "it is neither a backup nor the data directory of a collector"))
}

fn data_dir(dir: &Path, cold: Option<&str>, clock: Arc<dyn Clock>) -> Result<Report, BackupError> {
    let mut report = Report { title: format!("data directory {}", dir.display()), ..Report::default() };
    let store = dir.join("store");
    let files_elsewhere = cold.is_none() && !store.join("cold").exists();
    let store = match cold {
        None => Store::open(&store, DiskOptions::default(), clock)?,
        Some(url) => Store::open_with(&store, DiskOptions::default(), clock, Objects::at(url)?)?,
    };
    let examined = store.examine()?;
    report.counts(&examined.counts);
    if files_elsewhere && examined.counts.sealed_files > 0 {
        report
            .notes
            .push("no files of sealed hours are in the directory: --cold names the place of cold.url".to_owned());
    }
    report.found = examined;
    for name in ["verdicts", "shadows"] {
        if dir.join(name).exists() {
            let Audit { good, damage } = VerdictLog::audit(&dir.join(name), &mut |_, _| {})?;
            report.chain(name, good.entries, good.head);
            damage.iter().for_each(|damage| report.wrong(format!("{name}: {damage}")));
        } else if name == "verdicts" {
            report.notes.push("there is no verdict log: no collector was started on it yet".to_owned());
        }
    }
    Ok(report)
}

fn backup(dir: &Path, cold: Option<&str>) -> Result<Report, BackupError> {
    let manifest = match layout::read(dir) {
        Err(BackupError::Damaged { path, why }) => {
            let mut report = Report { title: format!("backup {}", dir.display()), ..Report::default() };
            report.wrong(BackupError::Damaged { path, why });
            return Ok(report);
        }
        other => other?,
    };
    let title = format!("backup of {}, taken at {}", manifest.collector, manifest.taken);
    let mut looking = Looking { dir, manifest: &manifest, report: Report { title, ..Report::default() } };
    looking.all(cold)?;
    Ok(looking.report)
}

struct Looking<'a> {
    dir: &'a Path,
    manifest: &'a Manifest,
    report: Report,
}

impl Looking<'_> {
    fn all(&mut self, cold: Option<&str>) -> Result<(), BackupError> {
        let files = &self.manifest.files;
        let bytes: u64 = files.iter().map(|file| file.bytes).sum();
        self.report.lines.push(("files", format!("{} with {bytes} bytes", files.len())));
        self.store(cold)?;
        let contents = &self.manifest.contents;
        let verdicts = Chain { entries: contents.verdict_entries, head: contents.verdict_head.clone() };
        self.chain("verdicts", VERDICTS, &verdicts);
        if let Some(shadows) = &contents.shadows {
            self.chain("shadows", SHADOWS, shadows);
        }
        for file in files.iter().filter(|file| file.path.starts_with(PLANS)) {
            self.plan(file);
        }
        for file in files.iter().filter(|file| file.path.starts_with(COLD)) {
            if let Err(error) = self.open(file).and_then(|open| agrees(file, open)) {
                self.report.wrong(error);
            }
        }
        self.strangers()
    }

    fn listed(&self, path: &str) -> Result<&Listed, BackupError> {
        let found = self.manifest.files.iter().find(|file| file.path == path);
        found.ok_or_else(|| BackupError::damaged("manifest.json", format!("it lists no {path}")))
    }

    fn open(&self, file: &Listed) -> Result<Summing<BufReader<File>>, BackupError> {
        let path = layout::place(self.dir, &file.path)?;
        let open = File::open(&path).map_err(BackupError::io(&path))?;
        Ok(Summing::new(BufReader::new(open)))
    }

    /// Tells each record of a file, and whether the file has its sum.
    fn records(&mut self, path: &str, tell: &mut dyn FnMut(Record) -> Result<(), BackupError>) {
        let read = |this: &Self, tell: &mut dyn FnMut(Record) -> Result<(), BackupError>| {
            let file = this.listed(path)?;
            let mut reading = Records::new(this.open(file)?);
            let told = loop {
                match reading.next() {
                    Ok(Some(record)) => {
                        if let Err(error) = tell(record) {
                            break Err(error);
                        }
                    }
                    Ok(None) => break Ok(()),
                    Err(why) => break Err(BackupError::damaged(path, why)),
                }
            };
            // The sum tells more than what followed from the damage.
            agrees(file, reading.into_inner()).and(told)
        };
        if let Err(error) = read(self, tell) {
            self.report.wrong(error);
        }
    }

    fn store(&mut self, cold: Option<&str>) -> Result<(), BackupError> {
        let mut small: Vec<Entry> = Vec::new();
        let mut examiner = None;
        self.records(STORE, &mut |Record { space, key, value }| {
            let entry = (Bytes::from(key), Bytes::from(value));
            match (space, &mut examiner) {
                (records::SMALL, None) => small.push(entry),
                (records::BATCHES, Some(begun)) => Examiner::record(begun, entry),
                (records::BATCHES, None) => examiner.insert(Examiner::of(&small)?).record(entry),
                _ => return Err(BackupError::damaged(STORE, format!("a record of space {space} out of its place"))),
            }
            Ok(())
        });
        let examiner = examiner.map_or_else(|| Examiner::of(&small), Ok);
        let mut examiner = match examiner {
            Ok(examiner) => examiner,
            Err(error) => {
                self.report.wrong(error);
                return Ok(());
            }
        };
        let sealed = &self.manifest.sealed;
        match cold {
            Some(url) => examiner.files(&Objects::at(url)?),
            None if sealed.copied && !self.dir.join(COLD).is_dir() => examiner.files(&Objects::memory()),
            None if sealed.copied => examiner.files(&Objects::folder(&self.dir.join(COLD))?),
            None => {
                examiner.no_files();
                let (named, place) = (sealed.named.len(), &sealed.place);
                let note = format!(
                    "{named} files of sealed hours are not in the backup, they lie at {place}; --cold looks at them there"
                );
                self.report.notes.push(note);
            }
        }
        let examined = examiner.finish();
        self.report.counts(&examined.counts);
        self.compare(&examined.counts);
        let untold = examined.faults - examined.told.len() as u64;
        examined.told.into_iter().for_each(|fault| self.report.wrong(fault));
        self.report.found.faults += untold;
        Ok(())
    }

    fn compare(&mut self, found: &Counts) {
        let said = &self.manifest.contents;
        let damaged = said.records_damaged;
        let pairs = [
            ("batches", found.records, said.records),
            ("rows of batches", found.record_rows, said.record_rows),
            ("ledgers", found.ledgers, said.ledgers),
            ("sealed hours", found.sealed_hours, said.sealed_hours),
            ("files of sealed hours", found.sealed_files, said.sealed_files),
            ("sealed rows", found.sealed_rows, said.sealed_rows),
        ];
        for (what, found, said) in pairs {
            if found != said {
                self.report.wrong(format!("{found} {what} are here, the manifest says {said}"));
            }
        }
        if damaged > 0 {
            self.report.notes.push(format!("{damaged} batches could not be read when the backup was taken"));
        }
    }

    fn chain(&mut self, name: &'static str, path: &str, said: &Chain) {
        let mut check = Check::from(1);
        self.records(path, &mut |Record { space, key, value }| match space {
            ENTRIES => Ok(check.next(&key, &value)?),
            _ => Ok(()),
        });
        let found = check.end();
        self.report.chain(name, found.entries, found.head);
        if found.entries != said.entries || found.head.to_string() != said.head {
            let (entries, head) = (said.entries, &said.head);
            self.report.wrong(format!("{name}: the manifest says {entries} entries, head {head}"));
        }
    }

    fn plan(&mut self, file: &Listed) {
        let read = || {
            agrees(file, self.open(file)?)?;
            let path = layout::place(self.dir, &file.path)?;
            let json = std::fs::read_to_string(&path).map_err(BackupError::io(&path))?;
            Plan::from_canonical_json(&json).map_err(|e| BackupError::damaged(&file.path, e.to_string()))
        };
        if let Err(error) = read() {
            self.report.wrong(error);
        }
    }

    /// Files that the backup does not know do no harm, and are told.
    fn strangers(&mut self) -> Result<(), BackupError> {
        let mut known: BTreeSet<String> = self.manifest.files.iter().map(|file| file.path.clone()).collect();
        known.extend(["format", "manifest.json", "manifest.sha256"].map(str::to_owned));
        let mut folders = vec![self.dir.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).map_err(BackupError::io(&folder))? {
                let path = entry.map_err(BackupError::io(&folder))?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(self.dir).unwrap_or(&path).to_string_lossy().into_owned();
                if !known.contains(&name) {
                    self.report.notes.push(format!("{name} is not part of the backup"));
                }
            }
        }
        Ok(())
    }
}
