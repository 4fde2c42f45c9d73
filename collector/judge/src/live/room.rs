//! How much memory may a judge take, and what goes when it takes more?
//!
//! ```text
//!   watermark, stands still          now
//!   |--------------------------------|      evidence since the last that an agent told which is away
//!   |....|---------------------------|      too much: the oldest eighth is settled without it, and let go
//! ```
//!
//! What an agent that is away has kept may change everything since it left, so all of that stays in memory, up to the
//! horizon. A fleet with many targets takes gigabytes in a day, and a collector without memory says nothing any more. So there is
//! a limit, and what is oldest is treated as if its horizon were over: verdicts on it become final without the records that
//! are missing, and say so. What the policy looks back at stays, however much it takes.

use super::Live;
use crate::scan::Scan;

/// Slots between two looks at what is taken.
const LOOK_EVERY: i64 = 16;
/// What goes at a time, of all that is kept.
const PART: i64 = 8;

/// What a judge may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    bytes_max: usize,
    /// When it was last looked at: the slot that was due. Before the first time nobody has asked yet.
    pub(super) looked: i64,
    /// What was taken then.
    taken: usize,
    /// Bytes of evidence when it was last looked at before anything was judged.
    begun: usize,
    /// Slots before this are settled, whatever is missing.
    pub(super) closed: i64,
}

impl Default for Room {
    fn default() -> Self {
        Self { bytes_max: usize::MAX, looked: i64::MIN, taken: 0, begun: 0, closed: i64::MIN }
    }
}

impl Live {
    /// Limits what evidence and states may take, about, in bytes, to wait for whoever is away. Without this they take what they
    /// need.
    pub const fn keep_within(&mut self, bytes: usize) {
        self.room.bytes_max = bytes;
    }

    /// Bytes that wait for whoever is away, as they were some slots ago: counting them takes a while.
    #[must_use]
    pub const fn bytes_waiting(&self) -> usize {
        self.room.taken
    }

    /// What is told of episodes is not among it: that stays whoever is there.
    fn count_waiting(&self) -> usize {
        self.evidence.bytes() + self.scan.as_ref().map_or(0, Scan::bytes_to_go_back)
    }

    /// Where the oldest part ends that may go, of all that is there; absent when nothing may.
    fn part_to_close(&self, first: i64, due: i64) -> Option<i64> {
        // A clock that jumps ahead makes nothing old.
        let kept = due.min(self.evidence.end()?).saturating_sub(first);
        let reach = self.topology.reach();
        // Twice what is looked back at is what a judge takes when nobody is away.
        (kept > reach.saturating_mul(2)).then(|| first.saturating_add(kept / PART).saturating_add(reach))
    }

    /// Closes the oldest slots when too much is taken for somebody who is away. Answers whether it did.
    pub(super) fn make_room(&mut self, due: i64, complete: i64) -> bool {
        if due.saturating_sub(self.room.looked).saturating_abs() < LOOK_EVERY {
            return false;
        }
        (self.room.looked, self.room.taken) = (due, self.count_waiting());
        let first = self.scan.as_ref().map(Scan::oldest).filter(|_| self.room.taken > self.room.bytes_max);
        let Some(close) = first.and_then(|first| self.part_to_close(first, due)).filter(|&slot| slot > complete) else {
            return false;
        };
        self.room.closed = self.room.closed.max(close);
        self.counters.crowded += 1;
        true
    }

    /// The same before anybody asked: measurements are being put back, the oldest first. What goes is judged before, and told
    /// when somebody asks.
    pub(super) fn make_room_to_begin(&mut self) {
        let bytes = self.evidence.bytes();
        if bytes <= self.room.bytes_max || bytes == self.room.begun || self.room.looked != i64::MIN {
            return;
        }
        let first = self.scan.as_ref().map(Scan::oldest).or_else(|| self.evidence.first_slot(i64::MIN / 4));
        if let Some(close) = first.and_then(|first| self.part_to_close(first, i64::MAX)) {
            self.catch_up(close, false);
            self.let_go(close);
            self.room.closed = self.room.closed.max(close);
            self.counters.crowded += 1;
        }
        self.room.begun = self.evidence.bytes();
    }
}
