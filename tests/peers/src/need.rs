//! Was a failover needed, by a rule that only knows up and down?
//!
//! ```text
//!   an announced window for the active region -> not needed
//!   the active region down   -> futile if every other is down too, else needed
//!   the public name down     -> futile
//!   else                     -> not needed
//! ```
//!
//! A side is down when endpoints that carry a third of the weight are, or a critical one. By `quorum+public` a region is
//! down when the public name is down too.

use crate::name::RuleName;
use crate::rule::{Micros, Rule, secs};
use crate::rules;
use crate::served::Served;
use crate::view::{Known, Side, View};

/// How often rules are asked.
const EVERY: Micros = secs(10);

/// What the mapping says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// Nothing that counts is down.
    Healthy,
    /// An announced window is open.
    Maintenance,
    /// The active region is down, another is not.
    RegionDown,
    /// All regions are down.
    GlobalFault,
    /// The public name is down, the active region is not.
    FrontDoor,
}

/// The answer at a moment, and the region that served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) at: Micros,
    pub(crate) answer: Answer,
    pub(crate) active: usize,
}

/// The answer at every step, by a rule that takes results as they become known.
pub(crate) fn answers(view: &View, name: &RuleName, feed: &[Known], from: Micros, to: Micros) -> Vec<Step> {
    let mut states = States::new(view, name);
    let mut served = Served::new(view.regions, view.active);
    let (mut steps, mut next, mut now) = (Vec::new(), 0, from);
    while now < to {
        let known = feed[next..].partition_point(|k| k.known <= now);
        for k in &feed[next..next + known] {
            states.take(k);
            served.take(k);
        }
        next += known;
        let active = served.region(now);
        let down = states.down(now);
        let excused = view.windows.iter().any(|w| w.covers(now, active));
        let answer = if excused { Answer::Maintenance } else { down.answer(active, *name == RuleName::QuorumPublic) };
        steps.push(Step { at: now, answer, active });
        now += EVERY;
    }
    steps
}

/// A state per endpoint and side; the public name stands after the regions.
struct States<'a> {
    view: &'a View,
    states: Vec<Box<dyn Rule>>,
}

impl<'a> States<'a> {
    fn new(view: &'a View, name: &RuleName) -> Self {
        let from = name.vantage().and_then(|id| view.agents.binary_search(id).ok());
        // A vantage that the fleet does not have is never heard of.
        let from = from.unwrap_or(view.agents.len());
        let many = view.endpoints.len() * (view.regions + 1);
        Self { view, states: (0..many).map(|_| rules::start(name, from)).collect() }
    }

    fn take(&mut self, known: &Known) {
        let side = match known.side {
            Side::Region(region) => region,
            Side::Public => self.view.regions,
        };
        self.states[known.endpoint * (self.view.regions + 1) + side].take(&known.seen);
    }

    /// Which sides are down for the service.
    fn down(&mut self, now: Micros) -> Down {
        let sides = self.view.regions + 1;
        let (mut bad, mut critical) = (vec![0; sides], vec![false; sides]);
        for (i, state) in self.states.iter_mut().enumerate() {
            let endpoint = self.view.endpoints[i / sides];
            if state.is_down(now) {
                bad[i % sides] += endpoint.weight;
                critical[i % sides] |= endpoint.critical;
            }
        }
        let all: u64 = self.view.endpoints.iter().map(|e| e.weight).sum();
        let down = |side: usize| critical[side] || (bad[side] > 0 && bad[side] * 3 >= all);
        Down { regions: (0..self.view.regions).map(down).collect(), public: down(self.view.regions) }
    }
}

#[derive(Debug)]
struct Down {
    regions: Vec<bool>,
    public: bool,
}

impl Down {
    fn answer(&self, active: usize, with_public: bool) -> Answer {
        let others = self.regions.iter().enumerate().filter(|(region, _)| *region != active);
        match self.regions[active] && (self.public || !with_public) {
            true if others.clone().all(|(_, down)| *down) => Answer::GlobalFault,
            true => Answer::RegionDown,
            false if self.public => Answer::FrontDoor,
            false => Answer::Healthy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_down_tells_the_need() {
        let cases = [
            // active, other, public: any rule, quorum+public
            ([false, false], false, Answer::Healthy, Answer::Healthy),
            ([false, true], false, Answer::Healthy, Answer::Healthy),
            ([false, false], true, Answer::FrontDoor, Answer::FrontDoor),
            ([false, true], true, Answer::FrontDoor, Answer::FrontDoor),
            ([true, false], false, Answer::RegionDown, Answer::Healthy),
            ([true, false], true, Answer::RegionDown, Answer::RegionDown),
            ([true, true], false, Answer::GlobalFault, Answer::Healthy),
            ([true, true], true, Answer::GlobalFault, Answer::GlobalFault),
        ];
        for (regions, public, any, with_public) in cases {
            let down = Down { regions: regions.to_vec(), public };
            assert_eq!(down.answer(0, false), any, "{down:?}");
            assert_eq!(down.answer(0, true), with_public, "{down:?}");
        }
    }

    #[test]
    fn the_other_region_is_asked_after_a_switch() {
        let down = Down { regions: vec![true, false], public: false };
        assert_eq!(down.answer(1, false), Answer::Healthy);
    }
}
