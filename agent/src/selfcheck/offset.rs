//! How far is the agent's clock from the collectors'?
//!
//! ```text
//!   agent      sent -----------\                      /---> answered      offset = ((sent - received) + (answered - replied)) / 2
//!   collector                   \--> received  replied                   error <= (time on the way) / 2
//! ```
//!
//! Every heartbeat is a measurement as in NTP. Of the last few the one that was least on the way, and is not too old, is
//! the surest; clocks drift, so age adds to its error. When the agent's wall clock steps, the step shows against the
//! monotonic clock and moves all samples at once, so nobody has to wait for new ones.
//!
//! Several collectors are several opinions. They agree on the interval that most of them allow (Marzullo): of the places
//! where most intervals meet the narrowest, of equals the lowest, so that the same samples always give the same answer.

use std::collections::{BTreeMap, VecDeque};

use uitwijk_model::{Elapsed, WallTime};

const SAMPLES_MAX: usize = 8;
const COLLECTORS_MAX: usize = 64;
/// Clocks of machines drift less than this.
const DRIFT_PER_MILLION: u64 = 100;
/// An older sample says nothing any more.
const AGE_MAX_US: u64 = 30 * 60 * 1_000_000;

/// The times of one heartbeat and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// When the agent sent the heartbeat, agent's clock.
    pub sent: WallTime,
    /// When the collector received it, collector's clock.
    pub received: WallTime,
    /// When the collector sent its answer, collector's clock.
    pub replied: WallTime,
    /// When the answer came in, agent's clock.
    pub answered: WallTime,
}

/// The agent's clock minus a collector's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOffset {
    /// Microseconds; positive when the agent's clock is ahead.
    pub us: i64,
    /// The true offset is at most so many microseconds away, as long as the collector's clock keeps time.
    pub error_us: u64,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    offset: ClockOffset,
    at: Elapsed,
    /// Wall clock minus monotonic clock at that moment; a change of it is a step of the wall clock.
    wall_base: i64,
}

/// What the collectors' clocks said.
#[derive(Debug, Default)]
pub(super) struct Offsets(BTreeMap<String, VecDeque<Sample>>);

impl Offsets {
    /// A heartbeat was answered. One with times that cannot be is ignored.
    pub(super) fn heard(&mut self, collector: &str, exchange: Exchange, wall: WallTime, elapsed: Elapsed) {
        let Some(offset) = measure(exchange) else { return };
        if !self.0.contains_key(collector) && self.0.len() >= COLLECTORS_MAX {
            return;
        }
        let samples = self.0.entry(collector.to_owned()).or_default();
        samples.push_back(Sample { offset, at: elapsed, wall_base: base(wall, elapsed) });
        while samples.len() > SAMPLES_MAX {
            samples.pop_front();
        }
    }

    /// The surest opinion of one collector.
    pub(super) fn to(&self, collector: &str, wall: WallTime, elapsed: Elapsed) -> Option<ClockOffset> {
        let surest = self.0.get(collector)?.iter().filter_map(|sample| sample.now(wall, elapsed));
        surest.min_by_key(|offset| (offset.error_us, offset.us))
    }

    /// What most collectors agree on.
    pub(super) fn agreed(&self, wall: WallTime, elapsed: Elapsed) -> Option<ClockOffset> {
        let opinions = self.0.keys().filter_map(|collector| self.to(collector, wall, elapsed));
        agree(&opinions.collect::<Vec<_>>())
    }
}

impl Sample {
    /// What the sample says at another moment.
    fn now(&self, wall: WallTime, elapsed: Elapsed) -> Option<ClockOffset> {
        let age = elapsed.since(self.at).as_micros();
        let step = base(wall, elapsed).saturating_sub(self.wall_base);
        (age <= AGE_MAX_US).then(|| ClockOffset {
            us: self.offset.us.saturating_add(step),
            error_us: self.offset.error_us.saturating_add(age * DRIFT_PER_MILLION / 1_000_000),
        })
    }
}

fn base(wall: WallTime, elapsed: Elapsed) -> i64 {
    wall.as_micros().saturating_sub_unsigned(elapsed.as_micros())
}

fn measure(exchange: Exchange) -> Option<ClockOffset> {
    let Exchange { sent, received, replied, answered } = exchange;
    let on_the_way = i128::from(answered.micros_since(sent)) - i128::from(replied.micros_since(received));
    let twice = i128::from(sent.micros_since(received)) + i128::from(answered.micros_since(replied));
    let error_us = u64::try_from(on_the_way).ok()?.div_ceil(2);
    Some(ClockOffset { us: i64::try_from(twice / 2).ok()?, error_us })
}

