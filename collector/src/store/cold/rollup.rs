//! What is kept of measurements when they are gone: how many ended how, and how long did they take?
//!
//! ```text
//!   (minute, target, vantage) -> up, slow, down, unmeasured | reasons | times of the answers
//! ```
//!
//! Made from the rows of a file when it is made, and kept beside it in a file of its own. What came in late makes rollups of its
//! own, as it makes a file of its own; a reader adds them. Adding is all that is ever done to them, so the order does not matter.
//! Every attempt is counted, retries too. Only complete answers have a time: what was cut off is not fast.

use std::collections::BTreeMap;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use uitwijk_model::{Measurement, Outcome, Vantage, WallTime};

use super::super::{Filter, Store, StoreError};
use super::histogram::Histogram;
use super::hour::Hour;
use super::manifest::FileRow;
use super::read::{ColdFile, Decoded};
use super::sheet::{Sheet, service_of};
use super::write::{About, GROUP_ROWS_MAX, footer, put_numbers, put_texts};

const MINUTE_US: i64 = 60_000_000;
/// Cells that one question may have for an answer: a fleet of 1,000 targets at 6 vantages for an hour and a half.
pub const CELLS_MAX: usize = 540_000;

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RollupKey {
    /// The first moment of the minute of scheduled time.
    pub minute: WallTime,
    /// What was probed; its service stands before the slash.
    pub target: String,
    /// From where.
    pub vantage: Vantage,
}

/// Counts of one minute of one target at one vantage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// Complete right answers within the objective.
    pub up: u64,
    /// Complete right answers over it.
    pub slow: u64,
    /// No complete right answer.
    pub down: u64,
    /// No attempt that says anything about the target.
    pub unmeasured: u64,
    /// Faults and reasons, by name.
    pub reasons: BTreeMap<String, u64>,
    /// Times of complete right answers.
    pub times: Histogram,
}

impl Cell {
    /// Counts a measurement.
    pub fn add(&mut self, m: &Measurement) {
        match m.outcome {
            Outcome::Up => self.up += 1,
            Outcome::Slow => self.slow += 1,
            Outcome::Down(_) => self.down += 1,
            Outcome::Unmeasured(_) => self.unmeasured += 1,
        }
        if !m.outcome.reason().is_empty() {
            *self.reasons.entry(m.outcome.reason().to_owned()).or_default() += 1;
        }
        if let Some(total) = m.total.filter(|_| m.outcome.is_answer()) {
            self.times.add(total);
        }
    }

    /// Adds the counts of another.
    pub fn merge(&mut self, other: &Self) {
        self.up += other.up;
        self.slow += other.slow;
        self.down += other.down;
        self.unmeasured += other.unmeasured;
        other.reasons.iter().for_each(|(reason, count)| *self.reasons.entry(reason.clone()).or_default() += count);
        self.times.merge(&other.times);
    }
}

/// Cells, by what they count.
pub type Rollups = BTreeMap<RollupKey, Cell>;

/// The key that a measurement is counted under.
#[must_use]
pub fn key_of(m: &Measurement, vantage: &Vantage) -> RollupKey {
    let minute = WallTime::from_micros(m.scheduled.as_micros().div_euclid(MINUTE_US).saturating_mul(MINUTE_US));
    RollupKey { minute, target: m.target.as_str().to_owned(), vantage: vantage.clone() }
}

/// The rollups of the rows of a sheet.
pub(super) fn of(sheet: &Sheet) -> Rollups {
    let mut all = Rollups::new();
    for line in sheet.lines() {
        all.entry(key_of(line.measurement, &line.origin.vantage)).or_default().add(line.measurement);
    }
    all
}

/// Columns of a file of rollups, in order.
const NAMES: [&str; 11] = [
    "minute_us",
    "service",
    "target",
    "vantage_region",
    "vantage_zone",
    "up",
    "slow",
    "down",
    "unmeasured",
    "reasons",
    "times_us",
];

const SCHEMA: &str = "message rollups {
  required int64 minute_us (TIMESTAMP(MICROS,true));
  optional binary service (STRING);
  required binary target (STRING);
  required binary vantage_region (STRING);
  required binary vantage_zone (STRING);
  required int64 up (INTEGER(64,false));
  required int64 slow (INTEGER(64,false));
  required int64 down (INTEGER(64,false));
  required int64 unmeasured (INTEGER(64,false));
  required binary reasons (STRING);
  required binary times_us (STRING);
}";

