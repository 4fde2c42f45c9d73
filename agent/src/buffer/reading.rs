//! What does a collector get next?
//!
//! Boots oldest first, sequences in order, gaps as tombstones in their place, so that a collector's cursor can always
//! move. A hole that no gap explains (a record that is missing or makes no sense) is declared lost when a
//! reader comes upon it, rather than searched for at every start.
//!
//! A reader that looks ahead begins at the end instead and gets only what is measured from then on. It tells of no gaps and marks
//! nothing as offered: whatever it hands out comes again in its order, unless the cursor passes it first.

use tokio::sync::oneshot;
use uitwijk_model::{BootId, Sequence};
use uitwijk_proto::v1;

use super::ledger::{Gap, Ledger, Loss};
use super::record::{self, Extent};
use super::shelf::Shelf;

/// What a reader hands to its uplink.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivery {
    /// Rows.
    Batch(v1::Batch),
    /// A range that will never come.
    Tombstone(v1::Tombstone),
}

/// How far a reader came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    ordinal: u64,
    sequence: Sequence,
    key: u64,
}

/// How much one batch may carry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) rows_max: u64,
    pub(super) bytes_max: usize,
}

/// A question of a reader.
#[derive(Debug)]
pub(super) struct ReadRequest {
    pub(super) collector: String,
    /// `None` starts over: at the cursor, or ahead at the end.
    pub(super) place: Option<Place>,
    /// When the reader was told last that places are void. One of before is void, though its reader does not know yet.
    pub(super) epoch: u64,
    /// Looks ahead of what waits.
    pub(super) ahead: bool,
    pub(super) limits: Limits,
    pub(super) reply: oneshot::Sender<(Place, Option<Delivery>)>,
}

/// Forgets what was on its way and starts at the cursor.
pub(super) fn rewind(ledger: &mut Ledger, shelf: &Shelf, collector: &str) -> Place {
    for boot in &mut ledger.boots {
        if let Some(account) = boot.accounts.get_mut(collector) {
            account.rewind();
        }
    }
    Place { key: shelf.head.positions.get(collector).copied().unwrap_or(0), ..Place::default() }
}

/// The end: where what is measured from now on will stand.
pub(super) fn at_the_end(ledger: &Ledger, shelf: &Shelf) -> Place {
    let running = ledger.boots.last();
    let (ordinal, sequence) = running.map_or((0, 0), |boot| (boot.ordinal, boot.next));
    Place { ordinal, sequence, key: shelf.head.next_key }
}

/// The rows of the running boot from a place on that this collector does not have, if there are any.
pub(super) fn read_ahead(
    ledger: &Ledger,
    shelf: &Shelf,
    collector: &str,
    place: &mut Place,
    limits: Limits,
) -> Option<Delivery> {
    let running = ledger.boots.last().filter(|boot| boot.ordinal == place.ordinal)?;
    let account = running.accounts.get(collector)?;
    place.sequence = place.sequence.max(account.cursor);
    while let Some(gap) = account.gap_at(place.sequence) {
        place.sequence = gap.end;
    }
    let extent = find(ledger, shelf, running.id, place).ok()??;
    let starts_here = place.sequence < running.next && extent.first <= place.sequence;
    starts_here.then(|| collect(account, shelf, place, limits))?.map(Delivery::Batch)
}

/// What comes next for a collector, if there is anything, and how many sequences turned out to be missing. Moves the
/// place past both.
pub(super) fn read_next(
    ledger: &mut Ledger,
    shelf: &Shelf,
    collector: &str,
    place: &mut Place,
    limits: Limits,
) -> (Option<Delivery>, u64) {
    let mut lost = 0;
    (step(ledger, shelf, collector, place, limits, &mut lost), lost)
}

