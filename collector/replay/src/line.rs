//! Is this line a record, and if not, what is wrong with it?
//!
//! What is harmless is taken: numbers with a fraction, zones as numbers or names, absent phases, an absent kind that the
//! target tells. What would change a verdict when guessed is refused: who, what, when, and how it ended.

use std::fmt::Write as _;
use std::sync::Arc;

use uitwijk_model::{
    AgentId, Elapsed, EndpointName, Fault, IdError, Region, ServedBy, ServiceId, TargetId, Vantage, WallTime,
};

use crate::names::Names;
use crate::raw::{Key, Phase, RawLine};
use crate::record::{PhaseTimes, Record, RecordKind, Watched, Watcher};
use crate::scalar::Scalar;
use crate::target::{built, told_by};
use crate::words::{self, Word};

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It is no JSON object.
    #[error("not a JSON object: {0}")]
    Json(String),
    /// Something that cannot be guessed is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A value that the key cannot have.
    #[error("{key} {found} is not allowed: {allowed}")]
    Value {
        /// The key.
        key: &'static str,
        /// What stands there.
        found: String,
        /// What may.
        allowed: &'static str,
    },
    /// A name that is none.
    #[error("{key}: {error}")]
    Name {
        /// The key.
        key: &'static str,
        /// Why not.
        error: IdError,
    },
    /// More bytes than a record takes.
    #[error("longer than {max} bytes")]
    TooLong {
        /// The most that is read.
        max: usize,
    },
    /// Bytes that are no text.
    #[error("not UTF-8")]
    NotText,
}

const MOMENT: &str = "milliseconds since 1970, a number between -9e15 and 9e15";
const SPAN: &str = "milliseconds, a number from 0 to 1e12";

impl Record {
    /// Reads a line; the names of keys that nobody knows are added to `unknown`.
    ///
    /// # Errors
    /// When it is no record, with what is wrong.
    pub fn from_line(text: &str, names: &mut Names, unknown: &mut Vec<String>) -> Result<Self, LineError> {
        let mut raw: RawLine<'_> = serde_json::from_str(text).map_err(|e| LineError::Json(without_line(&e)))?;
        unknown.append(&mut raw.unknown);
        read(&raw, names)
    }
}

/// Serde's message with the column, without the line, which is always the first.
fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).map_or(text.clone(), |said| format!("{said} at column {}", error.column()))
}

fn read(raw: &RawLine<'_>, names: &mut Names) -> Result<Record, LineError> {
    let total = span(Key::TotalMs.text(), raw.get(Key::TotalMs))?;
    let scheduled = needed(moment(raw, Key::ScheduledAt)?, Key::ScheduledAt)?;
    let outcome = outcome(raw)?;
    Ok(Record {
        watcher: watcher(raw, names)?,
        watched: watched(raw, names)?,
        sequence: needed(whole(raw, Key::Seq, 0, i64::MAX, "a whole number from 0")?, Key::Seq)?.unsigned_abs(),
        attempt: whole(raw, Key::Attempt, 0, 255, "a whole number from 0 to 255")?
            .and_then(|n| u8::try_from(n).ok())
            .unwrap_or(0),
        scheduled,
        sent: moment(raw, Key::SentAt)?.unwrap_or_else(|| {
            let total = i64::try_from(total.unwrap_or_default().as_micros()).unwrap_or(i64::MAX);
            WallTime::from_micros(scheduled.as_micros().saturating_add(total))
        }),
        arrived: needed(moment(raw, Key::ArrivedAt)?, Key::ArrivedAt)?,
        outcome,
        fault: fault(raw, outcome)?,
        http_status: whole(raw, Key::HttpStatus, 0, 999, "a status from 100 to 999, or null")?
            .and_then(|n| u16::try_from(n).ok())
            .filter(|&n| n > 0),
        total,
        phases: phases(raw)?,
        served: served(raw, names)?,
        clock_offset_us: whole(raw, Key::ClockOffset, i64::MIN, i64::MAX, "a whole number of microseconds")?,
    })
}