/// The file that holds these rollups of a sheet, in order of target.
pub(super) fn encode(rollups: &Rollups, sheet: &Sheet, about: &About) -> Result<Vec<u8>, ParquetError> {
    let compression = Compression::ZSTD(ZstdLevel::try_new(3)?);
    let properties = WriterProperties::builder().set_compression(compression).set_offset_index_disabled(true).build();
    let mut writer =
        SerializedFileWriter::new(Vec::new(), Arc::new(parse_message_type(SCHEMA)?), Arc::new(properties))?;
    footer(sheet, about).into_iter().for_each(|(k, v)| writer.append_key_value_metadata(KeyValue::new(k, v)));
    let mut cells: Vec<(&RollupKey, &Cell)> = rollups.iter().collect();
    cells.sort_by_key(|(key, _)| (&key.target, &key.vantage, key.minute));
    let count = |n: u64| Some(n.cast_signed());
    for part in cells.chunks(GROUP_ROWS_MAX) {
        let mut group = writer.next_row_group()?;
        put_numbers(&mut group, false, part.iter().map(|(k, _)| Some(k.minute.as_micros())))?;
        put_texts(&mut group, true, part.iter().map(|(k, _)| service_of(&k.target).map(Into::into)))?;
        put_texts(&mut group, false, part.iter().map(|(k, _)| Some(k.target.as_str().into())))?;
        put_texts(&mut group, false, part.iter().map(|(k, _)| Some(k.vantage.region.as_str().into())))?;
        put_texts(&mut group, false, part.iter().map(|(k, _)| Some(k.vantage.zone.as_str().into())))?;
        put_numbers(&mut group, false, part.iter().map(|(_, c)| count(c.up)))?;
        put_numbers(&mut group, false, part.iter().map(|(_, c)| count(c.slow)))?;
        put_numbers(&mut group, false, part.iter().map(|(_, c)| count(c.down)))?;
        put_numbers(&mut group, false, part.iter().map(|(_, c)| count(c.unmeasured)))?;
        put_texts(&mut group, false, part.iter().map(|(_, c)| Some(reasons_text(&c.reasons).into())))?;
        put_texts(&mut group, false, part.iter().map(|(_, c)| Some(c.times.to_text().into())))?;
        group.close()?;
    }
    writer.into_inner()
}

/// `connect_refused:3 wait_timeout:1`.
fn reasons_text(reasons: &BTreeMap<String, u64>) -> String {
    reasons.iter().map(|(reason, count)| format!("{reason}:{count}")).collect::<Vec<_>>().join(" ")
}

fn reasons_of(text: &str) -> Option<BTreeMap<String, u64>> {
    let one = |part: &str| {
        let (reason, count) = part.split_once(':')?;
        Some((reason.to_owned(), count.parse().ok()?))
    };
    text.split(' ').filter(|part| !part.is_empty()).map(one).collect()
}

impl Store {
    /// The rollups of sealed hours from a moment to another, as far as a filter names what they know.
    ///
    /// # Errors
    /// When the store fails, a file is damaged, or there are more than [`CELLS_MAX`] of them.
    pub fn rollups(&self, filter: &Filter, from: WallTime, to: WallTime) -> Result<Rollups, StoreError> {
        let manifest = self.cold.manifest();
        let mut all = Rollups::new();
        let hours = manifest.hours.range(Hour::of(from)..).take_while(|(hour, _)| hour.start() < to);
        for file in hours.flat_map(|(_, row)| row.rollups()) {
            self.add_file(file, filter, (from, to), &mut all)?;
            if all.len() > CELLS_MAX {
                return Err(StoreError::Read(format!(
                    "more than {CELLS_MAX} rollups: ask for less time, or for one service"
                )));
            }
        }
        Ok(all)
    }

    fn add_file(
        &self,
        file: &FileRow,
        filter: &Filter,
        (from, to): (WallTime, WallTime),
        all: &mut Rollups,
    ) -> Result<(), StoreError> {
        let open = ColdFile::open(self.cold.objects(), &file.path, file.bytes, &NAMES)?;
        let everything: Vec<usize> = (0..NAMES.len()).collect();
        for group in 0..open.groups() {
            let columns = open.read(group, &everything)?;
            for row in 0..open.rows(group) {
                let damaged = || StoreError::Damaged(format!("hour's file {}: row {row} is no rollup", file.path));
                let (key, cell) = cell(&columns, row).ok_or_else(damaged)?;
                if from <= key.minute && key.minute < to && takes(filter, &key) {
                    all.entry(key).or_default().merge(&cell);
                }
            }
        }
        Ok(())
    }
}

fn takes(filter: &Filter, key: &RollupKey) -> bool {
    filter.service.as_ref().is_none_or(|service| service_of(&key.target) == Some(service.as_str()))
        && filter.target.as_ref().is_none_or(|target| *target == key.target)
        && filter.vantage_region.as_ref().is_none_or(|region| *region == key.vantage.region)
        && filter.vantage_zone.as_ref().is_none_or(|zone| *zone == key.vantage.zone)
}

fn cell(columns: &[Option<Decoded>], row: usize) -> Option<(RollupKey, Cell)> {
    let text = |name: &str| match columns.get(NAMES.iter().position(|n| *n == name)?)?.as_ref()? {
        Decoded::Text(words) => words.get(row),
        Decoded::Number(_) => None,
    };
    let number = |name: &str| match columns.get(NAMES.iter().position(|n| *n == name)?)?.as_ref()? {
        Decoded::Number(numbers) => numbers.get(row),
        Decoded::Text(_) => None,
    };
    let count = |name: &str| number(name).map(i64::cast_unsigned);
    let vantage = Vantage {
        region: uitwijk_model::Region::new(text("vantage_region")?).ok()?,
        zone: uitwijk_model::Zone::new(text("vantage_zone")?).ok()?,
    };
    let minute = WallTime::from_micros(number("minute_us")?);
    let cell = Cell {
        up: count("up")?,
        slow: count("slow")?,
        down: count("down")?,
        unmeasured: count("unmeasured")?,
        reasons: reasons_of(text("reasons")?)?,
        times: Histogram::from_text(text("times_us")?)?,
    };
    Some((RollupKey { minute, target: text("target")?.to_owned(), vantage }, cell))
}
