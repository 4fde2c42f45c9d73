//! Which rows of a batch may be stored?
//!
//! Done by the task of the stream, so that it runs on all cores; what is left for the one committer is to see which rows
//! are there already. A row is refused for a reason of its own and takes no neighbour with it.

use std::sync::Arc;

use uitwijk_model::{SlotLength, WallTime};
use uitwijk_proto::columns::{RowView, Rows};
use uitwijk_proto::v1::{self, RefusalReason};

use super::limits::IngestLimits;
use crate::plans::{Known, Plans, TargetNumber};
use crate::store::{Names, Places, Sample};

/// A row that may be stored, with what the committer compares.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Good {
    pub(super) target: TargetNumber,
    pub(super) slot_length: SlotLength,
    /// What the judge takes of it.
    pub(super) sample: Sample,
}

/// What came of the rows of a batch.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// In order of row.
    pub(super) good: Vec<Good>,
    /// In order of row.
    pub(super) bad: Vec<(u16, RefusalReason)>,
    /// What the good ones name.
    pub(super) names: Arc<Names>,
}

/// Limits of time at a moment.
struct Times {
    earliest: WallTime,
    latest: WallTime,
}

/// Looks at each row.
pub(super) fn rows(rows: Rows, plans: &Plans, limits: &IngestLimits, now: WallTime) -> Checked {
    let known = plans.known();
    let targets: Vec<_> = rows.targets().iter().map(|text| known.target(text)).collect();
    let times = Times { earliest: now.minus(limits.retention), latest: now.plus(limits.future_max) };
    let mut checked = Checked { good: Vec::with_capacity(rows.len()), ..Checked::default() };
    let mut places = Places::default();
    for (i, row) in rows.iter().enumerate() {
        let good = row.and_then(|row| {
            let (target, slot_length) = one(&row, &targets, &known, &times)?;
            Ok(Good { target, slot_length, sample: Sample::of(&row, rows.sequence(i), now, &mut places) })
        });
        match good {
            Ok(good) => checked.good.push(good),
            // A batch has at most 8192 rows.
            Err(reason) => checked.bad.push((u16::try_from(i).unwrap_or(u16::MAX), reason)),
        }
    }
    checked.names = places.names(rows.into_targets(), targets);
    checked
}

fn one(
    row: &RowView<'_>,
    targets: &[Option<TargetNumber>],
    known: &Known,
    times: &Times,
) -> Result<(TargetNumber, SlotLength), RefusalReason> {
    let target = targets.get(row.target_index as usize).copied().flatten();
    let target = target.ok_or(RefusalReason::UnknownTarget)?;
    if row.scheduled > times.latest {
        return Err(RefusalReason::Future);
    }
    if row.scheduled < times.earliest {
        return Err(RefusalReason::Past);
    }
    let fits = |length: &&SlotLength| length.slot_of(row.scheduled) == row.slot;
    let slot_length = *known.slot_lengths().iter().find(fits).ok_or(RefusalReason::Slot)?;
    Ok((target, slot_length))
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