/// The narrowest interval that most opinions allow.
fn agree(opinions: &[ClockOffset]) -> Option<ClockOffset> {
    let low = |o: &ClockOffset| o.us.saturating_sub_unsigned(o.error_us);
    let high = |o: &ClockOffset| o.us.saturating_add_unsigned(o.error_us);
    // The best interval begins where one opinion begins, and ends where the first of those that hold there ends.
    let candidates = opinions.iter().map(|opinion| {
        let from = low(opinion);
        let holding = || opinions.iter().filter(|o| low(o) <= from && from <= high(o));
        let to = holding().map(high).min().unwrap_or(from);
        (std::cmp::Reverse(holding().count()), to.abs_diff(from), from, to)
    });
    let (_, width, from, _) = candidates.min()?;
    Some(ClockOffset { us: from.saturating_add_unsigned(width / 2), error_us: width.div_ceil(2) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(us: i64) -> WallTime {
        WallTime::from_micros(us)
    }

    /// An exchange with an agent ahead by `ahead`, and so long there, at the collector, and back.
    fn exchange(ahead: i64, there: i64, busy: i64, back: i64) -> Exchange {
        let (sent, received) = (1_000_000 + ahead, 1_000_000 + there);
        let replied = received + busy;
        Exchange { sent: at(sent), received: at(received), replied: at(replied), answered: at(replied + back + ahead) }
    }

    fn offset(us: i64, error_us: u64) -> ClockOffset {
        ClockOffset { us, error_us }
    }

    #[test]
    fn one_exchange_bounds_the_offset() {
        assert_eq!(measure(exchange(500, 100, 5000, 100)), Some(offset(500, 100)));
        assert_eq!(measure(exchange(-500, 100, 0, 300)), Some(offset(-400, 200)));
        let impossible = Exchange { answered: at(0), ..exchange(0, 10, 0, 10) };
        assert_eq!(measure(impossible), None, "an answer before its question");
    }

    #[test]
    fn the_surest_sample_counts_until_age_makes_it_worse() {
        let mut offsets = Offsets::default();
        let second = |s: u64| Elapsed::from_micros(s * 1_000_000);
        let wall = |s: i64| at(1_000_000 * s);
        offsets.heard("a", exchange(500, 100, 0, 100), wall(0), second(0));
        offsets.heard("a", exchange(900, 4000, 0, 4000), wall(1), second(1));
        assert_eq!(offsets.agreed(wall(1), second(1)), Some(offset(500, 200)));
        assert_eq!(offsets.to("a", wall(60), second(60)).unwrap().us, 500);
        offsets.heard("a", exchange(700, 1000, 0, 1000), wall(60), second(60));
        assert_eq!(offsets.to("a", wall(60), second(60)), Some(offset(700, 1000)));
        assert_eq!(offsets.agreed(wall(4000), second(4000)), None, "too old");
    }

    #[test]
    fn a_step_of_the_wall_clock_moves_the_samples() {
        let mut offsets = Offsets::default();
        offsets.heard("a", exchange(500, 100, 0, 100), at(1000), Elapsed::from_micros(1000));
        let stepped = offsets.agreed(at(2000 + 3_000_000), Elapsed::from_micros(2000));
        assert_eq!(stepped, Some(offset(3_000_500, 100)));
    }

    #[test]
    fn only_so_many_samples_and_collectors_are_kept() {
        let mut offsets = Offsets::default();
        for i in 0..100 {
            offsets.heard("a", exchange(0, 1, 0, 1), at(i), Elapsed::default());
            offsets.heard(&format!("c{i}"), exchange(0, 1, 0, 1), at(i), Elapsed::default());
        }
        assert_eq!((offsets.0.len(), offsets.0["a"].len()), (COLLECTORS_MAX, SAMPLES_MAX));
    }

    #[test]
    fn collectors_agree_on_what_most_allow() {
        for (opinions, agreed) in [
            (vec![], None),
            (vec![offset(5, 3)], Some(offset(5, 3))),
            // Two of three overlap in [8, 12]; the liar is far away.
            (vec![offset(10, 2), offset(11, 3), offset(900, 1)], Some(offset(10, 2))),
            // They do not meet: the surest counts, of equals the lowest.
            (vec![offset(100, 5), offset(0, 9)], Some(offset(100, 5))),
            (vec![offset(100, 5), offset(0, 5)], Some(offset(0, 5))),
        ] {
            assert_eq!(agree(&opinions), agreed, "{opinions:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Whatever the network does, the true offset lies within the error.
        #[test]
        fn the_true_offset_is_within_the_error(
            ahead in -10_000_000i64..10_000_000, there in 0i64..100_000, busy in 0i64..100_000, back in 0i64..100_000,
        ) {
            let found = measure(exchange(ahead, there, busy, back)).unwrap();
            prop_assert!(found.us.abs_diff(ahead) <= found.error_us);
        }

        /// Order does not matter, and honest opinions agree on the truth.
        #[test]
        fn opinions_that_hold_the_truth_agree_on_it(errors in proptest::collection::vec((-900i64..900, 1000u64..5000), 1..6)) {
            let opinions: Vec<_> = errors.iter().map(|(us, error)| offset(*us, *error)).collect();
            let agreed = agree(&opinions).unwrap();
            prop_assert!(agreed.us.unsigned_abs() <= agreed.error_us);
            let reversed: Vec<_> = opinions.iter().rev().copied().collect();
            prop_assert_eq!(agree(&reversed), Some(agreed));
        }
    }
}
