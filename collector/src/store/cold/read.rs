//! How are the columns of a file read back, and only those that are needed?
//!
//! ```text
//!   open    the last bytes: where each row group begins, and which values it can hold
//!   read    one row group: the bytes of the wanted columns in one request, decoded
//! ```
//!
//! A reader holds one row group in memory, however large the file is. What cannot be decoded is damage, which is told and left
//! out like a damaged record of the hot store; a panic of the decoder counts as such.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

use super::super::StoreError;
use super::objects::Objects;
use super::schema::{COLD_FORMAT, place};
use super::write::GROUP_ROWS_MAX;

/// Read at once from the end of a file: footers of our files are smaller.
const FOOTER_BYTES: u64 = 64 << 10;
/// The largest footer that is read.
const FOOTER_BYTES_MAX: u64 = 16 << 20;

/// A file of an hour, open.
#[derive(Debug)]
pub(super) struct ColdFile {
    objects: Objects,
    path: String,
    size: u64,
    meta: ParquetMetaData,
    /// By place in the names that were asked for: where the column stands in this file.
    found: Vec<Option<usize>>,
}

/// Texts of a column: each once, and which one a row has.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) words: Vec<String>,
    /// [`NONE`] where there is none.
    pub(super) index: Vec<u32>,
}

/// The index of no word.
pub(super) const NONE: u32 = u32::MAX;

/// Numbers of a column.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    values: Vec<i64>,
    /// Absent when every row has one.
    present: Option<Vec<i16>>,
}

/// A column, read.
#[derive(Debug)]
pub(super) enum Decoded {
    Text(Words),
    Number(Numbers),
}

impl Words {
    pub(super) fn get(&self, i: usize) -> Option<&str> {
        self.words.get(*self.index.get(i)? as usize).map(String::as_str)
    }
}

impl Numbers {
    pub(super) fn get(&self, i: usize) -> Option<i64> {
        let there = self.present.as_ref().is_none_or(|present| present.get(i) == Some(&1));
        self.values.get(i).copied().filter(|_| there)
    }
}

impl ColdFile {
    /// Reads the footer. Columns are numbered by their names.
    pub(super) fn open(objects: &Objects, path: &str, size: u64, names: &[&str]) -> Result<Self, StoreError> {
        if size == 0 {
            return Err(damaged(path, &ParquetError::EOF("a file without a byte".to_owned())));
        }
        let mut tail = FOOTER_BYTES.min(size);
        let meta = loop {
            let bytes = objects.range(path, size - tail..size)?;
            let mut reader = ParquetMetaDataReader::new();
            match catch(path, || reader.try_parse_sized(&bytes, size)) {
                Ok(()) => break reader.finish().map_err(|e| damaged(path, &e))?,
                Err(ParquetError::NeedMoreData(more)) if (more as u64) > tail && more as u64 <= FOOTER_BYTES_MAX => {
                    tail = (more as u64).min(size);
                }
                Err(error) => return Err(damaged(path, &error)),
            }
        };
        check(&meta).map_err(|why| damaged(path, &ParquetError::General(why)))?;
        let schema = meta.file_metadata().schema_descr();
        let of = |name: &str| schema.columns().iter().position(|c| c.name() == name);
        let found = names.iter().map(|name| of(name)).collect();
        Ok(Self { objects: objects.clone(), path: path.to_owned(), size, meta, found })
    }

