//! How do sealed hours go?
//!
//! ```text
//!   1  one synced write: the hour has no files any more, and those it had are condemned
//!   2  once no reader holds an older manifest: condemned files go, one after the other
//!   3  one synced write: nothing is condemned
//! ```
//!
//! A kill between two steps leaves condemned files, which go at the next look. What is left of an hour is which serials it
//! covered, so that a hot record that should have gone before it does not come to life again, and its rollups, which are
//! kept longer. An hour is forgotten when those have gone too, and no hot record of its time is left.

use std::cell::Cell;

use uitwijk_model::WallTime;

use super::super::hot::ScanLimits;
use super::super::key;
use super::super::{RECORD_SPAN, Store, StoreError};
use super::hour::Hour;
use super::manifest::HourRow;

/// What goes of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goes {
    /// Its measurements; its rollups stay.
    Measurements,
    /// Everything.
    All,
}

/// What went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gone {
    /// Measurements.
    pub rows: u64,
    /// Bytes of files.
    pub bytes: u64,
}

/// A sealed hour, in figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedHour {
    /// Which.
    pub hour: Hour,
    /// Generations.
    pub generations: u64,
    /// Measurements in files.
    pub rows: u64,
    /// Bytes of files of measurements.
    pub bytes: u64,
    /// Bytes of files of rollups.
    pub rollup_bytes: u64,
}

impl Store {
    /// Every sealed hour, the oldest first; also those whose measurements went already.
    #[must_use]
    pub fn sealed_hours(&self) -> Vec<SealedHour> {
        let one = |(&hour, row): (&Hour, &HourRow)| SealedHour {
            hour,
            generations: row.generations.len() as u64,
            rows: row.files().map(|file| file.rows).sum(),
            bytes: row.files().map(|file| file.bytes).sum(),
            rollup_bytes: row.rollups().map(|file| file.bytes).sum(),
        };
        self.cold.manifest().hours.iter().map(one).collect()
    }

    /// The end of the latest hour whose measurements went; the least moment when none did.
    #[must_use]
    pub fn dropped_through(&self) -> WallTime {
        self.cold.dropped_through()
    }

    /// Lets measurements of an hour go, or all of it. Readers that began before still see them.
    ///
    /// # Errors
    /// When the store fails; the hour is as it was then.
    pub fn drop_hour(&self, hour: Hour, what: Goes) -> Result<Gone, StoreError> {
        let _alone = self.cold.change();
        let Some(mut row) = self.cold.manifest().hours.get(&hour).cloned() else { return Ok(Gone::default()) };
        let mut gone = Gone::default();
        for generation in &mut row.generations {
            let mut files = std::mem::take(&mut generation.files);
            gone.rows += files.iter().map(|file| file.rows).sum::<u64>();
            if what == Goes::All {
                files.append(&mut generation.rollups);
            }
            gone.bytes += files.iter().map(|file| file.bytes).sum::<u64>();
            row.condemned.extend(files.into_iter().map(|file| file.path));
        }
        if gone != Gone::default() {
            self.commit_hour(hour, Some(row))?;
        }
        Ok(gone)
    }

    /// Takes away files that no reader needs any more, and forgets hours that nothing is left of. `false` when some have to
    /// wait for a reader.
    ///
    /// # Errors
    /// When the store or the place of the files fails; the rest goes at the next try.
    pub fn remove_condemned(&self) -> Result<bool, StoreError> {
        let _alone = self.cold.change();
        if !self.cold.is_current_everywhere() {
            return Ok(false);
        }
        let manifest = self.cold.manifest();
        for (&hour, row) in &manifest.hours {
            row.condemned.iter().try_for_each(|path| self.cold.objects().delete(path))?;
            let empty = row.files().chain(row.rollups()).next().is_none();
            if empty && self.hot_is_empty(hour)? {
                self.commit_hour(hour, None)?;
            } else if !row.condemned.is_empty() {
                self.commit_hour(hour, Some(HourRow { condemned: Vec::new(), ..row.clone() }))?;
            }
        }
        Ok(true)
    }

    /// Whether no hot record can have rows of an hour.
    fn hot_is_empty(&self, hour: Hour) -> Result<bool, StoreError> {
        let (from, found) = (hour.start(), Cell::new(false));
        let look = |key: &[u8]| {
            found.set(found.get() || key::view(key).is_none_or(|view| view.to >= from));
            false
        };
        let end = key::key_at(hour.end());
        let mut next = Some(bytes::Bytes::copy_from_slice(&key::key_at(reach(from))));
        while let Some(start) = next.take().filter(|_| !found.get()) {
            next = self.hot.scan(&start[..]..&end[..], &look, ScanLimits { keys_max: 1024, bytes_max: 1 << 20 })?.next;
        }
        Ok(!found.get())
    }
}

const fn reach(from: WallTime) -> WallTime {
    from.minus(RECORD_SPAN)
}
