//! Are these bytes a batch, and what are its rows?
//!
//! Everything that concerns the batch as a whole is checked here, once; what concerns one row is checked when the row is
//! looked at, in `row.rs`.

use std::sync::OnceLock;

use prost::Message as _;
use uitwijk_model::id::TargetId;
use uitwijk_model::{BootId, Region, Sequence, Zone};

use super::compress::unpack;
use super::row::RowView;
use super::{PLACES_MAX, ROWS_MAX, TARGETS_MAX};
use crate::v1::{self, RefusalReason};

/// How large a batch may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of `Batch.columns` as they came.
    pub bytes_max: usize,
    /// Bytes after unpacking. A decoded batch takes at most about twelve times as much memory.
    pub unpacked_bytes_max: usize,
    /// Rows, at most [`ROWS_MAX`].
    pub rows_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes_max: 1 << 20, unpacked_bytes_max: 4 << 20, rows_max: ROWS_MAX }
    }
}

/// Why a batch could not be read at all. The peer is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedBatch {
    /// More bytes than may come.
    #[error("batch of {found} bytes is over the limit of {max}")]
    Bytes {
        /// Bytes that came.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// More bytes when unpacked than may be.
    #[error("batch unpacks to more than {max} bytes")]
    Unpacked {
        /// The limit.
        max: usize,
    },
    /// A compression that does not exist.
    #[error("batch has unknown compression {found}, known are 0 (none) and 1 (zstd)")]
    Compression {
        /// The number that came.
        found: i32,
    },
    /// Not what zstd writes.
    #[error("batch is not valid zstd: {0}")]
    Zstd(String),
    /// Not an encoded `Columns`.
    #[error("batch is not valid protobuf: {0}")]
    Protobuf(prost::DecodeError),
    /// No boot, or no sequence to begin with, or one that leads beyond the last.
    #[error(
        "batch names boot {boot} and first sequence {first_sequence}, both must be 1 or more and leave room for its rows"
    )]
    Name {
        /// The boot.
        boot: u64,
        /// The first sequence.
        first_sequence: u64,
    },
    /// Batch and columns disagree on the number of rows.
    #[error("batch says {batch} rows and its columns say {columns}")]
    Count {
        /// `Batch.count`.
        batch: u32,
        /// `Columns.count`.
        columns: u32,
    },
    /// No rows, or too many.
    #[error("batch has {found} rows, allowed are 1 to {max}")]
    Rows {
        /// Rows that came.
        found: u32,
        /// The limit.
        max: usize,
    },
    /// A column that is neither full nor left out.
    #[error("column {name} has {found} elements for {rows} rows")]
    Column {
        /// The column.
        name: &'static str,
        /// Its elements.
        found: usize,
        /// The rows.
        rows: usize,
    },
    /// A dictionary with too many words.
    #[error("dictionary {name} has {found} words, allowed are {max}")]
    Dictionary {
        /// The dictionary.
        name: &'static str,
        /// Its words.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// Rows announce other hops than there are.
    #[error("rows announce {announced} hops and there are {found}")]
    Hops {
        /// Sum of `hop_count`.
        announced: u64,
        /// Length of `hops`.
        found: usize,
    },
}

/// The rows of one batch, checked as a whole.
#[derive(Debug)]
pub struct Rows {
    pub(super) boot: BootId,
    pub(super) first_sequence: Sequence,
    /// As they came, save for the two columns of differences, which became the two below.
    pub(super) columns: v1::Columns,
    pub(super) slots: Vec<i64>,
    pub(super) scheduled: Vec<i64>,
    /// Where the hops of each row begin; empty when there are none.
    pub(super) hop_starts: Vec<u32>,
    /// The places that can name a region, and those that can name a zone.
    pub(super) regions: Vec<Option<Region>>,
    pub(super) zones: Vec<Option<Zone>>,
    /// Made when the first row becomes a measurement of its own.
    target_ids: OnceLock<Vec<TargetId>>,
}

impl Rows {
    /// Unpacks, decodes and checks a batch.
    ///
    /// # Errors
    /// When its rows cannot be told apart with certainty; the whole batch is then refused.
    pub fn from_batch(batch: &v1::Batch, limits: &Limits) -> Result<Self, MalformedBatch> {
        if batch.columns.len() > limits.bytes_max {
            return Err(MalformedBatch::Bytes { found: batch.columns.len(), max: limits.bytes_max });
        }
        let bytes = unpack(&batch.columns, batch.compression, limits.unpacked_bytes_max)?;
        let columns = v1::Columns::decode(&bytes[..]).map_err(MalformedBatch::Protobuf)?;
        check_counts(batch, &columns, limits)?;
        check_columns(&columns)?;
        check_dictionaries(&columns)?;
        let hop_starts = hop_starts(&columns)?;
        Ok(Self::new(batch, columns, hop_starts))
    }

