//! Which hour does a measurement belong to, and which folder is that hour's?

use std::fmt;

use uitwijk_model::WallTime;

const MICROS: i64 = 3_600_000_000;

/// An hour of scheduled time, UTC, numbered from the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(pub i64);

impl Hour {
    /// The hour that a moment lies in.
    #[must_use]
    pub const fn of(at: WallTime) -> Self {
        Self(at.as_micros().div_euclid(MICROS))
    }

    /// Its first moment; saturates at the ends of time.
    #[must_use]
    pub const fn start(self) -> WallTime {
        WallTime::from_micros(self.0.saturating_mul(MICROS))
    }

    /// The first moment after it.
    #[must_use]
    pub const fn end(self) -> WallTime {
        self.next().start()
    }

    /// The hour after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// `year=2026/month=03/day=02/hour=08`, as engines that know partitions read it.
    #[must_use]
    pub fn folder(self) -> String {
        match jiff::Timestamp::from_microsecond(self.start().as_micros()) {
            Ok(start) => start.strftime("year=%Y/month=%m/day=%d/hour=%H").to_string(),
            // Beyond the year 9999 there is no calendar, and no measurement that was not refused.
            Err(_) => format!("hours={}", self.0),
        }
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.start().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_those_of_utc_and_folders_sort_like_them() {
        let at = WallTime::from_millis(1_772_438_400_000 + 3_599_999);
        let hour = Hour::of(at);
        assert_eq!(hour.folder(), "year=2026/month=03/day=02/hour=08");
        assert_eq!((hour.to_string().as_str(), hour.end()), ("2026-03-02T08:00:00Z", hour.next().start()));
        assert_eq!(Hour::of(WallTime::from_micros(-1)), Hour(-1));
        assert_eq!(Hour(-1).folder(), "year=1969/month=12/day=31/hour=23");
        assert_eq!(Hour(i64::MAX).folder(), format!("hours={}", i64::MAX));
    }
}
