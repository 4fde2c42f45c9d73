//! How do measurements become columns, and columns measurements?
//!
//! ```text
//!   [Measurement] --encode--> Columns --to_bytes--> Batch.columns      agent: buffer and stream
//!   Batch --Rows::from_batch--> Rows --row(i)--> RowView               collector: check, deduplicate, store
//!                                       |
//!                                       +-- Err(reason): this row only
//!   [Batch] --merge--> Columns                                         uplink: small records into one message
//! ```
//!
//! A batch is good or bad in two steps. What makes its rows unreadable (columns of unequal length, a count that is not
//! true, bytes that are no message) refuses the batch whole, as [`MalformedBatch`]. What is wrong within one row (an unknown
//! outcome, an index outside a dictionary) refuses that row and leaves its neighbours alone.
//!
//! Columns stay columns: a [`RowView`] borrows from them and nothing is allocated per row. The choice left aside is a vector of
//! messages, one per row, which costs three times as much to decode and twice the bytes.

mod compress;
mod decode;
mod encode;
mod merge;
mod message;
mod row;

pub use compress::to_bytes;
pub use decode::{Limits, MalformedBatch, Rows};
pub use encode::{batch, encode};
pub use merge::{MergeError, merge};
pub use message::{BadMessage, from_message, to_message};
pub use row::RowView;

/// The most rows that a batch may have.
pub const ROWS_MAX: usize = 8192;
/// The most targets that the dictionary of a batch may have.
pub const TARGETS_MAX: usize = 4096;
/// The most regions and zones that the dictionary of a batch may have.
pub const PLACES_MAX: usize = 256;
/// The most redirects that a row may have.
pub const HOPS_MAX: usize = 20;
/// What the status of a response may be. Those above 599 are invalid (RFC 9110, section 15), but they can be sent, and some do:
/// then they are what was seen.
const STATUSES: std::ops::RangeInclusive<u16> = 100..=999;

/// Element `i` of a column, or its default when the column was left out.
fn at<T: Copy>(column: &[T], i: usize, default: T) -> T {
    column.get(i).copied().unwrap_or(default)
}

#[cfg(test)]
mod tests;
