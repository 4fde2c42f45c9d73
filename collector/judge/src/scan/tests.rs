//! Is what was carried over the same, to the byte, as what judging everything again gives?

use proptest::prelude::*;
use uitwijk_model::{Elapsed, Fault, Outcome, Slot, Unmeasured, WallTime};

use super::{Changed, Scan};
use crate::evidence::{Evidence, Numbered, Place, Taken};
use crate::topology::{Role, Topology};

#[path = "../../tests/support/plans.rs"]
#[allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "plans of other tests")]
mod plans;

/// Slots of a world: some reaches long, so that there is a lot to carry over.
const LONG: i64 = 1000;
const FIRST: i64 = 1_000_000;

/// What is wrong in some slots.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// One region fails for everybody, by so many of eight.
    Region(usize, u64),
    /// The public name alone fails, by so many of eight.
    Entry(u64),
    /// An agent fails or is silent.
    Agent(usize, bool),
    /// Answers take this many times longer, in quarters.
    Slower(u64),
    /// The other region serves.
    Moved,
    /// Nobody measures anything.
    Night,
}

/// When there is trouble, and what arrives late.
#[derive(Debug, Clone)]
struct World {
    seed: u64,
    troubles: Vec<(i64, i64, Trouble)>,
    /// An agent whose clock leads, by so many microseconds.
    lead: Option<(usize, i64)>,
    /// Batches of late samples: what share of a stretch of slots, and when it comes.
    late: Vec<(i64, i64, u64, i64)>,
    /// Slots between two askings.
    step: i64,
    /// How many checkpoints stand close.
    close: i64,
}

fn any_trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        (0..2usize, 1..=8u64).prop_map(|(region, share)| Trouble::Region(region, share)),
        (1..=8u64).prop_map(Trouble::Entry),
        (0..6usize, any::<bool>()).prop_map(|(agent, silent)| Trouble::Agent(agent, silent)),
        (5..12u64).prop_map(Trouble::Slower),
        Just(Trouble::Moved),
        Just(Trouble::Night),
    ]
}

fn any_world() -> impl Strategy<Value = World> {
    let trouble = (1..LONG, prop_oneof![3 => 1..120i64, 1 => 200..400i64], any_trouble())
        .prop_map(|(from, slots, t)| (FIRST + from, FIRST + from + slots, t));
    let late = (1..LONG - 100, 1..20i64, 1..=8u64, 0..100i64)
        .prop_map(|(at, slots, share, after)| (at, at + slots, share, at + slots + 60 + after * 4))
        // Several batches come together now and then.
        .prop_map(|(from, to, share, comes)| (FIRST + from, FIRST + to, share, FIRST + (comes / 200 + 1) * 200));
    let lead = prop_oneof![4 => Just(None), 1 => (0..6usize, 10_000_000..90_000_000i64).prop_map(Some)];
    let step = prop_oneof![4 => Just(1), 1 => Just(9), 1 => Just(350)];
    let close = prop_oneof![Just(super::CLOSE), Just(1), Just(3)];
    (any::<u64>(), proptest::collection::vec(trouble, 0..5), lead, proptest::collection::vec(late, 1..5), step, close)
        .prop_map(|(seed, troubles, lead, late, step, close)| World { seed, troubles, lead, late, step, close })
}

fn mix(seed: u64, parts: [u64; 3]) -> u64 {
    parts.into_iter().fold(seed, |h, x| (h ^ x).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31) ^ (h >> 29))
}

