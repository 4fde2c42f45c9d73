//! What does one row of a batch say, and are its values possible?

use uitwijk_model::id::TargetId;
use uitwijk_model::{Elapsed, Hop, Measurement, Observer, Outcome, Phases, ServedBy, Slot, WallTime};

use super::decode::Rows;
use super::{HOPS_MAX, STATUSES, at};
use crate::v1::{self, RefusalReason};

/// One row, checked, borrowed from its batch. See [`Measurement`] for the fields.
#[derive(Debug, Clone, Copy)]
pub struct RowView<'a> {
    rows: &'a Rows,
    /// What was probed.
    pub target: &'a str,
    /// Its index in [`Rows::targets`].
    pub target_index: u32,
    /// The turn of the schedule.
    pub slot: Slot,
    /// 0 for the first attempt in the slot.
    pub attempt: u8,
    /// When it was due.
    pub scheduled: WallTime,
    /// When it began.
    pub started: WallTime,
    /// How it ended.
    pub outcome: Outcome,
    /// Until the last byte, or the cut-off.
    pub total: Option<Elapsed>,
    /// Where the time went.
    pub phases: Phases,
    /// Status of the final response, 100-999.
    pub http_status: Option<u16>,
    /// The region that answered.
    pub served_region: Option<&'a str>,
    /// The zone that answered; never without a region.
    pub served_zone: Option<&'a str>,
    served_index: (usize, usize),
    /// Redirects, as they came.
    hops: &'a [v1::Hop],
    /// When the certificate expires.
    pub certificate_expires: Option<WallTime>,
    /// How well the observer was.
    pub observer: Observer,
}

impl<'a> RowView<'a> {
    pub(super) fn of(rows: &'a Rows, i: usize) -> Result<Self, RefusalReason> {
        row(rows, i).ok_or(RefusalReason::Value)
    }

    /// Redirects before the final response.
    pub fn hops(&self) -> impl ExactSizeIterator<Item = Hop> + 'a {
        self.hops.iter().map(|h| Hop {
            http_status: u16::try_from(h.http_status).unwrap_or(0),
            elapsed: Elapsed::from_micros(h.elapsed_us),
        })
    }

    /// The row as a value of its own. Names are shared with the other rows of the batch.
    #[must_use]
    pub fn to_measurement(&self) -> Measurement {
        self.to_measurement_of(self.rows.target_ids()[self.target_index as usize].clone())
    }

    /// The same with a target id that the caller has already, so that all batches share it.
    #[must_use]
    pub fn to_measurement_of(&self, target: TargetId) -> Measurement {
        Measurement {
            target,
            slot: self.slot,
            attempt: self.attempt,
            scheduled: self.scheduled,
            started: self.started,
            outcome: self.outcome,
            total: self.total,
            phases: self.phases,
            http_status: self.http_status,
            served: self.served(),
            hops: self.hops().collect(),
            certificate_expires: self.certificate_expires,
            observer: self.observer,
        }
    }

    /// Where the place that answered stands in the dictionary of the batch: region, and zone or [`usize::MAX`]; the same place
    /// has the same numbers in all rows of a batch, as a rule.
    #[must_use]
    pub const fn served_index(&self) -> Option<(usize, usize)> {
        if self.served_region.is_some() { Some(self.served_index) } else { None }
    }

    /// Who answered.
    #[must_use]
    pub fn served(&self) -> Option<ServedBy> {
        self.served_region?;
        let region = self.rows.regions.get(self.served_index.0)?.clone()?;
        let zone = self.served_zone.and_then(|_| self.rows.zones.get(self.served_index.1)?.clone());
        Some(ServedBy { region, zone })
    }
}