fn needed<T>(value: Option<T>, key: Key) -> Result<T, LineError> {
    value.ok_or(LineError::Missing(key.text()))
}

fn wrong(key: &'static str, found: &Scalar<'_>, allowed: &'static str) -> LineError {
    LineError::Value { key, found: found.to_string(), allowed }
}

fn whole(raw: &RawLine<'_>, key: Key, min: i64, max: i64, allowed: &'static str) -> Result<Option<i64>, LineError> {
    let Some(value) = raw.get(key).given() else { return Ok(None) };
    match value.whole() {
        Some(n) if (min..=max).contains(&n) => Ok(Some(n)),
        _ => Err(wrong(key.text(), value, allowed)),
    }
}

fn moment(raw: &RawLine<'_>, key: Key) -> Result<Option<WallTime>, LineError> {
    let Some(value) = raw.get(key).given() else { return Ok(None) };
    let us = value.thousandths().ok_or_else(|| wrong(key.text(), value, MOMENT))?;
    Ok(Some(WallTime::from_micros(us)))
}

fn span(key: &'static str, value: &Scalar<'_>) -> Result<Option<Elapsed>, LineError> {
    let Some(value) = value.given() else { return Ok(None) };
    let us = value.thousandths().filter(|us| (0..=1_000_000_000_000_000).contains(us));
    us.map(|us| Some(Elapsed::from_micros(us.unsigned_abs()))).ok_or_else(|| wrong(key, value, SPAN))
}

fn text<'a>(raw: &'a RawLine<'_>, key: Key) -> Result<Option<&'a str>, LineError> {
    match raw.get(key) {
        Scalar::Null => Ok(None),
        Scalar::Text(text) => Ok(Some(text)),
        other => Err(wrong(key.text(), other, "a text, or null")),
    }
}

/// A name that may be written as a number.
fn word<'a>(raw: &'a RawLine<'_>, key: Key) -> Result<Option<std::borrow::Cow<'a, str>>, LineError> {
    let Some(value) = raw.get(key).given() else { return Ok(None) };
    value.word().map(Some).ok_or_else(|| wrong(key.text(), value, "a name or a whole number"))
}

fn named<T>(key: Key, made: Result<T, IdError>) -> Result<T, LineError> {
    made.map_err(|error| LineError::Name { key: key.text(), error })
}

fn outcome(raw: &RawLine<'_>) -> Result<Word, LineError> {
    let value = raw.get(Key::Outcome);
    let allowed = "ok, slow, timeout, conn_refused, dns, tls, http_5xx or wrong_body";
    match value {
        Scalar::Null => Err(LineError::Missing(Key::Outcome.text())),
        Scalar::Text(text) => Word::from_text(text).ok_or_else(|| wrong(Key::Outcome.text(), value, allowed)),
        other => Err(wrong(Key::Outcome.text(), other, allowed)),
    }
}

/// The exact fault; one that is not known here, from a later version, is left to the word.
fn fault(raw: &RawLine<'_>, word: Word) -> Result<Option<Fault>, LineError> {
    Ok(text(raw, Key::Fault)?.and_then(words::fault).filter(|&f| Word::of_fault(f) == word))
}

fn phases(raw: &RawLine<'_>) -> Result<PhaseTimes, LineError> {
    let p = &raw.phases;
    if let Some(found) = &p.instead {
        return Err(wrong("phases", found, "an object of dns, connect, tls, ttfb and body, or null"));
    }
    let get = |phase: Phase| span(phase.text(), p.get(phase));
    Ok(PhaseTimes {
        dns: get(Phase::Dns)?,
        connect: get(Phase::Connect)?,
        tls: get(Phase::Tls)?,
        ttfb: get(Phase::Ttfb)?,
        body: get(Phase::Body)?,
    })
}

