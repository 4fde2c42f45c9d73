//! Which hours are sealed, in which files, and which records of the hot store do they stand for?
//!
//! ```text
//!   hour 08   generation 1   through serial 712   files a, b       sealed when the hour was complete
//!             generation 2   through serial 990   file c           what came in late since
//! ```
//!
//! A row of an hour is in its files when the serial of its record is at most that of the newest generation, else it is in the hot
//! store, and never in both as far as a reader is concerned. One key of small state holds all generations of an hour, so that an
//! hour changes in one write. Records that could not be read when the hour was sealed are named: they stay where they were.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use uitwijk_model::WallTime;

use super::super::key::KeyView;
use super::super::mask::Mask;
use super::super::{StoreError, StoredBatch};
use super::hour::Hour;

/// Damaged records of an hour that are named; an hour with more is not sealed.
pub(super) const LEFT_MAX: usize = 1000;

/// A file of an hour.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store) struct FileRow {
    /// Below the place of the cold tier.
    #[prost(string, tag = "1")]
    pub(in crate::store) path: String,
    #[prost(uint64, tag = "2")]
    pub(in crate::store) rows: u64,
    #[prost(uint64, tag = "3")]
    pub(in crate::store) bytes: u64,
    #[prost(bytes = "vec", tag = "4")]
    pub(in crate::store) sha256: Vec<u8>,
    /// Scheduled times of the first and the last row.
    #[prost(sint64, tag = "5")]
    pub(in crate::store) from_us: i64,
    #[prost(sint64, tag = "6")]
    pub(in crate::store) to_us: i64,
}

/// What was sealed of an hour in one go.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store) struct GenerationRow {
    #[prost(uint32, tag = "1")]
    pub(in crate::store) number: u32,
    #[prost(uint64, tag = "2")]
    pub(in crate::store) through_serial: u64,
    #[prost(sint64, tag = "3")]
    pub(in crate::store) sealed_us: i64,
    #[prost(message, repeated, tag = "4")]
    pub(in crate::store) files: Vec<FileRow>,
    #[prost(message, repeated, tag = "5")]
    pub(in crate::store) rollups: Vec<FileRow>,
}

/// An hour, as small state keeps it.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store) struct HourRow {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::store) generations: Vec<GenerationRow>,
    /// Serials of records that could not be read.
    #[prost(uint64, repeated, tag = "2")]
    pub(in crate::store) left: Vec<u64>,
    /// Files that no reader needs any more and that are to be taken away.
    #[prost(string, repeated, tag = "3")]
    pub(in crate::store) condemned: Vec<String>,
}

impl HourRow {
    /// The serial up to which records of the hour were looked at.
    pub(in crate::store) fn through(&self) -> u64 {
        self.generations.iter().map(|g| g.through_serial).max().unwrap_or(0)
    }

    /// When a generation was last sealed.
    pub(in crate::store) fn sealed(&self) -> Option<WallTime> {
        self.generations.iter().map(|g| g.sealed_us).max().map(WallTime::from_micros)
    }

    pub(in crate::store) fn files(&self) -> impl Iterator<Item = &FileRow> {
        self.generations.iter().flat_map(|g| &g.files)
    }

    /// Whether measurements of it went.
    pub(in crate::store) fn went(&self) -> bool {
        self.generations.iter().any(|g| g.files.is_empty() && !g.rollups.is_empty())
    }

    pub(in crate::store) fn rollups(&self) -> impl Iterator<Item = &FileRow> {
        self.generations.iter().flat_map(|g| &g.rollups)
    }

    pub(in crate::store) fn paths(&self) -> BTreeSet<&str> {
        let listed = self.files().chain(self.rollups()).map(|file| file.path.as_str());
        listed.chain(self.condemned.iter().map(String::as_str)).collect()
    }
}

const PREFIX: &[u8] = b"c/";

/// The change of small state that makes an hour what it now is; `None` forgets it.
pub(in crate::store) fn change(hour: Hour, row: Option<&HourRow>) -> super::super::small::Change {
    let number = hour.0.wrapping_add(i64::MIN).cast_unsigned().to_be_bytes();
    ([PREFIX, &number].concat(), row.map(prost::Message::encode_to_vec))
}

/// Reads an entry of small state whose key begins with `c/`.
pub(in crate::store) fn read(rest: &[u8], value: &[u8]) -> Option<(Hour, HourRow)> {
    let number = u64::from_be_bytes(rest.try_into().ok()?).cast_signed().wrapping_sub(i64::MIN);
    Some((Hour(number), HourRow::decode(value).ok()?))
}

