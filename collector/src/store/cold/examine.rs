//! Is what a store holds what it counts?
//!
//! ```text
//!   records    each reads; the rows of those that no file stands for are counted by boot
//!   files      size, SHA-256 and rows as the hour says; each row reads; counted by boot
//!   ledgers    each balances; counts as many rows as are there
//! ```
//!
//! Rows that a ledger counts and that are not there have gone with their hour, if hours have gone; else they are missing. A row that no
//! ledger counts is wrong in any case.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use uitwijk_model::{AgentId, BootId, WallTime};

use super::super::hot::{Entry, Space};
use super::super::small::{self, SmallState};
use super::super::{Store, StoreError, StoredBatch};
use super::read::ColdFile;
use super::{ColdRows, Cover, FileRow, HourRow, Manifest, Objects, schema};
use crate::store::key;

/// Read at a time from a file.
const READ_BYTES: u64 = 1 << 20;
/// Faults that are told; all are counted.
const TOLD_MAX: u64 = 100;
/// As many ledgers of one agent are kept; with fewer, rows without one are wrong.
const LEDGERS_KEPT: usize = 1024;

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Batches of the hot store.
    pub records: u64,
    /// Rows that count in them, those that a file stands for too.
    pub record_rows: u64,
    /// Ledgers of boots.
    pub ledgers: u64,
    /// Hours that are sealed.
    pub sealed_hours: u64,
    /// Files of measurements.
    pub sealed_files: u64,
    /// Rows in them.
    pub sealed_rows: u64,
    /// Rows, each once.
    pub rows: u64,
    /// Rows that ledgers count and that went with their hours.
    pub rows_gone: u64,
}

/// What was counted, and what is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examined {
    /// The counts.
    pub counts: Counts,
    /// All faults.
    pub faults: u64,
    /// The first hundred of them.
    pub told: Vec<String>,
}

impl Examined {
    /// Notes a fault.
    pub fn wrong(&mut self, what: impl FnOnce() -> String) {
        self.faults += 1;
        if self.faults <= TOLD_MAX {
            self.told.push(what());
        }
    }
}

/// Looks at a store, piece by piece.
#[derive(Debug)]
pub struct Examiner {
    small: SmallState,
    manifest: Manifest,
    by_boot: BTreeMap<(AgentId, BootId), u64>,
    /// Files that were not looked at may hold any number of rows.
    some_not_seen: bool,
    found: Examined,
}

impl Examiner {
    /// Begins with the small state.
    ///
    /// # Errors
    /// When an entry of it cannot be read.
    pub fn of(entries: &[Entry]) -> Result<Self, StoreError> {
        let small = small::read(entries)?;
        let found = Examined {
            counts: Counts {
                ledgers: small.ledgers.len() as u64,
                sealed_hours: small.hours.len() as u64,
                ..Counts::default()
            },
            ..Examined::default()
        };
        Ok(Self { manifest: small.manifest(), small, by_boot: BTreeMap::new(), some_not_seen: false, found })
    }

    /// Looks at a record of the hot store.
    pub fn record(&mut self, (key, value): Entry) {
        self.found.counts.records += 1;
        if let Err(error) = self.look_into(&key, value) {
            self.found.wrong(|| error.to_string());
        }
    }

    fn look_into(&mut self, key: &[u8], value: bytes::Bytes) -> Result<(), StoreError> {
        let batch = StoredBatch::decode(key, value)?;
        let rows = batch.rows()?;
        let counted = batch.mask.ones(rows.len()).map(|i| rows.row(i).is_ok()).collect::<Vec<_>>();
        self.found.counts.record_rows += counted.len() as u64;
        if counted.contains(&false) {
            let (agent, from) = (&batch.key.agent, batch.key.from);
            return Err(StoreError::Damaged(format!("agent {agent} at {from}: a row that counts cannot be read")));
        }
        let open = match key::view(key).map_or(Cover::No, |view| self.manifest.cover(&view)) {
            Cover::Whole => 0,
            Cover::No => counted.len(),
            Cover::Part => self.manifest.without_covered(&batch)?.ones(rows.len()).count(),
        };
        *self.by_boot.entry((batch.key.agent, batch.key.boot)).or_default() += open as u64;
        Ok(())
    }

