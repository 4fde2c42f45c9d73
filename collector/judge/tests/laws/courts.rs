//! How is a world judged: all at once, live, and live after a restart?

use uitwijk_judge::{EpisodeId, Evidence, Live, Revision, Segment, Timeline, Topology, judge};
use uitwijk_model::{Millis, Plan, PlanVersion, WallTime};

use crate::fleet::{Names, shuffle};
use crate::support::world::Dice;
use crate::world::{Shot, Told, World};

/// A world with its plan, its names, and what was measured in it.
pub struct Case {
    pub world: World,
    pub names: Names,
    pub plan: Plan,
    pub topology: Topology,
    pub told: Told,
    pub shots: Vec<Shot>,
}

impl Case {
    pub fn new(world: World) -> Self {
        let names = Names::with("qx", &world.fleet);
        let shots = world.shots();
        Self::told(world, names, shots)
    }

    /// The same shots, told with some names.
    pub fn told(world: World, names: Names, shots: Vec<Shot>) -> Self {
        let plan = world.fleet.plan(&names, world.start);
        let topology = Topology::of(&plan, &names.service).unwrap();
        let told = Told::new(&world, &names);
        Self { world, names, plan, topology, told, shots }
    }

    pub fn end(&self) -> WallTime {
        self.told.at(self.world.slots * 1_000_000)
    }

    /// The answer to some shots at once.
    pub fn judge<'a>(&self, shots: impl IntoIterator<Item = &'a Shot>) -> Timeline {
        let mut evidence = Evidence::new(&self.topology);
        for shot in shots {
            evidence.add(&self.topology, &self.told.sample(shot));
        }
        judge(&self.topology, &evidence, self.end())
    }

    pub fn settled(&self) -> Timeline {
        self.judge(&self.shots)
    }

    /// The shots in order of arrival, each agent's in its own order.
    pub fn arrivals(&self) -> Vec<&Shot> {
        let mut all: Vec<&Shot> = self.shots.iter().collect();
        all.sort_by_key(|s| s.arrived);
        all
    }

    pub fn any_order(&self, dice: &mut Dice) -> Vec<&Shot> {
        let mut all: Vec<&Shot> = self.shots.iter().collect();
        shuffle(&mut all, dice);
        all
    }
}

/// A live judge in a world, and what it has published.
pub struct Bench<'a> {
    case: &'a Case,
    pub live: Live,
    pub published: Vec<Revision>,
    now: WallTime,
}

impl<'a> Bench<'a> {
    pub fn new(case: &'a Case) -> Self {
        Self { case, live: Live::around(case.topology.clone()), published: Vec::new(), now: case.told.at(-1) }
    }

    pub const fn now(&self) -> WallTime {
        self.now
    }

    pub fn observe(&mut self, shot: &Shot) {
        let (told, agent) = (&self.case.told, &self.case.names.agent[shot.agent]);
        self.live.observe(agent, &told.measurement(shot), told.at(shot.arrived));
    }

    /// An agent sends in order, so what it sends now says that all before is in.
    pub fn deliver(&mut self, shot: &Shot) {
        self.observe(shot);
        self.live.frontier(&self.case.names.agent[shot.agent], self.case.told.at(shot.slot * 1_000_000));
    }

    pub fn advance(&mut self, now: WallTime) -> Vec<Revision> {
        self.now = now;
        let new = self.live.advance(now);
        self.published.extend(new.iter().cloned());
        new
    }

    /// Wakes the judge whenever it asks to, up to a moment.
    pub fn run_until(&mut self, until: WallTime) {
        loop {
            let wake = self.live.next_wakeup(self.now);
            if wake > until {
                return;
            }
            self.advance(wake);
        }
    }

    /// Plays some shots in order of arrival.
    pub fn play(&mut self, shots: &[&Shot]) {
        for shot in shots {
            self.run_until(self.case.told.at(shot.arrived));
            self.deliver(shot);
        }
    }

    /// Judges the last slot of the world and none after it; with `all` every agent says that nothing more will come.
    pub fn finish(&mut self, all: bool) {
        let end = self.case.end();
        let last = end.plus(self.case.plan.policy.grace);
        self.run_until(last);
        if all {
            for agent in &self.case.names.agent {
                self.live.frontier(agent, end.plus(Millis(3_600_000)));
            }
        }
        self.advance(last);
    }

    pub fn timeline(&self) -> Vec<Segment> {
        self.live.timeline(WallTime::from_micros(i64::MIN), WallTime::from_micros(i64::MAX))
    }
}

/// What a revision says, without its name and without when and how firmly it was said.
pub fn said(r: &Revision) -> Revision {
    Revision {
        episode: EpisodeId(String::new()),
        revision: 0,
        kind: uitwijk_judge::RevisionKind::Final,
        decided: WallTime::from_micros(0),
        complete: true,
        since: None,
        plan_version: PlanVersion::new("any").unwrap(),
        ..r.clone()
    }
}

/// Segments without the names of episodes, neighbours that say the same joined.
pub fn bare(segments: &[Segment]) -> Vec<Segment> {
    let mut joined: Vec<Segment> = Vec::new();
    for s in segments {
        let s = Segment { episode: None, revision: 0, ..s.clone() };
        match joined.last_mut() {
            Some(last)
                if (last.cause, last.execution, &last.served_region, last.to)
                    == (s.cause, s.execution, &s.served_region, s.from) =>
            {
                last.to = s.to;
            }
            _ => joined.push(s),
        }
    }
    joined
}
