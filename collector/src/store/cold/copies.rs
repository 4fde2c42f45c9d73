//! Which files of a bucket lie on this disk as well?
//!
//! Whoever takes in a late row asks first what is stored of its hour, and with a bucket that does not answer the row would wait. So
//! the newest files are kept here too, as they were put there: they never change. A copy is a help and no promise: one
//! that cannot be made, cannot be read or is not what was put there is told and taken away, and the bucket is asked.
//!
//! ```text
//!   copies/PLACE/collector=nl-c1%measurements%year=2026%…%gen-1-48211-1.parquet~HASH
//!          ^ a hash of what the bucket is called     ^ the path                 ^ of the content
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::super::whole::{make_folder, sync_names};

/// Bytes of a hash that are kept in a name.
const HASH_BYTES: usize = 16;

/// Copies in a folder.
#[derive(Debug)]
pub(super) struct Copies {
    folder: PathBuf,
    bytes_max: u64,
    /// What is there, the oldest hours first; found out when it is first asked for.
    known: Mutex<Option<BTreeMap<Name, Kept>>>,
}

/// The part of a path that begins with the time, and all of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    time: String,
    path: String,
}

impl Name {
    fn of(path: &str) -> Self {
        let time = path.find("year=").map_or(path, |at| &path[at..]).to_owned();
        Self { time, path: path.to_owned() }
    }
}

/// One file.
#[derive(Debug, Clone)]
struct Kept {
    bytes: u64,
    hash: String,
    /// This process has seen that it is what was put there.
    is_whole: bool,
}

impl Copies {
    /// In a folder below `dir` for a place, which is made when there is something to keep. Other places' copies go.
    pub(super) fn new(dir: &FilePath, place: &str, bytes_max: u64) -> Self {
        Self { folder: dir.join(hash_of(place.as_bytes())), bytes_max, known: Mutex::default() }
    }

    /// Keeps a file that is in the bucket. The oldest make room for it.
    pub(super) fn keep(&self, path: &str, content: &Bytes) {
        let mut known = self.known();
        let known = known.get_or_insert_with(|| self.found());
        self.take_away(known, &Name::of(path));
        let (name, bytes) = (Name::of(path), content.len() as u64);
        while known.values().map(|copy| copy.bytes).sum::<u64>().saturating_add(bytes) > self.bytes_max {
            let oldest = known.keys().next().filter(|oldest| **oldest < name).cloned();
            let Some(oldest) = oldest else { return };
            self.take_away(known, &oldest);
        }
        let copy = Kept { bytes, hash: hash_of(content), is_whole: true };
        match self.write(&name, &copy, content) {
            Ok(()) => drop(known.insert(name, copy)),
            Err(error) => tracing::warn!(path, %error, "no copy of an hour's file is kept on this disk"),
        }
    }

    fn write(&self, name: &Name, copy: &Kept, content: &Bytes) -> io::Result<()> {
        make_folder(&self.folder)?;
        let (unfinished, whole) = (self.folder.join(UNFINISHED), self.file(name, copy));
        let mut file = File::create(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, whole)?;
        sync_names(&self.folder)
    }

    /// Some stretches of bytes of a file, if there is a copy that is what was put there.
    pub(super) fn ranges(&self, path: &str, ranges: &[Range<u64>]) -> Option<Vec<Bytes>> {
        let name = Name::of(path);
        let copy = self.known().get_or_insert_with(|| self.found()).get(&name)?.clone();
        match read(&self.file(&name, &copy), &copy, ranges) {
            Ok(all) => {
                if let Some(copy) = self.known().as_mut().and_then(|known| known.get_mut(&name)) {
                    copy.is_whole = true;
                }
                Some(all)
            }
            Err(error) => {
                tracing::warn!(path, %error, "the copy of an hour's file cannot be used: the bucket is asked");
                self.forget(path);
                None
            }
        }
    }

    /// Whether there is a copy of a file; it may turn out to be none when it is read.
    pub(super) fn has(&self, path: &str) -> bool {
        self.known().get_or_insert_with(|| self.found()).contains_key(&Name::of(path))
    }

    /// Takes the copy of a file away.
    pub(super) fn forget(&self, path: &str) {
        let mut known = self.known();
        let known = known.get_or_insert_with(|| self.found());
        self.take_away(known, &Name::of(path));
    }

