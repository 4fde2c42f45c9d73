//! What does a file of an hour look like to whoever reads it?
//!
//! One table says it all: the name of each column with its unit, its type, how it is packed, and which value of a row it
//! holds. `collector/COLD.md` tells it to people. A name, a type and a meaning never change within a version of the format;
//! a column that is added leaves older files without it.
//!
//! Moments are timestamps in UTC, lengths of time are microseconds, what was not reached or not known is null. Outcomes and
//! reasons are the words of metrics and of the API, so that a question in SQL reads like a sentence.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use parquet::basic::{Encoding, Type as Physical};
use parquet::errors::ParquetError;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::TypePtr;
use uitwijk_model::{Elapsed, Hop};

use super::sheet::{Line, service_of};

/// The format that this release writes, and the newest that it reads.
pub const COLD_FORMAT: u32 = 1;

/// Which value of a row a column holds.
pub(super) enum Value {
    /// A text.
    Text(for<'a> fn(&Line<'a>) -> Option<Cow<'a, str>>),
    /// A number of 64 bits.
    Number(fn(&Line<'_>) -> Option<i64>),
    /// A number of 32 bits.
    Small(fn(&Line<'_>) -> Option<i32>),
}

/// One column.
pub(super) struct Column {
    pub(super) name: &'static str,
    /// What a number means, in the words of the format; empty for a plain one.
    logical: &'static str,
    pub(super) optional: bool,
    /// How its values are packed; texts and the like by a dictionary.
    pub(super) encoding: Option<Encoding>,
    pub(super) value: Value,
}

impl Column {
    pub(super) const fn physical(&self) -> Physical {
        match self.value {
            Value::Text(_) => Physical::BYTE_ARRAY,
            Value::Number(_) => Physical::INT64,
            Value::Small(_) => Physical::INT32,
        }
    }
}

const UNSIGNED: &str = "INTEGER(64,false)";
const MOMENT: &str = "TIMESTAMP(MICROS,true)";
/// Differences of neighbours in as few bits as they need.
const DELTAS: Option<Encoding> = Some(Encoding::DELTA_BINARY_PACKED);

type Text = for<'a> fn(&Line<'a>) -> Option<Cow<'a, str>>;
type Number = fn(&Line<'_>) -> Option<i64>;
type Small = fn(&Line<'_>) -> Option<i32>;

const fn text(name: &'static str, optional: bool, value: Text) -> Column {
    Column { name, logical: "STRING", optional, encoding: None, value: Value::Text(value) }
}

const fn number(name: &'static str, logical: &'static str, encoding: Option<Encoding>, value: Number) -> Column {
    Column { name, logical, optional: false, encoding, value: Value::Number(value) }
}

const fn absent(name: &'static str, logical: &'static str, encoding: Option<Encoding>, value: Number) -> Column {
    Column { name, logical, optional: true, encoding, value: Value::Number(value) }
}

const fn small(name: &'static str, logical: &'static str, optional: bool, value: Small) -> Column {
    Column { name, logical, optional, encoding: None, value: Value::Small(value) }
}

/// Every column, in the order of the file.
pub(super) const COLUMNS: &[Column] = &[
    text("service", true, |l| service_of(l.measurement.target.as_str()).map(Cow::Borrowed)),
    text("target", false, |l| Some(Cow::Borrowed(l.measurement.target.as_str()))),
    text("agent", false, |l| Some(Cow::Borrowed(l.origin.agent.as_str()))),
    text("vantage_region", false, |l| Some(Cow::Borrowed(l.origin.vantage.region.as_str()))),
    text("vantage_zone", false, |l| Some(Cow::Borrowed(l.origin.vantage.zone.as_str()))),
    number("slot", "", DELTAS, |l| Some(l.measurement.slot.0)),
    small("attempt", "INTEGER(8,false)", false, |l| Some(i32::from(l.measurement.attempt))),
    number("scheduled_us", MOMENT, DELTAS, |l| Some(l.measurement.scheduled.as_micros())),
    number("started_after_us", "", DELTAS, |l| {
        Some(l.measurement.started.as_micros().wrapping_sub(l.measurement.scheduled.as_micros()))
    }),
    number("stored_us", MOMENT, DELTAS, |l| Some(l.origin.arrived.as_micros())),
    number("boot", UNSIGNED, None, |l| Some(l.origin.boot.0.cast_signed())),
    number("sequence", UNSIGNED, DELTAS, |l| Some(l.sequence.cast_signed())),
    text("outcome", false, |l| Some(Cow::Borrowed(l.measurement.outcome.label()))),
    text("reason", true, |l| Some(Cow::Borrowed(l.measurement.outcome.reason())).filter(|reason| !reason.is_empty())),
    absent("total_us", UNSIGNED, DELTAS, |l| length(l.measurement.total)),
    absent("dns_us", UNSIGNED, DELTAS, |l| length(l.measurement.phases.dns)),
    absent("connect_us", UNSIGNED, DELTAS, |l| length(l.measurement.phases.connect)),
    absent("tls_us", UNSIGNED, DELTAS, |l| length(l.measurement.phases.tls)),
    absent("send_us", UNSIGNED, DELTAS, |l| length(l.measurement.phases.send)),
    absent("wait_us", UNSIGNED, DELTAS, |l| length(l.measurement.phases.wait)),
    absent("transfer_us", UNSIGNED, DELTAS, |l| length(l.measurement.phases.transfer)),
    small("http_status", "INTEGER(16,false)", true, |l| l.measurement.http_status.map(i32::from)),
    text("served_region", true, |l| Some(Cow::Borrowed(l.measurement.served.as_ref()?.region.as_str()))),
    text("served_zone", true, |l| Some(Cow::Borrowed(l.measurement.served.as_ref()?.zone.as_ref()?.as_str()))),
    text("hops", true, |l| hops_text(&l.measurement.hops).map(Cow::Owned)),
    absent("certificate_expires_us", MOMENT, None, |l| Some(l.measurement.certificate_expires?.as_micros())),
    absent("clock_offset_us", "", None, |l| l.measurement.observer.clock_offset_us),
    number("loop_lag_us", UNSIGNED, None, |l| length(Some(l.measurement.observer.loop_lag))),
    small("controls_failed", "INTEGER(16,false)", false, |l| Some(i32::from(l.measurement.observer.controls_failed))),
    small("controls_seen", "INTEGER(16,false)", false, |l| Some(i32::from(l.measurement.observer.controls_seen))),
];

fn length(elapsed: Option<Elapsed>) -> Option<i64> {
    elapsed.map(|e| e.as_micros().cast_signed())
}

/// `301:1200 302:900`: status and microseconds of each redirect.
fn hops_text(hops: &[Hop]) -> Option<String> {
    let one = |hop: &Hop| format!("{}:{}", hop.http_status, hop.elapsed.as_micros());
    (!hops.is_empty()).then(|| hops.iter().map(one).collect::<Vec<_>>().join(" "))
}

/// Reads what [`hops_text`] wrote.
pub(super) fn hops_of(text: &str) -> Option<Vec<Hop>> {
    let one = |hop: &str| {
        let (status, us) = hop.split_once(':')?;
        Some(Hop { http_status: status.parse().ok()?, elapsed: Elapsed::from_micros(us.parse().ok()?) })
    };
    text.split(' ').map(one).collect()
}

/// The names of all columns, in order.
pub(super) fn names() -> Vec<&'static str> {
    COLUMNS.iter().map(|column| column.name).collect()
}

/// The place of a column in [`COLUMNS`]; past the end when there is none, so that a mistake shows in the first test.
pub(super) const fn place(name: &str) -> usize {
    let mut i = 0;
    while i < COLUMNS.len() {
        if same(COLUMNS[i].name.as_bytes(), name.as_bytes()) {
            return i;
        }
        i += 1;
    }
    COLUMNS.len()
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

/// The table as the writer wants it.
pub(super) fn schema() -> Result<TypePtr, ParquetError> {
    static SCHEMA: OnceLock<TypePtr> = OnceLock::new();
    if let Some(schema) = SCHEMA.get() {
        return Ok(schema.clone());
    }
    let made = Arc::new(parse_message_type(&message())?);
    Ok(SCHEMA.get_or_init(|| made).clone())
}

fn message() -> String {
    let line = |c: &Column| {
        let repetition = if c.optional { "optional" } else { "required" };
        let physical = match c.physical() {
            Physical::INT64 => "int64",
            Physical::INT32 => "int32",
            _ => "binary",
        };
        let logical = if c.logical.is_empty() { String::new() } else { format!(" ({})", c.logical) };
        format!("  {repetition} {physical} {}{logical};\n", c.name)
    };
    format!("message measurements {{\n{}}}\n", COLUMNS.iter().map(line).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_what_files_are_documented_to_have() {
        insta::assert_snapshot!(message());
        assert!(schema().is_ok());
        let document = include_str!("../../../COLD.md");
        for column in COLUMNS {
            assert!(document.contains(&format!("| `{}` |", column.name)), "{} is not in COLD.md", column.name);
        }
    }

    #[test]
    fn redirects_come_back_from_their_text() {
        let hops = vec![
            Hop { http_status: 301, elapsed: Elapsed::from_micros(1200) },
            Hop { http_status: 302, elapsed: Elapsed::from_micros(u64::MAX) },
        ];
        assert_eq!(hops_of(&hops_text(&hops).unwrap()), Some(hops));
        assert_eq!(hops_text(&[]), None);
        for bad in ["", "301", "301:x", "301:1  302:1"] {
            assert_eq!(hops_of(bad), None, "{bad:?}");
        }
    }
}