/// `None` when a value is out of its range.
fn row(rows: &Rows, i: usize) -> Option<RowView<'_>> {
    let c = &rows.columns;
    let (&slot, &scheduled) = (rows.slots.get(i)?, rows.scheduled.get(i)?);
    let target_index = at(&c.target, i, 0);
    let target = c.targets.get(target_index as usize).filter(|t| !t.is_empty() && t.len() <= TargetId::MAX)?;
    let region_index = (at(&c.served_region_plus_1, i, 0) as usize).wrapping_sub(1);
    let zone_index = (at(&c.served_zone_plus_1, i, 0) as usize).wrapping_sub(1);
    let (served_region, served_zone) = served(rows, region_index, zone_index)?;
    Some(RowView {
        rows,
        target,
        target_index,
        slot: Slot(slot),
        attempt: u8::try_from(at(&c.attempt, i, 0)).ok()?,
        scheduled: WallTime::from_micros(scheduled),
        started: WallTime::from_micros(scheduled.wrapping_add(at(&c.started_after_us, i, 0))),
        outcome: Outcome::from_codes(at(&c.outcome, i, v1::Outcome::Up as u32), at(&c.reason, i, 0))?,
        total: minus_1(&c.total_us_plus_1, i),
        phases: phases(c, i),
        http_status: status(at(&c.http_status_plus_1, i, 0))?,
        served_region,
        served_zone,
        served_index: (region_index, zone_index),
        hops: hops(rows, i)?,
        certificate_expires: expiry(at(&c.certificate_expires_s_plus_1, i, 0))?,
        observer: observer(c, i)?,
    })
}

/// An index of `usize::MAX` is an absent one. A place must be a name that a region, or a zone, can have.
fn served(rows: &Rows, region: usize, zone: usize) -> Option<(Option<&str>, Option<&str>)> {
    match (region, zone) {
        (usize::MAX, usize::MAX) => Some((None, None)),
        (region, usize::MAX) => Some((Some(rows.regions.get(region)?.as_ref()?.as_str()), None)),
        (region, zone) => {
            let region = rows.regions.get(region)?.as_ref()?.as_str();
            Some((Some(region), Some(rows.zones.get(zone)?.as_ref()?.as_str())))
        }
    }
}

fn phases(c: &v1::Columns, i: usize) -> Phases {
    Phases {
        dns: minus_1(&c.dns_us_plus_1, i),
        connect: minus_1(&c.connect_us_plus_1, i),
        tls: minus_1(&c.tls_us_plus_1, i),
        send: minus_1(&c.send_us_plus_1, i),
        wait: minus_1(&c.wait_us_plus_1, i),
        transfer: minus_1(&c.transfer_us_plus_1, i),
    }
}

fn observer(c: &v1::Columns, i: usize) -> Option<Observer> {
    let known = at(&c.clock_offset_known, i, 0);
    Some(Observer {
        clock_offset_us: match known {
            0 => None,
            1 => Some(at(&c.clock_offset_us, i, 0)),
            _ => return None,
        },
        loop_lag: Elapsed::from_micros(u64::from(at(&c.loop_lag_us, i, 0))),
        controls_failed: u16::try_from(at(&c.controls_failed, i, 0)).ok()?,
        controls_seen: u16::try_from(at(&c.controls_seen, i, 0)).ok()?,
    })
}

fn hops(rows: &Rows, i: usize) -> Option<&[v1::Hop]> {
    let Some(&start) = rows.hop_starts.get(i) else { return Some(&[]) };
    let count = at(&rows.columns.hop_count, i, 0) as usize;
    let hops = rows.columns.hops.get(start as usize..(start as usize).checked_add(count)?)?;
    (count <= HOPS_MAX && hops.iter().all(|h| (300..400).contains(&h.http_status))).then_some(hops)
}

fn minus_1(column: &[u64], i: usize) -> Option<Elapsed> {
    at(column, i, 0).checked_sub(1).map(Elapsed::from_micros)
}

#[expect(clippy::option_option, reason = "the outer absence says out of range, the inner one says absent")]
fn status(plus_1: u32) -> Option<Option<u16>> {
    let Some(status) = plus_1.checked_sub(1) else { return Some(None) };
    u16::try_from(status).ok().filter(|s| STATUSES.contains(s)).map(Some)
}

#[expect(clippy::option_option, reason = "the outer absence says out of range, the inner one says absent")]
fn expiry(plus_1: u64) -> Option<Option<WallTime>> {
    let Some(seconds) = plus_1.checked_sub(1) else { return Some(None) };
    let us = i64::try_from(seconds).ok()?.checked_mul(1_000_000)?;
    Some(Some(WallTime::from_micros(us)))
}
