//! What does the running collector put into a backup?
//!
//! Moments first, all at once: the verdict log, the shadows, then the store. Then they are read, the hot store before the sealed hours, so
//! that what is removed meanwhile is held back for as short as can be. A piece is given out when the one before was taken.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tonic::Status;
use uitwijk_model::{Clock, WallTime};
use uitwijk_proto::v1;
use uitwijk_proto::v1::backup_piece::Piece;

use super::layout::{self, FORMAT};
use super::records::{self, HEAD};
use crate::plans::Plans;
use crate::shadow::Shadows;
use crate::store::{Entry, Frozen, SealedFile, Space, Store, StoreError, StoredBatch};
use crate::verdict_log::{FrozenLog, LogError, VerdictLog};

/// Bytes of a piece.
const PIECE_BYTES: usize = 256 << 10;

/// What a collector holds.
#[derive(Debug)]
pub struct Sources {
    /// Its name.
    pub collector: String,
    /// What was measured.
    pub store: Store,
    /// What was published.
    pub log: Arc<VerdictLog>,
    /// What the shadows said.
    pub shadows: Shadows,
    /// Which plans were in force.
    pub plans: Arc<Plans>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where sealed hours lie, if elsewhere.
    pub cold_url: Option<String>,
}

/// Why a backup ended early.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of a sealed hour.
    #[error("{0}: mend that, or take a backup with --sealed named, which leaves such files out")]
    Sealed(#[source] StoreError),
    /// A log.
    #[error("{}: {}", .0, advice(.0))]
    Log(#[from] LogError),
    /// The directory of plans.
    #[error("the plans cannot be read: {0}")]
    Plans(#[from] io::Error),
    /// Whoever takes the pieces.
    #[error(transparent)]
    Ended(#[from] Status),
}

/// What to do about a log that cannot be read.
const fn advice(error: &LogError) -> &'static str {
    match error {
        LogError::Damaged { .. } => {
            "stop the collector and move that log aside: a new one begins, and a backup can be taken"
        }
        _ => "take another backup when that has passed",
    }
}

/// Takes a piece; asks now and then whether what was frozen is in the way of something more important.
pub type Put<'a> = dyn FnMut(Piece, &dyn Fn() -> bool) -> Result<(), Status> + 'a;

/// Everything at one moment.
struct Moments {
    log: FrozenLog,
    shadows: Option<FrozenLog>,
    store: Frozen,
    taken: WallTime,
}

impl Moments {
    fn of(sources: &Sources) -> Result<Self, TakeError> {
        let log = sources.log.freeze()?;
        let shadows = sources.shadows.log()?.map(|log| log.freeze()).transpose()?;
        let taken = sources.clock.wall();
        Ok(Self { log, shadows, store: sources.store.freeze()?, taken })
    }

    fn are_in_the_way(&self) -> bool {
        let shadows = self.shadows.as_ref().is_some_and(FrozenLog::is_in_the_way);
        self.store.is_in_the_way() || self.log.is_in_the_way() || shadows
    }
}

/// Gives out a whole backup. Reads the disk.
///
/// # Errors
/// When something cannot be read, or nobody takes it.
pub fn take(sources: &Sources, sealed: v1::SealedFiles, put: &mut Put<'_>) -> Result<(), TakeError> {
    let moments = Moments::of(sources)?;
    let copied = match sealed {
        v1::SealedFiles::Copied => true,
        v1::SealedFiles::Named => false,
        v1::SealedFiles::Unspecified => !sources.cold_url.as_ref().is_some_and(|url| url.starts_with("s3://")),
    };
    let in_the_way = || moments.are_in_the_way();
    let mut out = Out { put, in_the_way: &in_the_way, waiting: Vec::new(), sum: Sha256::new(), bytes: 0 };
    out.give(Piece::Begin(v1::BackupBegin {
        collector: sources.collector.clone(),
        taken_us: moments.taken.as_micros(),
        format: FORMAT,
        software: concat!("uitwijk-collector ", env!("CARGO_PKG_VERSION")).to_owned(),
        sealed_place: sources.cold_url.clone().unwrap_or_else(|| "data_dir".to_owned()),
        sealed_copied: copied,
        store_format: crate::store::FORMAT,
    }))?;
    let mut end = store(&moments.store, &mut out)?;
    (end.verdict_entries, end.verdict_head) = log(layout::VERDICTS, &moments.log, &mut out)?;
    if let Some(shadows) = &moments.shadows {
        let (entries, head) = log(layout::SHADOWS, shadows, &mut out)?;
        (end.shadow_entries, end.shadow_head) = (Some(entries), head);
    }
    // Listed after the moments: a plan is on disk before a row under it is.
    for path in sources.plans.files()? {
        plan(&path, &mut out)?;
    }
    for file in moments.store.files() {
        if copied && is_whole(&moments.store, &file)? {
            sealed_file(&moments.store, &file, &mut out)?;
        } else {
            let SealedFile { path, bytes, sha256, .. } = file;
            out.give(Piece::Named(v1::NamedFile { path, bytes, sha256 }))?;
        }
    }
    Ok(out.give(Piece::End(end))?)
}

/// Small state and batches; the counts come back.
fn store(frozen: &Frozen, out: &mut Out<'_>) -> Result<v1::BackupEnd, TakeError> {
    let mut end = v1::BackupEnd {
        ledgers: frozen.small().ledgers.len() as u64,
        sealed_hours: frozen.small().sealed_hours() as u64,
        ..v1::BackupEnd::default()
    };
    for rows in frozen.files().iter().filter_map(|file| file.rows) {
        end.sealed_files += 1;
        end.sealed_rows += rows;
    }
    out.begin(layout::STORE)?;
    out.write(HEAD)?;
    // Small state first: who reads it knows which rows of the batches are in files.
    frozen.each(Space::Small, &mut |(key, value)| out.record(records::SMALL, &key, &value))?;
    frozen.each(Space::Batches, &mut |entry: Entry| -> Result<(), TakeError> {
        let (key, value) = &entry;
        out.record(records::BATCHES, key, value)?;
        end.records += 1;
        match StoredBatch::rows_counted(&entry) {
            Ok(rows) => end.record_rows += rows,
            Err(_) => end.records_damaged += 1,
        }
        Ok(())
    })?;
    out.end()?;
    Ok(end)
}

/// A log as it is; its end comes back.
fn log(path: &str, frozen: &FrozenLog, out: &mut Out<'_>) -> Result<(u64, String), TakeError> {
    out.begin(path)?;
    out.write(HEAD)?;
    frozen.each(&mut |space, key, value| out.record(space, key, value))?;
    out.end()?;
    let (entries, head) = frozen.head();
    Ok((entries, head.to_string()))
}

fn plan(path: &PathBuf, out: &mut Out<'_>) -> Result<(), TakeError> {
    let mut file = match File::open(path) {
        // The oldest goes when there are too many.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(()) };
    out.begin(&format!("{}{name}", layout::PLANS))?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            read => out.write(&piece[..read])?,
        }
    }
    Ok(out.end()?)
}

/// A file that is gone or shorter must not hinder the backup of all others.
fn is_whole(frozen: &Frozen, file: &SealedFile) -> Result<bool, TakeError> {
    match frozen.read(&file.path, file.bytes.saturating_sub(1)..file.bytes) {
        Ok(_) => Ok(true),
        Err(error @ StoreError::Damaged(_)) => {
            tracing::error!(%error, "a file of a sealed hour is only named in the backup");
            Ok(false)
        }
        Err(error) => Err(TakeError::Sealed(error)),
    }
}

fn sealed_file(frozen: &Frozen, file: &SealedFile, out: &mut Out<'_>) -> Result<(), TakeError> {
    out.begin(&format!("{}{}", layout::COLD, file.path))?;
    let mut at = 0;
    while at < file.bytes {
        let end = file.bytes.min(at + PIECE_BYTES as u64);
        out.write(&frozen.read(&file.path, at..end).map_err(TakeError::Sealed)?)?;
        at = end;
    }
    Ok(out.end()?)
}

/// Where files go, in pieces.
struct Out<'a> {
    put: &'a mut Put<'a>,
    in_the_way: &'a dyn Fn() -> bool,
    waiting: Vec<u8>,
    sum: Sha256,
    bytes: u64,
}

impl Out<'_> {
    fn give(&mut self, piece: Piece) -> Result<(), Status> {
        (self.put)(piece, self.in_the_way)
    }

    fn begin(&mut self, path: &str) -> Result<(), Status> {
        (self.sum, self.bytes) = (Sha256::new(), 0);
        self.give(Piece::File(v1::BackupFile { path: path.to_owned() }))
    }

    fn record(&mut self, space: u8, key: &[u8], value: &[u8]) -> Result<(), TakeError> {
        self.write(&records::frame(space, key, value))?;
        self.write(key)?;
        Ok(self.write(value)?)
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), Status> {
        self.sum.update(bytes);
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES - self.waiting.len()));
            self.waiting.extend_from_slice(now);
            bytes = later;
            if self.waiting.len() == PIECE_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Status> {
        let piece = std::mem::take(&mut self.waiting);
        if piece.is_empty() { Ok(()) } else { self.give(Piece::Bytes(piece)) }
    }

    fn end(&mut self) -> Result<(), Status> {
        self.flush()?;
        let sha256 = std::mem::take(&mut self.sum).finalize().to_vec();
        self.give(Piece::FileEnd(v1::BackupFileEnd { bytes: self.bytes, sha256 }))
    }
}
