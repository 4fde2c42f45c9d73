//! When may a failover never be called needed, and when must it stay so?

use std::sync::atomic::{AtomicU64, Ordering};

use uitwijk_judge::{Need, Segment, Timeline};
use uitwijk_model::{Fault as Died, Ratio, WallTime};

use crate::courts::Case;
use crate::fleet::Fleet;
use crate::runner::hold;
use crate::support::world::Dice;
use crate::world::{Fault, Harm, Scope, World};

fn needs(t: &Timeline, wanted: impl Fn(Need) -> bool) -> Vec<&Segment> {
    t.segments.iter().filter(|g| wanted(g.need)).collect()
}

/// A world without trouble, judged by the policy's own shares.
fn quiet(seed: u64) -> (World, Dice) {
    let mut dice = Dice(seed);
    let mut fleet = Fleet::any(&mut dice);
    let plain = uitwijk_model::Policy::default();
    fleet.policy.hard_share = plain.hard_share;
    fleet.policy.soft_share = plain.soft_share;
    fleet.policy.slow_share = plain.slow_share;
    (World::quiet(seed, fleet, &mut dice), dice)
}

#[test]
fn a_quiet_world_never_needs_a_failover_whoever_looks() {
    hold("quiet", |seed| {
        let case = Case::new(quiet(seed).0);
        let t = case.settled();
        assert!(needs(&t, |n| matches!(n, Need::Needed | Need::Futile)).is_empty(), "{:#?}", t.segments);
        let mut vantages = case.world.fleet.agents.clone();
        vantages.dedup();
        for gone in vantages {
            let left = case.shots.iter().filter(|s| case.world.fleet.agents[s.agent] != gone);
            let t = case.judge(left);
            assert!(needs(&t, |n| matches!(n, Need::Needed | Need::Futile)).is_empty(), "{gone:?} {:#?}", t.segments);
        }
    });
}

#[test]
fn one_vantage_alone_never_makes_a_failover_needed() {
    hold("observer", |seed| {
        let (mut world, mut dice) = quiet(seed);
        // What the others see is clean, or two of them could agree by chance.
        world.noise = (0, 0);
        let liar = world.fleet.agents[dice.below(world.fleet.agents.len() as u64) as usize];
        let agents = world.fleet.agents.clone();
        for agent in (0..agents.len()).filter(|&a| agents[a] == liar) {
            for _ in 0..=dice.below(3) {
                let harm = [
                    Harm::Fails(Died::HttpStatus),
                    Harm::Fails(Died::WaitTimeout),
                    Harm::Slows,
                    Harm::Nonsense,
                    Harm::Lead(dice.below(16_000) as i64 - 6000, dice.chance(0.5)),
                    Harm::Silence,
                ][dice.below(6) as usize];
                let from = dice.below(60) as i64;
                let to = from + 5 + dice.below(120) as i64;
                let rate = [120, 300, 600, 1000][dice.below(4) as usize];
                let scope = Scope::Agent(agent);
                world.faults.push(Fault { from, to, scope, harm, rate });
            }
        }
        let only = dice.chance(0.5).then(|| dice.below(4));
        let mut case = Case::new(world);
        if let Some(kind) = only {
            // It fails only for some of what it asks.
            let clean = World { faults: Vec::new(), ..case.world.clone() }.shots();
            let keep = |aim: usize| aim as u64 % 4 == kind;
            let lies: Vec<_> = case.shots.iter().filter(|s| keep(s.aim)).cloned().collect();
            case.shots = clean.into_iter().filter(|s| !keep(s.aim)).chain(lies).collect();
        }
        let t = case.settled();
        assert!(needs(&t, |n| matches!(n, Need::Needed | Need::Futile)).is_empty(), "{:#?}", t.segments);
    });
}

#[test]
fn with_one_region_every_need_is_futile_and_says_so() {
    hold("one-region", |seed| {
        let mut dice = Dice(seed ^ 5);
        let fleet = Fleet::with_regions(&mut dice, 1);
        let mut world = World { fleet, ..World::any(seed) }.again(&mut dice);
        let from = 10 + dice.below(20) as i64;
        let harm = if dice.chance(0.2) { Harm::Slows } else { Harm::Fails(Died::HttpStatus) };
        world.faults.push(Fault { from, to: from + 50, scope: Scope::Region(0), harm, rate: 1000 });
        let t = Case::new(world).settled();
        assert!(needs(&t, |n| n == Need::Needed).is_empty(), "{:#?}", t.segments);
        for e in t.episodes.iter().filter(|e| e.need == Need::Futile) {
            assert!(e.findings.iter().any(|f| f.code == "no_other_region"), "{e:#?}");
            assert!(e.other_region.is_none());
        }
    });
}

