//! Has a checker seen the same so many times in a row?
//!
//! `route53`: AWS Route 53 health checks (docs.aws.amazon.com, "How Amazon Route 53 determines whether a health check is
//! healthy"). Each checker flips after three results in a row against its state; the endpoint is healthy while more than
//! 18 % of the checkers say so. Certificates are not validated, so a failed secure connection counts as success; 4 s to
//! connect and 2 s to answer, so a complete answer after more than 6 s counts as failure.
//!
//! `gatus-3@v`: Gatus (README of TwiN/gatus, `failure-threshold: 3`, `success-threshold: 2`), from one place.

use crate::rule::{Micros, Newest, PerVantage, Rule, Seen, secs};

/// Up or down, and how many results in a row spoke against it.
#[derive(Debug, Clone, Copy, Default)]
struct Flip {
    newest: Newest,
    down: bool,
    against: u32,
}

impl Flip {
    fn take(&mut self, seen: &Seen, failed: bool, to_down: u32, to_up: u32) {
        if !self.newest.take(seen) {
            return;
        }
        self.against = if failed == self.down { 0 } else { self.against + 1 };
        if self.against >= if self.down { to_up } else { to_down } {
            (self.down, self.against) = (!self.down, 0);
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Route53(PerVantage<Flip>);

impl Rule for Route53 {
    fn take(&mut self, seen: &Seen) {
        let failed = (seen.failed && !seen.tls) || (!seen.failed && seen.total > secs(6));
        self.0.of(seen.vantage).take(seen, failed, 3, 3);
    }

    fn is_down(&mut self, _: Micros) -> bool {
        let all = self.0.all().count();
        let healthy = self.0.all().filter(|f| !f.down).count();
        all > 0 && healthy * 100 <= all * 18
    }
}

#[derive(Debug)]
pub(super) struct Gatus {
    from: usize,
    flip: Flip,
}

impl From<usize> for Gatus {
    fn from(vantage: usize) -> Self {
        Self { from: vantage, flip: Flip::default() }
    }
}

impl Rule for Gatus {
    fn take(&mut self, seen: &Seen) {
        if seen.vantage == self.from {
            self.flip.take(seen, seen.failed, 3, 2);
        }
    }

    fn is_down(&mut self, _: Micros) -> bool {
        self.flip.down
    }
}

#[cfg(test)]
mod tests {
    use crate::name::RuleName;
    use crate::rules::timeline::{agent, check};

    #[test]
    fn route53_flips_a_checker_after_three_in_a_row() {
        check(&RuleName::Route53, &["DD U DDD UU D UUU"], "U5 D6 U");
    }

    #[test]
    fn route53_is_down_at_18_percent_of_the_checkers_and_not_above() {
        // One of six is 16.7 %, two are 33 %.
        check(&RuleName::Route53, &["U6", "D6", "D6", "D6", "D6", "D6"], "U2 D4");
        check(&RuleName::Route53, &["U6", "U6", "D6", "D6", "D6", "D6"], "U6");
    }

    #[test]
    fn route53_takes_a_bad_certificate_for_an_answer_and_a_late_answer_for_none() {
        check(&RuleName::Route53, &["T6"], "U6");
        check(&RuleName::Route53, &["S6"], "U2 D4");
    }

    #[test]
    fn route53_keeps_the_state_of_a_checker_that_is_silent() {
        check(&RuleName::Route53, &["D3 .20 U3"], "U2 D23 U");
    }

    #[test]
    fn gatus_goes_down_after_three_and_up_after_two() {
        check(&RuleName::Gatus(agent(0)), &["DD U DDD U D UU"], "U5 D4 U");
    }

    #[test]
    fn gatus_looks_from_one_place() {
        check(&RuleName::Gatus(agent(1)), &["D6", "U6"], "U6");
        check(&RuleName::Gatus(agent(1)), &["U6", "D6"], "U2 D4");
    }
}
