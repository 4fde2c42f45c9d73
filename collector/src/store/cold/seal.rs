//! How does an hour move from the hot store into files, without a moment at which it is in neither or in both?
//!
//! ```text
//!   1  the highest serial S that is on disk            what comes later belongs to a later generation
//!   2  hot records of the hour, newer than the last generation and up to S, in order of time
//!      -> sheets of at most FILE_ROWS_MAX rows, sorted, each a file
//!   3  one synced write: the hour has a generation more, through S
//!   4  hot records that are covered whole go, once no reader holds an older manifest
//! ```
//!
//! A file bears S in its name. Tried again after a failure, an hour either has the same S and the same rows, or another name:
//! no file that a manifest may know is ever written over. What such tries left is cleared away after the next success.
//!
//! Memory is one sheet and the file that is made of it, about 100 MiB at the bound, whatever the hour holds: a larger hour has more
//! files. The choice left aside is to sort an hour as a whole on disk. Files that each hold a few minutes are as good for
//! every question that names a time, and better for one of a short time.

use parquet::errors::ParquetError;
use sha2::{Digest as _, Sha256};
use uitwijk_model::WallTime;

use super::super::hot::{ScanLimits, Writes};
use super::super::key::{self, KeyView};
use super::super::records::HotWalk;
use super::super::{Store, StoreError, StoredBatch};
use super::hour::Hour;
use super::manifest::{FileRow, GenerationRow, HourRow, LEFT_MAX, change};
use super::sheet::Sheet;
use super::write::{About, encode};
use super::{Cold, Cover, hours_of, rollup};

/// Rows of a file, and of a sheet in memory.
pub const FILE_ROWS_MAX: usize = 262_144;
/// Keys looked at in one step.
const SCAN: ScanLimits = ScanLimits { keys_max: 4096, bytes_max: 1 << 20 };
/// Hot records removed in one step, so that a writer never waits long for the journal.
const REMOVED_PER_STEP: usize = 256;

/// Who seals, and when.
#[derive(Clone)]
pub struct Sealing<'a> {
    /// The name of the collector, a folder of its own in a place that several share.
    pub collector: &'a str,
    /// Of the plan in force.
    pub plan_version: &'a str,
    /// Now.
    pub now: WallTime,
    /// Rows of a file at most; [`FILE_ROWS_MAX`] but in tests.
    pub file_rows_max: usize,
    /// Whether to give up; asked now and then.
    pub give_up: &'a dyn Fn() -> bool,
}

impl std::fmt::Debug for Sealing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealing").field("collector", &self.collector).field("now", &self.now).finish_non_exhaustive()
    }
}

/// What came of sealing an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Rows that are in files now.
    pub rows: u64,
    /// Files that were made.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records that could not be read and stay in the hot store.
    pub damaged: u64,
}

impl Store {
    /// Hours that ended up to a moment and have rows in the hot store that no generation has seen, with the number of their
    /// records and the time of their last generation. Reads keys only.
    ///
    /// # Errors
    /// When the store fails.
    pub fn unsealed(&self, before: WallTime) -> Result<Vec<(Hour, u64, Option<WallTime>)>, StoreError> {
        let manifest = self.cold.manifest();
        let counts = std::cell::RefCell::new(std::collections::BTreeMap::<Hour, u64>::new());
        let count = |key: &[u8]| {
            if let Some(view) = key::view(key) {
                let open =
                    hours_of(&view).filter(|hour| hour.end() <= before && !manifest.has_seen(*hour, view.serial));
                open.for_each(|hour| *counts.borrow_mut().entry(hour).or_default() += 1);
            }
            false
        };
        let (mut next, end) = (Some(bytes::Bytes::from_static(&[0; 8])), key::key_at(before));
        while let Some(start) = next.take() {
            next = self.hot.scan(&start[..]..&end[..], &count, SCAN)?.next;
        }
        let of = |hour: &Hour| manifest.hours.get(hour).and_then(HourRow::sealed);
        Ok(counts.into_inner().into_iter().map(|(hour, records)| (hour, records, of(&hour))).collect())
    }

