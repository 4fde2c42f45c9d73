//! How do answers look?

use std::io::Write;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use uitwijk_model::{Clock, WallTime};

use super::World;
use super::args::{Color, Output, Show};
use super::exit::{OpsError, clean};
use super::table::Table;

/// Everything but JSON and `--wide` fits in so many columns.
pub(crate) const WIDTH: usize = 80;

/// What a piece of text means to a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    #[default]
    Plain,
    Good,
    Warning,
    Bad,
    Quiet,
    Title,
}

impl Tone {
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Good => Some("32"),
            Self::Warning => Some("33"),
            Self::Bad => Some("31"),
            Self::Quiet => Some("2"),
            Self::Title => Some("1"),
        }
    }
}

/// Where answers go.
pub(crate) struct Screen<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    clock: Arc<dyn Clock>,
    pub(crate) json: bool,
    /// Tables as Markdown, of commands that have such.
    pub(crate) markdown: bool,
    /// A table was asked for by name.
    pub(crate) table_asked: bool,
    color: bool,
    zone: Option<TimeZone>,
    width: Option<usize>,
}

impl<'a> Screen<'a> {
    pub(crate) fn new<'w: 'a>(show: &Show, world: &'a mut World<'w>) -> Self {
        let plain = is_plain(world.env);
        Self {
            out: &mut *world.out,
            err: &mut *world.err,
            clock: world.clock.clone(),
            json: show.output == Some(Output::Json),
            markdown: show.output == Some(Output::Markdown),
            table_asked: show.output == Some(Output::Table),
            color: match show.color {
                Color::Auto => world.terminal && !plain,
                Color::Always => true,
                Color::Never => false,
            },
            zone: show.local.then(TimeZone::system),
            width: (!show.wide).then_some(WIDTH),
        }
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    pub(crate) fn now(&self) -> WallTime {
        self.clock.wall()
    }

    /// Text as it is; it must be our own, or cleaned.
    pub(crate) fn raw(&mut self, text: &str) -> Result<(), OpsError> {
        Ok(self.out.write_all(text.as_bytes())?)
    }

    /// Where bytes of an answer go that are no text of ours, such as a packed stream.
    pub(crate) fn bytes(&mut self) -> &mut dyn Write {
        self.out
    }

    /// One line of text, cleaned.
    pub(crate) fn line(&mut self, tone: Tone, text: &str) -> Result<(), OpsError> {
        let painted = self.paint(tone, &clean(text));
        Ok(writeln!(self.out, "{painted}")?)
    }

    /// Several lines of text, cleaned but for their ends.
    pub(crate) fn paragraphs(&mut self, text: &str) -> Result<(), OpsError> {
        text.lines().try_for_each(|line| self.line(Tone::Plain, line))
    }

    /// One JSON object on one line.
    pub(crate) fn object(&mut self, value: &Value) -> Result<(), OpsError> {
        Ok(writeln!(self.out, "{value}")?)
    }

    pub(crate) fn table(&mut self, table: &Table) -> Result<(), OpsError> {
        for line in table.lines(self.width, |tone, text| self.paint(tone, text)) {
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    /// A sentence of our own or with a text from elsewhere, broken to the width.
    pub(crate) fn sentence(&mut self, indent: &str, text: &str) -> Result<(), OpsError> {
        for line in wrap(&clean(text), self.width.unwrap_or(usize::MAX), indent) {
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    /// Something about the asking, which is not an answer.
    pub(crate) fn note(&mut self, text: &str) -> Result<(), OpsError> {
        self.flush()?;
        // Who cannot be told of it gets the answer all the same.
        let _ = writeln!(self.err, "uitwijk: {}", clean(text));
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> Result<(), OpsError> {
        Ok(self.out.flush()?)
    }

    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        match tone.code() {
            Some(code) if self.color => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }

    /// A moment, to the second: `2026-03-02 08:15:00Z`.
    pub(crate) fn moment(&self, us: i64) -> String {
        match (Timestamp::from_microsecond(us), &self.zone) {
            (Ok(at), None) => at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
            (Ok(at), Some(zone)) => at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S%:z").to_string(),
            (Err(_), _) => format!("{us}us"),
        }
    }
}

/// Whether the environment asks for no colours: `NO_COLOR` set to anything, or a terminal that has none.
pub(crate) fn is_plain(env: &dyn Fn(&str) -> Option<String>) -> bool {
    env("NO_COLOR").is_some_and(|value| !value.is_empty()) || env("TERM").is_some_and(|term| term == "dumb")
}

/// Breaks text into lines; a word that is longer than a line stands on one of its own.
pub(crate) fn wrap(text: &str, width: usize, indent: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let hang = " ".repeat(indent.chars().count());
    for word in text.split_ascii_whitespace() {
        let start = if lines.is_empty() { indent } else { hang.as_str() };
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
            line.push_str(&hang);
        } else if line.is_empty() {
            line.push_str(start);
        } else {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// A length of time, at most six characters: `950ms`, `12s`, `4m10s`, `3h05m`, `12d`.
pub(crate) fn length(us: u64) -> String {
    let (ms, s) = (us / 1000, us / 1_000_000);
    match s {
        0 => format!("{ms}ms"),
        1..=119 => format!("{s}s"),
        120..=5_999 if s % 60 == 0 => format!("{}m", s / 60),
        120..=5_999 => format!("{}m{:02}s", s / 60, s % 60),
        6_000..=172_799 => format!("{}h{:02}m", s / 3600, s / 60 % 60),
        _ => format!("{}d", s / 86_400),
    }
}

/// A number of bytes: `0`, `900`, `12K`, `3.4M`.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    match UNITS.into_iter().find(|(size, _)| n >= *size) {
        None => n.to_string(),
        Some((size, unit)) if n / size >= 10 => format!("{}{unit}", n / size),
        Some((size, unit)) => format!("{}.{}{unit}", n / size, n % size * 10 / size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_sizes_are_short() {
        let lengths =
            [999, 950_000, 12_000_000, 119_000_000, 250_000_000, 300_000_000, 11_100_000_000, 1_036_800_000_000];
        assert_eq!(lengths.map(length), ["0ms", "950ms", "12s", "119s", "4m10s", "5m", "3h05m", "12d"]);
        assert_eq!([0, 900, 12_500, 3_565_158, 1 << 31].map(bytes), ["0", "900", "12K", "3.3M", "2.0G"]);
    }

    #[test]
    fn sentences_are_broken_at_words() {
        let lines = wrap("the quick brown fox jumps over a verylongwordthatdoesnotfit anyway", 20, "- ");
        assert_eq!(lines, ["- the quick brown", "  fox jumps over a", "  verylongwordthatdoesnotfit", "  anyway"]);
    }
}
