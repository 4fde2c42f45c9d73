//! What did a process do to its disk, call by call?
//!
//! `recorder.c` writes it down, and says in what form; this reads it back.

use std::path::Path;
use std::rc::Rc;

use anyhow::{Context as _, bail, ensure};

/// One call that had an effect. Files and folders go by the number of their node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    /// A file was made.
    File {
        folder: u64,
        node: u64,
        name: String,
    },
    /// A folder was made.
    Folder {
        folder: u64,
        node: u64,
        name: String,
    },
    Write {
        node: u64,
        at: u64,
        bytes: Rc<[u8]>,
    },
    /// The length was set.
    Length {
        node: u64,
        bytes: u64,
    },
    /// The length is at least this.
    LengthAtLeast {
        node: u64,
        bytes: u64,
    },
    Rename {
        from: u64,
        to: u64,
        old: String,
        new: String,
    },
    Link {
        folder: u64,
        node: u64,
        name: String,
    },
    Remove {
        folder: u64,
        name: String,
    },
    SyncBegins {
        sync: u64,
    },
    SyncEnds {
        node: u64,
        sync: u64,
    },
    /// `sync_file_range`: on its way to the disk, and no more.
    Started,
    /// A line on the standard output.
    Said(String),
}

const HEAD: usize = 32;

/// All calls of a process, in the order in which they took effect.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Call>> {
    let bytes = std::fs::read(path).context("read what was recorded")?;
    let (mut rest, mut calls) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        ensure!(rest.len() >= HEAD, "the record was cut short");
        let (head, after) = rest.split_at(HEAD);
        let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap_or_default());
        let length = usize::try_from(number(0) >> 32)?;
        ensure!(after.len() >= length, "the record was cut short");
        let (data, next) = after.split_at(length);
        calls.extend(call(head[0], number(8), number(16), data)?);
        rest = next;
    }
    Ok(calls)
}

fn call(op: u8, node: u64, x: u64, data: &[u8]) -> anyhow::Result<Vec<Call>> {
    let text = || String::from_utf8_lossy(data).into_owned();
    Ok(vec![match op {
        b'C' => Call::File { folder: node, node: x, name: text() },
        b'D' => Call::Folder { folder: node, node: x, name: text() },
        b'W' => Call::Write { node, at: x, bytes: data.into() },
        b'T' => Call::Length { node, bytes: x },
        b'G' => Call::LengthAtLeast { node, bytes: x },
        b'R' => {
            let text = text();
            let (old, new) = text.split_once('\0').context("two names")?;
            Call::Rename { from: node, to: x, old: old.to_owned(), new: new.to_owned() }
        }
        b'L' => Call::Link { folder: node, node: x, name: text() },
        b'U' => Call::Remove { folder: node, name: text() },
        b'B' => Call::SyncBegins { sync: x },
        b'E' => Call::SyncEnds { node, sync: x },
        b'F' => Call::Started,
        b'S' => return Ok(said(&text())),
        _ => bail!("the process did what the recorder cannot write down: {}", text()),
    }])
}

/// What tests say begins with a word of its own, wherever it stands in the line.
fn said(text: &str) -> Vec<Call> {
    text.lines().filter_map(|line| Some(Call::Said(line.split_once("said ")?.1.to_owned()))).collect()
}

/// Says something that is recorded at its place among the calls; nothing in a process that is not recorded.
pub(crate) fn say(text: &str) {
    use std::io::Write as _;
    if super::recorder::child_dir().is_none() {
        return;
    }
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "said {text}").and_then(|()| out.flush());
}