    /// How many generations an hour has.
    #[must_use]
    pub fn generations(&self, hour: Hour) -> usize {
        self.cold.manifest().hours.get(&hour).map_or(0, |row| row.generations.len())
    }

    /// Moves what the hot store holds of an hour into files. Takes as long as that takes; nobody else has to wait. Nothing when
    /// it was given up.
    ///
    /// # Errors
    /// When the store or the place of the files fails; what was true before is still true.
    pub fn seal(&self, hour: Hour, how: &Sealing<'_>) -> Result<Option<Sealed>, StoreError> {
        let _alone = self.cold.change();
        let mut row = self.cold.manifest().hours.get(&hour).cloned().unwrap_or_default();
        // Everything up to this serial is in the hot store to be seen: records and serial are written together.
        let through = self.small()?.serial;
        let number = row.generations.iter().map(|g| g.number).max().unwrap_or(0) + 1;
        let about = About {
            collector: how.collector.to_owned(),
            hour,
            generation: number,
            through_serial: through,
            plan_version: how.plan_version.to_owned(),
        };
        let mut making =
            Making { cold: &self.cold, about, files: Vec::new(), rollups: Vec::new(), sheet: Sheet::default(), how };
        let Some(damaged) = self.fill(&mut making, row.through())? else { return Ok(None) };
        making.finish()?;
        let files = std::mem::take(&mut making.files);
        if row.left.len() + damaged.len() > LEFT_MAX {
            return Err(StoreError::Damaged(format!("{} records of hour {hour}: it is not sealed", damaged.len())));
        }
        let sealed = Sealed {
            rows: files.iter().map(|file| file.rows).sum(),
            files: files.len() as u64,
            bytes: files.iter().map(|file| file.bytes).sum(),
            damaged: damaged.len() as u64,
        };
        row.left.extend(damaged);
        let sealed_us = how.now.as_micros();
        let rollups = std::mem::take(&mut making.rollups);
        row.generations.push(GenerationRow { number, through_serial: through, sealed_us, files, rollups });
        self.commit_hour(hour, Some(row))?;
        if let Err(error) = self.clear_away(hour, how.collector) {
            tracing::warn!(%hour, %error, "files that failed tries left are not cleared away yet");
        }
        Ok(Some(sealed))
    }

    /// Fills sheets with what no generation has; the serials of damaged records come back. Nothing when it was given up.
    fn fill(&self, making: &mut Making<'_>, seen: u64) -> Result<Option<Vec<u64>>, StoreError> {
        let (hour, through) = (making.about.hour, making.about.through_serial);
        let mut damaged = Vec::new();
        let fresh = move |key: &KeyView<'_>| seen < key.serial && key.serial <= through;
        for entry in HotWalk::new(self.hot(), (hour.start(), hour.end()), fresh) {
            if (making.how.give_up)() {
                return Ok(None);
            }
            let (key, value) = entry?;
            // What is no key belongs to no hour, and is reported to readers.
            let Some(serial) = key::view(&key).map(|view| view.serial) else { continue };
            match StoredBatch::decode(&key, value).and_then(|batch| Ok((batch.rows()?, batch))) {
                Ok((rows, batch)) => drop(making.sheet.add(&batch, &rows, |at| Hour::of(at) == hour)),
                Err(error) => {
                    self.note_damage(&error)?;
                    damaged.push(serial);
                }
            }
            if making.sheet.len() >= making.how.file_rows_max {
                making.finish()?;
            }
        }
        Ok(Some(damaged))
    }

    /// Makes a change of an hour durable, and then true for readers.
    pub(super) fn commit_hour(&self, hour: Hour, row: Option<HourRow>) -> Result<(), StoreError> {
        let writes = Writes { batches: Vec::new(), small: vec![change(hour, row.as_ref())] };
        self.hot.write(&writes)?;
        self.cold.publish(hour, row);
        Ok(())
    }