fn step(
    ledger: &mut Ledger,
    shelf: &Shelf,
    collector: &str,
    place: &mut Place,
    limits: Limits,
    lost: &mut u64,
) -> Option<Delivery> {
    loop {
        let (boot, next) = enter_boot(ledger, collector, place)?;
        if let Some(gap) = ledger.account(collector, boot)?.gap_at(place.sequence) {
            return Some(tombstone(ledger, collector, boot, place, gap));
        }
        if place.sequence >= next {
            if ledger.boots.last().is_some_and(|running| running.id == boot) {
                return None;
            }
            *place = Place { ordinal: place.ordinal + 1, sequence: 0, key: place.key };
            continue;
        }
        match find(ledger, shelf, boot, place) {
            Err(()) => return None,
            Ok(Some(extent)) if extent.first <= place.sequence => {
                let batch = collect(ledger.account(collector, boot)?, shelf, place, limits)?;
                let account = ledger.account_mut(collector, boot)?;
                account.offered = account.offered.max(place.sequence);
                return Some(Delivery::Batch(batch));
            }
            Ok(found) => {
                let known = ledger.account(collector, boot)?.gap_after(place.sequence);
                let end = found.map_or(next, |extent| extent.first).min(known.unwrap_or(next));
                tracing::error!(%boot, first = place.sequence, count = end - place.sequence, "measurements are missing from the buffer");
                ledger.lose(boot, place.sequence, end, Loss::Unreadable);
                *lost += end - place.sequence;
            }
        }
    }
}

/// The boot at or after the place that this collector still wants, and the sequence where it ends.
fn enter_boot(ledger: &Ledger, collector: &str, place: &mut Place) -> Option<(BootId, Sequence)> {
    let wanted = |(boot, account): (_, Option<_>)| Some((boot, account?));
    let open = ledger.boots.iter().filter(|boot| boot.ordinal >= place.ordinal);
    let (boot, account) = open.map(|boot| (boot, boot.accounts.get(collector))).find_map(wanted)?;
    if boot.ordinal != place.ordinal {
        *place = Place { ordinal: boot.ordinal, sequence: 0, key: place.key };
    }
    place.sequence = place.sequence.max(account.cursor);
    Some((boot.id, boot.next))
}

fn tombstone(ledger: &mut Ledger, collector: &str, boot: BootId, place: &mut Place, gap: Gap) -> Delivery {
    place.sequence = gap.end;
    if let Some(account) = ledger.account_mut(collector, boot) {
        account.told(gap);
    }
    let reason = gap.reason.to_wire().into();
    Delivery::Tombstone(v1::Tombstone { boot: boot.0, first_sequence: gap.first, count: gap.count(), reason })
}

/// The first record of the boot that reaches past the place; `None` when there is none, an error when nobody knows.
fn find(ledger: &Ledger, shelf: &Shelf, boot: BootId, place: &mut Place) -> Result<Option<Extent>, ()> {
    while let Some((key, extent)) = shelf.look(place.key, Extent::of).map_err(|_| ())? {
        match extent {
            Some(extent) if extent.boot() == boot && extent.end() > place.sequence => {
                place.key = key;
                return Ok(Some(extent));
            }
            Some(extent) if ledger.boot(extent.boot()).is_some_and(|other| other.ordinal > place.ordinal) => {
                return Ok(None);
            }
            _ => place.key = key + 1,
        }
    }
    Ok(None)
}

/// One batch from the place on: the record there and those that join it, up to the limits.
fn collect(account: &super::ledger::Account, shelf: &Shelf, place: &mut Place, limits: Limits) -> Option<v1::Batch> {
    let mut batches = Vec::new();
    let (mut rows, mut bytes) = (0, 0);
    let mut past_first = *place;
    while let Ok(Some((key, Some(batch)))) = shelf.look(place.key, record::decode) {
        let joins = batches.last().is_none_or(|last: &v1::Batch| {
            let adjacent = last.boot == batch.boot && place.sequence == batch.first_sequence;
            let fits =
                rows + u64::from(batch.count) <= limits.rows_max && bytes + batch.columns.len() <= limits.bytes_max;
            adjacent && fits && account.gap_at(place.sequence).is_none()
        });
        if !joins {
            break;
        }
        rows += u64::from(batch.count);
        bytes += batch.columns.len();
        *place = Place { sequence: batch.first_sequence + u64::from(batch.count), key: key + 1, ..*place };
        if batches.is_empty() {
            past_first = *place;
        }
        batches.push(batch);
    }
    let batch = record::merge(batches)?;
    if u64::from(batch.count) != rows {
        *place = past_first;
    }
    Some(batch)
}
