//! Is what a judge keeps bounded, whatever it is told and for however long?

use uitwijk_judge::{Live, Revision, RevisionKind};
use uitwijk_model::{Fault as Died, Measurement, Millis, Outcome, Slot, WallTime};

use crate::courts::Case;
use crate::fleet::{Fleet, Function};
use crate::support::world::Dice;
use crate::world::World;

/// Two regions of one zone, an agent in each, one endpoint, one control; an hour of horizon.
fn case() -> Case {
    let mut policy = uitwijk_model::Policy::default().scaled(1, 30);
    (policy.samples_min, policy.horizon) = (2, Millis(3_600_000));
    let endpoint = Function { weight: 1, critical: false, public: true, zonal: false, regions: vec![0, 1] };
    let fleet = Fleet {
        zones: vec![1, 1],
        agents: vec![(0, 0), (1, 0)],
        endpoints: vec![endpoint],
        partners: 0,
        controls: 1,
        active: 0,
        policy,
        notices: Vec::new(),
    };
    Case::new(World { slots: 1, ..World::quiet(1, fleet, &mut Dice(1)) })
}

/// What an agent measures in a slot, all of it up or down.
fn round<'a>(case: &'a Case, slot: i64, down: bool) -> impl Iterator<Item = (usize, Measurement)> + 'a {
    case.shots.iter().map(move |shot| {
        let control = shot.aim + 1 == case.world.fleet.aims().len();
        let mut m = case.told.measurement(shot);
        (m.slot, m.scheduled, m.started) = (Slot(case.world.start + slot), at(case, slot), at(case, slot));
        m.outcome = if down && !control { Outcome::Down(Died::HttpStatus) } else { Outcome::Up };
        (shot.agent, m)
    })
}

fn at(case: &Case, slot: i64) -> WallTime {
    case.told.at(slot * 1_000_000)
}

fn tell(case: &Case, live: &mut Live, slot: i64, down: bool, frontier: bool) -> Vec<Revision> {
    let now = at(case, slot + 2);
    for (agent, m) in round(case, slot, down) {
        live.observe(&case.names.agent[agent], &m, at(case, slot + 1));
        if frontier {
            live.frontier(&case.names.agent[agent], at(case, slot));
        }
    }
    live.advance(now)
}

#[test]
fn a_service_that_flaps_for_a_month_takes_no_more_room_than_after_a_day() {
    let case = case();
    let mut live = Live::around(case.topology.clone());
    let (mut day, mut revisions) = (0, 0);
    // A month of slots of 10 s has 259,200 of them. It is down for a quarter of an hour's worth of every half hour's.
    for slot in 0..259_200 {
        revisions += tell(&case, &mut live, slot, slot % 36 < 18, true).len();
        if slot == 8640 {
            day = live.bytes();
        }
    }
    assert!(revisions > 10_000, "{revisions} revisions");
    assert!(live.bytes() < 16 << 20, "{} bytes", live.bytes());
    assert!(live.bytes() < day * 12, "{day} bytes after a day, {} after a month", live.bytes());
}

#[test]
fn agents_that_never_tell_their_frontier_are_waited_for_up_to_the_horizon() {
    let case = case();
    let mut live = Live::around(case.topology.clone());
    let mut after = Vec::new();
    for slot in 0..40_000 {
        tell(&case, &mut live, slot, false, false);
        if slot % 10_000 == 9999 {
            after.push(live.bytes());
        }
    }
    assert!(after.iter().all(|&b| b < after[0] * 11 / 10), "{after:?}");
}

/// Two agents in one region, one in the other that left when it all began, and nearly a day of horizon.
fn case_with_one_away() -> Case {
    let case = case();
    let mut fleet = case.world.fleet;
    (fleet.zones, fleet.agents) = (vec![2, 1], vec![(0, 0), (0, 1), (1, 0)]);
    fleet.policy.horizon = Millis(80_000_000);
    Case::new(World { slots: 1, ..World::quiet(1, fleet, &mut Dice(1)) })
}

const AWAY: usize = 2;
const LATER: i64 = 30_000;

/// What those who are there tell: the regions fail for five minutes in the middle.
fn tell_without_one(case: &Case, live: &mut Live, slot: i64) -> Vec<Revision> {
    let down = (15_000..15_300).contains(&slot);
    for (agent, m) in round(case, slot, down).filter(|(agent, _)| *agent != AWAY) {
        live.observe(&case.names.agent[agent], &m, at(case, slot + 1));
        live.frontier(&case.names.agent[agent], at(case, slot));
    }
    live.frontier(&case.names.agent[AWAY], at(case, 0));
    live.advance(at(case, slot + 2))
}

