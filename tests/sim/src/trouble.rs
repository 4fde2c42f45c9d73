//! What happens to links, processes and clocks, and when?

use std::fmt;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use uitwijk_model::{Millis, WallTime};

/// The most troubles of a seed.
const TROUBLES_MAX: usize = 12;

/// Something that happens, and is over after a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// When it begins.
    pub from: WallTime,
    /// When it is over.
    pub to: WallTime,
    /// What it is.
    pub what: What,
}

/// What may happen. Agents and collectors by their number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// An agent is killed, and started again at the end.
    AgentKilled(usize),
    /// A collector is killed, and started again at the end.
    CollectorKilled(usize),
    /// A region is gone: its agents (those with a number of this parity) and its collector.
    RegionGone(usize),
    /// The link between them is gone: connections break, new ones are refused.
    Cut(usize, usize),
    /// Connections stand still, new ones are never answered.
    HalfOpen(usize, usize),
    /// What the agent says arrives late, all of it at the end.
    HeldUp(usize, usize),
    /// What the collector says arrives late, so that acknowledgements are missing.
    HeldDown(usize, usize),
    /// A few bytes at a time, each late.
    Trickle(usize, usize),
    /// Connections break, now and then, in the middle of a message.
    Torn(usize, usize),
    /// The agent's clock is ahead by so many milliseconds, or behind; it steps there at the beginning, and back at the end.
    ClockOff(usize, i64),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}: {:?}", self.from, self.to, self.what)
    }
}

/// The troubles of a seed, in order of their beginning.
pub(super) fn draw(seed: u64, agents: usize, collectors: usize, start: WallTime, end: WallTime) -> Vec<Trouble> {
    let mut dice = StdRng::seed_from_u64(seed ^ 0x7472_6f75);
    let span = u64::try_from(end.micros_since(start)).unwrap_or(0) / 1000;
    let mut all: Vec<Trouble> = (0..dice.random_range(1..=TROUBLES_MAX))
        .map(|_| {
            let from = start.plus(Millis(dice.random_range(0..span)));
            let lasting = [200, 3_000, 20_000, 90_000, 400_000, 1_500_000][dice.random_range(0..6)].min(span / 2);
            let to = from.plus(Millis(dice.random_range(lasting / 2..=lasting))).min(end);
            let (agent, collector) = (dice.random_range(0..agents), dice.random_range(0..collectors));
            let what = match dice.random_range(0..112) {
                0..22 => What::AgentKilled(agent),
                22..40 => What::CollectorKilled(collector),
                40..45 => What::RegionGone(collector),
                45..57 => What::Cut(agent, collector),
                57..67 => What::HalfOpen(agent, collector),
                67..75 => What::HeldUp(agent, collector),
                75..85 => What::HeldDown(agent, collector),
                85..92 => What::Trickle(agent, collector),
                92..100 => What::Torn(agent, collector),
                _ => What::ClockOff(agent, off(&mut dice)),
            };
            Trouble { from, to, what }
        })
        .collect();
    all.sort_by_key(|trouble| (trouble.from, trouble.to));
    all
}

/// How far a clock is off: by less than the judge corrects, by less than a slot, by some slots.
fn off(dice: &mut StdRng) -> i64 {
    let most: i64 = [1_500, 8_000, 90_000][dice.random_range(0..3)];
    dice.random_range(-most..=most)
}
