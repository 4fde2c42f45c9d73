//! Did it last at one place, and was it wide at one moment?
//!
//! `quorum-3of6-3m`: Datadog synthetics (docs.datadoghq.com, "How synthetic monitors trigger alerts": "an alert is triggered
//! when any assertion fails for X minutes from any n of N locations"). Some vantage fails without a break for at least
//! 180 s, and within the last 180 s there was a moment with at least three vantages failing. Results count for 60 s.
//! `quorum+public` asks for the same and for a public name that is down by it; that is `need.rs`'s business.

use crate::rule::{FailingSince, Micros, PerVantage, Rule, Seen, count, secs};

#[derive(Debug, Default)]
pub(super) struct Quorum {
    failing: PerVantage<FailingSince>,
    wide: Option<Micros>,
}

impl Rule for Quorum {
    fn take(&mut self, seen: &Seen) {
        self.failing.of(seen.vantage).take(seen);
    }

    fn is_down(&mut self, now: Micros) -> bool {
        let (failed, _) = count(self.failing.all().map(FailingSince::newest), now, secs(60));
        if failed >= 3 {
            self.wide = Some(now);
        }
        let wide = self.wide.is_some_and(|at| now - at <= secs(180));
        wide && self.failing.all().any(|f| f.lasts(now, secs(180), secs(60)))
    }
}

#[cfg(test)]
mod tests {
    use crate::name::RuleName;
    use crate::rules::timeline::check;

    #[test]
    fn three_minutes_from_three_places() {
        check(&RuleName::Quorum, &["D20 U", "D20 U", "D20 U", "U21"], "U17 D3 U");
        check(&RuleName::Quorum, &["D20 U", "D20 U", "U21", "U21"], "U21");
    }

    #[test]
    fn the_moment_may_be_another_than_the_stretch() {
        // Lasting at one place; wide once, which counts for three minutes.
        check(&RuleName::Quorum, &["D40", "U9 D U30", "U9 D U30"], "U17 D11 U12");
    }

    #[test]
    fn a_success_breaks_the_stretch() {
        check(&RuleName::Quorum, &["D10 U D10", "D5 U D15", "D15 U D5"], "U21");
    }

    #[test]
    fn silence_is_no_failure() {
        check(&RuleName::Quorum, &["D5 .30", "D5 .30", "D5 .30"], "U35");
    }
}
