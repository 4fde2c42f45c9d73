//! What became of each number that an agent's boot gave out?
//!
//! ```text
//!   1 .. next_sequence        settled: stored, duplicate, refused or lost, each counted once
//!   next_sequence ..          open, save for the islands: ranges that came before what is below them
//! ```
//!
//! The cursor that an agent gets is `next_sequence`. Islands are few: an agent sends in order, or its newest first. A peer
//! that makes more of them than [`ISLANDS_MAX`] is refused, so that a ledger stays small. What was taken in from another collector may have left
//! more, up to [`ISLANDS_ADOPTED_MAX`]; the agent may make its own beside them.
//!
//! stored + duplicate + refused + lost = numbers settled, always. A row that comes again after it was settled changes
//! nothing and is counted apart.

use std::ops::Range;

use uitwijk_model::{Sequence, WallTime};
use uitwijk_proto::v1;

/// The most ranges above the cursor.
pub const ISLANDS_MAX: usize = 64;
/// The most that come from another collector: a few kilobytes.
pub const ISLANDS_ADOPTED_MAX: usize = 2048;

/// How the numbers of one boot were settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    next: Sequence,
    /// Half-open, in order, apart from each other and from `next`.
    islands: Vec<Range<Sequence>>,
    /// Numbers whose row was stored.
    pub stored: u64,
    /// Numbers whose row was stored already, under another number.
    pub duplicate: u64,
    /// Numbers whose row was refused.
    pub refused: u64,
    /// Numbers that will never come.
    pub lost: u64,
    /// When something of it last came in, collector's clock.
    pub arrived: WallTime,
}

impl Default for Ledger {
    fn default() -> Self {
        let arrived = WallTime::from_micros(0);
        Self { next: 1, islands: Vec::new(), stored: 0, duplicate: 0, refused: 0, lost: 0, arrived }
    }
}

impl Ledger {
    /// Everything below is settled.
    #[must_use]
    pub const fn next_sequence(&self) -> Sequence {
        self.next
    }

    /// Numbers settled, above the cursor too.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.next - 1 + self.islands.iter().map(|i| i.end - i.start).sum::<u64>()
    }

    /// One past the highest number settled.
    #[must_use]
    pub fn end_sequence(&self) -> Sequence {
        self.islands.last().map_or(self.next, |island| island.end)
    }

    /// The books of this ledger are right.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.stored + self.duplicate + self.refused + self.lost == self.settled()
    }

    /// The parts of a range that are not settled yet, in order.
    pub fn open_parts(&self, range: Range<Sequence>) -> Vec<Range<Sequence>> {
        let mut parts = Vec::new();
        let mut at = range.start.max(self.next);
        let first = self.islands.partition_point(|island| island.end <= at);
        for island in self.islands.iter().skip(first).take_while(|island| island.start < range.end) {
            if island.start > at {
                parts.push(at..island.start);
            }
            at = island.end;
        }
        if at < range.end {
            parts.push(at..range.end);
        }
        parts
    }

    /// Whether [`Self::settle`] would keep the islands at most so many.
    #[must_use]
    pub fn can_settle(&self, range: &Range<Sequence>, islands_max: usize) -> bool {
        range.start <= self.next || self.islands.len() < islands_max || self.islands.iter().any(|i| touches(i, range))
    }

    /// A number that was settled without a row has one after all: written off as lost, or refused under another plan.
    pub fn take_back(&mut self) {
        if let Some(count) = [&mut self.lost, &mut self.refused].into_iter().find(|count| **count > 0) {
            *count -= 1;
            self.stored += 1;
        }
    }

    /// Writes off the lowest gaps until so many islands are left, and says how many numbers those were.
    pub fn write_off_gaps(&mut self, islands_kept: usize) -> u64 {
        let mut numbers = 0;
        while let Some(gap) = self.islands.first().filter(|_| self.islands.len() > islands_kept) {
            let gap = self.next..gap.start;
            numbers += gap.end - gap.start;
            self.settle(gap);
        }
        self.lost += numbers;
        numbers
    }

    /// Marks a range as settled; the caller counts what became of it.
    pub fn settle(&mut self, range: Range<Sequence>) {
        let mut range = range;
        self.islands.retain(|island| {
            let merged = touches(island, &range);
            if merged {
                range = range.start.min(island.start)..range.end.max(island.end);
            }
            !merged
        });
        if range.start <= self.next {
            self.next = self.next.max(range.end);
            return;
        }
        let at = self.islands.partition_point(|island| island.start < range.start);
        self.islands.insert(at, range);
    }

    /// Islands that are no agent's doing, since it never makes half as many as it may.
    #[must_use]
    pub fn islands_adopted(&self) -> usize {
        let islands = self.islands.len();
        if islands > ISLANDS_MAX / 2 { islands.min(ISLANDS_ADOPTED_MAX) } else { 0 }
    }

    /// Nothing is missing below what has come.
    #[must_use]
    pub const fn has_no_gaps(&self) -> bool {
        self.islands.is_empty()
    }

    /// The ledger as programs get it.
    #[must_use]
    pub fn to_message(&self, boot: u64) -> v1::Ledger {
        let Self { stored, duplicate, refused, lost, .. } = *self;
        let (next_sequence, settled, end_sequence) = (self.next, self.settled(), self.end_sequence());
        v1::Ledger { boot, next_sequence, stored, duplicate, refused, lost, settled, end_sequence }
    }
}

