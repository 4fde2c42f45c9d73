//! How do rows become a file?
//!
//! ```text
//!   file      row groups of at most 65,536 rows | footer: schema, statistics of each column, keys and values
//!   row group one chunk of pages per column, zstd
//! ```
//!
//! The file is made in memory, which its number of rows bounds, and handed on whole: a file is there or is not.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::ColumnPath;

use super::hour::Hour;
use super::schema::{COLD_FORMAT, COLUMNS, Column, Value, schema};
use super::sheet::{Line, Sheet};

/// Rows of a row group: a reader holds one of them at a time.
pub(super) const GROUP_ROWS_MAX: usize = 65_536;

/// What the footer says of a file besides its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    pub(super) collector: String,
    pub(super) hour: Hour,
    pub(super) generation: u32,
    pub(super) through_serial: u64,
    /// Of the plan in force when the hour was sealed.
    pub(super) plan_version: String,
}

/// The file that holds these rows.
pub(super) fn encode(sheet: &Sheet, about: &About) -> Result<Vec<u8>, ParquetError> {
    let lines = sheet.sorted();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema()?, Arc::new(properties()?))?;
    for (key, value) in footer(sheet, about) {
        writer.append_key_value_metadata(KeyValue::new(key, value));
    }
    for group in lines.chunks(GROUP_ROWS_MAX) {
        let mut row_group = writer.next_row_group()?;
        for column in COLUMNS {
            write_column(&mut row_group, column, group)?;
        }
        row_group.close()?;
    }
    writer.into_inner()
}

fn properties() -> Result<WriterProperties, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("uitwijk-collector {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    for column in COLUMNS {
        if let Some(encoding) = column.encoding {
            let path = ColumnPath::from(column.name);
            properties =
                properties.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, encoding);
        }
    }
    Ok(properties.build())
}

pub(super) fn footer(sheet: &Sheet, about: &About) -> Vec<(String, String)> {
    let mut outcomes: BTreeMap<&str, u64> = ["up", "slow", "down", "unmeasured"].map(|outcome| (outcome, 0)).into();
    sheet.measurements().for_each(|m| *outcomes.entry(m.outcome.label()).or_default() += 1);
    let mut all = vec![
        ("uitwijk.format".to_owned(), COLD_FORMAT.to_string()),
        ("uitwijk.collector".to_owned(), about.collector.clone()),
        ("uitwijk.hour".to_owned(), about.hour.to_string()),
        ("uitwijk.generation".to_owned(), about.generation.to_string()),
        ("uitwijk.through_serial".to_owned(), about.through_serial.to_string()),
        ("uitwijk.plan_version".to_owned(), about.plan_version.clone()),
        ("uitwijk.rows".to_owned(), sheet.len().to_string()),
    ];
    all.extend(outcomes.into_iter().map(|(outcome, rows)| (format!("uitwijk.rows.{outcome}"), rows.to_string())));
    all
}

/// What a row group of a file is written by.
type Group<'a> = SerializedRowGroupWriter<'a, Vec<u8>>;

fn write_column(group: &mut Group<'_>, column: &Column, lines: &[Line<'_>]) -> Result<(), ParquetError> {
    match &column.value {
        Value::Text(value) => put_texts(group, column.optional, lines.iter().map(value)),
        Value::Number(value) => put_numbers(group, column.optional, lines.iter().map(value)),
        Value::Small(value) => put_smalls(group, column.optional, lines.iter().map(value)),
    }
}

/// Values that are there, and a level for each row that says whether one is.
struct Noted<T> {
    values: Vec<T>,
    levels: Option<Vec<i16>>,
}

impl<T> Noted<T> {
    fn of(optional: bool, all: impl ExactSizeIterator<Item = Option<T>>) -> Self {
        let (mut values, mut levels) = (Vec::with_capacity(all.len()), Vec::new());
        for value in all {
            if optional {
                levels.push(i16::from(value.is_some()));
            }
            values.extend(value);
        }
        Self { values, levels: optional.then_some(levels) }
    }
}

/// Writes the next column, of numbers of 64 bits.
pub(super) fn put_numbers(
    group: &mut Group<'_>,
    optional: bool,
    values: impl ExactSizeIterator<Item = Option<i64>>,
) -> Result<(), ParquetError> {
    let noted = Noted::of(optional, values);
    let mut writer = group.next_column()?.ok_or_else(no_place)?;
    match writer.untyped() {
        ColumnWriter::Int64ColumnWriter(w) => w.write_batch(&noted.values, noted.levels.as_deref(), None)?,
        _ => return Err(other_type()),
    };
    writer.close()
}

/// Writes the next column, of numbers of 32 bits.
fn put_smalls(
    group: &mut Group<'_>,
    optional: bool,
    values: impl ExactSizeIterator<Item = Option<i32>>,
) -> Result<(), ParquetError> {
    let noted = Noted::of(optional, values);
    let mut writer = group.next_column()?.ok_or_else(no_place)?;
    match writer.untyped() {
        ColumnWriter::Int32ColumnWriter(w) => w.write_batch(&noted.values, noted.levels.as_deref(), None)?,
        _ => return Err(other_type()),
    };
    writer.close()
}

/// Writes the next column, of texts. Rows stand in order, so a text is mostly that of the row before, and shared with it.
pub(super) fn put_texts<'a>(
    group: &mut Group<'_>,
    optional: bool,
    texts: impl ExactSizeIterator<Item = Option<Cow<'a, str>>>,
) -> Result<(), ParquetError> {
    let mut last = ByteArray::from("");
    let mut shared = |text: Cow<'_, str>| {
        if last.data() != text.as_bytes() {
            last = ByteArray::from(&*text);
        }
        last.clone()
    };
    let noted = Noted::of(optional, texts.map(|text| text.map(&mut shared)));
    let mut writer = group.next_column()?.ok_or_else(no_place)?;
    match writer.untyped() {
        ColumnWriter::ByteArrayColumnWriter(w) => w.write_batch(&noted.values, noted.levels.as_deref(), None)?,
        _ => return Err(other_type()),
    };
    writer.close()
}

fn no_place() -> ParquetError {
    ParquetError::General("the schema has no place for another column".to_owned())
}

fn other_type() -> ParquetError {
    ParquetError::General("the schema has another type for a column".to_owned())
}
