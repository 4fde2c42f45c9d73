//! Up to when has everything that an agent recorded arrived?
//!
//! ```text
//!   numbers    1 2 3 4 . . 7 8 9      through: when number 4 was scheduled
//! ```
//!
//! Records that came ahead of a gap are kept as ranges, so a gap that is never filled costs one range, not all records
//! after it. Each life of an agent counts for itself; the youngest one that moved speaks for the agent.

use std::collections::BTreeMap;

use uitwijk_model::WallTime;

/// Ranges ahead of gaps that are remembered; beyond it the oldest gap is given up.
const AHEAD_MAX: usize = 10_000;

/// What has arrived of one life of an agent.
#[derive(Debug, Clone)]
pub(crate) struct Frontier {
    next: u64,
    /// First number -> last number, and when that was scheduled.
    ahead: BTreeMap<u64, (u64, WallTime)>,
}

impl Frontier {
    /// Begins at 1, or at the first number that was seen when that is so high that the stream must have begun later.
    pub(crate) const fn begin(first_seen: u64, slack: u64) -> Self {
        Self { next: if first_seen <= slack { 1 } else { first_seen }, ahead: BTreeMap::new() }
    }

    /// Takes a number in; answers the moment that is now reached, if that moved.
    pub(crate) fn take(&mut self, n: u64, at: WallTime) -> Option<WallTime> {
        if n < self.next {
            return None;
        }
        if n > self.next {
            self.keep(n, at);
            if self.ahead.len() > AHEAD_MAX {
                return self.jump();
            }
            return None;
        }
        self.next = n.saturating_add(1);
        Some(self.jump_if_joined().unwrap_or(at))
    }

    /// Keeps a number that came ahead of a gap.
    fn keep(&mut self, n: u64, at: WallTime) {
        let before = self.ahead.range(..=n).next_back().map(|(first, (last, _))| (*first, *last));
        match before {
            Some((_, last)) if last >= n => {}
            Some((first, last)) if last + 1 == n => drop(self.ahead.insert(first, (n, at))),
            _ => drop(self.ahead.insert(n, (n, at))),
        }
    }

    fn jump_if_joined(&mut self) -> Option<WallTime> {
        let mut reached = None;
        while let Some((last, at)) = self.ahead.remove(&self.next) {
            self.next = last.saturating_add(1);
            reached = Some(at);
        }
        reached
    }

    /// Gives the oldest gap up.
    fn jump(&mut self) -> Option<WallTime> {
        self.next = *self.ahead.keys().next()?;
        self.jump_if_joined()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u64) -> WallTime {
        WallTime::from_millis(i64::try_from(n).unwrap() * 1000)
    }

    #[test]
    fn it_goes_as_far_as_there_is_no_gap() {
        let mut f = Frontier::begin(2, 100);
        let moves: Vec<Option<u64>> = [2, 3, 1, 1, 7, 5, 6, 4, 9]
            .into_iter()
            .map(|n| f.take(n, at(n)).map(|t| u64::try_from(t.as_millis()).unwrap() / 1000))
            .collect();
        assert_eq!(moves, [None, None, Some(3), None, None, None, None, Some(7), None]);
    }

    #[test]
    fn a_gap_that_stays_costs_one_range() {
        let mut f = Frontier::begin(1, 100);
        for n in (1..1000).filter(|n| *n != 10) {
            f.take(n, at(n));
        }
        assert_eq!((f.next, f.ahead.len()), (10, 1));
        assert_eq!(f.take(10, at(10)), Some(at(999)));
    }

    #[test]
    fn a_stream_that_was_cut_begins_where_it_begins() {
        let mut f = Frontier::begin(5000, 100);
        assert_eq!(f.take(5000, at(1)), Some(at(1)));
    }

    #[test]
    fn ranges_are_bounded() {
        let mut f = Frontier::begin(1, 100);
        for n in (3..100_000).step_by(2) {
            f.take(n, at(n));
        }
        assert!(f.ahead.len() <= AHEAD_MAX && f.next > 3);
    }
}