impl World {
    fn sample(&self, topology: &Topology, slot: i64, v: usize, t: usize) -> Option<Numbered> {
        let roll = mix(self.seed, [slot.cast_unsigned(), v as u64, t as u64]);
        let role = &topology.targets[t].role;
        let entry = matches!(role, Role::Entry(_));
        let (mut outcome, mut quarters, mut serving) = (Outcome::Up, 4, 0);
        for &(.., trouble) in self.troubles.iter().filter(|(from, to, _)| (*from..*to).contains(&slot)) {
            match trouble {
                Trouble::Region(r, share) if roll % 8 < share => {
                    let there = matches!(role, Role::Regional(_, region) if *region == r);
                    if there || (entry && r == 0) {
                        outcome = Outcome::Down(Fault::WaitTimeout);
                    }
                }
                Trouble::Entry(share) if entry && roll % 8 < share => outcome = Outcome::Down(Fault::DnsTimeout),
                Trouble::Agent(agent, silent) if agent == v => match silent {
                    true => return None,
                    false => outcome = Outcome::Down(Fault::ConnectRefused),
                },
                Trouble::Slower(more) => quarters = more,
                Trouble::Moved => serving = 1,
                Trouble::Night => return None,
                _ => {}
            }
        }
        if outcome == Outcome::Up && roll >> 20 & 63 == 0 {
            outcome = if roll >> 30 & 1 == 0 { Outcome::Slow } else { Outcome::Unmeasured(Unmeasured::Overload) };
        }
        let lead = self.lead.filter(|(agent, _)| *agent == v).map_or(0, |(_, lead)| lead);
        let started = WallTime::from_micros(slot * 10_000_000 + lead);
        let total = Elapsed::from_micros((80_000 + (roll >> 40) % 20_000) * quarters / 4);
        let answered = outcome.is_measured() && !matches!(outcome, Outcome::Down(_));
        let served = (entry && answered).then(|| {
            let region = topology.regions[serving].clone();
            let zone = topology.zones[serving][(roll >> 10) as usize % topology.zones[serving].len()].clone();
            Place::of(topology, &uitwijk_model::ServedBy { region, zone: Some(zone) })
        });
        Some(Numbered {
            agent: v,
            target: t,
            slot: Slot(slot + lead / 10_000_000),
            attempt: 0,
            started,
            arrived: started.plus(uitwijk_model::Millis(200)),
            outcome,
            total: answered.then_some(total),
            served: served.unwrap_or_default(),
            clock_offset_us: self.lead.filter(|(agent, _)| *agent == v).map(|(_, lead)| lead),
        })
    }

    /// When a sample comes: in time, or in one of the late batches.
    fn comes(&self, slot: i64, v: usize, t: usize) -> i64 {
        let mut at = slot;
        for (i, &(from, to, share, late)) in self.late.iter().enumerate() {
            let roll = mix(!self.seed, [slot.cast_unsigned(), (v * 64 + t) as u64, i as u64]);
            if (from..to).contains(&slot) && roll % 8 < share {
                at = at.max(late);
            }
        }
        at
    }
}

/// Judges a world slot by slot as samples come, and at the end all of it at once. Answers how many slots were judged.
fn judged_as_they_come(world: &World) -> (u64, u64) {
    let plan = plans::two_services(&["NL", "IE"]);
    let topology = Topology::of(&plan, &plans::service_id("exchange")).expect("the plan has it");
    let cells = topology.agents.len() * topology.targets.len();
    let mut waiting: std::collections::BTreeMap<i64, Vec<Numbered>> = std::collections::BTreeMap::new();
    for slot in FIRST..FIRST + LONG {
        for i in 0..cells {
            let (v, t) = (i / topology.targets.len(), i % topology.targets.len());
            if let Some(sample) = world.sample(&topology, slot, v, t) {
                let comes = world.comes(slot, v, t);
                if comes > slot && matches!(sample.outcome, Outcome::Down(_)) {
                    // A retry was there in time, and counts alike, but is not the observation.
                    let retry = Numbered { attempt: 1, outcome: Outcome::Down(Fault::DnsTimeout), ..sample };
                    waiting.entry(slot).or_default().push(retry);
                }
                waiting.entry(comes).or_default().push(sample);
            }
        }
    }
    let mut evidence = Evidence::new(&topology);
    let begin = || Scan { close: world.close, ..Scan::new(&topology, FIRST) };
    let (mut scan, mut changed) = (begin(), Changed::default());
    let end = waiting.keys().next_back().map_or(FIRST, |last| last + 5).max(FIRST + LONG);
    for due in FIRST..=end {
        for sample in waiting.remove(&due).into_iter().flatten() {
            if let Taken::Changed { from, to } = evidence.add_numbered(&sample)
                && from < scan.state.next
            {
                changed.add(from.max(FIRST), to);
            }
        }
        if (due - FIRST) % world.step == 0 || due == end {
            scan.judge_again(&topology, &evidence, changed.take_before(due), due);
            scan.run_to(&topology, &evidence, due);
        }
    }
    let mut whole = begin();
    whole.run_to(&topology, &evidence, end);
    assert!(scan.trace == whole.trace, "runs and notes: {:#?}\nnot {:#?}", scan.trace, whole.trace);
    assert!(scan.state == whole.state, "the state: {:#?}\nnot {:#?}", scan.state, whole.state);
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for slot in FIRST..end {
        // Slots that say nothing are skipped where many of them are there at once.
        if let Some(at_once) = whole.slots.get(slot, &mut b) {
            assert_eq!((scan.slots.get(slot, &mut a), &a), (Some(at_once), &b), "what is remembered of {slot}");
        }
    }
    let apart = super::every(&topology);
    // Where many slots say nothing none is made at once. Slot by slot some were, perhaps up to the end, and those that were
    // too close beside such a one went, though the slots were skipped when they were judged again.
    for b in whole.checkpoints.iter().filter(|b| super::stays(b.state.next, end, apart, world.close)) {
        let a = scan.checkpoints.iter().find(|a| a.state.next == b.state.next);
        assert!(a == Some(b), "the checkpoint at {}", b.state.next);
    }
    (scan.judged, whole.judged)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 50, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn what_is_carried_over_is_what_judging_again_gives(world in any_world()) {
        judged_as_they_come(&world);
    }
}

