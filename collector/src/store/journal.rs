//! What of a database's journal did a power cut tear?
//!
//! ```text
//!   journal = batch*          batch = start, item*, end          numbers are little-endian
//!
//!   start   1, items u32, sequence u64
//!   item    2, kind u8, packed u8, keyspace u64, key length u16, value length u32, length as stored u32, key, value
//!   clear   4, keyspace u64
//!   end     3, XXH3 of the items and clears u64, "FJL" 3
//! ```
//!
//! fjall cuts off a batch that ends too early. One that has its end but lacks a sector before it, as a disk may leave it, is to fjall
//! a damaged journal, and the database opens no more. Nobody was told that what is in such a batch is safe, so it is cut off
//! here, before fjall looks.
//!
//! What was synced is not touched. Whoever writes new values to our databases syncs their batch before the next one, so no whole
//! batch of values stands behind a torn one; behind a torn batch that only removes, which nobody syncs by itself, one may. Where
//! more are, a disk has changed what it kept: nothing is cut off, and opening says so. Not told apart is what a sync lost that
//! failed, when the system says afterwards that all is well.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use memchr::memchr;
use xxhash_rust::xxh3::xxh3_64;

/// The end of each batch, and the beginning of the file `version` of a database with such journals.
const MAGIC: &[u8] = b"FJL\x03";
const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
/// The kind of an item that is a value, not the removal of one.
const VALUE: u8 = 0;
/// Bytes of the start of a batch.
const START_BYTES: usize = 13;
/// What a journal ends with is compared with so many zeros at once.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// Cuts off what a power cut tore. Does nothing to a database that is open elsewhere or of another format: fjall tells of that.
pub(crate) fn mend(database: &Path) -> io::Result<()> {
    let Some(_lock) = lock(database)? else { return Ok(()) };
    let version = match std::fs::read(database.join("version")) {
        Ok(version) => version,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let newest = if version.starts_with(MAGIC) { newest(database)? } else { None };
    let Some(journal) = newest else { return Ok(()) };
    let bytes = read(&journal)?;
    let whole = whole(&bytes);
    let torn = trimmed(&bytes[whole..]);
    if torn.is_empty() {
        return Ok(());
    }
    let behind = values_behind(torn);
    // Where the first sector did not arrive it may have been either.
    let is_of_values = torn.get(START_BYTES..).is_some_and(|items| items.starts_with(&[ITEM, VALUE]));
    if behind > usize::from(!is_of_values) {
        let (journal, damage) = (journal.display(), "was synced and has changed since");
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{journal} is damaged at byte {whole}: whole batches ({behind}) follow, so what is there {damage}"),
        ));
    }
    let file = OpenOptions::new().write(true).open(&journal)?;
    file.set_len(whole as u64)?;
    file.sync_all()?;
    tracing::warn!(
        journal = %journal.display(), at = whole, bytes = torn.len(),
        "cut off what a power cut left of a batch that nobody was told is safe"
    );
    Ok(())
}

