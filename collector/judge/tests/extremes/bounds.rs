//! Is what a judge keeps bounded, whatever it is told and for however long?

use uitwijk_judge::{Live, Revision};
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