/// All hours that are sealed, at one moment. Never changes: a change makes a new one.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Manifest {
    pub(in crate::store) hours: BTreeMap<Hour, HourRow>,
}

/// What a reader does with a record of the hot store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Cover {
    /// All its rows are in files.
    Whole,
    /// Rows of some hours are in files.
    Part,
    /// None is.
    No,
}

impl Manifest {
    /// The files with rows in a stretch of time.
    pub(in crate::store) fn files(&self, from: WallTime, to: WallTime) -> impl Iterator<Item = &FileRow> {
        let within = move |file: &&FileRow| file.from_us < to.as_micros() && from.as_micros() <= file.to_us;
        let hours = self.hours.range(Hour::of(from)..).take_while(move |(hour, _)| hour.start() < to);
        hours.flat_map(|(_, row)| row.files()).filter(within)
    }

    /// Whether rows of a record that were scheduled in an hour are in files.
    pub(in crate::store) fn covers(&self, hour: Hour, serial: u64) -> bool {
        self.hours.get(&hour).is_some_and(|row| serial <= row.through() && !row.left.contains(&serial))
    }

    /// Whether sealing the hour again would find nothing new in a record.
    pub(in crate::store) fn has_seen(&self, hour: Hour, serial: u64) -> bool {
        self.hours.get(&hour).is_some_and(|row| serial <= row.through())
    }

    pub(in crate::store) fn cover(&self, key: &KeyView<'_>) -> Cover {
        let (mut covered, mut open) = (false, false);
        hours_of(key).for_each(|hour| match self.covers(hour, key.serial) {
            true => covered = true,
            false => open = true,
        });
        match (covered, open) {
            (true, false) => Cover::Whole,
            (true, true) => Cover::Part,
            _ => Cover::No,
        }
    }
}

impl Manifest {
    /// The rows of a record that are in no file. Reads its rows.
    pub(in crate::store) fn without_covered(&self, batch: &StoredBatch) -> Result<Mask, StoreError> {
        batch.narrowed(|at| !self.covers(Hour::of(at), batch.key.serial))
    }
}

/// The hours that rows of a record may belong to: one, or two.
pub(in crate::store) fn hours_of(key: &KeyView<'_>) -> impl Iterator<Item = Hour> + use<> {
    let (first, last) = (Hour::of(key.from), Hour::of(key.to));
    (first.0..=last.0).map(Hour)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(through: &[u64], left: &[u64]) -> HourRow {
        let generation = |&through_serial: &u64| GenerationRow { through_serial, ..GenerationRow::default() };
        HourRow { generations: through.iter().map(generation).collect(), left: left.to_vec(), ..HourRow::default() }
    }

    #[test]
    fn a_record_is_covered_up_to_the_newest_serial_unless_it_was_left() {
        let manifest = Manifest { hours: [(Hour(5), row(&[10, 20], &[7])), (Hour(6), row(&[15], &[]))].into() };
        let micros = |hour: i64| WallTime::from_micros(hour * 3_600_000_000);
        let cover = |from: WallTime, to: WallTime, serial| manifest.cover(&KeyView { from, to, agent: "nl-1", serial });
        let late = WallTime::from_micros(micros(6).as_micros() - 1);
        for (from, to, serial, expected) in [
            (micros(5), late, 20, Cover::Whole),
            (micros(5), late, 21, Cover::No),
            (micros(5), late, 7, Cover::No),
            (late, micros(6), 15, Cover::Whole),
            (late, micros(6), 16, Cover::Part),
            (micros(4), micros(4), 1, Cover::No),
        ] {
            assert_eq!(cover(from, to, serial), expected, "{from} {to} {serial}");
        }
        assert!(manifest.has_seen(Hour(5), 7) && !manifest.has_seen(Hour(5), 21));
    }

    #[test]
    fn hours_come_back_from_small_state() {
        for hour in [Hour(-1), Hour(0), Hour(492_344), Hour(i64::MAX)] {
            let (key, value) = change(hour, Some(&row(&[10, 20], &[7])));
            assert_eq!(read(key.strip_prefix(PREFIX).unwrap(), &value.unwrap()), Some((hour, row(&[10, 20], &[7]))));
        }
        assert_eq!(read(b"1234567", b""), None);
    }
}