/// The lock of the database, unless somebody has it.
fn lock(database: &Path) -> io::Result<Option<File>> {
    let file = match File::options().read(true).write(true).open(database.join("lock")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The journal that is being written. Those before it were synced whole.
fn newest(database: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest = None;
    for entry in std::fs::read_dir(database)? {
        let path = entry?.path();
        let is_journal = path.extension().is_some_and(|extension| extension == "jnl");
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        if let (true, Some(number)) = (is_journal, number) {
            newest = newest.max(Some((number, path)));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// What is in a file, without most of the zeros at its end: there are 64 MiB of them, and a few kilobytes before.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let (mut bytes, mut zeros, mut chunk) = (Vec::new(), 0, vec![0; ZEROS.len()]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(bytes),
            n if ZEROS.starts_with(&chunk[..n]) => zeros += n,
            n => {
                bytes.resize(bytes.len() + std::mem::take(&mut zeros), 0);
                bytes.extend_from_slice(&chunk[..n]);
            }
        }
    }
}

/// How many of the first bytes are whole batches.
fn whole(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(batch) = Batch::read(&bytes[at..]) {
        at += batch.bytes;
    }
    at
}

/// Without the zeros at the end: fjall makes its files longer than what is in them.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.rchunks(ZEROS.len()).take_while(|chunk| ZEROS.starts_with(chunk)).map(<[u8]>::len).sum::<usize>();
    let bytes = &bytes[..bytes.len() - zeros];
    bytes.iter().rposition(|byte| *byte != 0).map_or(&[], |last| &bytes[..=last])
}

/// How many whole batches of values are behind a torn one.
fn values_behind(torn: &[u8]) -> usize {
    let (mut at, mut count) = (1, 0);
    while let Some(start) = torn.get(at..).and_then(|rest| memchr(START, rest)) {
        at += start;
        match Batch::read(&torn[at..]) {
            Some(batch) => {
                at += batch.bytes;
                count += usize::from(batch.has_values);
            }
            None => at += 1,
        }
    }
    count
}

/// A whole batch.
struct Batch {
    bytes: usize,
    has_values: bool,
}

impl Batch {
    /// The batch that these bytes begin with; none when it is not whole.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor { bytes, at: 0 };
        if cursor.byte()? != START {
            return None;
        }
        let items = u32::from_le_bytes(cursor.array()?);
        let _sequence: [u8; 8] = cursor.array()?;
        let (from, mut has_values) = (cursor.at, false);
        for _ in 0..items {
            match cursor.byte()? {
                ITEM => has_values |= cursor.item()? == VALUE,
                CLEAR => drop(cursor.array::<8>()?),
                _ => return None,
            }
        }
        let to = cursor.at;
        let is_ended = cursor.byte()? == END;
        let checksum = u64::from_le_bytes(cursor.array()?);
        let is_whole = is_ended && cursor.take(MAGIC.len())? == MAGIC && xxh3_64(&bytes[from..to]) == checksum;
        is_whole.then_some(Self { bytes: cursor.at, has_values })
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// Reads an item behind its tag; its kind.
    fn item(&mut self) -> Option<u8> {
        let kind = self.byte()?;
        let packed = self.byte()?;
        let _keyspace: [u8; 8] = self.array()?;
        let key = u16::from_le_bytes(self.array()?);
        let value = u32::from_le_bytes(self.array()?);
        let stored = u32::from_le_bytes(self.array()?);
        if packed == 0 && value != stored {
            return None;
        }
        self.take(usize::from(key))?;
        self.take(usize::try_from(stored).ok()?)?;
        Some(kind)
    }
}

#[cfg(test)]
mod tests {
    use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

    use super::*;

    /// The lengths of the values of each batch. Each is longer than a sector, so that one can lack in the middle.
    const VALUES: [&[usize]; 4] = [&[10, 2_000], &[30_000], &[700, 700, 30_000], &[1_500]];

    fn open(dir: &Path) -> fjall::Result<(Database, Keyspace)> {
        let database = Database::builder(dir).worker_threads(1).open()?;
        let keyspace = database.keyspace("values", KeyspaceCreateOptions::default)?;
        Ok((database, keyspace))
    }

    /// A database with these batches; where each begins in its journal, and where the last one ends.
    fn database(dir: &Path) -> (PathBuf, Vec<usize>) {
        let (database, values) = open(dir).unwrap();
        let journal = newest(dir).unwrap().unwrap();
        let end = || whole(&std::fs::read(&journal).unwrap());
        let mut bounds = vec![end()];
        for (number, lengths) in VALUES.iter().enumerate() {
            let mut batch = database.batch().durability(Some(PersistMode::SyncData));
            for (item, length) in lengths.iter().enumerate() {
                batch.insert(&values, format!("{number}/{item}"), vec![b'a'; *length]);
            }
            batch.commit().unwrap();
            bounds.push(end());
        }
        drop((database, values));
        // Of the 64 MiB of zeros behind it a few will do.
        File::options().write(true).open(&journal).unwrap().set_len(bounds[VALUES.len()] as u64 + 100).unwrap();
        (journal, bounds)
    }

    fn keys(dir: &Path) -> Vec<String> {
        let (_database, values) = open(dir).unwrap();
        let key = |item: fjall::Guard| String::from_utf8_lossy(&item.key().unwrap()).into_owned();
        values.iter().map(key).collect()
    }

    /// Overwrites with zeros, as a sector that did not reach the disk.
    fn lose(journal: &Path, at: usize, count: usize) {
        let mut bytes = std::fs::read(journal).unwrap();
        bytes[at..at + count].fill(0);
        std::fs::write(journal, bytes).unwrap();
    }

    #[test]
    fn the_batches_that_fjall_writes_are_whole() {
        let home = tempfile::tempdir().unwrap();
        let (journal, bounds) = database(home.path());
        let bytes = std::fs::read(&journal).unwrap();
        assert!(bounds.is_sorted_by(|a, b| a < b), "{bounds:?}");
        assert!(trimmed(&bytes[bounds[VALUES.len()]..]).is_empty(), "nothing is behind the last batch");
        mend(home.path()).unwrap();
        assert_eq!(std::fs::read(&journal).unwrap(), bytes, "nothing is cut off");
        assert_eq!(keys(home.path()).len(), VALUES.iter().map(|lengths| lengths.len()).sum::<usize>());
    }

    #[test]
    fn the_last_batch_is_cut_off_when_it_lacks_a_part_anywhere() {
        let home = tempfile::tempdir().unwrap();
        let (journal, bounds) = database(home.path());
        let whole = std::fs::read(&journal).unwrap();
        let (from, to) = (bounds[3], bounds[4]);
        for at in (from..to).step_by(61).chain([to - 8]) {
            std::fs::write(&journal, &whole).unwrap();
            lose(&journal, at, 512.min(to - at));
            mend(home.path()).unwrap();
            assert_eq!(keys(home.path()), ["0/0", "0/1", "1/0", "2/0", "2/1", "2/2"], "lost at {at} of {from}..{to}");
        }
    }

    #[test]
    fn what_was_synced_is_not_cut_off() {
        let home = tempfile::tempdir().unwrap();
        let (journal, bounds) = database(home.path());
        let whole = std::fs::read(&journal).unwrap();
        // Behind a batch whose beginning is gone one of values may stand, so the last but one is left out.
        for (batch, behind) in [(0, 3), (1, 2), (2, 1)] {
            let (from, to) = (bounds[batch], bounds[batch + 1]);
            for at in [from + 20, (from + to) / 2, to - 8] {
                std::fs::write(&journal, &whole).unwrap();
                lose(&journal, at, 100.min(to - at));
                let before = std::fs::read(&journal).unwrap();
                let error = mend(home.path()).unwrap_err().to_string();
                let expected = format!("is damaged at byte {from}: whole batches ({behind}) follow");
                assert!(error.contains(&expected), "{error}");
                assert_eq!(std::fs::read(&journal).unwrap(), before);
            }
        }
    }

    #[test]
    fn a_group_that_was_not_synced_may_stand_behind_a_torn_removal() {
        let home = tempfile::tempdir().unwrap();
        let (journal, bounds) = {
            let (database, values) = open(home.path()).unwrap();
            let journal = newest(home.path()).unwrap().unwrap();
            let end = || whole(&std::fs::read(&journal).unwrap());
            values.insert("kept", "1").unwrap();
            let begin = end();
            let mut batch = database.batch().durability(Some(PersistMode::SyncData));
            (0..40).for_each(|item| batch.remove(&values, format!("gone/{item:020}")));
            batch.commit().unwrap();
            let middle = end();
            values.insert("later", "2").unwrap();
            (journal, [begin, middle])
        };
        lose(&journal, bounds[0] + 600, 512);
        mend(home.path()).unwrap();
        assert_eq!(keys(home.path()), ["kept"]);
        assert!(bounds[1] > bounds[0] + 1200, "{bounds:?}");
    }

    #[test]
    fn a_database_in_use_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let (journal, bounds) = database(home.path());
        let (_database, _values) = open(home.path()).unwrap();
        lose(&journal, bounds[3] + 100, 512);
        let before = std::fs::read(&journal).unwrap();
        mend(home.path()).unwrap();
        assert_eq!(std::fs::read(&journal).unwrap(), before);
    }
}
