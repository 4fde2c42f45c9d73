//! How much of a stretch of time did one policy call what?

use uitwijk_judge::{Execution, Need};

use super::judged::{Judged, Stretch};

/// Episodes, and how long they were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Their number.
    pub episodes: u64,
    /// Their length within the stretch, milliseconds.
    pub ms: u64,
}

impl Amount {
    /// One more episode, so long.
    pub fn add(&mut self, ms: u64) {
        self.episodes += 1;
        self.ms = self.ms.saturating_add(ms);
    }
}

/// What one policy said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in the answers of the judge")]
pub struct Totals {
    pub needed: Amount,
    pub missed: Amount,
    /// Switches outside drills that nothing called for.
    pub unnecessary: Amount,
    pub futile: Amount,
    pub inconclusive: Amount,
    /// Everything worth a verdict.
    pub all: Amount,
}

impl Totals {
    /// Adds up episodes within a stretch. A switch inside a drill was meant, and is not unnecessary.
    #[must_use]
    pub fn of(episodes: &[Judged], stretch: Stretch, in_drill: &dyn Fn(&Judged) -> bool) -> Self {
        let mut totals = Self::default();
        for e in episodes {
            let ms = e.within(stretch).ms();
            totals.all.add(ms);
            match e.need {
                Need::Needed => totals.needed.add(ms),
                Need::Futile => totals.futile.add(ms),
                Need::Inconclusive => totals.inconclusive.add(ms),
                Need::NotNeeded => {}
            }
            match e.execution {
                Execution::Missed => totals.missed.add(ms),
                Execution::Unnecessary if !in_drill(e) => totals.unnecessary.add(ms),
                _ => {}
            }
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use uitwijk_judge::Cause;

    use super::super::judged::tests::{at, episode, minutes};
    use super::*;

    #[test]
    fn time_counts_within_the_stretch_and_a_drill_excuses_a_switch() {
        let switched = Judged { execution: Execution::Unnecessary, ..episode(40, 42, Cause::Healthy) };
        let all = [
            episode(-10, 5, Cause::RegionDown),
            episode(10, 12, Cause::Transient),
            episode(20, 30, Cause::GlobalFault),
            Judged { execution: Execution::Executed, ..episode(31, 33, Cause::RegionSlow) },
            switched.clone(),
            Judged { from: at(50), to: None, ..episode(50, 55, Cause::NoData) },
        ];
        let amount = |episodes, minutes: u64| Amount { episodes, ms: minutes * 60_000 };
        let expected = Totals {
            needed: amount(2, 7),
            missed: amount(1, 5),
            unnecessary: amount(1, 2),
            futile: amount(1, 10),
            inconclusive: amount(1, 10),
            all: amount(6, 31),
        };
        assert_eq!(Totals::of(&all, minutes(0, 60), &|_| false), expected);
        let drilled = Totals { unnecessary: Amount::default(), ..expected };
        assert_eq!(Totals::of(&all, minutes(0, 60), &|e| *e == switched), drilled);
    }
}