    fn new(batch: &v1::Batch, mut columns: v1::Columns, hop_starts: Vec<u32>) -> Self {
        let len = columns.count as usize;
        let slots = running_sum(columns.slot_base, std::mem::take(&mut columns.slot_delta), len);
        let scheduled = running_sum(columns.scheduled_base_us, std::mem::take(&mut columns.scheduled_delta_us), len);
        let regions = columns.places.iter().map(|p| Region::new(p).ok()).collect();
        let zones = columns.places.iter().map(|p| Zone::new(p).ok()).collect();
        let boot = BootId(batch.boot);
        let first_sequence = batch.first_sequence;
        Self {
            boot,
            first_sequence,
            columns,
            slots,
            scheduled,
            hop_starts,
            regions,
            zones,
            target_ids: OnceLock::new(),
        }
    }

    /// The boot that made them.
    #[must_use]
    pub const fn boot(&self) -> BootId {
        self.boot
    }

    /// How many there are; at least one.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.columns.count as usize
    }

    /// Never true; here because of `len`.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sequence of row `i`.
    #[must_use]
    pub const fn sequence(&self, i: usize) -> Sequence {
        self.first_sequence + i as u64
    }

    /// The sequence after the last row's.
    #[must_use]
    pub const fn next_sequence(&self) -> Sequence {
        self.sequence(self.len())
    }

    /// The dictionary of targets as it came; [`RowView::target_index`] points into it. A word may be unused, or stand twice.
    #[must_use]
    pub fn targets(&self) -> &[String] {
        &self.columns.targets
    }

    /// The same dictionary, for whoever is done with the rows.
    #[must_use]
    pub fn into_targets(self) -> Vec<String> {
        self.columns.targets
    }

    /// Row `i`, checked.
    ///
    /// # Errors
    /// `Value` when one of its values is out of range, or there is no row `i`.
    pub fn row(&self, i: usize) -> Result<RowView<'_>, RefusalReason> {
        RowView::of(self, i)
    }

    /// All rows in order of sequence.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Result<RowView<'_>, RefusalReason>> {
        (0..self.len()).map(|i| self.row(i))
    }

    pub(super) fn target_ids(&self) -> &[TargetId] {
        self.target_ids.get_or_init(|| self.columns.targets.iter().map(|t| TargetId::from_wire(t)).collect())
    }
}

fn check_counts(batch: &v1::Batch, columns: &v1::Columns, limits: &Limits) -> Result<(), MalformedBatch> {
    let (boot, first_sequence) = (batch.boot, batch.first_sequence);
    if boot == 0 || first_sequence == 0 || first_sequence.checked_add(u64::from(batch.count)).is_none() {
        return Err(MalformedBatch::Name { boot, first_sequence });
    }
    if batch.count != columns.count {
        return Err(MalformedBatch::Count { batch: batch.count, columns: columns.count });
    }
    let max = limits.rows_max.min(ROWS_MAX);
    if columns.count == 0 || columns.count as usize > max {
        return Err(MalformedBatch::Rows { found: columns.count, max });
    }
    Ok(())
}

fn check_columns(c: &v1::Columns) -> Result<(), MalformedBatch> {
    let rows = c.count as usize;
    let error = |name, found| Err(MalformedBatch::Column { name, found, rows });
    macro_rules! full_or_left_out {
        ($($name:ident)+) => {
            $(if !c.$name.is_empty() && c.$name.len() != rows { return error(stringify!($name), c.$name.len()); })+
        };
    }
    full_or_left_out!(slot_delta target attempt scheduled_delta_us started_after_us outcome reason);
    full_or_left_out!(total_us_plus_1 dns_us_plus_1 connect_us_plus_1 tls_us_plus_1 send_us_plus_1 wait_us_plus_1);
    full_or_left_out!(transfer_us_plus_1 http_status_plus_1 served_region_plus_1 served_zone_plus_1 hop_count);
    full_or_left_out!(certificate_expires_s_plus_1 clock_offset_known clock_offset_us loop_lag_us);
    full_or_left_out!(controls_failed controls_seen);
    match c.scheduled_delta_us.is_empty() && rows > 1 {
        true => error("scheduled_delta_us", 0),
        false => Ok(()),
    }
}

fn check_dictionaries(c: &v1::Columns) -> Result<(), MalformedBatch> {
    for (name, found, max) in [("targets", c.targets.len(), TARGETS_MAX), ("places", c.places.len(), PLACES_MAX)] {
        if found > max {
            return Err(MalformedBatch::Dictionary { name, found, max });
        }
    }
    Ok(())
}

fn hop_starts(c: &v1::Columns) -> Result<Vec<u32>, MalformedBatch> {
    let announced: u64 = c.hop_count.iter().map(|&n| u64::from(n)).sum();
    if announced != c.hops.len() as u64 {
        return Err(MalformedBatch::Hops { announced, found: c.hops.len() });
    }
    // The sum fits: it is the length of a list that came within the limit of bytes.
    Ok(c.hop_count.iter().scan(0u32, |next, &n| Some(std::mem::replace(next, next.saturating_add(n)))).collect())
}

/// Turns differences into values; wraps like the writer.
fn running_sum(base: i64, mut deltas: Vec<i64>, len: usize) -> Vec<i64> {
    deltas.resize(len, 0);
    let mut sum = base;
    for value in &mut deltas {
        sum = sum.wrapping_add(*value);
        *value = sum;
    }
    deltas
}
