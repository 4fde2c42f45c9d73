//! Is this directory a store, of which format, and may we write there?
//!
//! A file `format` stands beside the data and is written before it. It holds one line, `uitwijk-collector store N`. A directory
//! with other files in it and no such line is somebody else's, and stays untouched.
//!
//! | format | |
//! |---|---|
//! | 1 | batches and small state |
//! | 2 | hours may be sealed: small state says which, and their rows are in files. Format 1 becomes this when it is opened, since a release that knows no files would find rows missing |

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::OpenError;
use super::whole::make_folder;

/// The newest format that this release reads, and the one that it writes.
pub const FORMAT: u32 = 2;

const NAME: &str = "format";
const WORDS: &str = "uitwijk-collector store ";
/// Enough to show that there is some space.
const PROBE_BYTES: usize = 256 << 10;

/// Makes or checks the directory.
pub(super) fn prepare(dir: &Path) -> Result<(), OpenError> {
    let not_writable = |source| OpenError::NotWritable { dir: dir.to_path_buf(), source };
    make_folder(dir).map_err(not_writable)?;
    match fs::read_to_string(dir.join(NAME)) {
        Ok(text) => {
            if check(dir, &text)? < FORMAT {
                write_synced(dir, NAME, line().as_bytes()).map_err(not_writable)?;
                tracing::info!(dir = %dir.display(), format = FORMAT, "the store has a newer format now");
            }
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            check_empty(dir)?;
            write_synced(dir, NAME, line().as_bytes()).map_err(not_writable)?;
        }
        Err(e) if e.kind() == io::ErrorKind::InvalidData => return Err(foreign(dir, "its file `format` is not text")),
        Err(e) => return Err(not_writable(e)),
    }
    probe(dir).map_err(not_writable)
}

/// Writes a little, durably, and takes it away again.
pub(super) fn probe(dir: &Path) -> io::Result<()> {
    let written = write_synced(dir, "probe", &[0x55; PROBE_BYTES]);
    let removed = fs::remove_file(dir.join("probe"));
    written.and(removed)
}

fn line() -> String {
    format!("{WORDS}{FORMAT}\n")
}

/// The format that the file names.
fn check(dir: &Path, text: &str) -> Result<u32, OpenError> {
    let number = text.strip_prefix(WORDS).and_then(|rest| rest.trim_end().parse::<u32>().ok());
    match number {
        Some(found) if found > FORMAT => Err(OpenError::NewerFormat { dir: dir.to_path_buf(), found, known: FORMAT }),
        Some(found @ 1..) => Ok(found),
        _ => Err(foreign(dir, "its file `format` says something else")),
    }
}

fn check_empty(dir: &Path) -> Result<(), OpenError> {
    let not_writable = |source| OpenError::NotWritable { dir: dir.to_path_buf(), source };
    for entry in fs::read_dir(dir).map_err(not_writable)? {
        let name = entry.map_err(not_writable)?.file_name();
        // What an interrupted first start left, and what file systems put into every new volume.
        if !["format.new", "probe.new", "probe", "lost+found"].iter().any(|known| name == *known) {
            return Err(foreign(dir, &format!("it holds {} and no file `format`", name.to_string_lossy())));
        }
    }
    Ok(())
}

fn foreign(dir: &Path, why: &str) -> OpenError {
    OpenError::NotAStore { dir: dir.to_path_buf(), why: why.to_owned() }
}

/// Either the old file is there after a power cut, or the new one.
fn write_synced(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = dir.join(format!("{name}.new"));
    let mut file = File::create(&new)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(e) = written {
        // A full disk is not to be made fuller.
        let _ = fs::remove_file(&new);
        return Err(e);
    }
    fs::rename(&new, dir.join(name))?;
    File::open(dir)?.sync_all()
}
