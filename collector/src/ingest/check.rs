//! Which rows of a batch may be stored?
//!
//! Done by the task of the stream, so that it runs on all cores; what is left for the one committer is to see which rows
//! are there already. A row is refused for a reason of its own and takes no neighbour with it.

use std::sync::Arc;

use uitwijk_model::{Sequence, Slot, SlotLength, WallTime};
use uitwijk_proto::columns::{RowView, Rows};
use uitwijk_proto::v1::{self, RefusalReason};

use super::dedup::Stretch;
use super::limits::IngestLimits;
use super::order::Order;
use crate::plans::{Known, Plans, TargetNumber};
use crate::store::{Names, Places, Sample, Targets};

/// What the committer compares of a row that may be stored, beside what the judge takes of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Key {
    pub(super) target: TargetNumber,
    pub(super) slot_length: SlotLength,
}

/// What came of the rows of a batch.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// What the judge takes of the rows that may be stored, in order of row. Goes on as it is when all of them are fresh.
    pub(super) good: Vec<Sample>,
    /// One for each.
    pub(super) keys: Vec<Key>,
    /// In order of row.
    pub(super) bad: Vec<(u16, RefusalReason)>,
    /// Where the slots of the good ones lie, each at least once. Where only such lie that were refused later may be among them.
    pub(super) stretches: Vec<Stretch>,
    /// What the good ones name.
    pub(super) names: Arc<Names>,
}

impl Checked {
    /// Refuses rows of hours that went after they were checked.
    pub(super) fn refuse_before(&mut self, earliest: WallTime, first: Sequence) {
        let went = |row: &Sample| row.scheduled < earliest;
        if !self.good.iter().any(went) {
            return;
        }
        let number = |row: &Sample| u16::try_from(row.sequence - first).ok();
        let past = self.good.iter().filter(|row| went(row)).filter_map(number);
        self.bad.extend(past.map(|row| (row, RefusalReason::Past)));
        self.bad.sort_by_key(|(row, _)| *row);
        let mut stays = self.good.iter().map(|row| !went(row)).collect::<Vec<_>>().into_iter();
        self.keys.retain(|_| stays.next().unwrap_or(true));
        self.good.retain(|row| !went(row));
    }
}

/// Adds where a slot lies. Those that follow each other mostly lie together.
fn stretch(all: &mut Vec<Stretch>, length: SlotLength, slot: Slot) {
    if !all.last().is_some_and(|last| last.covers(length, slot)) {
        all.push(Stretch::of(length, slot));
    }
}

/// Limits of time at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    earliest: WallTime,
    latest: WallTime,
}

impl Times {
    /// Nothing is taken of hours that went, for their age or for want of space: what comes of them again is not known to have
    /// been there.
    pub(super) fn at(now: WallTime, limits: &IngestLimits, dropped_through: WallTime) -> Self {
        let earliest = now.minus(limits.retention).max(dropped_through);
        Self { earliest, latest: now.plus(limits.future_max) }
    }
}

/// Looks at each row of a batch of a stream, whose order of targets is learnt.
pub(super) fn rows(rows: &Rows, order: &mut Order, plans: &Plans, times: &Times, now: WallTime) -> Checked {
    let known = plans.known();
    let targets: Vec<_> = rows.targets().iter().map(|text| order.number(&known, text)).collect();
    let (good, keys) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    let mut checked = Checked { good, keys, ..Checked::default() };
    let mut places = Places::default();
    for (i, row) in rows.iter().enumerate() {
        let good = row.and_then(|row| {
            let (target, slot_length) = one(&row, &targets, &known, times)?;
            Ok((Key { target, slot_length }, Sample::of(&row, rows.sequence(i), now, &mut places)))
        });
        match good {
            Ok((key, sample)) => {
                stretch(&mut checked.stretches, key.slot_length, sample.slot);
                checked.keys.push(key);
                checked.good.push(sample);
            }
            // A batch has at most 8192 rows.
            Err(reason) => checked.bad.push((u16::try_from(i).unwrap_or(u16::MAX), reason)),
        }
    }
    checked.names = places.names(Targets::Numbered(targets, known));
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
