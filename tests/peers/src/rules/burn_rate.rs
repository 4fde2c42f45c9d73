//! Is the month's error budget being spent too fast?
//!
//! `burnrate-99.5`: multiwindow, multi-burn-rate alerts (SRE Workbook, chapter 5). Of a budget of 0.5 %: error share over 7.2 %
//! (14.4 times) in one hour and in five minutes, or over 3 % (6 times) in six hours and in thirty minutes. Results of all
//! vantages are pooled. Windows are cut at the first result; nothing is said before there were five minutes of it.

use crate::rule::{Micros, Rule, Seen, secs};

const BUCKET: Micros = secs(10);

/// A window, in buckets, with the sums of what lies in it.
#[derive(Debug, Clone, Copy)]
struct Window {
    length: usize,
    left: usize,
    failed: u64,
    all: u64,
}

impl Window {
    const fn of(buckets: usize) -> Self {
        Self { length: buckets, left: 0, failed: 0, all: 0 }
    }

    /// Leaves out what is too old by now.
    fn advance(&mut self, buckets: &[(u64, u64)], end: usize) {
        let left = end.saturating_sub(self.length);
        for (failed, all) in buckets.iter().take(left).skip(self.left) {
            (self.failed, self.all) = (self.failed - failed, self.all - all);
        }
        self.left = self.left.max(left);
    }

    /// Whether more than so many of a thousand failed.
    const fn over(&self, thousandths: u64) -> bool {
        self.failed * 1000 > self.all * thousandths
    }
}

#[derive(Debug)]
pub(super) struct BurnRate {
    first: Option<Micros>,
    buckets: Vec<(u64, u64)>,
    /// 5 min, 30 min, 1 h, 6 h.
    windows: [Window; 4],
}

impl Default for BurnRate {
    fn default() -> Self {
        let windows = [30, 180, 360, 2160].map(Window::of);
        Self { first: None, buckets: Vec::new(), windows }
    }
}

impl Rule for BurnRate {
    fn take(&mut self, seen: &Seen) {
        let first = *self.first.get_or_insert(seen.at);
        // What is from before the first result, or from a clock that is days ahead, falls out of every window.
        let Ok(bucket) = usize::try_from((seen.at - first).div_euclid(BUCKET)) else { return };
        if bucket > self.buckets.len() + 8640 {
            return;
        }
        if bucket >= self.buckets.len() {
            self.buckets.resize(bucket + 1, (0, 0));
        }
        let (failed, all) = (u64::from(seen.failed), 1);
        self.buckets[bucket] = (self.buckets[bucket].0 + failed, self.buckets[bucket].1 + all);
        for w in self.windows.iter_mut().filter(|w| bucket >= w.left) {
            (w.failed, w.all) = (w.failed + failed, w.all + all);
        }
    }

    fn is_down(&mut self, now: Micros) -> bool {
        let Some(first) = self.first else { return false };
        let end = usize::try_from((now - first + BUCKET - 1).div_euclid(BUCKET)).unwrap_or(0);
        for w in &mut self.windows {
            w.advance(&self.buckets, end);
        }
        let [short, half, hour, long] = &self.windows;
        now - first >= secs(300) && ((hour.over(72) && short.over(72)) || (long.over(30) && half.over(30)))
    }
}

#[cfg(test)]
mod tests {
    use crate::name::RuleName;
    use crate::rules::timeline::check;

    #[test]
    fn nothing_is_said_in_the_first_five_minutes() {
        check(&RuleName::BurnRate, &["D40"], "U29 D11");
    }

    #[test]
    fn over_seven_percent_of_an_hour_and_of_five_minutes() {
        // 26 of 360 is 7.22 %, 25 is 6.9 %; by then more than 7.2 % of the last five minutes.
        check(&RuleName::BurnRate, &["U334 D26"], "U344 D16");
    }

    #[test]
    fn the_short_window_clears_it_unless_the_long_ones_hold() {
        // Two of 62 are over 3 %. Half an hour after the fault the six hours still show that much, the half hour does not.
        check(&RuleName::BurnRate, &["U60 D40 U300"], "U61 D213 U126");
    }

    #[test]
    fn a_share_of_three_percent_in_half_an_hour_and_six_hours_is_enough() {
        // Of two vantages one fails: every 25th slot of it is 2 % of all, every 15th 3.3 %.
        let few = ["U24 D"; 30].join(" ");
        let many = ["U14 D"; 50].join(" ");
        check(&RuleName::BurnRate, &[&few, "U750"], "U750");
        let said = crate::rules::timeline::said(&RuleName::BurnRate, &[&many]);
        assert!(said.contains('D') && !said[..29].contains('D'), "{said}");
    }
}
