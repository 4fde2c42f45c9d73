//! Which keys does a line have?
//!
//! One pass over the JSON of a line: known keys keep their value unchecked, the names of the others are collected.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::scalar::Scalar;

macro_rules! keys {
    ($(#[$doc:meta])* $enum:ident, $within:literal { $($name:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $enum { $($name,)+ }

        impl $enum {
            pub(crate) const COUNT: usize = [$($text),+].len();

            fn from_text(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)+ _ => None }
            }

            /// The key as an error names it.
            pub(crate) const fn text(self) -> &'static str {
                match self { $(Self::$name => concat!($within, $text),)+ }
            }
        }
    };
}

keys! {
    /// The keys of a line; the last three are ours and optional.
    Key, "" {
        Agent = "agent",
        VantageRegion = "vantage_region",
        VantageZone = "vantage_zone",
        Seq = "seq",
        Kind = "kind",
        Service = "service",
        Endpoint = "endpoint",
        Target = "target",
        TargetRegion = "target_region",
        ScheduledAt = "scheduled_at_ms",
        SentAt = "sent_at_ms",
        ArrivedAt = "arrived_at_ms",
        Outcome = "outcome",
        HttpStatus = "http_status",
        TotalMs = "total_ms",
        ServedRegion = "served_region",
        ServedZone = "served_zone",
        Attempt = "attempt",
        Boot = "boot",
        Fault = "fault",
        ClockOffset = "clock_offset_us",
    }
}

keys! {
    /// The keys of `phases`.
    Phase, "phases." { Dns = "dns", Connect = "connect", Tls = "tls", Ttfb = "ttfb", Body = "body", }
}

/// A line as it was written.
#[derive(Debug, Default)]
pub(crate) struct RawLine<'a> {
    values: [Scalar<'a>; Key::COUNT],
    pub(crate) phases: RawPhases<'a>,
    pub(crate) unknown: Vec<String>,
}

impl<'a> RawLine<'a> {
    pub(crate) fn get(&self, key: Key) -> &Scalar<'a> {
        &self.values[key as usize]
    }
}

/// Phases as they were written.
#[derive(Debug, Default)]
pub(crate) struct RawPhases<'a> {
    values: [Scalar<'a>; Phase::COUNT],
    /// What stands there instead of an object.
    pub(crate) instead: Option<Scalar<'a>>,
    unknown: Vec<String>,
}

impl<'a> RawPhases<'a> {
    pub(crate) fn get(&self, phase: Phase) -> &Scalar<'a> {
        &self.values[phase as usize]
    }
}

impl<'de> Deserialize<'de> for RawLine<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LineVisitor)
    }
}

struct LineVisitor;

/// A key, borrowed when it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(deserializer)? {
            Scalar::Text(text) => Ok(Self(text)),
            other => Ok(Self(Cow::Owned(other.to_string()))),
        }
    }
}

impl<'de> Visitor<'de> for LineVisitor {
    type Value = RawLine<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut line = RawLine::default();
        while let Some(Name(name)) = map.next_key()? {
            if let Some(key) = Key::from_text(&name) {
                line.values[key as usize] = map.next_value()?;
            } else if name == "phases" {
                line.phases = map.next_value()?;
                line.unknown.extend(line.phases.unknown.drain(..).map(|key| format!("phases.{key}")));
            } else {
                map.next_value::<IgnoredAny>()?;
                line.unknown.push(name.into_owned());
            }
        }
        Ok(line)
    }
}

impl<'de> Deserialize<'de> for RawPhases<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PhasesVisitor)
    }
}

struct PhasesVisitor;

impl<'de> Visitor<'de> for PhasesVisitor {
    type Value = RawPhases<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(RawPhases::default())
    }

    fn visit_bool<E>(self, b: bool) -> Result<Self::Value, E> {
        Ok(instead(Scalar::Bool(b)))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Self::Value, E> {
        Ok(instead(Scalar::Int(n)))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Self::Value, E> {
        Ok(instead(Scalar::Int(i64::try_from(n).unwrap_or(i64::MAX))))
    }

    fn visit_f64<E>(self, x: f64) -> Result<Self::Value, E> {
        Ok(instead(Scalar::Float(x)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(instead(Scalar::Text(Cow::Owned(text.to_owned()))))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(instead(Scalar::Nested))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut phases = RawPhases::default();
        while let Some(Name(name)) = map.next_key()? {
            match Phase::from_text(&name) {
                Some(phase) => phases.values[phase as usize] = map.next_value()?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                    phases.unknown.push(name.into_owned());
                }
            }
        }
        Ok(phases)
    }
}

fn instead(found: Scalar<'_>) -> RawPhases<'_> {
    RawPhases { instead: Some(found), ..RawPhases::default() }
}
