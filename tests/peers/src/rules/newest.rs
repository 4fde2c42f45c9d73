//! How many of the newest results say so?
//!
//! `majority`: newest result per vantage, no older than 30 s; down when more than half failed.
//!
//! `checkly-50%x2`: Checkly (checklyhq.com, alert escalation policy; parallel runs). Every 10 s a run is the newest result
//! of each vantage, no older than 20 s; the run fails when at least 50 % of it did. Down after two failed runs, up at one
//! good. A run without results is neither.
//!
//! `edge-3of4`: Azure Front Door (learn.microsoft.com, health probes; three of the last four samples must be good). A vantage
//! says bad when more than one of its last four failed; down when more than half of those heard of in the last 60 s do.

use crate::rule::{Micros, Newest, PerVantage, Rule, Seen, count, secs};

#[derive(Debug, Default)]
pub(super) struct Majority(PerVantage<Newest>);

impl Rule for Majority {
    fn take(&mut self, seen: &Seen) {
        self.0.of(seen.vantage).take(seen);
    }

    fn is_down(&mut self, now: Micros) -> bool {
        let (failed, all) = count(self.0.all(), now, secs(30));
        failed * 2 > all
    }
}

#[derive(Debug, Default)]
pub(super) struct Checkly {
    newest: PerVantage<Newest>,
    failed_runs: u32,
    down: bool,
}

impl Rule for Checkly {
    fn take(&mut self, seen: &Seen) {
        self.newest.of(seen.vantage).take(seen);
    }

    fn is_down(&mut self, now: Micros) -> bool {
        let (failed, all) = count(self.newest.all(), now, secs(20));
        if all > 0 && failed * 2 >= all {
            self.failed_runs += 1;
            self.down |= self.failed_runs >= 2;
        } else if all > 0 {
            (self.failed_runs, self.down) = (0, false);
        }
        self.down
    }
}

/// The last four results of a vantage, the newest in the lowest bit.
#[derive(Debug, Clone, Copy, Default)]
struct LastFour {
    newest: Newest,
    failed: u8,
}

#[derive(Debug, Default)]
pub(super) struct Edge(PerVantage<LastFour>);

impl Rule for Edge {
    fn take(&mut self, seen: &Seen) {
        let last = self.0.of(seen.vantage);
        if last.newest.take(seen) {
            last.failed = (last.failed << 1 | u8::from(seen.failed)) & 0b1111;
        }
    }

    fn is_down(&mut self, now: Micros) -> bool {
        let fresh = self.0.all().filter(|last| last.newest.fresh(now, secs(60)).is_some());
        let (bad, all) =
            fresh.fold((0, 0), |(bad, all), last| (bad + usize::from(last.failed.count_ones() > 1), all + 1));
        bad * 2 > all
    }
}

#[cfg(test)]
mod tests {
    use crate::name::RuleName;
    use crate::rules::timeline::check;

    #[test]
    fn a_majority_is_more_than_half() {
        check(&RuleName::Majority, &["U D U", "U D U", "U U U"], "U D U");
        check(&RuleName::Majority, &["U D U", "U D U", "U U U", "U U U"], "U3");
    }

    #[test]
    fn a_majority_forgets_after_half_a_minute() {
        check(&RuleName::Majority, &["D .3"], "D3 U");
        // What is silent has no vote.
        check(&RuleName::Majority, &["D5", "U .4", "U .4"], "U3 D2");
    }

    #[test]
    fn checkly_is_down_after_two_runs_at_half_and_up_at_one_good() {
        check(&RuleName::Checkly, &["U DD U D U DD", "U8"], "U2 D U4 D");
        check(&RuleName::Checkly, &["D6", "U6", "U6"], "U6");
    }

    #[test]
    fn checkly_keeps_its_state_when_nothing_runs() {
        check(&RuleName::Checkly, &["DD .5 U"], "U D6 U");
        check(&RuleName::Checkly, &["U .5"], "U6");
    }

    #[test]
    fn an_edge_bears_one_of_four_and_not_two() {
        check(&RuleName::Edge, &["U3 D U3 D U D U4"], "U9 D2 U3");
        check(&RuleName::Edge, &["DDD", "UUU"], "U3");
        check(&RuleName::Edge, &["DDD", "DDD", "UUU"], "U D D");
    }

    #[test]
    fn an_edge_that_is_silent_for_a_minute_has_no_vote() {
        check(&RuleName::Edge, &["D9", "U .8", "U .8"], "U6 D3");
    }
}
