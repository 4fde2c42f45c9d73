//! How are numbers, times and places put into sentences of two languages?

use uitwijk_model::{Millis, Ratio, WallTime};

use crate::share::share;
use crate::verdict::{Cause, Finding, Observation, Rejected, WouldChange};

/// One sentence in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) en: String,
    pub(crate) nl: String,
}

/// Makes a [`Said`] from an English and a Dutch format.
macro_rules! said {
    ($en:literal, $nl:literal) => {
        $crate::words::Said { en: format!($en), nl: format!($nl) }
    };
}
pub(crate) use said;

impl Said {
    pub(crate) fn finding(self, code: &str, observations: Vec<Observation>) -> Finding {
        Finding { code: code.to_owned(), text: self.en, text_nl: self.nl, observations }
    }

    pub(crate) fn rejects(self, cause: Cause, finding_code: &str) -> Rejected {
        Rejected { cause, reason: self.en, reason_nl: self.nl, finding_code: finding_code.to_owned() }
    }

    pub(crate) fn would_change(self) -> WouldChange {
        WouldChange { text: self.en, text_nl: self.nl }
    }
}

/// Time of day in UTC, `08:15:00`; the whole text when the moment has none.
pub(crate) fn clock(at: WallTime) -> String {
    let text = at.to_string();
    text.get(11..19).map_or_else(|| text.clone(), str::to_owned)
}

/// Date in UTC, `2026-03-02`.
pub(crate) fn date(at: WallTime) -> String {
    let text = at.to_string();
    text.get(..10).map_or_else(|| text.clone(), str::to_owned)
}

/// A length of time, `10 min 30 s`; the same in both languages.
pub(crate) fn span(length: Millis) -> String {
    let (ms, s) = (length.0 % 1000, length.0 / 1000);
    let parts = [(s / 86_400, "d"), (s / 3600 % 24, "h"), (s / 60 % 60, "min"), (s % 60, "s"), (ms, "ms")];
    let told: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n} {unit}")).collect();
    if told.is_empty() { "0 s".to_owned() } else { told.join(" ") }
}

/// `98%`, rounded down, but never 0% of something nor 100% of less than all.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let p = share(part, whole) / 10_000;
    match p {
        0 if part > 0 => "<1%".to_owned(),
        _ => format!("{p}%"),
    }
}

/// A threshold of the policy as people say it.
pub(crate) fn ratio(r: Ratio) -> String {
    r.to_string()
}

/// Folds text into lines of at most `width` characters; lines after the first are indented by `indent`.
pub(crate) fn wrap(text: &str, width: usize, indent: usize) -> String {
    let (mut out, mut column) = (String::new(), 0);
    for word in text.split(' ').filter(|w| !w.is_empty()) {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_read_as_people_say_them() {
        for (ms, text) in [
            (0, "0 s"),
            (1500, "1 s 500 ms"),
            (630_000, "10 min 30 s"),
            (3_600_000, "1 h"),
            (90_061_000, "1 d 1 h 1 min 1 s"),
        ] {
            assert_eq!(span(Millis(ms)), text);
        }
    }

    #[test]
    fn percents_never_claim_too_much() {
        assert_eq!((percent(999, 1000), percent(1, 1000), percent(0, 0)), ("99%".into(), "<1%".into(), "0%".into()));
    }

    #[test]
    fn long_lines_fold() {
        assert_eq!(wrap("one two three", 9, 2), "one two\n  three");
    }
}
