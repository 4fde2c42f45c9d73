//! Do names matter?
//!
//! The order of names decides ties: which of two equally good regions is called the other one, which of two equally bad partners
//! is named first. Names that are changed without changing their order change nothing but names. Names dealt anew, in any
//! order, may change who is named, but never the need, the cause, the time, the execution or the region that served. One thing
//! is left to names even there: when two records claim the same agent, target, slot and attempt, because a clock stepped
//! back, the lower content is kept, and of two that differ only in who served the first region by name.

use uitwijk_judge::{Segment, Timeline};
use uitwijk_model::Region;

use crate::courts::{Case, bare, said};
use crate::fleet::{Fleet, Names};
use crate::runner::hold;
use crate::support::world::Dice;
use crate::world::World;

/// Segments with the names of regions that the fleet has by itself.
fn plain(case: &Case, t: &Timeline) -> Vec<Segment> {
    let own = Names::with("qx", &case.world.fleet);
    let rename = |name: Region| {
        let at = case.names.region.iter().position(|r| *r == name).unwrap();
        own.region[at].clone()
    };
    let all = t.segments.iter().cloned().map(|s| Segment { served_region: s.served_region.map(rename), ..s });
    bare(&all.collect::<Vec<_>>())
}

#[test]
fn other_names_change_nothing_but_names() {
    hold("names", |seed| {
        let case = Case::new(World::any(seed));
        let here = case.settled();
        let other = Case::told(case.world.clone(), Names::with("wy", &case.world.fleet), case.shots.clone());
        let there = other.settled();
        let (a, b): (Vec<_>, Vec<_>) =
            (here.episodes.iter().map(said).collect(), there.episodes.iter().map(said).collect());
        assert_eq!(serde_json::to_string(&a).unwrap().replace("qx", "wy"), serde_json::to_string(&b).unwrap());
        assert_eq!(bare(&here.segments), plain(&other, &there));

        // Records that claim the same place, as those of a clock that steps do, are told apart by content: by names as well.
        let case = Case::new(case.world.steady());
        let here = case.settled();
        let mut dice = Dice(seed ^ 3);
        let names = case.names.dealt_anew(&mut dice);
        let other = Case::told(case.world.clone(), names, case.shots.clone());
        assert_eq!(bare(&here.segments), plain(&other, &other.settled()), "dealt anew");
    });
}

#[test]
fn two_regions_that_swap_their_names_swap_the_answer() {
    hold("swap", |seed| {
        let mut world = World::any(seed);
        if world.fleet.zones.len() != 2 {
            let mut dice = Dice(seed ^ 4);
            world = World { fleet: Fleet::with_regions(&mut dice, 2), ..world };
            world = world.again(&mut dice);
        }
        let case = Case::new(world.steady());
        let mut names = case.names.clone();
        names.region.swap(0, 1);
        let other = Case::told(case.world.clone(), names, case.shots.clone());
        assert_eq!(bare(&case.settled().segments), plain(&other, &other.settled()));
    });
}
