//! How is a record written?
//!
//! Keys in the order of the recorded examples, so that equal records are equal bytes. Whole milliseconds are written as
//! whole numbers, others with up to three decimals. The extra keys (`attempt`, `boot`, `fault`, `clock_offset_us`) are
//! written only when they say something; readers that do not know them lose nothing but that.

use std::io::{self, Write};

use uitwijk_model::{Elapsed, EndpointName, Region, ServiceId, Zone};

use crate::record::{PhaseTimes, Record};

/// Writes one line.
///
/// # Errors
/// When the output does not take it.
pub fn write_record(out: &mut impl Write, r: &Record) -> io::Result<()> {
    let (who, what) = (&r.watcher, &r.watched);
    let place = who.vantage.as_ref();
    write!(out, "{{\"agent\":\"{}\",\"vantage_region\":", who.agent)?;
    text(out, place.map(|v| v.region.as_str()))?;
    out.write_all(b",\"vantage_zone\":")?;
    zone(out, place.map(|v| v.zone.as_str()))?;
    write!(out, ",\"seq\":{},\"kind\":\"{}\",\"service\":", r.sequence, what.kind.as_str())?;
    text(out, what.service.as_ref().map(ServiceId::as_str))?;
    out.write_all(b",\"endpoint\":")?;
    text(out, what.endpoint.as_ref().map(EndpointName::as_str))?;
    out.write_all(b",\"target\":")?;
    quoted(out, what.target.as_str())?;
    out.write_all(b",\"target_region\":")?;
    text(out, what.target_region.as_ref().map(Region::as_str))?;
    out.write_all(b",\"scheduled_at_ms\":")?;
    millis(out, r.scheduled.as_micros())?;
    out.write_all(b",\"sent_at_ms\":")?;
    millis(out, r.sent.as_micros())?;
    write!(out, ",\"outcome\":\"{}\",\"http_status\":", r.outcome)?;
    match r.http_status {
        Some(status) => write!(out, "{status}")?,
        None => out.write_all(b"null")?,
    }
    out.write_all(b",\"total_ms\":")?;
    match r.total {
        Some(total) => span(out, total)?,
        None => out.write_all(b"null")?,
    }
    phases(out, &r.phases)?;
    out.write_all(b",\"served_region\":")?;
    text(out, r.served.as_ref().map(|s| s.region.as_str()))?;
    out.write_all(b",\"served_zone\":")?;
    zone(out, r.served.as_ref().and_then(|s| s.zone.as_ref()).map(Zone::as_str))?;
    out.write_all(b",\"arrived_at_ms\":")?;
    millis(out, r.arrived.as_micros())?;
    extras(out, r)?;
    out.write_all(b"}\n")
}

fn phases(out: &mut impl Write, p: &PhaseTimes) -> io::Result<()> {
    out.write_all(b",\"phases\":{")?;
    let all = [("dns", p.dns), ("connect", p.connect), ("tls", p.tls), ("ttfb", p.ttfb), ("body", p.body)];
    let reached = all.into_iter().filter_map(|(name, time)| time.map(|time| (name, time)));
    for (i, (name, time)) in reached.enumerate() {
        write!(out, "{}\"{name}\":", if i == 0 { "" } else { "," })?;
        span(out, time)?;
    }
    out.write_all(b"}")
}

fn extras(out: &mut impl Write, r: &Record) -> io::Result<()> {
    if r.attempt > 0 {
        write!(out, ",\"attempt\":{}", r.attempt)?;
    }
    if let Some(boot) = r.watcher.boot {
        write!(out, ",\"boot\":\"{boot:016x}\"")?;
    }
    if let Some(fault) = r.fault {
        write!(out, ",\"fault\":\"{fault}\"")?;
    }
    if let Some(offset) = r.clock_offset_us {
        write!(out, ",\"clock_offset_us\":{offset}")?;
    }
    Ok(())
}

/// A checked name, which needs no escaping, or null.
fn text(out: &mut impl Write, name: Option<&str>) -> io::Result<()> {
    match name {
        Some(name) => write!(out, "\"{name}\""),
        None => out.write_all(b"null"),
    }
}

/// A zone: a number where the name reads the same as a number, as in the recorded examples.
fn zone(out: &mut impl Write, name: Option<&str>) -> io::Result<()> {
    match name {
        Some(name) if name.parse::<u32>().is_ok_and(|n| n.to_string() == name) => out.write_all(name.as_bytes()),
        other => text(out, other),
    }
}

/// A text from outside.
fn quoted(out: &mut impl Write, text: &str) -> io::Result<()> {
    if text.bytes().all(|b| b != b'"' && b != b'\\' && b >= 0x20) {
        return write!(out, "\"{text}\"");
    }
    serde_json::to_writer(out, text).map_err(io::Error::from)
}

fn span(out: &mut impl Write, time: Elapsed) -> io::Result<()> {
    millis(out, i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}

/// Microseconds as milliseconds.
fn millis(out: &mut impl Write, us: i64) -> io::Result<()> {
    let sign = if us < 0 { "-" } else { "" };
    let (whole, part) = (us.unsigned_abs() / 1000, us.unsigned_abs() % 1000);
    if part == 0 {
        return write!(out, "{sign}{whole}");
    }
    let digits = format!("{part:03}");
    write!(out, "{sign}{whole}.{}", digits.trim_end_matches('0'))
}
