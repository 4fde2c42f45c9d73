//! How late did the event loop run?
//!
//! A sampler sleeps a tenth of a second and sees how late it wakes. The worst of the last second counts, and so does a
//! sleep that should have ended by now: a loop that is stuck while somebody asks must not look well.

use std::collections::VecDeque;
use std::time::Duration;

use uitwijk_model::Elapsed;

/// How long the sampler sleeps.
pub(super) const EVERY: Duration = Duration::from_millis(100);
/// Timers have this grain, so lateness up to it says nothing about the loop.
const GRAIN_US: u64 = 2_000;
const SECOND_US: u64 = 1_000_000;

/// What the sampler saw in the last second.
#[derive(Debug, Default)]
pub(super) struct Lag {
    /// When it woke and how late, oldest first.
    samples: VecDeque<(Elapsed, Elapsed)>,
    /// When the running sleep should end.
    due: Option<Elapsed>,
}

impl Lag {
    /// The sampler goes to sleep.
    pub(super) fn sleeping(&mut self, now: Elapsed) {
        self.due = Some(Elapsed::from_micros(now.as_micros() + Elapsed::from(EVERY).as_micros()));
    }

    /// The sampler woke.
    pub(super) fn woke(&mut self, now: Elapsed) {
        let late = self.late(now);
        self.due = None;
        self.samples.push_back((now, late));
        while self.samples.front().is_some_and(|(at, _)| now.since(*at).as_micros() > SECOND_US) {
            self.samples.pop_front();
        }
    }

    /// The worst of the last second.
    pub(super) fn worst(&self, now: Elapsed) -> Elapsed {
        let recent = self.samples.iter().filter(|(at, _)| now.since(*at).as_micros() <= SECOND_US);
        recent.map(|(_, late)| *late).chain([self.late(now)]).max().unwrap_or_default()
    }

    fn late(&self, now: Elapsed) -> Elapsed {
        let late = self.due.map_or(0, |due| now.since(due).as_micros());
        Elapsed::from_micros(late.saturating_sub(GRAIN_US))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_the_last_second_counts_and_then_is_forgotten() {
        let ms = |ms: u64| Elapsed::from_micros(ms * 1000);
        let mut lag = Lag::default();
        assert_eq!(lag.worst(ms(5)), ms(0));
        lag.sleeping(ms(0));
        lag.woke(ms(101));
        assert_eq!(lag.worst(ms(101)), ms(0), "the grain of a timer is no lag");
        lag.sleeping(ms(101));
        assert_eq!(lag.worst(ms(250)), ms(47), "a sleep that should have ended counts");
        lag.woke(ms(300));
        for now in [300, 410, 520] {
            lag.sleeping(ms(now));
            lag.woke(ms(now + 100));
        }
        assert_eq!(lag.worst(ms(620)), ms(97));
        assert_eq!(lag.worst(ms(1301)), ms(0));
        lag.sleeping(ms(1310));
        lag.woke(ms(1410));
        assert_eq!(lag.samples.len(), 3, "old samples are dropped");
    }
}