/// The same world, judged by a policy that asks for half as much again before it says that users are hurt.
fn strictly(world: &World) -> World {
    let mut strict = world.clone();
    let policy = &mut strict.fleet.policy;
    for share in [&mut policy.hard_share, &mut policy.soft_share, &mut policy.slow_share] {
        *share = Ratio::new((share.num() * 3).min(share.den() * 2), share.den() * 2).unwrap();
    }
    strict
}

/// What is needed by the policy, and would be by a stricter one: from when to when. Around the edge of a share chance
/// decides, and a longer outage draws anew: it changes who has a vote when it ends, and of what fails nothing can be slow.
fn surely_needed(world: &World) -> Vec<(WallTime, WallTime)> {
    let [plain, strict] = [world.clone(), strictly(world)].map(|w| Case::new(w).settled());
    let strict = needs(&strict, |n| n == Need::Needed);
    let both = |s: &Segment| strict.iter().map(|g| (s.from.max(g.from), s.to.min(g.to))).collect::<Vec<_>>();
    let both = needs(&plain, |n| n == Need::Needed).into_iter().flat_map(both);
    both.filter(|(from, to)| from < to).collect()
}

#[test]
fn a_longer_outage_of_the_active_region_is_needed_no_less() {
    let held = AtomicU64::new(0);
    hold("longer", |seed| {
        let mut dice = Dice(seed ^ 6);
        let mut world = World::any(seed);
        let from = 5 + dice.below(30) as i64;
        let to = from + 1 + dice.below(50) as i64;
        let rate = [120, 300, 600, 1000, 1000][dice.below(5) as usize];
        let harm = if dice.chance(0.2) { Harm::Slows } else { Harm::Fails(Died::HttpStatus) };
        world.faults.push(Fault { from, to, scope: Scope::Region(world.fleet.active), harm, rate });
        let longer = to + 1 + dice.below(40) as i64;
        // The region is the active one for as long as that, and nothing excuses it.
        world.switches.retain(|s| s.0 > longer);
        world.fleet.notices.clear();
        let short = surely_needed(&world);
        let last = world.faults.len() - 1;
        world.faults[last].to = longer;
        // What is asked anew because too little was known for a while is answered before the world ends.
        let policy = &world.fleet.policy;
        world.slots += ((policy.soft_window.0 + policy.soft_duration.0) / 1000).cast_signed();
        let long = Case::new(world);
        let t = long.settled();
        // It may be dated otherwise, by less than a hard window.
        let margin = long.plan.policy.hard_window;
        for (from, to) in short {
            held.fetch_add(1, Ordering::Relaxed);
            let near = |g: &Segment| g.from < to.plus(margin) && from < g.to.plus(margin);
            let kept = needs(&t, |n| n != Need::NotNeeded).into_iter().any(near);
            let (faults, start) = (&long.world.faults, long.world.start);
            assert!(kept, "{from} to {to} is gone with {faults:#?} from {start}: {:#?}", t.segments);
        }
    });
    assert!(held.into_inner() > 0, "no need was ever held against a longer outage");
}

#[test]
fn with_no_other_fault_no_moment_of_a_longer_outage_is_needed_less() {
    let held = AtomicU64::new(0);
    hold("longer-alone", |seed| {
        let (mut world, mut dice) = quiet(seed ^ 7);
        let from = 5 + dice.below(30) as i64;
        let to = from + 1 + dice.below(50) as i64;
        let harm = if dice.chance(0.2) { Harm::Slows } else { Harm::Fails(Died::HttpStatus) };
        world.faults.push(Fault { from, to, scope: Scope::Region(world.fleet.active), harm, rate: 1000 });
        let short = Case::new(world.clone());
        world.faults[0].to = to + 1 + dice.below(40) as i64;
        let long = Case::new(world);
        let (a, b) = (short.settled(), long.settled());
        for s in needs(&a, |n| n == Need::Needed) {
            held.fetch_add(1, Ordering::Relaxed);
            let lost = needs(&b, |n| n == Need::NotNeeded).into_iter().find(|g| g.from < s.to && s.from < g.to);
            assert!(lost.is_none(), "{s:#?} became {lost:#?} with {:#?} from {}", long.world.faults, long.world.start);
        }
    });
    assert!(held.into_inner() > 0, "no need was ever held against a longer outage");
}
