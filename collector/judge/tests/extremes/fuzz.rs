//! Can a judge be told or asked anything, in any order, that it does not bear?
//!
//! [`fuzz_judge`] takes bytes, as a target of a fuzzer does; no fuzzer that steers by coverage runs on the stable compiler, so here
//! the bytes come from chance: `FUZZ=n` tries n inputs, a run of the tests a few hundred.

use uitwijk_judge::{Evidence, Live, Revision, judge};
use uitwijk_model::{Millis, Outcome, Slot, Unmeasured, WallTime};

use crate::courts::Case;
use crate::fleet::Fleet;
use crate::support::world::Dice;
use crate::world::World;

/// Reads numbers off an input until it ends.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<i64> {
        let (head, rest) = self.0.split_at_checked(8)?;
        self.0 = rest;
        Some(i64::from_le_bytes(head.try_into().unwrap()))
    }

    /// A number near something: an end of its range, nothing, a moment of the world, or anything at all.
    fn odd(&mut self, near: i64) -> Option<i64> {
        let kind = self.byte()?;
        let small = i64::from(self.byte()?) - 128;
        Some(match kind % 8 {
            0 => i64::MIN.saturating_add(small.max(0)),
            1 => i64::MAX.saturating_sub(small.max(0)),
            2 => small,
            3 => self.number()?,
            4 => self.number()? >> (small.unsigned_abs() % 64),
            5 => near.saturating_add(small.saturating_mul(3_600_000_000)),
            _ => near.saturating_add(small.saturating_mul(1_000_000)),
        })
    }
}

/// Plays an input to the judges of a small fleet.
pub fn fuzz_judge(data: &[u8]) {
    let mut bytes = Bytes(data);
    let Some(seed) = bytes.number() else { return };
    let mut dice = Dice(seed.cast_unsigned());
    let mut world = World::any(seed.cast_unsigned());
    world.slots = 20;
    for fault in &mut world.faults {
        (fault.from, fault.to) = (fault.from % 10, fault.from % 10 + 8);
    }
    world.fleet.policy.horizon = Millis([1, 5_000, 60_000, 86_400_000][dice.below(4) as usize]);
    let case = Case::new(world);
    let mut shots = case.shots.iter().cycle();
    let mut live = Live::around(case.topology.clone());
    let mut evidence = Evidence::new(&case.topology);
    let mut published: Vec<Revision> = Vec::new();
    let mut now = case.told.at(0);
    while let Some(op) = bytes.byte() {
        let near = now.as_micros();
        match op % 32 {
            0..=19 => {
                let Some(shot) = shots.next() else { return };
                let mut m = case.told.measurement(shot);
                let mut arrived = case.told.at(shot.arrived);
                match op / 32 {
                    0 => m.slot = Slot(bytes.odd(near / 1_000_000).unwrap_or(0)),
                    1 => m.started = WallTime::from_micros(bytes.odd(near).unwrap_or(0)),
                    2 => arrived = WallTime::from_micros(bytes.odd(near).unwrap_or(0)),
                    3 => m.observer.clock_offset_us = bytes.odd(0),
                    4 => m.outcome = Outcome::Unmeasured(Unmeasured::Overload),
                    5 => m.attempt = bytes.byte().unwrap_or(255),
                    _ => {}
                }
                let agent = &case.names.agent[shot.agent];
                live.observe(agent, &m, arrived);
                evidence.add(&case.topology, &uitwijk_judge::Sample::of(agent, &m, arrived));
            }
            20..=23 => {
                now = WallTime::from_micros(bytes.odd(near).unwrap_or(0));
                published.extend(live.advance(now));
            }
            24 => published.extend(live.advance(now)),
            25 | 26 => {
                let agent = &case.names.agent[usize::from(op) % case.names.agent.len()];
                live.frontier(agent, WallTime::from_micros(bytes.odd(near).unwrap_or(0)));
            }
            27 => live.restore(&published),
            28 => {
                let mut other = case.world.clone();
                other.fleet = Fleet { endpoints: case.world.fleet.endpoints.clone(), ..Fleet::any(&mut dice) };
                let regions = other.fleet.zones.len();
                other.fleet.endpoints.iter_mut().for_each(|e| e.regions.retain(|&r| r < regions));
                live.set_topology(
                    Case::new(World { faults: Vec::new(), switches: Vec::new(), slots: 0, ..other }).topology,
                );
            }
            29 => {
                live = Live::around(case.topology.clone());
                live.restore(&published);
            }
            30 => _ = live.timeline(WallTime::from_micros(i64::MIN), WallTime::from_micros(i64::MAX)),
            _ => {
                let horizon = WallTime::from_micros(bytes.odd(near).unwrap_or(0));
                let t = judge(&case.topology, &evidence, horizon);
                assert!(t.segments.windows(2).all(|w| w[0].to <= w[1].from), "segments lie in order");
            }
        }
        let _ = (live.watermark(), live.next_wakeup(now));
        assert!(live.bytes() < 256 << 20, "{} MiB for {} bytes of input", live.bytes() >> 20, data.len());
    }
}

#[test]
fn a_judge_bears_anything() {
    let tries = std::env::var("FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
    for seed in 0..tries {
        let mut dice = Dice(seed);
        let length = 8 + dice.below(1500);
        let data: Vec<u8> = (0..length).map(|_| dice.next() as u8).collect();
        let result = std::panic::catch_unwind(|| fuzz_judge(&data));
        assert!(result.is_ok(), "input {seed}");
    }
}