    /// Removes files of an hour that no manifest knows: what was left by tries that failed.
    fn clear_away(&self, hour: Hour, collector: &str) -> Result<(), StoreError> {
        let manifest = self.cold.manifest();
        let Some(row) = manifest.hours.get(&hour) else { return Ok(()) };
        let known = row.paths();
        let mut ours = self.cold.objects.list(&folder(collector, "measurements", hour))?;
        ours.extend(self.cold.objects.list(&folder(collector, "rollups", hour))?);
        ours.iter().filter(|path| !known.contains(path.as_str())).try_for_each(|path| {
            tracing::info!(path, "a file that a failed try left is cleared away");
            self.cold.objects.delete(path)
        })
    }

    /// Removes a bounded number of hot records whose rows are all in files, and says how many and where to go on; none are
    /// removed while a reader may need them.
    ///
    /// # Errors
    /// When the store fails.
    pub fn remove_covered(&self, from: &[u8]) -> Result<(usize, Option<bytes::Bytes>), StoreError> {
        if !self.cold.is_current_everywhere() {
            return Ok((0, None));
        }
        let manifest = self.cold.manifest();
        let Some(last) = manifest.hours.keys().next_back() else { return Ok((0, None)) };
        let keys = std::cell::RefCell::new(Vec::new());
        let gather = |key: &[u8]| {
            if key::view(key).is_some_and(|view| manifest.cover(&view) == Cover::Whole) {
                keys.borrow_mut().push(key.to_vec());
            }
            false
        };
        let start = from.max(&[0; 8][..]);
        let limits = ScanLimits { keys_max: REMOVED_PER_STEP, ..SCAN };
        let next = self.hot.scan(start..&key::key_at(last.end())[..], &gather, limits)?.next;
        let keys = keys.into_inner();
        self.hot.remove(&keys)?;
        Ok((keys.len(), next))
    }
}

/// The files of a generation, while they are made.
struct Making<'a> {
    cold: &'a Cold,
    about: About,
    files: Vec<FileRow>,
    rollups: Vec<FileRow>,
    sheet: Sheet,
    how: &'a Sealing<'a>,
}

impl Making<'_> {
    /// Makes a file of what the sheet holds.
    fn finish(&mut self) -> Result<(), StoreError> {
        let sheet = std::mem::take(&mut self.sheet);
        if sheet.is_empty() {
            return Ok(());
        }
        let cells = rollup::of(&sheet);
        let rollups = self.put("rollups", &sheet, cells.len(), rollup::encode(&cells, &sheet, &self.about))?;
        let file = self.put("measurements", &sheet, sheet.len(), encode(&sheet, &self.about))?;
        self.rollups.push(rollups);
        self.files.push(file);
        Ok(())
    }

    fn put(
        &self,
        kind: &str,
        sheet: &Sheet,
        rows: usize,
        made: Result<Vec<u8>, ParquetError>,
    ) -> Result<FileRow, StoreError> {
        let (hour, number, through) = (self.about.hour, self.about.generation, self.about.through_serial);
        let part = self.files.len() + 1;
        let path = format!("{}/gen-{number}-{through}-{part}.parquet", folder(&self.about.collector, kind, hour));
        let bytes = made.map_err(|e| StoreError::Write(format!("{path}: {e}")))?;
        let (from, to) = sheet.span().unwrap_or((hour.start(), hour.start()));
        let row = FileRow {
            rows: rows as u64,
            bytes: bytes.len() as u64,
            sha256: Sha256::digest(&bytes).to_vec(),
            from_us: from.as_micros(),
            to_us: to.as_micros(),
            path: path.clone(),
        };
        self.cold.objects.put(&path, bytes)?;
        Ok(row)
    }
}

/// The folder of an hour. The first part keeps collectors that share a place apart.
fn folder(collector: &str, kind: &str, hour: Hour) -> String {
    format!("collector={collector}/{kind}/{}", hour.folder())
}
