//! Was an alert's condition true at every evaluation for a minute?
//!
//! `prom-1m@v`: a Prometheus alerting rule with `for: 1m` on the probe's success, scraped from one place. One good sample
//! resets it. Absent data is no alert; a sample counts for five minutes, the look-back of Prometheus.

use crate::rule::{FailingSince, Micros, Rule, Seen, secs};

#[derive(Debug)]
pub(super) struct Prometheus {
    from: usize,
    failing: FailingSince,
}

impl From<usize> for Prometheus {
    fn from(vantage: usize) -> Self {
        Self { from: vantage, failing: FailingSince::default() }
    }
}

impl Rule for Prometheus {
    fn take(&mut self, seen: &Seen) {
        if seen.vantage == self.from {
            self.failing.take(seen);
        }
    }

    fn is_down(&mut self, now: Micros) -> bool {
        self.failing.lasts(now, secs(60), secs(300))
    }
}

#[cfg(test)]
mod tests {
    use crate::name::RuleName;
    use crate::rules::timeline::{agent, check};

    #[test]
    fn it_fires_after_a_minute_and_one_success_clears_it() {
        check(&RuleName::Prometheus(agent(0)), &["U D7 U DD"], "U6 D2 U3");
    }

    #[test]
    fn a_success_in_the_minute_starts_it_again() {
        check(&RuleName::Prometheus(agent(0)), &["D5 U D6"], "U11 D");
    }

    #[test]
    fn the_last_sample_counts_for_five_minutes() {
        check(&RuleName::Prometheus(agent(0)), &["D .40"], "U5 D25 U11");
    }

    #[test]
    fn it_looks_from_one_place() {
        check(&RuleName::Prometheus(agent(1)), &["D10", "U10"], "U10");
    }
}
