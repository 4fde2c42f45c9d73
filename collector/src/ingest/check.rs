//! Which rows of a batch may be stored?
//!
//! Done by the task of the stream, so that it runs on all cores; what is left for the one committer is to see which rows
//! are there already. A row is refused for a reason of its own and takes no neighbour with it.

use uitwijk_model::{Measurement, SlotLength, TargetId, WallTime};
use uitwijk_proto::columns::{RowView, Rows};
use uitwijk_proto::v1::{self, RefusalReason};

use super::limits::IngestLimits;
use crate::plans::{Known, Plans, TargetNumber};

/// A row that may be stored, with what the committer compares.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Good {
    /// Number of the row in its batch.
    pub(super) row: u16,
    pub(super) target: TargetNumber,
    pub(super) slot_length: SlotLength,
    pub(super) measurement: Measurement,
}

/// What came of the rows of a batch.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// In order of row.
    pub(super) good: Vec<Good>,
    /// In order of row.
    pub(super) bad: Vec<(u16, RefusalReason)>,
}

/// Limits of time at a moment.
struct Times {
    earliest: WallTime,
    latest: WallTime,
}

/// Looks at each row.
pub(super) fn rows(rows: &Rows, plans: &Plans, limits: &IngestLimits, now: WallTime) -> Checked {
    let known = plans.known();
    let targets: Vec<_> = rows.targets().iter().map(|text| known.target(text)).collect();
    let times = Times { earliest: now.minus(limits.retention), latest: now.plus(limits.future_max) };
    let mut checked = Checked { good: Vec::with_capacity(rows.len()), bad: Vec::new() };
    for (i, row) in rows.iter().enumerate() {
        // A batch has at most 8192 rows.
        let i = u16::try_from(i).unwrap_or(u16::MAX);
        match row.and_then(|row| one(i, &row, &targets, &known, &times)) {
            Ok(good) => checked.good.push(good),
            Err(reason) => checked.bad.push((i, reason)),
        }
    }
    checked
}

fn one(
    i: u16,
    row: &RowView<'_>,
    targets: &[Option<(TargetNumber, &TargetId)>],
    known: &Known,
    times: &Times,
) -> Result<Good, RefusalReason> {
    let target = targets.get(row.target_index as usize).copied().flatten();
    let (target, id) = target.ok_or(RefusalReason::UnknownTarget)?;
    if row.scheduled > times.latest {
        return Err(RefusalReason::Future);
    }
    if row.scheduled < times.earliest {
        return Err(RefusalReason::Past);
    }
    let fits = |length: &&SlotLength| length.slot_of(row.scheduled) == row.slot;
    let slot_length = *known.slot_lengths().iter().find(fits).ok_or(RefusalReason::Slot)?;
    Ok(Good { row: i, target, slot_length, measurement: row.to_measurement_of(id.clone()) })
}

/// Whether a batch names a range that a ledger can have at all. Without one nothing can be acknowledged.
pub(super) fn names_a_range(batch: &v1::Batch) -> Result<(), String> {
    let rows_max = uitwijk_proto::columns::ROWS_MAX;
    if batch.boot == 0 || batch.first_sequence == 0 {
        return Err(format!("batch of boot {} from sequence {}: both are 1 or more", batch.boot, batch.first_sequence));
    }
    if batch.count == 0 || batch.count as usize > rows_max {
        return Err(format!("batch of {} rows: allowed are 1 to {rows_max}", batch.count));
    }
    match batch.first_sequence.checked_add(u64::from(batch.count)) {
        Some(_) => Ok(()),
        None => Err(format!("batch of {} rows from sequence {}: beyond the last", batch.count, batch.first_sequence)),
    }
}
