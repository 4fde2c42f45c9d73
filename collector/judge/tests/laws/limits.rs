//! What is said at the edges: without evidence, and with more attempts than one?

use uitwijk_judge::{Evidence, Live, Topology, judge};
use uitwijk_model::{Fault, Outcome, Unmeasured};

use crate::courts::Case;
use crate::support::world::Dice;
use crate::world::World;

#[test]
fn no_evidence_is_no_answer() {
    let case = Case::new(World::any(1));
    let t = judge(&case.topology, &Evidence::new(&case.topology), case.end());
    assert!(t.segments.is_empty() && t.episodes.is_empty());
    let mut live = Live::new(&case.plan, &case.names.service).unwrap();
    assert!(live.advance(case.end()).is_empty());
}

#[test]
fn a_clock_that_leads_does_not_let_the_watermark_run_ahead() {
    let mut world = World::quiet(1, crate::fleet::Fleet::any(&mut Dice(1)), &mut Dice(1));
    world.fleet.agents.truncate(1);
    let case = Case::new(world);
    let (agent, at) = (&case.names.agent[0], case.told.at(9_000_000));
    let mut live = Live::new(&case.plan, &case.names.service).unwrap();
    live.frontier(agent, at);
    assert_eq!(live.watermark(), Some(at));
    let mut shot = case.shots.iter().find(|s| s.slot == 9).unwrap().clone();
    shot.offset = Some(7_000_000);
    live.observe(agent, &case.told.measurement(&shot), case.told.at(shot.arrived));
    assert_eq!(live.watermark(), Some(case.told.at(2_000_000)));
}

#[test]
fn the_first_attempt_of_a_slot_counts_and_retries_only_stand_in() {
    let case = Case::new(World::quiet(1, crate::fleet::Fleet::any(&mut Dice(1)), &mut Dice(1)));
    let topology: &Topology = &case.topology;
    let base = case.told.sample(&case.shots[0]);
    let with = |attempt, outcome| uitwijk_judge::Sample { attempt, outcome, ..base.clone() };
    let cells = |samples: &[uitwijk_judge::Sample]| {
        let mut evidence = Evidence::new(topology);
        samples.iter().for_each(|x| _ = evidence.add(topology, x));
        let mut row = Vec::new();
        evidence.row(base.slot.0, &mut row);
        row
    };
    let (down, up) = (with(0, Outcome::Down(Fault::WaitTimeout)), with(1, Outcome::Up));
    let missed = with(0, Outcome::Unmeasured(Unmeasured::Overload));
    assert_eq!(cells(&[down.clone(), up.clone()]), cells(&[up.clone(), down.clone()]));
    assert_eq!(cells(&[down.clone(), up.clone()]), cells(&[down]));
    let both = cells(&[missed, up.clone()]);
    assert!(both.iter().any(|c| c.is_measured() && !c.is_failed()));
    assert_eq!(both, cells(&[up]));
}