    /// Looks at every file of sealed hours. What is wrong with one is a fault.
    pub fn files(&mut self, objects: &Objects) {
        let hours = self.manifest.hours.clone();
        for row in hours.values() {
            for file in row.files() {
                self.found.counts.sealed_files += 1;
                self.found.counts.sealed_rows += file.rows;
                if let Err(error) = self.file(objects, file) {
                    self.some_not_seen = true;
                    self.found.wrong(|| error.to_string());
                }
            }
            for file in row.rollups() {
                if let Err(error) = sums_agree(objects, file) {
                    self.found.wrong(|| error.to_string());
                }
            }
        }
    }

    /// The files of sealed hours are not here to be looked at.
    pub fn no_files(&mut self) {
        let files = || self.manifest.hours.values().flat_map(HourRow::files);
        self.found.counts.sealed_files = files().count() as u64;
        self.found.counts.sealed_rows = files().map(|file| file.rows).sum();
        self.some_not_seen |= self.found.counts.sealed_files > 0;
    }

    fn file(&mut self, objects: &Objects, file: &FileRow) -> Result<(), StoreError> {
        sums_agree(objects, file)?;
        let open = Arc::new(ColdFile::open(objects, &file.path, file.bytes, &schema::names())?);
        let rows: u64 = (0..open.groups()).map(|group| open.rows(group) as u64).sum();
        if rows != file.rows {
            let path = &file.path;
            return Err(StoreError::Damaged(format!("hour's file {path}: {rows} rows, {} were sealed", file.rows)));
        }
        for group in 0..open.groups() {
            let (from, to) = (WallTime::from_micros(i64::MIN), WallTime::from_micros(i64::MAX));
            let all = ColdRows { file: open.clone(), group, from, to, mark: from };
            for batch in all.accepted()? {
                *self.by_boot.entry((batch.agent, batch.boot)).or_default() += batch.rows.len() as u64;
            }
        }
        Ok(())
    }

    /// Compares with the ledgers, and tells what came of all.
    #[must_use]
    pub fn finish(mut self) -> Examined {
        self.found.counts.rows = self.by_boot.values().sum();
        let hours_went = self.manifest.hours.values().any(|row| row.generations.iter().any(|g| g.files.is_empty()));
        let mut per_agent: BTreeMap<AgentId, usize> = BTreeMap::new();
        let (damaged, mut found) = (self.found.faults > 0 || self.some_not_seen, self.found);
        for (agent, boot, ledger) in &self.small.ledgers {
            *per_agent.entry(agent.clone()).or_default() += 1;
            let rows = self.by_boot.remove(&(agent.clone(), *boot)).unwrap_or(0);
            let stored = ledger.stored;
            if !ledger.balances() {
                found.wrong(|| {
                    format!("ledger of {agent} {boot}: it settled {} numbers and counts others", ledger.settled())
                });
            }
            if rows > stored {
                found.wrong(|| format!("ledger of {agent} {boot}: it counts {stored} rows, {rows} are here"));
            } else if rows < stored && hours_went {
                found.counts.rows_gone += stored - rows;
            } else if rows < stored && !damaged {
                found.wrong(|| format!("ledger of {agent} {boot}: it counts {stored} rows, only {rows} are here"));
            }
        }
        for ((agent, boot), rows) in &self.by_boot {
            if per_agent.get(agent).is_none_or(|kept| *kept < LEDGERS_KEPT) {
                found.wrong(|| format!("{rows} rows of {agent} {boot} are here and no ledger knows them"));
            }
        }
        found
    }
}

/// Whether a file is the one that was sealed.
fn sums_agree(objects: &Objects, file: &FileRow) -> Result<(), StoreError> {
    let mut sum = Sha256::new();
    let mut at = 0;
    while at < file.bytes {
        let end = file.bytes.min(at + READ_BYTES);
        sum.update(objects.range(&file.path, at..end)?);
        at = end;
    }
    match sum.finalize().as_slice() == file.sha256 {
        true => Ok(()),
        false => Err(StoreError::Damaged(format!("hour's file {}: its SHA-256 is another than was sealed", file.path))),
    }
}

impl Store {
    /// Looks at everything that is there. Reads all of the disk.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub fn examine(&self) -> Result<Examined, StoreError> {
        let mut examiner = Examiner::of(&self.hot.small()?)?;
        self.freeze()?.each(Space::Batches, &mut |entry| -> Result<(), StoreError> {
            examiner.record(entry);
            Ok(())
        })?;
        examiner.files(self.cold.objects());
        Ok(examiner.finish())
    }
}
