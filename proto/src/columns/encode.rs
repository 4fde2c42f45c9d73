//! How do measurements become columns?
//!
//! A column in which every row has the default is left out. Times of neighbours are close, so they travel as differences;
//! the arithmetic wraps, which makes every value, however odd, come back as it went.

use std::collections::HashMap;

use uitwijk_model::{BootId, Elapsed, Measurement, Sequence, Zone};

use super::compress::to_bytes;
use crate::v1;

/// Makes columns of rows that stand in order of sequence.
///
/// A reader takes 1 to [`super::ROWS_MAX`] rows, [`super::TARGETS_MAX`] targets and [`super::PLACES_MAX`] places; to
/// keep to them is the caller's part.
#[must_use]
pub fn encode(rows: &[Measurement]) -> v1::Columns {
    let mut columns = v1::Columns { count: u32::try_from(rows.len()).unwrap_or(u32::MAX), ..v1::Columns::default() };
    encode_keys(rows, &mut columns);
    encode_outcome(rows, &mut columns);
    encode_phases(rows, &mut columns);
    encode_served(rows, &mut columns);
    encode_hops(rows, &mut columns);
    encode_observer(rows, &mut columns);
    columns
}

/// A batch of such columns, untraced.
#[must_use]
pub fn batch(boot: BootId, first_sequence: Sequence, columns: &v1::Columns, how: v1::Compression) -> v1::Batch {
    v1::Batch {
        boot: boot.0,
        first_sequence,
        count: columns.count,
        columns: to_bytes(columns, how),
        compression: how.into(),
        traceparent: String::new(),
    }
}

fn encode_keys(rows: &[Measurement], columns: &mut v1::Columns) {
    let mut targets = Dictionary::default();
    let indexes: Vec<u32> = rows.iter().map(|r| targets.index_of(r.target.as_str())).collect();
    columns.target = unless_default(indexes, 0);
    columns.targets = targets.words;
    columns.slot_base = rows.first().map_or(0, |r| r.slot.0);
    columns.slot_delta = unless_default(differences(rows, |r| r.slot.0), 0);
    columns.attempt = column(rows, 0, |r| u32::from(r.attempt));
    columns.scheduled_base_us = rows.first().map_or(0, |r| r.scheduled.as_micros());
    if rows.len() > 1 {
        columns.scheduled_delta_us = differences(rows, |r| r.scheduled.as_micros());
    }
    columns.started_after_us = column(rows, 0, |r| r.started.as_micros().wrapping_sub(r.scheduled.as_micros()));
}

fn encode_outcome(rows: &[Measurement], columns: &mut v1::Columns) {
    columns.outcome = column(rows, v1::Outcome::Up as u32, |r| u32::from(r.outcome.codes().0));
    columns.reason = column(rows, 0, |r| u32::from(r.outcome.codes().1));
    columns.http_status_plus_1 = column(rows, 0, |r| r.http_status.map_or(0, |s| u32::from(s) + 1));
    columns.certificate_expires_s_plus_1 = column(rows, 0, |r| {
        r.certificate_expires.map_or(0, |at| u64::try_from(at.as_micros().div_euclid(1_000_000)).unwrap_or(0) + 1)
    });
}

fn encode_phases(rows: &[Measurement], columns: &mut v1::Columns) {
    let phase = |f: fn(&Measurement) -> Option<Elapsed>| column(rows, 0, move |r| plus_1(f(r)));
    columns.total_us_plus_1 = phase(|r| r.total);
    columns.dns_us_plus_1 = phase(|r| r.phases.dns);
    columns.connect_us_plus_1 = phase(|r| r.phases.connect);
    columns.tls_us_plus_1 = phase(|r| r.phases.tls);
    columns.send_us_plus_1 = phase(|r| r.phases.send);
    columns.wait_us_plus_1 = phase(|r| r.phases.wait);
    columns.transfer_us_plus_1 = phase(|r| r.phases.transfer);
}

fn encode_served(rows: &[Measurement], columns: &mut v1::Columns) {
    let mut places = Dictionary::default();
    let regions = rows.iter().map(|r| places.index_plus_1(r.served.as_ref().map(|s| s.region.as_str())));
    columns.served_region_plus_1 = unless_default(regions.collect(), 0);
    let zones = rows.iter().map(|r| places.index_plus_1(zone_of(r)));
    columns.served_zone_plus_1 = unless_default(zones.collect(), 0);
    columns.places = places.words;
}

fn zone_of(row: &Measurement) -> Option<&str> {
    row.served.as_ref()?.zone.as_ref().map(Zone::as_str)
}

fn encode_hops(rows: &[Measurement], columns: &mut v1::Columns) {
    columns.hop_count = column(rows, 0, |r| u32::try_from(r.hops.len()).unwrap_or(u32::MAX));
    columns.hops = rows
        .iter()
        .flat_map(|r| &r.hops)
        .map(|h| v1::Hop { http_status: u32::from(h.http_status), elapsed_us: h.elapsed.as_micros() })
        .collect();
}

fn encode_observer(rows: &[Measurement], columns: &mut v1::Columns) {
    columns.clock_offset_known = column(rows, 0, |r| u32::from(r.observer.clock_offset_us.is_some()));
    columns.clock_offset_us = column(rows, 0, |r| r.observer.clock_offset_us.unwrap_or(0));
    columns.loop_lag_us = column(rows, 0, |r| u32::try_from(r.observer.loop_lag.as_micros()).unwrap_or(u32::MAX));
    columns.controls_failed = column(rows, 0, |r| u32::from(r.observer.controls_failed));
    columns.controls_seen = column(rows, 0, |r| u32::from(r.observer.controls_seen));
}

/// One value of each row, or nothing when all are the default.
fn column<T: PartialEq + Copy>(rows: &[Measurement], default: T, value: impl Fn(&Measurement) -> T) -> Vec<T> {
    match rows.iter().any(|r| value(r) != default) {
        true => rows.iter().map(value).collect(),
        false => Vec::new(),
    }
}

fn unless_default<T: PartialEq + Copy>(values: Vec<T>, default: T) -> Vec<T> {
    if values.iter().all(|v| *v == default) { Vec::new() } else { values }
}

/// What each row adds to the one before; 0 for the first.
fn differences(rows: &[Measurement], value: impl Fn(&Measurement) -> i64) -> Vec<i64> {
    let mut before = rows.first().map_or(0, &value);
    rows.iter()
        .map(|r| {
            let now = value(r);
            now.wrapping_sub(std::mem::replace(&mut before, now))
        })
        .collect()
}

/// Absent is 0; the one value that has no successor loses a microsecond.
fn plus_1(value: Option<Elapsed>) -> u64 {
    value.map_or(0, |e| e.as_micros().saturating_add(1))
}

/// Words in order of first use.
#[derive(Default)]
struct Dictionary<'a> {
    index: HashMap<&'a str, u32>,
    words: Vec<String>,
}

impl<'a> Dictionary<'a> {
    fn index_plus_1(&mut self, word: Option<&'a str>) -> u32 {
        word.map_or(0, |w| self.index_of(w) + 1)
    }

    fn index_of(&mut self, word: &'a str) -> u32 {
        *self.index.entry(word).or_insert_with(|| {
            self.words.push(word.to_owned());
            u32::try_from(self.words.len() - 1).unwrap_or(u32::MAX)
        })
    }
}
