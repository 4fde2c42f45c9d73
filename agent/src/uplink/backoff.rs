//! How long is the pause before the next try?
//!
//! A random time between nothing and a bound that doubles with every failure ("full jitter"), so that a fleet that lost
//! its collector at one moment does not come back at one moment. A small floor keeps a lucky draw from becoming a tight
//! loop.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

const FLOOR: Duration = Duration::from_millis(50);
const FIRST: Duration = Duration::from_millis(500);
const CEILING: Duration = Duration::from_secs(30);

/// The pauses of one uplink.
#[derive(Debug)]
pub(super) struct Backoff {
    failures: u32,
    dice: StdRng,
}

impl Backoff {
    /// Pauses by chance, or by a seed.
    pub(super) fn new(seed: Option<u64>) -> Self {
        let dice = seed.map_or_else(StdRng::from_os_rng, StdRng::seed_from_u64);
        Self { failures: 0, dice }
    }

    /// The pause after one more failure.
    pub(super) fn next(&mut self) -> Duration {
        let bound = self.bound();
        self.failures = self.failures.saturating_add(1);
        self.dice.random_range(Duration::ZERO..=bound).max(FLOOR)
    }

    /// It works again.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    fn bound(&self) -> Duration {
        FIRST.saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(CEILING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_the_ceiling_and_pauses_vary_within_it() {
        let mut backoff = Backoff::new(None);
        let bounds: Vec<_> = (0..100)
            .map(|_| {
                let bound = backoff.bound();
                let pause = backoff.next();
                assert!(FLOOR <= pause && pause <= bound);
                bound.as_millis()
            })
            .collect();
        assert_eq!(bounds[..8], [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        let late: std::collections::BTreeSet<_> = (0..20).map(|_| backoff.next()).collect();
        assert!(late.len() > 10, "pauses differ");
        backoff.reset();
        assert_eq!(backoff.bound(), FIRST);
    }
}
