//! What does a heartbeat say?

use uitwijk_model::WallTime;
use uitwijk_proto::v1;

use crate::schedule::Complete;

/// Boots that a heartbeat may name; more are held for no longer than it takes to settle the oldest.
const BOOKS_MAX: usize = 64;

/// A heartbeat of this moment.
pub(super) fn heartbeat(
    sent: WallTime,
    mut books: Vec<v1::Books>,
    buffer_bytes: u64,
    clock_offset_us: Option<i64>,
    plan_version: String,
    complete: Complete,
) -> v1::Heartbeat {
    let backlog = backlog(&books);
    if books.len() > BOOKS_MAX {
        // The oldest settle first, so the newest wait, except for the running one.
        let running = books.pop();
        books.truncate(BOOKS_MAX - 1);
        books.extend(running);
    }
    v1::Heartbeat {
        sent_us: sent.as_micros(),
        books,
        buffer_bytes,
        backlog,
        clock_offset_us,
        plan_version,
        complete_through_us: complete.through.as_micros(),
        complete_sequence: complete.next_sequence,
    }
}

/// Rows that are buffered and not acknowledged.
pub(super) fn backlog(books: &[v1::Books]) -> u64 {
    books.iter().map(|b| b.buffered).fold(0, u64::saturating_add)
}
