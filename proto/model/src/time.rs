//! When did something happen, and how long did it take?
//!
//! Wall time and elapsed time are different types and do not mix. [`WallTime`] comes from a clock that people set; it
//! names moments, and may be wrong or step. [`Elapsed`] comes from a clock that only goes forward; it measures
//! durations, and says nothing of when. [`Slot`] numbers the turns of the schedule, aligned to the
//! epoch, so that every agent and collector names the same turn alike without talking to each other.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A moment on a wall clock: microseconds since 1970-01-01T00:00:00Z, negative before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime(i64);

impl WallTime {
    /// From microseconds since the epoch.
    #[must_use]
    pub const fn from_micros(us: i64) -> Self {
        Self(us)
    }

    /// From milliseconds since the epoch; saturates.
    #[must_use]
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms.saturating_mul(1000))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Later by so much; saturates.
    #[must_use]
    pub const fn plus(self, span: Millis) -> Self {
        Self(self.0.saturating_add_unsigned(span.0.saturating_mul(1000)))
    }

    /// Earlier by so much; saturates.
    #[must_use]
    pub const fn minus(self, span: Millis) -> Self {
        Self(self.0.saturating_sub_unsigned(span.0.saturating_mul(1000)))
    }

    /// Microseconds from `earlier` to this, negative when it is later; saturates.
    #[must_use]
    pub const fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for WallTime {
    /// RFC 3339 in UTC, to the second when whole, else to the millisecond.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(t) if self.0 % 1_000_000 == 0 => write!(f, "{t:.0}"),
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

/// A duration on a monotonic clock, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Elapsed(u64);

impl Elapsed {
    /// From microseconds.
    #[must_use]
    pub const fn from_micros(us: u64) -> Self {
        Self(us)
    }

    /// In microseconds.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// In milliseconds, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1000
    }

    /// The difference to an earlier reading of the same clock, 0 when that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

impl From<std::time::Duration> for Elapsed {
    fn from(d: std::time::Duration) -> Self {
        Self(u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
    }
}

impl From<Elapsed> for std::time::Duration {
    fn from(e: Elapsed) -> Self {
        Self::from_micros(e.0)
    }
}

/// A configured length of time in milliseconds, written `250ms`, `10s`, `5m`, `24h` or `14d`.
///
/// ```
/// use uitwijk_model::Millis;
/// assert_eq!("1.5s".parse::<Millis>().unwrap(), Millis(1500));
/// assert_eq!(Millis(90_000).to_string(), "90s");
/// assert!("10".parse::<Millis>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Millis(pub u64);

/// Unit names and their length in milliseconds, longest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// A text that is not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a length of time: write a number and a unit, such as 250ms, 10s, 5m, 24h or 14d")]
pub struct MillisError(pub String);

impl Millis {
    /// So many seconds; saturates.
    #[must_use]
    pub const fn from_secs(s: u64) -> Self {
        Self(s.saturating_mul(1000))
    }
}

impl FromStr for Millis {
    type Err = MillisError;

    fn from_str(text: &str) -> Result<Self, MillisError> {
        let bad = || MillisError(text.chars().take(80).collect());
        let split = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(bad)?;
        let (number, unit) = (text[..split].trim_end(), &text[split..]);
        let scale = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?.1;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || (number.contains('.') && (!digits(fraction) || fraction.len() > 9)) {
            return Err(bad());
        }
        let whole = whole.parse::<u64>().ok().and_then(|n| n.checked_mul(scale)).ok_or_else(bad)?;
        let part = match fraction {
            "" => 0,
            _ => {
                let ten = 10u64.pow(u32::try_from(fraction.len()).map_err(|_| bad())?);
                let scaled = u128::from(fraction.parse::<u64>().map_err(|_| bad())?) * u128::from(scale);
                if scaled % u128::from(ten) != 0 {
                    return Err(bad());
                }
                u64::try_from(scaled / u128::from(ten)).map_err(|_| bad())?
            }
        };
        whole.checked_add(part).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Seconds are preferred up to two minutes ("90s" reads better than "1.5m").
        let (unit, scale) = match self.0 {
            0 => ("s", 1000),
            n if n % 1000 != 0 => ("ms", 1),
            n if n <= 120_000 => ("s", 1000),
            n => UNITS.into_iter().find(|(_, scale)| n % scale == 0).unwrap_or(("ms", 1)),
        };
        write!(f, "{}{unit}", self.0 / scale)
    }
}

impl TryFrom<String> for Millis {
    type Error = MillisError;
    fn try_from(text: String) -> Result<Self, MillisError> {
        text.parse()
    }
}

impl From<Millis> for String {
    fn from(m: Millis) -> String {
        m.to_string()
    }
}

impl From<Millis> for std::time::Duration {
    fn from(m: Millis) -> Self {
        Self::from_millis(m.0)
    }
}

/// The number of a turn of the schedule: wall time divided by the slot length, rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub i64);

impl Slot {
    /// The slot `n` turns later (earlier when negative); saturates.
    #[must_use]
    pub const fn plus(self, n: i64) -> Self {
        Self(self.0.saturating_add(n))
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How long one turn of the schedule is: 100 ms to 1 h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Millis", into = "Millis")]
pub struct SlotLength(u32);

/// A slot length outside its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a slot of {0} is out of range: 100ms to 1h")]
pub struct SlotLengthError(pub Millis);

impl SlotLength {
    /// Checks the range.
    ///
    /// # Errors
    /// When it is shorter than 100 ms or longer than 1 h.
    pub fn new(length: Millis) -> Result<Self, SlotLengthError> {
        match u32::try_from(length.0) {
            Ok(ms) if (100..=3_600_000).contains(&ms) => Ok(Self(ms)),
            _ => Err(SlotLengthError(length)),
        }
    }

    /// The length as a plain duration.
    #[must_use]
    pub const fn millis(self) -> Millis {
        Millis(self.0 as u64)
    }

    /// The slot that a moment lies in.
    #[must_use]
    pub fn slot_of(self, at: WallTime) -> Slot {
        Slot(at.as_micros().div_euclid(i64::from(self.0) * 1000))
    }

    /// The first moment of a slot; saturates at the ends of time.
    #[must_use]
    pub fn start_of(self, slot: Slot) -> WallTime {
        WallTime::from_micros(slot.0.saturating_mul(i64::from(self.0) * 1000))
    }

    /// How many whole slots cover a length of time: rounded up, at least 1.
    #[must_use]
    pub fn slots_in(self, span: Millis) -> u32 {
        u32::try_from(span.0.div_ceil(u64::from(self.0))).unwrap_or(u32::MAX).max(1)
    }
}

impl TryFrom<Millis> for SlotLength {
    type Error = SlotLengthError;
    fn try_from(length: Millis) -> Result<Self, SlotLengthError> {
        Self::new(length)
    }
}

impl From<SlotLength> for Millis {
    fn from(length: SlotLength) -> Self {
        length.millis()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_read_and_print() {
        for (text, ms, printed) in [
            ("250ms", 250, "250ms"),
            ("10s", 10_000, "10s"),
            ("1.5s", 1500, "1500ms"),
            ("90s", 90_000, "90s"),
            ("3m", 180_000, "3m"),
            ("24h", 86_400_000, "1d"),
            ("14d", 1_209_600_000, "14d"),
            ("0s", 0, "0s"),
        ] {
            let millis: Millis = text.parse().unwrap();
            assert_eq!((millis.0, millis.to_string().as_str()), (ms, printed), "{text}");
        }
        for bad in ["", "10", "s", "-1s", "1.s", ".5s", "1.0001ms", "1w", "99999999999999999999d", "1 0s"] {
            assert!(bad.parse::<Millis>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn slots_are_aligned_to_the_epoch_and_negative_before_it() {
        let ten = SlotLength::new(Millis::from_secs(10)).unwrap();
        for (ms, slot) in [(0, 0), (9_999, 0), (10_000, 1), (-1, -1), (1_772_438_400_300, 177_243_840)] {
            assert_eq!(ten.slot_of(WallTime::from_millis(ms)), Slot(slot), "{ms}");
        }
        assert_eq!(ten.start_of(Slot(-1)), WallTime::from_millis(-10_000));
        assert_eq!(ten.start_of(Slot(i64::MAX)), WallTime::from_micros(i64::MAX));
    }

    #[test]
    fn wall_time_prints_in_utc() {
        assert_eq!(WallTime::from_millis(1_772_438_400_000).to_string(), "2026-03-02T08:00:00Z");
        assert_eq!(WallTime::from_millis(1_772_438_400_300).to_string(), "2026-03-02T08:00:00.300Z");
    }
}