    fn take_away(&self, known: &mut BTreeMap<Name, Kept>, name: &Name) {
        let Some(copy) = known.remove(name) else { return };
        match fs::remove_file(self.file(name, &copy)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = name.path, %error, "the copy of an hour's file cannot be taken away");
            }
            _ => {}
        }
    }

    /// What is in the folder. What is no copy, or too much, or of another place, goes.
    fn found(&self) -> BTreeMap<Name, Kept> {
        let other_places = self.folder.parent().into_iter().flat_map(entries).filter(|path| *path != self.folder);
        for path in other_places {
            let _ = fs::remove_dir_all(path);
        }
        let mut known = BTreeMap::new();
        for path in entries(&self.folder) {
            let named = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.rsplit_once('~'));
            match (named, fs::metadata(&path)) {
                (Some((name, hash)), Ok(about)) => {
                    let copy = Kept { bytes: about.len(), hash: hash.to_owned(), is_whole: false };
                    known.insert(Name::of(&name.replace('%', "/")), copy);
                }
                _ => drop(fs::remove_file(path)),
            }
        }
        while known.values().map(|copy| copy.bytes).sum::<u64>() > self.bytes_max {
            let Some(oldest) = known.keys().next().cloned() else { break };
            self.take_away(&mut known, &oldest);
        }
        known
    }

    fn file(&self, name: &Name, copy: &Kept) -> PathBuf {
        self.folder.join(format!("{}~{}", name.path.replace('/', "%"), copy.hash))
    }

    fn known(&self) -> MutexGuard<'_, Option<BTreeMap<Name, Kept>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a write that was interrupted leaves.
const UNFINISHED: &str = "unfinished";

fn entries(dir: &FilePath) -> Vec<PathBuf> {
    let all = fs::read_dir(dir).into_iter().flatten();
    all.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect()
}

fn hash_of(content: &[u8]) -> String {
    Sha256::digest(content).iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

/// Reads stretches of a file, and all of it when nobody has seen yet that it is whole.
fn read(path: &FilePath, copy: &Kept, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
    let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    if !copy.is_whole && hash_of(&fs::read(path)?) != copy.hash {
        return Err(damaged("it is not what was put there"));
    }
    let file = File::open(path)?;
    let part = |range: &Range<u64>| {
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        if range.end > copy.bytes {
            return Err(damaged("it is too short"));
        }
        let mut part = vec![0; length];
        file.read_exact_at(&mut part, range.start)?;
        Ok(Bytes::from(part))
    };
    ranges.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(hour: u32) -> String {
        format!("collector=c/measurements/year=2026/month=03/day=02/hour={hour:02}/gen-1-1-1.parquet")
    }

    fn content(byte: u8) -> Bytes {
        Bytes::from(vec![byte; 100])
    }

    fn all(copies: &Copies, hour: u32) -> Option<Vec<Bytes>> {
        copies.ranges(&path(hour), &[0..60, 60..100])
    }

    /// The hours of which there is a copy.
    fn hours(copies: &Copies) -> Vec<u32> {
        (0..10).filter(|&hour| all(copies, hour).is_some()).collect()
    }

    #[test]
    fn the_newest_hours_are_kept_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let copies = Copies::new(dir.path(), "s3://a", 350);
        assert_eq!(all(&copies, 3), None);
        for hour in [3, 1, 4, 2, 5] {
            copies.keep(&path(hour), &content(1));
        }
        assert_eq!(hours(&copies), [3, 4, 5], "2 came when there were newer ones");
        assert_eq!(all(&copies, 3).unwrap(), [content(1).slice(..60), content(1).slice(60..)]);
        copies.keep(&path(4), &content(2));
        fs::write(copies.folder.join(UNFINISHED), b"half").unwrap();
        let again = Copies::new(dir.path(), "s3://a", 250);
        assert_eq!(hours(&again), [4, 5]);
        assert_eq!(all(&again, 4).unwrap()[0], content(2).slice(..60));
        again.forget(&path(4));
        assert_eq!(hours(&again), [5]);
        assert_eq!(entries(&again.folder).len(), 1, "nothing else is left there");
        assert_eq!(hours(&Copies::new(dir.path(), "s3://a", 0)), [0; 0]);
    }

    #[test]
    fn what_is_not_what_was_put_there_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let copies = Copies::new(dir.path(), "s3://a", 1000);
        for hour in 1..4 {
            copies.keep(&path(hour), &content(1));
        }
        let files = entries(&copies.folder);
        let of = |hour: &str| files.iter().find(|file| file.to_string_lossy().contains(hour)).unwrap();
        fs::write(of("hour=01"), vec![2; 100]).unwrap();
        fs::write(of("hour=02"), vec![1; 50]).unwrap();
        let again = Copies::new(dir.path(), "s3://a", 1000);
        assert_eq!(hours(&again), [3]);
        assert_eq!(entries(&again.folder).len(), 1);
        assert_eq!(again.ranges(&path(3), std::slice::from_ref(&(0..101))), None, "farther than it reaches");

        again.keep(&path(3), &content(1));
        let other = Copies::new(dir.path(), "s3://b", 1000);
        assert_eq!((hours(&other), entries(dir.path()).len()), (vec![], 0), "of another place nothing is read or kept");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, b"").unwrap();
        let copies = Copies::new(&file, "s3://a", 1000);
        copies.keep(&path(1), &content(1));
        assert_eq!(hours(&copies), [0; 0]);
    }
}