fn served(raw: &RawLine<'_>, names: &mut Names) -> Result<Option<Arc<ServedBy>>, LineError> {
    let Some(region) = word(raw, Key::ServedRegion)? else { return Ok(None) };
    let region = named(Key::ServedRegion, names.region(&region))?;
    let zone = word(raw, Key::ServedZone)?.map(|zone| named(Key::ServedZone, names.zone(&zone))).transpose()?;
    Ok(Some(names.served(ServedBy { region, zone })))
}

fn watcher(raw: &RawLine<'_>, names: &mut Names) -> Result<Arc<Watcher>, LineError> {
    let agent = needed(text(raw, Key::Agent)?, Key::Agent)?;
    let (region, zone) = (word(raw, Key::VantageRegion)?, word(raw, Key::VantageZone)?);
    let boot = boot(raw)?;
    let mut key = String::with_capacity(64);
    let _ = write!(key, "{agent} {} {} {boot:?}", region.as_deref().unwrap_or(""), zone.as_deref().unwrap_or(""));
    let vantage = match (region, zone) {
        (Some(region), Some(zone)) => Some(Vantage {
            region: named(Key::VantageRegion, names.region(&region))?,
            zone: named(Key::VantageZone, names.zone(&zone))?,
        }),
        _ => None,
    };
    names.watcher(&key, || Ok(Watcher { agent: named(Key::Agent, AgentId::new(agent))?, vantage, boot }))
}

/// A number, or 16 hexadecimal digits, since not every reader of JSON keeps 64 bits.
fn boot(raw: &RawLine<'_>) -> Result<Option<u64>, LineError> {
    let value = raw.get(Key::Boot);
    let read = match value {
        Scalar::Null => return Ok(None),
        Scalar::Text(text) => u64::from_str_radix(text, 16).ok(),
        other => other.whole().and_then(|n| u64::try_from(n).ok()),
    };
    read.map(Some).ok_or_else(|| wrong(Key::Boot.text(), value, "1 to 16 hexadecimal digits, or a number from 0"))
}

fn watched(raw: &RawLine<'_>, names: &mut Names) -> Result<Arc<Watched>, LineError> {
    let [target, service, endpoint] = [Key::Target, Key::Service, Key::Endpoint].map(|key| text(raw, key));
    let (target, service, endpoint) = (target?, service?, endpoint?);
    let region = word(raw, Key::TargetRegion)?;
    let kind = kind(raw, target)?;
    let shown = |text: Option<&str>| text.unwrap_or("").to_owned();
    let region_text = region.as_deref();
    let key = [kind.as_str(), &shown(target), &shown(service), &shown(endpoint), &shown(region_text)].join(" ");
    names.watched(&key, || {
        let service = service.map(|s| named(Key::Service, ServiceId::new(s))).transpose()?;
        let endpoint = endpoint.map(|e| named(Key::Endpoint, EndpointName::new(e))).transpose()?;
        let target_region = region_text.map(|r| named(Key::TargetRegion, Region::new(r))).transpose()?;
        let target = match target {
            Some(target) => TargetId::from_wire(target),
            None => built(kind, service.as_ref(), endpoint.as_ref(), target_region.as_ref())
                .ok_or(LineError::Missing(Key::Target.text()))?,
        };
        Ok(Watched { kind, service, endpoint, target, target_region })
    })
}

/// The kind that is written, or else the one that the target's name tells.
fn kind(raw: &RawLine<'_>, target: Option<&str>) -> Result<RecordKind, LineError> {
    let value = raw.get(Key::Kind);
    match (value, target) {
        (Scalar::Text(text), _) if RecordKind::from_text(text).is_some() => {
            Ok(RecordKind::from_text(text).unwrap_or(RecordKind::Regional))
        }
        (Scalar::Null, Some(target)) => Ok(told_by(target)),
        (Scalar::Null, None) => Err(LineError::Missing(Key::Kind.text())),
        _ => Err(wrong(Key::Kind.text(), value, "regional, global, chain or control")),
    }
}
