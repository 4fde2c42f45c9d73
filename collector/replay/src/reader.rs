//! How does a stream become records, however it was packed?
//!
//! Plain, gzip and zstd are told apart by their first bytes. One line is held at a time, and no line is longer than
//! [`LINE_MAX`]. What is not an error but worth knowing is counted in [`Notes`]: keys that nobody knows, lines that were
//! skipped, lines out of order.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read};

use flate2::read::MultiGzDecoder;
use uitwijk_model::WallTime;

pub use crate::line::LineError;
use crate::names::Names;
use crate::record::Record;

/// Bytes of the longest line that is read.
pub const LINE_MAX: usize = 65_536;

/// Names of unknown keys that are remembered.
const UNKNOWN_MAX: usize = 64;

/// Why a stream could not be read on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A line is no record.
    #[error("line {line}: {error}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong.
        error: LineError,
    },
    /// The bytes ended or failed before the stream did.
    #[error("after line {line}: {error}")]
    Io {
        /// The last line that was whole.
        line: u64,
        /// What failed.
        error: io::Error,
    },
}

/// How a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Count bad lines and go on, instead of ending with the first.
    pub skip_bad: bool,
}

/// What is worth knowing about a stream that could be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notes {
    /// Records that were read.
    pub records: u64,
    /// Lines that were skipped because they are no records.
    pub bad: u64,
    /// The first of them, and what is wrong with it.
    pub first_bad: Option<(u64, LineError)>,
    /// Keys that nobody knows, at most 64 of them.
    pub unknown: BTreeSet<String>,
    /// Records that arrived before the one in the line before them.
    pub unordered: u64,
    /// The line of the first of them.
    pub first_unordered: Option<u64>,
}

/// Reads a stream record by record.
pub struct Reader {
    input: BufReader<Box<dyn Read>>,
    how: Reading,
    names: Names,
    notes: Notes,
    line: u64,
    last: Option<WallTime>,
    bytes: Vec<u8>,
    unknown: Vec<String>,
    ended: bool,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("line", &self.line).field("notes", &self.notes).finish_non_exhaustive()
    }
}

impl Reader {
    /// Looks at the first bytes and makes ready to read.
    ///
    /// # Errors
    /// When not even those can be read.
    pub fn new(input: impl Read + 'static, how: Reading) -> io::Result<Self> {
        Ok(Self {
            input: BufReader::with_capacity(1 << 16, unpacked(input)?),
            how,
            names: Names::default(),
            notes: Notes::default(),
            line: 0,
            last: None,
            bytes: Vec::new(),
            unknown: Vec::new(),
            ended: false,
        })
    }

    /// What was noticed so far.
    #[must_use]
    pub const fn notes(&self) -> &Notes {
        &self.notes
    }

    /// The number of the last line that was read.
    #[must_use]
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// The next line that is not blank into `bytes`; false at the end, an error when it is too long.
    fn next_line(&mut self) -> Result<Option<Result<(), LineError>>, ReadError> {
        loop {
            self.bytes.clear();
            let whole = read_line(&mut self.input, &mut self.bytes)
                .map_err(|error| ReadError::Io { line: self.line, error })?;
            let Some(whole) = whole else { return Ok(None) };
            self.line += 1;
            if self.line == 1 && self.bytes.starts_with(b"\xef\xbb\xbf") {
                self.bytes.drain(..3);
            }
            if !whole {
                return Ok(Some(Err(LineError::TooLong { max: LINE_MAX })));
            }
            if !self.bytes.trim_ascii().is_empty() {
                return Ok(Some(Ok(())));
            }
        }
    }

    fn parse(&mut self) -> Result<Record, LineError> {
        let text = std::str::from_utf8(&self.bytes).map_err(|_| LineError::NotText)?;
        Record::from_line(text, &mut self.names, &mut self.unknown)
    }

    fn note(&mut self, record: &Record) {
        self.notes.records += 1;
        if self.last.is_some_and(|last| record.arrived < last) {
            self.notes.unordered += 1;
            self.notes.first_unordered.get_or_insert(self.line);
        }
        self.last = Some(self.last.map_or(record.arrived, |last| last.max(record.arrived)));
        for key in self.unknown.drain(..) {
            if self.notes.unknown.len() < UNKNOWN_MAX {
                self.notes.unknown.insert(key);
            }
        }
    }

    fn step(&mut self) -> Result<Option<Record>, ReadError> {
        loop {
            let read = match self.next_line()? {
                None => return Ok(None),
                Some(Ok(())) => self.parse(),
                Some(Err(error)) => Err(error),
            };
            match read {
                Ok(record) => {
                    self.note(&record);
                    return Ok(Some(record));
                }
                Err(error) if self.how.skip_bad => {
                    self.unknown.clear();
                    self.notes.bad += 1;
                    self.notes.first_bad.get_or_insert((self.line, error));
                }
                Err(error) => return Err(ReadError::Line { line: self.line, error }),
            }
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Record, ReadError>;

    /// The next record; after an error there is no more.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.step().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Reads a line without its end; none at the end of the input, false when it was longer than may be and was cut.
fn read_line(input: &mut impl BufRead, into: &mut Vec<u8>) -> io::Result<Option<bool>> {
    let (mut any, mut whole) = (false, true);
    loop {
        let found = match input.fill_buf() {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if found.is_empty() {
            return Ok(any.then_some(whole));
        }
        any = true;
        let end = found.iter().position(|&b| b == b'\n');
        let part = &found[..end.unwrap_or(found.len())];
        let room = LINE_MAX - into.len();
        whole &= part.len() <= room;
        into.extend_from_slice(&part[..part.len().min(room)]);
        let used = end.map_or(found.len(), |end| end + 1);
        input.consume(used);
        if end.is_some() {
            return Ok(Some(whole));
        }
    }
}

/// The plain bytes of an input that may be packed.
fn unpacked(mut input: impl Read + 'static) -> io::Result<Box<dyn Read>> {
    let mut head = [0; 4];
    let mut have = 0;
    while have < head.len() {
        match input.read(&mut head[have..]) {
            Ok(0) => break,
            Ok(n) => have += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let all = io::Cursor::new(head).take(have as u64).chain(input);
    Ok(match head {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(all)),
        // A frame of zstd, or one that its readers skip.
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Box::new(zstd::Decoder::new(all)?),
        _ => Box::new(all),
    })
}
