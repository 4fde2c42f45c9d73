//! How is a value read before anyone knows whether it makes sense?
//!
//! A JSON value of any type becomes a [`Scalar`] and is checked later, key by key, so that a mistake is told with its key,
//! what was found, and what is allowed, instead of a parser's word for it. Nested values are told apart, not kept.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Longest text of a wrong value that is told.
const TOLD_MAX: usize = 60;

/// A value without structure.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Scalar<'a> {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    /// A list or an object.
    Nested,
}

impl fmt::Display for Scalar<'_> {
    /// As it may stand in an error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Int(n) => write!(f, "{n}"),
            Self::Float(n) if n.abs() >= 1e15 => write!(f, "{n:e}"),
            Self::Float(n) => write!(f, "{n}"),
            Self::Text(text) => match text.char_indices().nth(TOLD_MAX) {
                Some((end, _)) => write!(f, "{:?}…", &text[..end]),
                None => write!(f, "{text:?}"),
            },
            Self::Nested => f.write_str("a list or an object"),
        }
    }
}

impl<'a> Scalar<'a> {
    /// A whole number; floats without a fraction count.
    pub(crate) fn whole(&self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(*n),
            Self::Float(x) if x.fract() == 0.0 => thousandths(*x).map(|n| n / 1000),
            _ => None,
        }
    }

    /// A number in thousandths, which is microseconds of milliseconds; none for other values and out of range.
    pub(crate) fn thousandths(&self) -> Option<i64> {
        match self {
            Self::Int(n) => n.checked_mul(1000),
            Self::Float(x) => thousandths(*x),
            _ => None,
        }
    }

    /// A name that may be written as a number.
    pub(crate) fn word(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            other => other.whole().map(|n| Cow::Owned(n.to_string())),
        }
    }

    /// The value, unless it is null.
    pub(crate) fn given(&self) -> Option<&Scalar<'a>> {
        (*self != Self::Null).then_some(self)
    }
}

fn thousandths(x: f64) -> Option<i64> {
    let scaled = (x * 1000.0).round();
    // Whole numbers up to here are exact in a float.
    #[expect(clippy::cast_possible_truncation, reason = "within the range that was just checked")]
    (scaled.abs() < 9.0e18).then_some(scaled as i64)
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyScalar)
    }
}

struct AnyScalar;

impl<'de> Visitor<'de> for AnyScalar {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, b: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Bool(b))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Int(n))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Self::Value, E> {
        #[expect(clippy::cast_precision_loss, reason = "a number this large is refused by every key")]
        Ok(i64::try_from(n).map_or(Scalar::Float(n as f64), Scalar::Int))
    }

    fn visit_f64<E>(self, x: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Float(x))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }
}
