//! How many working days lie between an announcement and what it announced?
//!
//! Working days are Monday to Friday without the Dutch public holidays: New Year, Easter Sunday and Monday, King's Day (27 April, the day before
//! when that is a Sunday), Ascension, Whit Sunday and Monday, Christmas and the day after; Liberation Day (5 May) only in
//! years that end in 0 or 5, when most employers give it. Good Friday is a working day. A plan names further days itself.

use std::collections::BTreeSet;

use jiff::ToSpan as _;
use jiff::civil::{Date, Weekday, date};

/// More notice than this is not told apart.
pub const NOTICE_MAX: u32 = 1000;

/// Whether people work on this day; `holidays` are further days off.
#[must_use]
pub fn is_working_day(day: Date, holidays: &BTreeSet<Date>) -> bool {
    !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) && !is_public_holiday(day) && !holidays.contains(&day)
}

/// Working days from the day of the announcement (included) to the day of the event (not included); at most [`NOTICE_MAX`].
///
/// An announcement on Monday for the Monday two weeks later is ten working days ahead.
#[must_use]
pub fn notice(announced: Date, event: Date, holidays: &BTreeSet<Date>) -> u32 {
    let days = announced.series(1.day()).take_while(|day| *day < event);
    let working = days.filter(|day| is_working_day(*day, holidays)).take(NOTICE_MAX as usize);
    u32::try_from(working.count()).unwrap_or(NOTICE_MAX)
}

/// Whether this is a public holiday in the Netherlands.
#[must_use]
pub fn is_public_holiday(day: Date) -> bool {
    let kings_day = match date(day.year(), 4, 27).weekday() {
        Weekday::Sunday => 26,
        _ => 27,
    };
    let fixed = match (day.month(), day.day()) {
        (1, 1) | (12, 25 | 26) => true,
        (4, d) => d == kings_day,
        (5, 5) => day.year() % 5 == 0,
        _ => false,
    };
    // Easter Sunday and Monday, Ascension, Whit Sunday and Monday.
    fixed
        || [0, 1, 39, 49, 50].iter().any(|&after| easter(day.year()).checked_add(after.days()).is_ok_and(|d| d == day))
}

/// Easter Sunday of the Gregorian calendar (Butcher's rule).
fn easter(year: i16) -> Date {
    let y = i32::from(year);
    let (century, of_century) = (y.div_euclid(100), y.rem_euclid(100));
    let moon = (8 * century + 13).div_euclid(25);
    let h = (19 * y.rem_euclid(19) + century - century.div_euclid(4) - moon + 15).rem_euclid(30);
    let l = (32 + 2 * century.rem_euclid(4) + 2 * (of_century / 4) - h - of_century % 4).rem_euclid(7);
    let m = (y.rem_euclid(19) + 11 * h + 22 * l).div_euclid(451);
    let days = h + l - 7 * m + 114;
    let part = |n: i32| i8::try_from(n).unwrap_or(1);
    date(year, part(days / 31), part(days % 31 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn easter_falls_where_calendars_have_it() {
        for (year, month, day) in [
            (2000, 4, 23),
            (2008, 3, 23),
            (2011, 4, 24),
            (2024, 3, 31),
            (2025, 4, 20),
            (2026, 4, 5),
            (2027, 3, 28),
            (2038, 4, 25),
            (2285, 3, 22),
        ] {
            assert_eq!(easter(year), date(year, month, day));
        }
    }

    #[test]
    fn public_holidays_are_those_of_the_calendar() {
        let of = |year| {
            date(year, 1, 1).series(1.day()).take_while(move |d| d.year() == year).filter(|d| is_public_holiday(*d))
        };
        let text = |year| of(year).map(|d| d.strftime("%m-%d").to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(text(2025), "01-01 04-20 04-21 04-26 05-05 05-29 06-08 06-09 12-25 12-26");
        assert_eq!(text(2026), "01-01 04-05 04-06 04-27 05-14 05-24 05-25 12-25 12-26");
    }

    #[test]
    fn notice_counts_working_days() {
        let none = BTreeSet::new();
        let days = |month, day| date(2026, month, day);
        for (announced, event, expected) in [
            (days(3, 2), days(3, 16), 10),
            (days(3, 2), days(3, 2), 0),
            (days(3, 2), days(2, 2), 0),
            (days(2, 28), days(3, 2), 0),
            (days(3, 30), days(4, 13), 9),
            (date(1900, 1, 1), days(1, 1), NOTICE_MAX),
        ] {
            assert_eq!(notice(announced, event, &none), expected, "{announced} {event}");
        }
        assert_eq!(notice(days(3, 2), days(3, 16), &BTreeSet::from([days(3, 4)])), 9);
    }
}
