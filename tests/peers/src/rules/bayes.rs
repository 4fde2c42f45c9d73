//! How sure is one that it is up?
//!
//! `bayes-pooled`: Trinocular (Quan, Heidemann, Pradkin, SIGCOMM 2013). The belief that the target is up is updated by every
//! result of every vantage: P(fail | up) = 0.005, P(fail | down) = 0.95, belief kept within 0.001 and 0.999. Down below 0.1,
//! up above 0.9, else unchanged. It starts as sure of "up" as it can be.

use crate::rule::{Micros, Rule, Seen};

const FAIL_UP: f64 = 0.005;
const FAIL_DOWN: f64 = 0.95;

#[derive(Debug)]
pub(super) struct Bayes {
    belief: f64,
    down: bool,
}

impl Default for Bayes {
    fn default() -> Self {
        Self { belief: 0.999, down: false }
    }
}

impl Rule for Bayes {
    fn take(&mut self, seen: &Seen) {
        let (up, down) = if seen.failed { (FAIL_UP, FAIL_DOWN) } else { (1.0 - FAIL_UP, 1.0 - FAIL_DOWN) };
        let (up, down) = (self.belief * up, (1.0 - self.belief) * down);
        self.belief = (up / (up + down)).clamp(0.001, 0.999);
        if self.belief < 0.1 {
            self.down = true;
        } else if self.belief > 0.9 {
            self.down = false;
        }
    }

    fn is_down(&mut self, _: Micros) -> bool {
        self.down
    }
}

#[cfg(test)]
mod tests {
    use crate::name::RuleName;
    use crate::rules::timeline::check;

    #[test]
    fn two_failures_turn_it_and_two_successes_turn_it_back() {
        // From 0.999: 0.84, 0.027; then 0.36, 0.92.
        check(&RuleName::Bayes, &["U DD UU"], "U2 D2 U");
        // One failure among successes changes nothing.
        check(&RuleName::Bayes, &["U D UU D UU"], "U7");
    }

    #[test]
    fn belief_goes_no_lower_than_a_thousandth() {
        // 0.02, 0.28, 0.89, 0.994.
        check(&RuleName::Bayes, &["D20 U5"], "U D22 U2");
    }

    #[test]
    fn results_of_all_vantages_are_pooled() {
        check(&RuleName::Bayes, &["D U", "D U", "D U", "U U"], "D U");
        check(&RuleName::Bayes, &["D U", "U U", "D U", "U U"], "U U");
    }
}