#[test]
fn a_day_that_waits_for_somebody_takes_few_checkpoints() {
    let plan = plans::two_services(&["NL", "IE"]);
    let topology = Topology::of(&plan, &plans::service_id("exchange")).expect("the plan has it");
    let mut scan = Scan::new(&topology, FIRST);
    let world = World { seed: 7, troubles: Vec::new(), lead: None, late: Vec::new(), step: 1, close: super::CLOSE };
    let mut evidence = Evidence::new(&topology);
    for slot in FIRST..FIRST + 8640 {
        for v in 0..topology.agents.len() {
            world.sample(&topology, slot, v, 0).iter().for_each(|sample| _ = evidence.add_numbered(sample));
        }
        scan.run_to(&topology, &evidence, slot);
    }
    let at: Vec<i64> = scan.checkpoints.iter().map(|c| c.state.next).collect();
    assert!((60..100).contains(&at.len()), "{} of {}", at.len(), 8640 / super::EVERY);
    assert_eq!(at[0], FIRST, "the oldest stays");
    for pair in at.windows(2) {
        let (apart, age) = (pair[1] - pair[0], scan.state.next - pair[0]);
        assert!(apart <= super::EVERY.max(age / 16), "{apart} slots apart at an age of {age}");
    }
}

#[test]
fn a_quiet_day_that_is_late_is_not_judged_again_slot_by_slot() {
    let late = vec![(FIRST + 100, FIRST + 101, 2, FIRST + LONG - 10)];
    let world = World { seed: 7, troubles: Vec::new(), lead: None, late, step: 1, close: super::CLOSE };
    let (as_they_come, at_once) = judged_as_they_come(&world);
    let again = as_they_come - at_once;
    assert!((31..=97).contains(&again), "{again} slots were judged again");
}

/// After the last slots that anybody spoke of, slot by slot, and then once more from before them.
#[test]
fn what_went_while_nobody_spoke_need_not_come_back() {
    let troubles =
        vec![(FIRST + 289, FIRST + 290, Trouble::Agent(3, true)), (FIRST + 785, FIRST + 887, Trouble::Slower(6))];
    let late = [(882, 891, 7, 1400), (629, 647, 4, 800), (315, 322, 2, 800), (154, 167, 8, 400)];
    let late = late.map(|(from, to, share, comes)| (FIRST + from, FIRST + to, share, FIRST + comes)).to_vec();
    judged_as_they_come(&World { seed: 241_936_628_347_279_521, troubles, lead: None, late, step: 1, close: 3 });
}
