//! How does a table fit on 80 columns?
//!
//! Columns are as wide as their widest cell. When that is too much, those that may shrink give way, the widest first, and
//! cut cells show it by an ellipsis: in the middle for ids, whose ends tell most, at the end for words. An id that people
//! copy into the next command gives way last.

use super::exit::clean;
use super::screen::Tone;

/// How a column looks, and how it gives way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Never cut.
    Whole,
    /// Numbers: never cut, at the right.
    Number,
    /// Cut at the end, to no less than so many characters.
    End(usize),
    /// Cut in the middle, to no less than so many characters.
    Middle(usize),
    /// As `Middle`, when nothing else is left to cut.
    Last(usize),
}

#[derive(Debug, Clone)]
struct Cell {
    tone: Tone,
    text: String,
}

/// Columns with titles, and rows.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Fit)>,
    rows: Vec<Vec<Cell>>,
}

const GAP: usize = 2;

impl Table {
    pub(crate) fn new(columns: &[(&'static str, Fit)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; absent cells at its end are empty.
    pub(crate) fn row<const N: usize>(&mut self, cells: [(Tone, String); N]) {
        let cells = cells.into_iter().map(|(tone, text)| Cell { tone, text: clean(&text) });
        self.rows.push(cells.collect());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, title first.
    pub(crate) fn lines(&self, width: Option<usize>, paint: impl Fn(Tone, &str) -> String) -> Vec<String> {
        let widths = self.widths(width);
        let title: Vec<Cell> =
            self.columns.iter().map(|(title, _)| Cell { tone: Tone::Title, text: (*title).to_owned() }).collect();
        std::iter::once(&title).chain(&self.rows).map(|row| self.line(row, &widths, &paint)).collect()
    }

    fn line(&self, row: &[Cell], widths: &[usize], paint: &impl Fn(Tone, &str) -> String) -> String {
        let mut line = String::new();
        // Blanks are held back until something follows them, so that no line ends in one.
        let mut blanks = 0;
        for ((cell, &width), (_, fit)) in row.iter().zip(widths).zip(&self.columns) {
            let text = cut(&cell.text, width, *fit);
            let rest = width - text.chars().count();
            let (before, after) = if *fit == Fit::Number { (rest, 0) } else { (0, rest) };
            if !text.is_empty() {
                line.push_str(&" ".repeat(blanks + before));
                line.push_str(&paint(cell.tone, &text));
                blanks = after + GAP;
            } else {
                blanks += width + GAP;
            }
        }
        line
    }

    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|(title, _)| title.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let Some(limit) = limit else { return widths };
        while widths.iter().sum::<usize>() + GAP * (widths.len() - 1) > limit {
            let widest = |last: bool| {
                let may = |&i: &usize| self.gives_way_last(i) == last && widths[i] > self.floor(i);
                (0..widths.len()).filter(may).max_by_key(|&i| widths[i])
            };
            let Some(widest) = widest(false).or_else(|| widest(true)) else { break };
            widths[widest] -= 1;
        }
        widths
    }

    fn gives_way_last(&self, column: usize) -> bool {
        matches!(self.columns[column].1, Fit::Last(_))
    }

    /// How narrow a column may get.
    fn floor(&self, column: usize) -> usize {
        let (title, fit) = self.columns[column];
        match fit {
            Fit::Whole | Fit::Number => usize::MAX,
            Fit::End(least) | Fit::Middle(least) | Fit::Last(least) => least.max(title.chars().count()),
        }
    }
}

fn cut(text: &str, width: usize, fit: Fit) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let tail = if matches!(fit, Fit::Middle(_) | Fit::Last(_)) { kept / 2 } else { 0 };
    let head = kept - tail;
    chars[..head].iter().chain(&['…']).chain(&chars[chars.len() - tail..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(_: Tone, text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn the_widest_gives_way_first_and_shows_it() {
        let mut table =
            Table::new(&[("TARGET", Fit::Middle(9)), ("N", Fit::Number), ("WHY", Fit::End(4)), ("LAST", Fit::Whole)]);
        let cell = |text: &str| (Tone::Plain, text.to_owned());
        table.row([cell("exchange-with-a-long-name/default@NL/1"), cell("7"), cell("connect_refused"), cell("x")]);
        table.row([cell("ctl:a"), cell("1200"), cell("ok"), cell("")]);
        insta::assert_snapshot!([table.lines(Some(40), plain), table.lines(None, plain)].concat().join("\n"));
    }
}
