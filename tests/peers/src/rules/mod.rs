//! Which rules are there, and how is the state of one made?

mod bayes;
mod burn_rate;
mod consecutive;
mod newest;
mod prometheus;
mod quorum;
#[cfg(test)]
mod timeline;

use crate::name::RuleName;
use crate::rule::{Micros, Rule, Seen};

/// A state of the rule for one target; `vantage` is the number of the one that the rule looks from.
pub(crate) fn start(name: &RuleName, vantage: usize) -> Box<dyn Rule> {
    match name {
        RuleName::Route53 => Box::new(consecutive::Route53::default()),
        RuleName::Gatus(_) => Box::new(consecutive::Gatus::from(vantage)),
        RuleName::Prometheus(_) => Box::new(prometheus::Prometheus::from(vantage)),
        RuleName::Majority => Box::new(newest::Majority::default()),
        RuleName::Checkly => Box::new(newest::Checkly::default()),
        RuleName::Edge => Box::new(newest::Edge::default()),
        RuleName::Quorum | RuleName::QuorumPublic => Box::new(quorum::Quorum::default()),
        RuleName::BurnRate => Box::new(burn_rate::BurnRate::default()),
        RuleName::Bayes => Box::new(bayes::Bayes::default()),
        RuleName::Never => Box::new(Never),
    }
}

/// Never anything: shows how much of a score is base rate.
struct Never;

impl Rule for Never {
    fn take(&mut self, _: &Seen) {}

    fn is_down(&mut self, _: Micros) -> bool {
        false
    }
}