    pub(super) fn groups(&self) -> usize {
        self.meta.num_row_groups()
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn rows(&self, group: usize) -> usize {
        usize::try_from(self.meta.row_group(group).num_rows()).unwrap_or(0)
    }

    /// Whether a text column of a row group can hold a text, as far as the footer tells.
    pub(super) fn may_hold(&self, group: usize, column: usize, text: &str) -> bool {
        let Some(at) = self.found.get(column).copied().flatten() else { return true };
        let Some(statistics) = self.meta.row_group(group).column(at).statistics() else { return true };
        let below = statistics.min_bytes_opt().is_some_and(|min| text.as_bytes() < min);
        let above = statistics.max_bytes_opt().is_some_and(|max| text.as_bytes() > max);
        !below && !above
    }

    /// The wanted columns of a row group; those that the file does not have are left out.
    pub(super) fn read(&self, group: usize, wanted: &[usize]) -> Result<Vec<Option<Decoded>>, StoreError> {
        let places: Vec<(usize, usize)> = wanted.iter().filter_map(|&w| Some((w, self.found[w]?))).collect();
        let chunks = Arc::new(self.fetch(group, &places)?);
        let mut all: Vec<Option<Decoded>> = self.found.iter().map(|_| None).collect();
        for (wanted, at) in places {
            let column = catch(&self.path, || self.decode(group, at, &chunks));
            all[wanted] = Some(column.map_err(|error| damaged(&self.path, &error))?);
        }
        Ok(all)
    }

    /// The bytes of some columns of a row group.
    fn fetch(&self, group: usize, places: &[(usize, usize)]) -> Result<Chunks, StoreError> {
        let range = |&(_, at): &(usize, usize)| {
            let (start, length) = self.meta.row_group(group).column(at).byte_range();
            match start.checked_add(length).filter(|end| *end <= self.size) {
                Some(end) => Ok(start..end),
                None => Err(ParquetError::EOF("a column ends after the file".to_owned())),
            }
        };
        // A footer that is damaged may name places before the beginning, at which the crate panics.
        let ranges = catch(&self.path, || places.iter().map(range).collect::<Result<Vec<Range<u64>>, _>>());
        let ranges = ranges.map_err(|error| damaged(&self.path, &error))?;
        let bytes = self.objects.ranges(&self.path, &ranges)?;
        Ok(Chunks { chunks: ranges.iter().map(|range| range.start).zip(bytes).collect(), size: self.size })
    }

    fn decode(&self, group: usize, at: usize, chunks: &Arc<Chunks>) -> Result<Decoded, ParquetError> {
        let row_group = self.meta.row_group(group);
        let (column, rows) = (row_group.column(at), self.rows(group));
        let pages = SerializedPageReader::new(chunks.clone(), column, rows, None)?;
        let optional = column.column_descr().max_def_level() > 0;
        let mut levels = Vec::new();
        let decoded = match get_column_reader(column.column_descr_ptr(), Box::new(pages)) {
            ColumnReader::ByteArrayColumnReader(mut reader) => {
                let mut values: Vec<ByteArray> = Vec::with_capacity(rows);
                reader.read_records(rows, Some(&mut levels), None, &mut values)?;
                Decoded::Text(words(&values, optional.then_some(&levels))?)
            }
            ColumnReader::Int64ColumnReader(mut reader) => {
                let mut values: Vec<i64> = Vec::with_capacity(rows);
                reader.read_records(rows, Some(&mut levels), None, &mut values)?;
                Decoded::Number(numbers(values, optional.then_some(levels)))
            }
            ColumnReader::Int32ColumnReader(mut reader) => {
                let mut values: Vec<i32> = Vec::with_capacity(rows);
                reader.read_records(rows, Some(&mut levels), None, &mut values)?;
                let values = values.into_iter().map(i64::from).collect();
                Decoded::Number(numbers(values, optional.then_some(levels)))
            }
            _ => return Err(ParquetError::General("a column of a type that no release writes".to_owned())),
        };
        match decoded.len() == rows {
            true => Ok(decoded),
            false => Err(ParquetError::General(format!("a column of {} rows, not {rows}", decoded.len()))),
        }
    }
}

impl Decoded {
    fn len(&self) -> usize {
        match self {
            Self::Text(words) => words.index.len(),
            Self::Number(numbers) => numbers.values.len(),
        }
    }
}

/// What a file of ours keeps to.
fn check(meta: &ParquetMetaData) -> Result<(), String> {
    let said = meta.file_metadata().key_value_metadata().into_iter().flatten();
    let format = said.filter(|kv| kv.key == "uitwijk.format").find_map(|kv| kv.value.as_ref()?.parse::<u32>().ok());
    match format {
        Some(1..=COLD_FORMAT) => {}
        Some(found) => return Err(format!("format {found}, this release reads up to {COLD_FORMAT}")),
        None => return Err("it does not say which format it has".to_owned()),
    }
    let rows = meta.row_groups().iter().map(parquet::file::metadata::RowGroupMetaData::num_rows).max().unwrap_or(0);
    if usize::try_from(rows).is_ok_and(|rows| rows <= GROUP_ROWS_MAX) {
        return Ok(());
    }
    Err(format!("a row group of {rows} rows, allowed are {GROUP_ROWS_MAX}"))
}

/// Texts of neighbours are mostly the same, and then the same bytes.
fn words(values: &[ByteArray], levels: Option<&Vec<i16>>) -> Result<Words, ParquetError> {
    let mut found = Words::default();
    let mut numbers = std::collections::HashMap::new();
    let mut last: Option<(&[u8], u32)> = None;
    let mut values = values.iter();
    let rows = levels.map_or(values.len(), Vec::len);
    found.index.reserve(rows);
    for i in 0..rows {
        if levels.is_some_and(|levels| levels[i] == 0) {
            found.index.push(NONE);
            continue;
        }
        let Some(value) = values.next() else { return Err(ParquetError::EOF("fewer values than rows".to_owned())) };
        let bytes = value.data();
        let number = match last {
            Some((text, number)) if text == bytes => number,
            _ => *numbers.entry(bytes).or_insert_with(|| {
                found.words.push(String::from_utf8_lossy(bytes).into_owned());
                u32::try_from(found.words.len() - 1).unwrap_or(NONE)
            }),
        };
        last = Some((bytes, number));
        found.index.push(number);
    }
    Ok(found)
}

/// Puts numbers where their rows are.
fn numbers(values: Vec<i64>, levels: Option<Vec<i16>>) -> Numbers {
    let Some(levels) = levels.filter(|levels| levels.len() != values.len()) else {
        return Numbers { values, present: None };
    };
    let mut values = values.into_iter();
    let spread = levels.iter().map(|&level| if level == 0 { 0 } else { values.next().unwrap_or(0) }).collect();
    Numbers { values: spread, present: Some(levels) }
}

fn catch<T>(path: &str, work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    // Nothing that the work had in hand is looked at after a panic.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        tracing::error!(path, "the decoder of an hour's file panicked");
        Err(ParquetError::General("the decoder panicked".to_owned()))
    })
}

fn damaged(path: &str, error: &ParquetError) -> StoreError {
    StoreError::Damaged(format!("hour's file {path}: {error}"))
}

/// The bytes of some columns of a file.
struct Chunks {
    chunks: Vec<(u64, Bytes)>,
    size: u64,
}

impl Chunks {
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let within = |(at, bytes): &&(u64, Bytes)| (*at..*at + bytes.len() as u64).contains(&start);
        let (at, bytes) = self
            .chunks
            .iter()
            .find(within)
            .ok_or_else(|| ParquetError::EOF(format!("byte {start} belongs to no column that was asked for")))?;
        Ok(bytes.slice(usize::try_from(start - at).unwrap_or(usize::MAX)..))
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Chunks {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        self.from(start).map(Bytes::reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.from(start)?;
        match length <= bytes.len() {
            true => Ok(bytes.slice(..length)),
            false => Err(ParquetError::EOF(format!("{length} bytes wanted at {start}, {} are there", bytes.len()))),
        }
    }
}

/// The columns that say which measurement a row is, and little more.
pub(super) const KEYS: [usize; 7] = [
    place("target"),
    place("agent"),
    place("vantage_region"),
    place("vantage_zone"),
    place("slot"),
    place("attempt"),
    place("scheduled_us"),
];
