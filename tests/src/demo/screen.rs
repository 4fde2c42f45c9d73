//! What does the demo write on the terminal?
//!
//! One line per event with the seconds since the start, 80 columns, colour only on a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// The terminal, or a file or pipe in its place.
#[derive(Debug)]
pub struct Screen {
    started: tokio::time::Instant,
    colour: bool,
}

/// How a line stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// It does not.
    Plain,
    /// Something broke.
    Bad,
    /// Something was mended or is as it must be.
    Good,
    /// A verdict.
    Strong,
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bad => "\x1b[31m",
            Self::Good => "\x1b[32m",
            Self::Strong => "\x1b[1m",
        }
    }
}

impl Screen {
    /// Starts the count of seconds.
    pub fn new() -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { started: tokio::time::Instant::now(), colour }
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// One event: what it is about in a word or two, and a sentence, wrapped under itself.
    pub fn event(&self, topic: &str, tone: Tone, text: &str) {
        let seconds = self.elapsed().as_secs();
        let mut first = true;
        for line in wrap(text, 56) {
            let head =
                if first { format!("{:>3}:{:02}  {topic:<13}", seconds / 60, seconds % 60) } else { " ".repeat(21) };
            self.line(tone, &head, &line);
            first = false;
        }
    }

    /// A block of text as it is, between blank lines.
    pub fn block(&self, text: &str) {
        println!("\n{}\n", text.trim_end());
        let _ = std::io::stdout().flush();
    }

    fn line(&self, tone: Tone, head: &str, text: &str) {
        match self.colour && tone != Tone::Plain {
            true => println!("{head}  {}{text}\x1b[0m", tone.code()),
            false => println!("{head}  {text}"),
        }
        let _ = std::io::stdout().flush();
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}

/// Breaks a text at spaces into lines of at most `width` characters; a longer word has a line of its own.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let fits = lines.last().is_some_and(|l| l.is_empty() || l.chars().count() + 1 + word.chars().count() <= width);
        if !fits {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a-word-that-is-too-long b", 5), ["a-word-that-is-too-long", "b"]);
        assert_eq!(wrap("", 5), [""]);
    }
}
