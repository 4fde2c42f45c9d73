//! Is a log what was written, entry by entry?
//!
//! The collector checks the end of the chain whenever it opens its log. An audit reads all of it, from a directory that no collector
//! has open: the collector is stopped, or the directory is a copy. It asks nobody, so it takes no word of the collector for it.
//!
//! A chain shows that nothing inside it was changed. Somebody who writes all of it anew, or cuts off its end, leaves a chain that fits; that
//! shows by a head that was noted elsewhere, as the collector's own log notes one at each publication.

use std::path::Path;

use fjall::{Keyspace, KeyspaceCreateOptions};

use super::chain::{Check, Hash, Verified};
use super::tables::{check_version, open_database};
use super::{LogError, VerdictLog};

/// The file by which a directory is known to hold a database.
const MARKER: &str = "version";

/// What an audit found.
#[derive(Debug)]
pub struct Audit {
    /// How many entries fit, and the hash of the last of them.
    pub good: Verified,
    /// Why the one after them does not; absent when all fit.
    pub damage: Option<LogError>,
}

impl VerdictLog {
    /// Checks every entry in a directory; each that fits is told, with its hash.
    ///
    /// # Errors
    /// When the directory cannot be read as a log at all.
    pub fn audit(dir: &Path, told: &mut dyn FnMut(u64, Hash)) -> Result<Audit, LogError> {
        let missing = || LogError::Open { dir: dir.to_owned(), why: "there is no verdict log".to_owned() };
        if !dir.join(MARKER).is_file() {
            return Err(missing());
        }
        let db = open_database(dir)?;
        if !db.keyspace_exists("meta") || !db.keyspace_exists("entries") {
            return Err(missing());
        }
        let keyspace = |name| db.keyspace(name, KeyspaceCreateOptions::default).map_err(|e| LogError::open(dir, e));
        check_version(dir, &db, &keyspace("meta")?)?;
        walk(&keyspace("entries")?, told)
    }
}

/// Follows the chain to its end, or to the first entry that does not fit.
fn walk(entries: &Keyspace, told: &mut dyn FnMut(u64, Hash)) -> Result<Audit, LogError> {
    let mut check = Check::from(1);
    for item in entries.iter() {
        // What the disk gives back otherwise than it got it, the database finds by its own sums.
        let read = item.into_inner().map_err(LogError::from);
        if let Err(damage) = read.and_then(|(key, bytes)| check.next(&key, &bytes)) {
            return Ok(Audit { good: check.end(), damage: Some(damage) });
        }
        let good = check.end();
        told(good.entries, good.head);
    }
    Ok(Audit { good: check.end(), damage: None })
}

#[cfg(test)]
impl VerdictLog {
    /// Changes one byte of what an entry says behind the chain's back.
    pub(crate) fn change_byte(&self, sequence: u64) {
        let tables = self.tables().unwrap();
        let key = sequence.to_be_bytes();
        let said = String::from_utf8(tables.entries.get(key).unwrap().unwrap().to_vec()).unwrap();
        tables.entries.insert(key, said.replacen("needed", "heeded", 1)).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uitwijk_model::WallTime;

    use super::super::Publication;
    use super::*;

    fn publication(revision: u32) -> Publication {
        let (episode, service) = ("exchange/a".to_owned(), "exchange".to_owned());
        let body = json!({ "need": "needed", "text": "x".repeat(40) });
        Publication { episode, service, revision, from: WallTime::from_micros(1), to: None, body }
    }

    fn filled(dir: &Path) -> VerdictLog {
        let log = VerdictLog::open(dir).unwrap();
        (1..=5).for_each(|n| _ = log.append(WallTime::from_micros(9), &[publication(n)]).unwrap());
        log
    }

    fn audit(dir: &Path) -> (u64, Hash, Option<String>, usize) {
        let mut told = 0;
        let found = VerdictLog::audit(dir, &mut |_, _| told += 1).unwrap();
        (found.good.entries, found.good.head, found.damage.map(|e| e.to_string()), told)
    }

    #[test]
    fn a_log_that_is_what_was_written_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let log = filled(dir.path());
        let (entries, head) = log.head();
        drop(log);
        assert_eq!(audit(dir.path()), (entries, head, None, 5));
        // It can be opened and written to afterwards.
        let log = VerdictLog::open(dir.path()).unwrap();
        assert_eq!(log.append(WallTime::from_micros(9), &[publication(6)]).unwrap()[0].previous, head);
    }

    #[test]
    fn one_byte_that_was_changed_is_found_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let log = filled(dir.path());
        log.change_byte(3);
        drop(log);
        let (good, _, damage, _) = audit(dir.path());
        // The entry reads well, and the next one tells that it is another.
        assert_eq!(good, 3);
        assert!(damage.unwrap().starts_with("entry 4 of the verdict log is not what was written: it follows"));
    }

    #[test]
    fn an_entry_that_was_taken_out_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let log = filled(dir.path());
        log.tables().unwrap().entries.remove(2u64.to_be_bytes()).unwrap();
        drop(log);
        let (good, _, damage, _) = audit(dir.path());
        assert_eq!(
            (good, damage.as_deref()),
            (1, Some("entry 2 of the verdict log is not what was written: it is missing"))
        );
    }

    #[test]
    fn nothing_is_made_where_there_is_no_log() {
        let dir = tempfile::tempdir().unwrap();
        let error = VerdictLog::audit(dir.path(), &mut |_, _| {}).unwrap_err().to_string();
        assert!(error.ends_with("for the verdict log: there is no verdict log (data_dir)"), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let log = filled(dir.path());
        let error = VerdictLog::audit(dir.path(), &mut |_, _| {}).unwrap_err().to_string();
        assert!(error.contains("another process has it open"), "{error}");
        drop(log);
    }
}