#[test]
fn whoever_is_away_is_waited_for_as_long_as_there_is_room() {
    let case = case_with_one_away();
    let mut roomy = Live::around(case.topology.clone());
    let all: Vec<Revision> = (0..LATER).flat_map(|slot| tell_without_one(&case, &mut roomy, slot)).collect();
    assert!(!all.is_empty() && all.iter().all(|r| r.kind == RevisionKind::Provisional), "{all:#?}");
    assert_eq!(roomy.counters().crowded, 0);

    let room = roomy.bytes() / 4;
    let mut tight = Live::around(case.topology.clone());
    tight.keep_within(room);
    let mut said = Vec::new();
    for slot in 0..LATER {
        said.extend(tell_without_one(&case, &mut tight, slot));
        assert!(tight.bytes() < room * 11 / 10, "{} bytes at {slot}, allowed are {room}", tight.bytes());
    }
    assert!((5..50).contains(&tight.counters().crowded), "{:?}", tight.counters());
    let what = |r: &Revision| (r.episode.clone(), r.from, r.to, r.cause, r.execution);
    let (firm, open): (Vec<_>, Vec<_>) = said.iter().partition(|r| r.kind != RevisionKind::Provisional);
    assert_eq!(open.iter().map(|r| what(r)).collect::<Vec<_>>(), all.iter().map(what).collect::<Vec<_>>());
    // Before the outage, the outage, and what is open since: the last stays provisional.
    let over: Vec<_> = all.iter().filter(|r| r.to.is_some()).map(|r| (what(r), RevisionKind::Final, false)).collect();
    assert_eq!(firm.iter().map(|r| (what(r), r.kind, r.complete)).collect::<Vec<_>>(), over);
    assert_eq!(over.len(), 2, "{over:#?}");

    // Whoever comes back is heard about the time that is kept, and about no other.
    for (slot, (changed, too_late)) in [(15_100, (0, 1)), (LATER - 600, (1, 0))] {
        let before = tight.counters();
        let (agent, m) = round(&case, slot, true).find(|(agent, _)| *agent == AWAY).unwrap();
        tight.observe(&case.names.agent[agent], &m, at(&case, LATER));
        let after = tight.counters();
        let more = (after.changed - before.changed, after.too_late - before.too_late);
        assert_eq!(more, (changed, too_late), "slot {slot}");
    }
}

#[test]
fn a_start_with_little_room_says_what_one_with_much_says() {
    let case = case_with_one_away();
    let mut before = Live::around(case.topology.clone());
    let published: Vec<Revision> = (0..LATER).flat_map(|slot| tell_without_one(&case, &mut before, slot)).collect();
    let start = |room: usize| {
        let mut live = Live::around(case.topology.clone());
        live.restore(&published);
        live.keep_within(room);
        for slot in 0..LATER {
            let down = (15_000..15_300).contains(&slot);
            for (agent, m) in round(&case, slot, down).filter(|(agent, _)| *agent != AWAY) {
                live.observe(&case.names.agent[agent], &m, at(&case, slot + 1));
            }
            assert!(live.bytes() < room.saturating_mul(5) / 4, "{} bytes at {slot}, allowed are {room}", live.bytes());
        }
        let said = tell_without_one(&case, &mut live, LATER);
        (live, said)
    };
    let (roomy, said) = start(usize::MAX / 5);
    assert_eq!((said.len(), roomy.counters().crowded), (0, 0), "{said:#?}");
    let (tight, said) = start(roomy.bytes() / 4);
    assert!(tight.counters().crowded > 0);
    let known = |r: &Revision| published.iter().any(|p| p.episode == r.episode && p.to == r.to && p.cause == r.cause);
    assert!(said.iter().all(|r| known(r) && r.kind == RevisionKind::Final && !r.complete), "{said:#?}");
    assert_eq!(said.len(), 2, "before the outage, and the outage: {said:#?}");
    let timeline = |live: &Live| {
        let all = live.timeline(at(&case, 0), at(&case, LATER));
        all.iter().map(|s| (s.from, s.to, s.need, s.cause)).collect::<Vec<_>>()
    };
    assert_eq!(timeline(&tight), timeline(&roomy));
}

#[test]
fn records_that_jump_in_time_are_forgotten_as_others_are() {
    let case = case();
    let mut live = Live::around(case.topology.clone());
    let mut after = Vec::new();
    // An hour between records, for a quarter of a year.
    for n in 0..2000 {
        tell(&case, &mut live, n * 3600, n % 7 == 0, n % 2 == 0);
        if n % 250 == 249 {
            after.push(live.bytes());
        }
    }
    assert!(after.iter().all(|&b| b < 1 << 20), "{after:?}");
}

#[test]
fn records_from_any_time_do_not_pile_up() {
    let case = case();
    let mut live = Live::around(case.topology.clone());
    let mut dice = Dice(1);
    let (agent, shot) = (&case.names.agent[0], &case.shots[0]);
    for n in 0..20_000 {
        let mut m = case.told.measurement(shot);
        // Anywhere within a century before or after: the clock of the agent is broken.
        m.slot = Slot(case.world.start + dice.below(6_000_000_000) as i64 - 3_000_000_000);
        live.observe(agent, &m, at(&case, n));
        if n % 10 == 0 {
            tell(&case, &mut live, n, false, true);
        }
    }
    assert!(live.bytes() < 8 << 20, "{} bytes", live.bytes());
}
