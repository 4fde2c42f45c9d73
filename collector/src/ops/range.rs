//! Which stretch of time is meant?
//!
//! `--since 1h`, or `--from` and `--to` with moments such as `2026-03-02T08:00Z`, `2026-03-02 08:00:30+01:00` or `2026-03-02`. A moment
//! without a zone is in UTC, as all times of the tool are unless `--local` is given for showing them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use uitwijk_model::{Millis, WallTime};

use super::args::{Known, Range};
use super::exit::OpsError;

/// Microseconds from (included) and to (excluded); 0 means open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
}

impl Range {
    /// The stretch that is meant; `default` is the `--since` of who says nothing.
    pub(crate) fn span(&self, now: WallTime, default: Option<Millis>) -> Result<Span, OpsError> {
        let moment = |text: &Option<String>, option| text.as_deref().map(|text| moment(option, text)).transpose();
        let to = moment(&self.to, "--to")?;
        let from = match (moment(&self.from, "--from")?, self.since.or(default)) {
            (Some(from), _) => Some(from),
            (None, Some(since)) => Some(to.map_or(now, WallTime::from_micros).minus(since).as_micros()),
            (None, None) => None,
        };
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            return Err(OpsError::Usage("the stretch of time is empty: --from must lie before --to".to_owned()));
        }
        Ok(Span { from_us: from.unwrap_or(0), to_us: to.unwrap_or(0) })
    }
}

impl Known {
    /// The moment that is meant, microseconds; 0 means now.
    pub(crate) fn as_of_us(&self) -> Result<i64, OpsError> {
        self.as_of.as_deref().map_or(Ok(0), |text| moment("--as-of", text))
    }
}

/// Microseconds of a moment that an option gives.
pub(crate) fn moment(option: &str, text: &str) -> Result<i64, OpsError> {
    let with_zone = text.parse::<Timestamp>().ok();
    let in_utc = || text.parse::<DateTime>().ok()?.to_zoned_datetime(TimeZone::UTC).ok().map(|at| at.timestamp());
    with_zone.or_else(in_utc).map(Timestamp::as_microsecond).ok_or_else(|| {
        OpsError::Usage(format!(
            "{option} {text:?} is not a moment: write 2026-03-02, 2026-03-02T08:00Z or 2026-03-02T08:00:30+01:00"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(since: Option<&str>, from: Option<&str>, to: Option<&str>) -> Result<(String, String), String> {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let range = Range { since: since.map(|s| s.parse().unwrap()), from: text(from), to: text(to) };
        let now = WallTime::from_millis(1_772_438_400_000);
        let show = |us| if us == 0 { "open".to_owned() } else { WallTime::from_micros(us).to_string() };
        range
            .span(now, None)
            .map(|span| (show(span.from_us), show(span.to_us)))
            .map_err(|error| error.text().unwrap_or_default())
    }

    #[test]
    fn moments_are_read_in_utc_unless_they_say_otherwise() {
        let good = |since, from, to| span(since, from, to).unwrap();
        let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(good(None, None, None), pair("open", "open"));
        assert_eq!(good(Some("1h"), None, None), pair("2026-03-02T07:00:00Z", "open"));
        assert_eq!(good(None, Some("2026-03-02"), None), pair("2026-03-02T00:00:00Z", "open"));
        assert_eq!(
            good(None, Some("2026-03-02 08:00"), Some("2026-03-02T10:00:30+01:00")),
            pair("2026-03-02T08:00:00Z", "2026-03-02T09:00:30Z")
        );
        assert_eq!(
            good(Some("15m"), None, Some("2026-03-02T08:00Z")),
            pair("2026-03-02T07:45:00Z", "2026-03-02T08:00:00Z")
        );
    }

    #[test]
    fn a_wrong_moment_says_what_is_right() {
        let errors = [span(None, Some("yesterday"), None), span(None, Some("2026-03-03"), Some("2026-03-02"))]
            .map(Result::unwrap_err);
        insta::assert_snapshot!(errors.join("\n"));
    }
}
