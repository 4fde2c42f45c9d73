//! How does one stored measurement look to a program that asks for it?

use uitwijk_model::id::TargetId;
use uitwijk_model::{
    AgentId, BootId, Elapsed, Hop, Measurement, Observer, Outcome, Phases, Record, Region, ServedBy, Slot, Vantage,
    WallTime, Zone,
};

use super::STATUSES;
use crate::v1;

/// A message that is no measurement: the field, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("measurement message has an impossible {field}: {found}")]
pub struct BadMessage {
    /// The field, as the schema names it.
    pub field: &'static str,
    /// What it has.
    pub found: String,
}

/// A record as the query API answers it.
#[must_use]
pub fn to_message(record: &Record, stored: WallTime) -> v1::Measurement {
    let m = &record.measurement;
    let us = |e: Option<Elapsed>| e.map(Elapsed::as_micros);
    let (outcome, reason) = m.outcome.codes();
    v1::Measurement {
        agent: record.agent.to_string(),
        vantage_region: record.vantage.region.to_string(),
        vantage_zone: record.vantage.zone.to_string(),
        boot: record.boot.0,
        sequence: record.sequence,
        target: m.target.to_string(),
        slot: m.slot.0,
        attempt: u32::from(m.attempt),
        scheduled_us: m.scheduled.as_micros(),
        started_us: m.started.as_micros(),
        outcome: i32::from(outcome),
        fault: if matches!(m.outcome, Outcome::Down(_)) { i32::from(reason) } else { 0 },
        unmeasured: if m.outcome.is_measured() { 0 } else { i32::from(reason) },
        total_us: us(m.total),
        dns_us: us(m.phases.dns),
        connect_us: us(m.phases.connect),
        tls_us: us(m.phases.tls),
        send_us: us(m.phases.send),
        wait_us: us(m.phases.wait),
        transfer_us: us(m.phases.transfer),
        http_status: m.http_status.map(u32::from),
        served_region: m.served.as_ref().map(|s| s.region.to_string()),
        served_zone: m.served.as_ref().and_then(|s| s.zone.as_ref()).map(ToString::to_string),
        hops: m
            .hops
            .iter()
            .map(|h| v1::Hop { http_status: h.http_status.into(), elapsed_us: h.elapsed.as_micros() })
            .collect(),
        certificate_expires_us: m.certificate_expires.map(WallTime::as_micros),
        clock_offset_us: m.observer.clock_offset_us,
        loop_lag_us: m.observer.loop_lag.as_micros(),
        controls_failed: u32::from(m.observer.controls_failed),
        controls_seen: u32::from(m.observer.controls_seen),
        stored_us: stored.as_micros(),
    }
}

/// The record of an answer, and when the collector had it on disk.
///
/// # Errors
/// When a name or number is not one that a measurement can have.
pub fn from_message(m: &v1::Measurement) -> Result<(Record, WallTime), BadMessage> {
    let vantage = Vantage {
        region: Region::new(&m.vantage_region).map_err(|e| bad("vantage_region", e))?,
        zone: Zone::new(&m.vantage_zone).map_err(|e| bad("vantage_zone", e))?,
    };
    let record = Record {
        agent: AgentId::new(&m.agent).map_err(|e| bad("agent", e))?,
        vantage,
        boot: BootId(m.boot),
        sequence: m.sequence,
        measurement: measurement(m)?,
    };
    Ok((record, WallTime::from_micros(m.stored_us)))
}

fn measurement(m: &v1::Measurement) -> Result<Measurement, BadMessage> {
    if m.target.is_empty() || m.target.len() > TargetId::MAX {
        return Err(bad("target", &m.target));
    }
    Ok(Measurement {
        target: TargetId::from_wire(&m.target),
        slot: Slot(m.slot),
        attempt: u8::try_from(m.attempt).map_err(|_| bad("attempt", m.attempt))?,
        scheduled: WallTime::from_micros(m.scheduled_us),
        started: WallTime::from_micros(m.started_us),
        outcome: outcome(m)?,
        total: m.total_us.map(Elapsed::from_micros),
        phases: phases(m),
        http_status: m.http_status.map(|s| status("http_status", s, STATUSES)).transpose()?,
        served: served(m)?,
        hops: m.hops.iter().map(hop).collect::<Result<_, _>>()?,
        certificate_expires: m.certificate_expires_us.map(WallTime::from_micros),
        observer: observer(m)?,
    })
}

fn outcome(m: &v1::Measurement) -> Result<Outcome, BadMessage> {
    let reason = match m.outcome() {
        v1::Outcome::Down => m.fault,
        v1::Outcome::Unmeasured => m.unmeasured,
        _ => 0,
    };
    let codes = u32::try_from(m.outcome).ok().zip(u32::try_from(reason).ok());
    let found = codes.and_then(|(outcome, reason)| Outcome::from_codes(outcome, reason));
    found.ok_or_else(|| bad("outcome", format!("{} for reason {reason}", m.outcome)))
}

fn phases(m: &v1::Measurement) -> Phases {
    let elapsed = |us: Option<u64>| us.map(Elapsed::from_micros);
    Phases {
        dns: elapsed(m.dns_us),
        connect: elapsed(m.connect_us),
        tls: elapsed(m.tls_us),
        send: elapsed(m.send_us),
        wait: elapsed(m.wait_us),
        transfer: elapsed(m.transfer_us),
    }
}

fn served(m: &v1::Measurement) -> Result<Option<ServedBy>, BadMessage> {
    let Some(region) = &m.served_region else { return Ok(None) };
    let region = Region::new(region).map_err(|e| bad("served_region", e))?;
    let zone = m.served_zone.as_ref().map(Zone::new).transpose().map_err(|e| bad("served_zone", e))?;
    Ok(Some(ServedBy { region, zone }))
}

fn observer(m: &v1::Measurement) -> Result<Observer, BadMessage> {
    Ok(Observer {
        clock_offset_us: m.clock_offset_us,
        loop_lag: Elapsed::from_micros(m.loop_lag_us),
        controls_failed: u16::try_from(m.controls_failed).map_err(|_| bad("controls_failed", m.controls_failed))?,
        controls_seen: u16::try_from(m.controls_seen).map_err(|_| bad("controls_seen", m.controls_seen))?,
    })
}

fn hop(h: &v1::Hop) -> Result<Hop, BadMessage> {
    Ok(Hop {
        http_status: status("hops.http_status", h.http_status, 300..=399)?,
        elapsed: Elapsed::from_micros(h.elapsed_us),
    })
}

fn status(field: &'static str, found: u32, allowed: std::ops::RangeInclusive<u16>) -> Result<u16, BadMessage> {
    u16::try_from(found).ok().filter(|s| allowed.contains(s)).ok_or_else(|| bad(field, found))
}

fn bad(field: &'static str, found: impl std::fmt::Display) -> BadMessage {
    BadMessage { field, found: found.to_string() }
}
