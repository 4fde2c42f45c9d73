//! How are shares computed without floating point?
//!
//! A share is a whole number of millionths, rounded down. Where a formula divides shares (own loss, weighted means) each
//! step rounds down again, so that everyone who follows the formulas gets the same number. Thresholds from the policy
//! are rounded down too: exactly one third reaches "1/3".

use uitwijk_model::Ratio;

use crate::evidence::Cell;

/// The whole.
pub(crate) const ONE: u64 = 1_000_000;

/// So many of so many; nothing of nothing is 0.
pub(crate) fn share(part: u64, whole: u64) -> u64 {
    if part == 0 || whole == 0 {
        return 0;
    }
    u64::try_from(u128::from(part) * u128::from(ONE) / u128::from(whole)).unwrap_or(ONE).min(ONE)
}

/// A threshold of the policy.
pub(crate) fn threshold(ratio: Ratio) -> u64 {
    share(u64::from(ratio.num()), u64::from(ratio.den()))
}

/// What a failure share is worth once the observer's own loss is divided out: `1 - (1 - f) / (1 - c)`.
pub(crate) fn beyond_own_loss(failed: u64, own: u64) -> u64 {
    if own >= ONE { 0 } else { share(failed.saturating_sub(own), ONE - own) }
}

/// Whether so many of so many are above a ratio by one and a half standard deviations of a binomial count at that ratio:
/// `(bad - n p)^2 >= 1.5^2 n p (1 - p)`.
pub(crate) fn well_above(bad: u64, n: u64, ratio: Ratio) -> bool {
    let excess = weigh(bad, n, ratio);
    let spread = u128::from(n) * u128::from(ratio.num()) * u128::from(ratio.den().saturating_sub(ratio.num()));
    excess > 0 && excess.unsigned_abs().saturating_pow(2).saturating_mul(4) >= spread.saturating_mul(9)
}

/// What was counted of one target from one vantage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Count {
    pub(crate) n: u32,
    pub(crate) failed: u32,
    pub(crate) slow: u32,
}

impl Count {
    pub(crate) fn add(&mut self, cell: Cell) {
        self.n += u32::from(cell.is_measured());
        self.failed += u32::from(cell.is_failed());
        self.slow += u32::from(cell.is_slow());
    }

    /// Takes out what was put in. Never below nothing: a clock's lead that is proven after the slots it moves were
    /// forgotten may ask for more.
    pub(crate) fn sub(&mut self, cell: Cell) {
        self.n = self.n.saturating_sub(u32::from(cell.is_measured()));
        self.failed = self.failed.saturating_sub(u32::from(cell.is_failed()));
        self.slow = self.slow.saturating_sub(u32::from(cell.is_slow()));
    }

    pub(crate) fn plus(&mut self, other: Self, times: u32) {
        self.n = self.n.saturating_add(other.n.saturating_mul(times));
        self.failed = self.failed.saturating_add(other.failed.saturating_mul(times));
        self.slow = self.slow.saturating_add(other.slow.saturating_mul(times));
    }

    pub(crate) fn failed_share(self) -> u64 {
        share(u64::from(self.failed), u64::from(self.n))
    }

    /// Slow answers among the answers.
    pub(crate) fn slow_share(self) -> u64 {
        share(u64::from(self.slow), u64::from(self.n.saturating_sub(self.failed)))
    }
}

/// Over the newest slots first: how many of them to take so that the excess of `bad` over `ratio` of `n` is greatest.
/// Of equal excesses the shorter stretch is taken; 0 when no stretch has any.
pub(crate) fn worst_stretch(newest_first: impl Iterator<Item = (u64, u64)>, ratio: Ratio) -> i64 {
    best_stretch(newest_first.map(|(bad, n)| weigh(bad, n, ratio)))
}

/// The same for the lack of `bad`: how many of the newest slots are good again.
pub(crate) fn good_stretch(newest_first: impl Iterator<Item = (u64, u64)>, ratio: Ratio) -> i64 {
    best_stretch(newest_first.map(|(bad, n)| -weigh(bad, n, ratio)))
}

fn weigh(bad: u64, n: u64, ratio: Ratio) -> i128 {
    i128::from(bad) * i128::from(ratio.den()) - i128::from(n) * i128::from(ratio.num())
}

fn best_stretch(excess: impl Iterator<Item = i128>) -> i64 {
    let (mut sum, mut best, mut length) = (0, 0, 0);
    for (i, e) in (1..).zip(excess) {
        sum += e;
        if sum > best {
            (best, length) = (sum, i);
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_and_shares_meet_exactly() {
        for (num, den) in [(1, 3), (2, 3), (1, 10), (1, 7)] {
            let ratio = Ratio::new(num, den).unwrap();
            assert_eq!(share(u64::from(num) * 12, u64::from(den) * 12), threshold(ratio));
        }
        assert_eq!((share(0, 0), share(5, 0), share(u64::MAX, 1)), (0, 0, ONE));
    }

    #[test]
    fn own_loss_is_divided_out() {
        assert_eq!(beyond_own_loss(100_000, 100_000), 0);
        assert_eq!(beyond_own_loss(550_000, 100_000), 500_000);
        assert_eq!(beyond_own_loss(ONE, 400_000), ONE);
        assert_eq!(beyond_own_loss(ONE, ONE), 0);
    }

    #[test]
    fn well_above_means_more_than_chance() {
        let tenth = Ratio::percent(10);
        // 360 samples at a tenth: 36 are expected, and the standard deviation is 5.7.
        assert!(well_above(45, 360, tenth) && !well_above(44, 360, tenth));
        assert!(!well_above(0, 0, tenth) && !well_above(3, 360, tenth));
    }

    #[test]
    fn a_stretch_begins_where_the_trouble_does() {
        let half = Ratio::percent(50);
        let bad = [(6, 6), (6, 6), (6, 6), (0, 6), (0, 6)];
        assert_eq!(worst_stretch(bad.into_iter(), half), 3);
        assert_eq!(good_stretch(bad.into_iter(), half), 0);
        let over = [(0, 6), (1, 6), (6, 6), (6, 6)];
        assert_eq!((worst_stretch(over.into_iter(), half), good_stretch(over.into_iter(), half)), (4, 2));
    }
}
