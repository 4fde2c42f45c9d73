//! How do small records of a buffer become one message of the stream?
//!
//! Records on disk are small so that little is lost with the power; messages are better large. Merging goes column by column and
//! keeps every value, good or bad: to refuse rows is the collector's part.

use std::collections::HashMap;

use super::decode::{Limits, MalformedBatch, Rows};
use super::{PLACES_MAX, ROWS_MAX, TARGETS_MAX};
use crate::v1;

/// Why batches could not become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// There were none.
    #[error("no batches to merge")]
    Nothing,
    /// One of them cannot be read.
    #[error("batch {index} cannot be read: {cause}")]
    Malformed {
        /// Which one, from 0.
        index: usize,
        /// Why.
        cause: MalformedBatch,
    },
    /// One does not begin where the one before it ends.
    #[error("batch {index} does not follow the one before it")]
    NotAdjacent {
        /// Which one, from 0.
        index: usize,
    },
    /// Together they have more rows, targets or places than a batch may have.
    #[error(
        "together the batches have {rows} rows, {targets} targets and {places} places, over the limit of one batch"
    )]
    TooLarge {
        /// Their rows.
        rows: usize,
        /// Their targets.
        targets: usize,
        /// Their places.
        places: usize,
    },
}

/// Makes one of batches of one boot that follow each other without a gap.
///
/// The caller gives the result the boot and first sequence of the first batch. See [`super::batch`].
///
/// # Errors
/// When one is malformed, when they are not adjacent, or when they are too large together.
pub fn merge(batches: &[v1::Batch]) -> Result<v1::Columns, MergeError> {
    let limits = Limits::default();
    let read = |(index, batch): (usize, &v1::Batch)| {
        Rows::from_batch(batch, &limits).map_err(|cause| MergeError::Malformed { index, cause })
    };
    let parts: Vec<Rows> = batches.iter().enumerate().map(read).collect::<Result<_, _>>()?;
    check_adjacent(&parts)?;
    let mut merged = v1::Columns::default();
    let targets = join(parts.iter().map(|p| &p.columns.targets), &mut merged.targets);
    let places = join(parts.iter().map(|p| &p.columns.places), &mut merged.places);
    let rows: usize = parts.iter().map(Rows::len).sum();
    if rows > ROWS_MAX || merged.targets.len() > TARGETS_MAX || merged.places.len() > PLACES_MAX {
        return Err(MergeError::TooLarge { rows, targets: merged.targets.len(), places: merged.places.len() });
    }
    merged.count = u32::try_from(rows).unwrap_or(u32::MAX);
    join_times(&parts, &mut merged);
    join_indexes(&parts, &targets, &places, &mut merged);
    join_values(&parts, &mut merged);
    Ok(merged)
}

fn check_adjacent(parts: &[Rows]) -> Result<(), MergeError> {
    if parts.is_empty() {
        return Err(MergeError::Nothing);
    }
    let follows = |pair: &[Rows]| pair[0].boot == pair[1].boot && pair[0].next_sequence() == pair[1].first_sequence;
    match parts.windows(2).position(|pair| !follows(pair)) {
        Some(before) => Err(MergeError::NotAdjacent { index: before + 1 }),
        None => Ok(()),
    }
}

/// Joins dictionaries; returns for each part where its words went.
fn join<'a>(parts: impl Iterator<Item = &'a Vec<String>>, into: &mut Vec<String>) -> Vec<Vec<u32>> {
    let mut index: HashMap<&'a str, u32> = HashMap::new();
    let mut place = |word: &'a String| {
        *index.entry(word).or_insert_with(|| {
            into.push(word.clone());
            u32::try_from(into.len() - 1).unwrap_or(u32::MAX)
        })
    };
    parts.map(|words| words.iter().map(&mut place).collect()).collect()
}

fn join_times(parts: &[Rows], merged: &mut v1::Columns) {
    let slots: Vec<i64> = parts.iter().flat_map(|p| &p.slots).copied().collect();
    let scheduled: Vec<i64> = parts.iter().flat_map(|p| &p.scheduled).copied().collect();
    merged.slot_base = slots.first().copied().unwrap_or(0);
    merged.scheduled_base_us = scheduled.first().copied().unwrap_or(0);
    let deltas = differences(&slots);
    merged.slot_delta = if deltas.iter().all(|&d| d == 0) { Vec::new() } else { deltas };
    merged.scheduled_delta_us = if scheduled.len() > 1 { differences(&scheduled) } else { Vec::new() };
}

fn differences(values: &[i64]) -> Vec<i64> {
    let mut before = values.first().copied().unwrap_or(0);
    values.iter().map(|&v| v.wrapping_sub(std::mem::replace(&mut before, v))).collect()
}

/// An index that pointed nowhere goes on pointing nowhere.
fn join_indexes(parts: &[Rows], targets: &[Vec<u32>], places: &[Vec<u32>], merged: &mut v1::Columns) {
    let target = |k: usize, v: u32| targets[k].get(v as usize).copied().unwrap_or(u32::MAX);
    let place = |k: usize, v: u32| match v.checked_sub(1) {
        None => 0,
        Some(v) => places[k].get(v as usize).map_or(u32::MAX, |&new| new + 1),
    };
    // Even a column that was left out means index 0 of its own dictionary, which may have moved.
    let all = parts.iter().enumerate().flat_map(|(k, p)| (0..p.len()).map(move |i| (k, p, i)));
    let moved: Vec<u32> = all.map(|(k, p, i)| target(k, super::at(&p.columns.target, i, 0))).collect();
    merged.target = if moved.iter().all(|&t| t == 0) { Vec::new() } else { moved };
    merged.served_region_plus_1 = column(parts, 0, |p| &p.columns.served_region_plus_1, place);
    merged.served_zone_plus_1 = column(parts, 0, |p| &p.columns.served_zone_plus_1, place);
}

fn join_values(parts: &[Rows], merged: &mut v1::Columns) {
    macro_rules! same {
        ($($name:ident)+) => { $(merged.$name = column(parts, 0, |p| &p.columns.$name, |_, v| v);)+ };
    }
    same!(attempt started_after_us reason total_us_plus_1 dns_us_plus_1 connect_us_plus_1 tls_us_plus_1);
    same!(send_us_plus_1 wait_us_plus_1 transfer_us_plus_1 http_status_plus_1 hop_count);
    same!(certificate_expires_s_plus_1 clock_offset_known clock_offset_us loop_lag_us controls_failed controls_seen);
    merged.outcome = column(parts, v1::Outcome::Up as u32, |p| &p.columns.outcome, |_, v| v);
    merged.hops = parts.iter().flat_map(|p| &p.columns.hops).copied().collect();
}

/// Joins one column; left out when every part left it out.
fn column<T: Copy>(parts: &[Rows], default: T, of: impl Fn(&Rows) -> &Vec<T>, moved: impl Fn(usize, T) -> T) -> Vec<T> {
    if parts.iter().all(|p| of(p).is_empty()) {
        return Vec::new();
    }
    let mut joined = Vec::with_capacity(parts.iter().map(Rows::len).sum());
    for (k, part) in parts.iter().enumerate() {
        match of(part).as_slice() {
            [] => joined.resize(joined.len() + part.len(), default),
            values => joined.extend(values.iter().map(|&v| moved(k, v))),
        }
    }
    joined
}