/// Ranges that overlap or lie side by side.
const fn touches(a: &Range<Sequence>, b: &Range<Sequence>) -> bool {
    a.start <= b.end && b.start <= a.end
}

/// A ledger on disk.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct LedgerRow {
    #[prost(uint64, tag = "1")]
    next: u64,
    /// Start and end of each island, one after the other.
    #[prost(uint64, repeated, tag = "2")]
    islands: Vec<u64>,
    #[prost(uint64, tag = "3")]
    stored: u64,
    #[prost(uint64, tag = "4")]
    duplicate: u64,
    #[prost(uint64, tag = "5")]
    refused: u64,
    #[prost(uint64, tag = "6")]
    lost: u64,
    #[prost(sint64, tag = "7")]
    arrived_us: i64,
}

impl From<&Ledger> for LedgerRow {
    fn from(l: &Ledger) -> Self {
        Self {
            next: l.next,
            islands: l.islands.iter().flat_map(|i| [i.start, i.end]).collect(),
            stored: l.stored,
            duplicate: l.duplicate,
            refused: l.refused,
            lost: l.lost,
            arrived_us: l.arrived.as_micros(),
        }
    }
}

impl LedgerRow {
    /// The ledger, if these are the numbers of one.
    pub(super) fn ledger(self) -> Option<Ledger> {
        let islands: Vec<Range<Sequence>> = self.islands.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
        let apart = islands.windows(2).all(|w| w[0].end < w[1].start);
        let good = self.next >= 1
            && apart
            && islands.iter().all(|i| self.next < i.start && i.start < i.end)
            && self.islands.len().is_multiple_of(2);
        let ledger = Ledger {
            next: self.next,
            islands,
            stored: self.stored,
            duplicate: self.duplicate,
            refused: self.refused,
            lost: self.lost,
            arrived: WallTime::from_micros(self.arrived_us),
        };
        good.then_some(ledger)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Against a plain set of numbers.
        #[test]
        fn ranges_settle_like_a_set_of_numbers(ranges in prop::collection::vec((1u64..200, 1u64..30), 1..40)) {
            let mut ledger = Ledger::default();
            let mut model = BTreeSet::new();
            for (first, count) in ranges {
                let range = first..first + count;
                let open: Vec<u64> = ledger.open_parts(range.clone()).into_iter().flatten().collect();
                let expected: Vec<u64> = range.clone().filter(|n| !model.contains(n)).collect();
                prop_assert_eq!(open, expected);
                ledger.settle(range.clone());
                model.extend(range);
                let frontier = (1..).find(|n| !model.contains(n)).unwrap();
                prop_assert_eq!(ledger.next_sequence(), frontier);
                prop_assert_eq!(ledger.settled(), model.len() as u64);
                let again = LedgerRow::from(&ledger).ledger();
                prop_assert_eq!(again.as_ref(), Some(&ledger));
            }
        }
    }

    #[test]
    fn too_many_islands_are_refused_and_filling_a_gap_is_not() {
        let mut ledger = Ledger::default();
        for i in 0..ISLANDS_MAX as u64 {
            let range = 10 + i * 4..12 + i * 4;
            assert!(ledger.can_settle(&range, ISLANDS_MAX));
            ledger.settle(range);
        }
        assert!(!ledger.can_settle(&(1000..1001), ISLANDS_MAX));
        assert!(ledger.can_settle(&(1..3), ISLANDS_MAX), "at the cursor");
        assert!(ledger.can_settle(&(12..14), ISLANDS_MAX), "between two islands");
    }

    #[test]
    fn gaps_are_written_off_from_below_and_what_comes_after_all_is_taken_back() {
        let mut ledger = Ledger::default();
        for range in [5..7, 10..12, 20..21] {
            ledger.stored += range.end - range.start;
            ledger.settle(range);
        }
        assert_eq!(ledger.write_off_gaps(1), 4 + 3);
        assert_eq!((ledger.next_sequence(), ledger.lost, ledger.open_parts(1..30)), (12, 7, vec![12..20, 21..30]));
        assert_eq!(ledger.write_off_gaps(1), 0);
        ledger.take_back();
        assert_eq!((ledger.stored, ledger.lost), (6, 6));
        assert!(ledger.balances());
        assert_eq!(ledger.write_off_gaps(0), 8);
        assert!(ledger.balances() && ledger.has_no_gaps());
    }

    #[test]
    fn a_damaged_row_is_no_ledger() {
        for (next, islands) in [(0, vec![]), (5, vec![5, 6]), (5, vec![7, 7]), (5, vec![9, 12, 12, 14]), (5, vec![9])] {
            assert_eq!(LedgerRow { next, islands, ..LedgerRow::default() }.ledger(), None);
        }
    }
}
