//! How does a backup get from a running collector into a directory?
//!
//! Piece by piece, each file synced and summed on the way; then the folders, then the manifest. Whatever ends it before leaves a
//! directory that says of itself that it is unfinished.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tonic::Streaming;
use uitwijk_model::WallTime;
use uitwijk_proto::v1;
use uitwijk_proto::v1::backup_piece::Piece;

use super::BackupError;
use super::layout::{self, Chain, Contents, FORMAT, Listed, Manifest, Sealed, hex};

/// Writes what comes into a directory that is missing or empty.
///
/// # Errors
/// When the directory cannot be used, the disk fails, or the collector does not give all of it.
pub async fn fetch(mut pieces: Streaming<v1::BackupPiece>, dir: &Path) -> Result<Manifest, BackupError> {
    let mut writing = Writing::new(dir);
    loop {
        let message = pieces.message().await.map_err(|status| BackupError::Collector(status.message().to_owned()))?;
        let piece = message.and_then(|message| message.piece);
        let piece = piece.ok_or_else(|| BackupError::Collector("it ended in the middle".to_owned()))?;
        if let Some(manifest) = writing.take(piece)? {
            return Ok(manifest);
        }
    }
}

/// A backup that comes in.
pub(super) struct Writing {
    dir: PathBuf,
    begin: Option<v1::BackupBegin>,
    open: Option<Open>,
    files: Vec<Listed>,
    named: Vec<Listed>,
    folders: BTreeSet<PathBuf>,
}

struct Open {
    file: File,
    at: PathBuf,
    path: String,
    sum: Sha256,
    bytes: u64,
}

impl Writing {
    pub(super) fn new(dir: &Path) -> Self {
        let (files, named, folders) = (Vec::new(), Vec::new(), BTreeSet::new());
        Self { dir: dir.to_owned(), begin: None, open: None, files, named, folders }
    }

    /// Takes the next piece; the last gives the manifest, which is on disk then.
    pub(super) fn take(&mut self, piece: Piece) -> Result<Option<Manifest>, BackupError> {
        let out_of_place = |what: &str| Err(BackupError::Collector(format!("{what} came out of its place")));
        match piece {
            Piece::Begin(begin) if self.begin.is_none() => {
                if begin.format != FORMAT {
                    let found = begin.format;
                    return Err(BackupError::Collector(format!(
                        "it writes format {found}, this release writes {FORMAT}: use the release that it runs"
                    )));
                }
                self.begin = Some(begin);
            }
            Piece::File(file) if self.begin.is_some() && self.open.is_none() => self.begin_file(file.path)?,
            Piece::Bytes(bytes) => match &mut self.open {
                Some(open) => open.write(&bytes)?,
                None => return out_of_place("bytes"),
            },
            Piece::FileEnd(end) => match self.open.take() {
                Some(open) => self.files.push(open.end(&end)?),
                None => return out_of_place("the end of a file"),
            },
            Piece::Named(v1::NamedFile { path, bytes, sha256 }) => {
                self.named.push(Listed { path, bytes, sha256: hex(&sha256) });
            }
            Piece::End(end) if self.open.is_none() => return self.end(end).map(Some),
            Piece::Begin(_) | Piece::File(_) | Piece::End(_) => return out_of_place("a piece"),
        }
        Ok(None)
    }

    fn begin_file(&mut self, path: String) -> Result<(), BackupError> {
        let at = layout::place(&self.dir, &path)?;
        layout::make_parents(&self.dir, &at)?;
        self.folders.extend(at.parent().map(Path::to_owned));
        let file = layout::make_file(&at)?;
        self.open = Some(Open { file, at, path, sum: Sha256::new(), bytes: 0 });
        Ok(())
    }

    fn end(&mut self, end: v1::BackupEnd) -> Result<Manifest, BackupError> {
        let begin = self.begin.take().ok_or_else(|| BackupError::Collector("it began with its end".to_owned()))?;
        self.folders.iter().try_for_each(|folder| layout::sync_dir(folder))?;
        let shadows = end.shadow_entries.map(|entries| Chain { entries, head: end.shadow_head });
        let manifest = Manifest {
            format: FORMAT,
            store_format: match begin.store_format {
                0 => layout::first_store_format(),
                said => said,
            },
            collector: begin.collector,
            taken: WallTime::from_micros(begin.taken_us).to_string(),
            taken_us: begin.taken_us,
            software: begin.software,
            contents: Contents {
                records: end.records,
                record_rows: end.record_rows,
                records_damaged: end.records_damaged,
                ledgers: end.ledgers,
                sealed_hours: end.sealed_hours,
                sealed_files: end.sealed_files,
                sealed_rows: end.sealed_rows,
                verdict_entries: end.verdict_entries,
                verdict_head: end.verdict_head,
                shadows,
            },
            sealed: Sealed {
                place: begin.sealed_place,
                copied: begin.sealed_copied,
                named: std::mem::take(&mut self.named),
            },
            files: std::mem::take(&mut self.files),
        };
        layout::end(&self.dir, &manifest)?;
        Ok(manifest)
    }
}

impl Open {
    fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.sum.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(BackupError::io(&self.at))
    }

    /// What came is what was sent, and is on disk.
    fn end(self, end: &v1::BackupFileEnd) -> Result<Listed, BackupError> {
        let sum = self.sum.finalize();
        if self.bytes != end.bytes || sum.as_slice() != end.sha256 {
            return Err(BackupError::damaged(&self.path, "what came is not what the collector sent"));
        }
        self.file.sync_all().map_err(BackupError::io(&self.at))?;
        Ok(Listed { path: self.path, bytes: self.bytes, sha256: hex(&sum) })
    }
}
