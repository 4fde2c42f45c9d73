//! Which numbers does the verdict on an episode rest on?

use uitwijk_model::{Millis, Slot, WallTime};

use crate::episode::Episode;
use crate::share::Count;
use crate::topology::{AgentIx, RegionIx, Role, TargetIx, Topology};
use crate::trust::Doubt;
use crate::verdict::Observation;

/// An episode with the numbers that can be told about it.
pub(crate) struct Facts<'a> {
    pub(crate) topology: &'a Topology,
    pub(crate) episode: &'a Episode,
    /// Agents without a vote for most of the episode, and the doubt that cost it most often.
    pub(crate) distrusted: Vec<(AgentIx, Doubt, u64)>,
    /// The best of the other regions.
    pub(crate) other: Option<RegionIx>,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(topology: &'a Topology, episode: &'a Episode) -> Self {
        let mut facts = Self { topology, episode, distrusted: Vec::new(), other: None };
        facts.distrusted = (0..topology.agents.len()).filter_map(|v| facts.distrust(v)).collect();
        let others = topology.deployed.iter().copied().filter(|&r| r != episode.active);
        facts.other = others.min_by_key(|&r| {
            let c = facts.sum(|role| matches!(role, Role::Regional(_, x) if *x == r));
            (c.n == 0, c.failed_share(), c.slow_share(), r)
        });
        facts
    }

    fn distrust(&self, v: AgentIx) -> Option<(AgentIx, Doubt, u64)> {
        let slots = self.episode.doubts.get(v)?;
        let all: u64 = slots.iter().map(|&n| u64::from(n)).sum();
        let sick = [Doubt::NoSignOfLife, Doubt::ManyDomains, Doubt::Controls, Doubt::Lonely, Doubt::Silent];
        let held = sick.iter().chain([&Doubt::Held]).map(|&d| u64::from(slots[d as usize]));
        let without: u64 = held.sum();
        let worst = sick.into_iter().max_by_key(|&d| (slots[d as usize], std::cmp::Reverse(d)))?;
        (without * 2 > all && slots[worst as usize] > 0).then_some((v, worst, without))
    }

    pub(crate) fn trusts(&self, v: AgentIx) -> bool {
        self.distrusted.iter().all(|(d, ..)| *d != v)
    }

    pub(crate) fn count(&self, v: AgentIx, t: TargetIx) -> Count {
        self.episode.counts.get(v * self.topology.targets.len() + t).copied().unwrap_or_default()
    }

    fn targets(&self, wanted: impl Fn(&Role) -> bool) -> Vec<TargetIx> {
        let all = self.topology.targets.iter().enumerate();
        all.filter(|(_, t)| wanted(&t.role)).map(|(t, _)| t).collect()
    }

    /// What the trusted agents counted of some targets.
    pub(crate) fn sum(&self, wanted: impl Fn(&Role) -> bool) -> Count {
        let mut sum = Count::default();
        self.targets(wanted).into_iter().for_each(|t| sum.plus(self.sum_of(t), 1));
        sum
    }

    /// What the trusted agents counted of one target.
    pub(crate) fn sum_of(&self, t: TargetIx) -> Count {
        let mut sum = Count::default();
        (0..self.topology.agents.len()).filter(|&v| self.trusts(v)).for_each(|v| sum.plus(self.count(v, t), 1));
        sum
    }

    /// Counts per agent and target of some targets, those with a measurement.
    pub(crate) fn observations(&self, wanted: impl Fn(&Role) -> bool) -> Vec<Observation> {
        let targets = self.targets(wanted);
        let agents = 0..self.topology.agents.len();
        let pairs = agents.flat_map(|v| targets.iter().map(move |&t| (v, t)));
        pairs.map(|(v, t)| self.observation(v, t)).filter(|o| o.measured > 0).collect()
    }

    fn observation(&self, v: AgentIx, t: TargetIx) -> Observation {
        let c = self.count(v, t);
        Observation {
            agent: Some(self.topology.agents[v].id.clone()),
            target: self.topology.targets[t].id.clone(),
            from_slot: Slot(self.episode.from),
            to_slot: Slot(self.episode.to),
            measured: c.n,
            failed: c.failed,
            slow: c.slow,
        }
    }

    /// The counts of one agent.
    pub(crate) fn observations_of(&self, v: AgentIx) -> Vec<Observation> {
        (0..self.topology.targets.len()).map(|t| self.observation(v, t)).filter(|o| o.measured > 0).collect()
    }

    /// How many trusted agents counted a failure or slowness, and how many measured at all.
    pub(crate) fn witnesses(&self, wanted: impl Fn(&Role) -> bool, slow: bool) -> (usize, usize) {
        let targets = self.targets(wanted);
        let of = |v: AgentIx| {
            let mut sum = Count::default();
            targets.iter().for_each(|&t| sum.plus(self.count(v, t), 1));
            sum
        };
        let seen: Vec<Count> =
            (0..self.topology.agents.len()).filter(|&v| self.trusts(v)).map(of).filter(|c| c.n > 0).collect();
        (seen.iter().filter(|c| if slow { c.slow > 0 } else { c.failed > 0 }).count(), seen.len())
    }

    pub(crate) fn at(&self, slot: i64) -> WallTime {
        self.topology.slot.start_of(Slot(slot))
    }

    pub(crate) fn length(&self, slots: i64) -> Millis {
        Millis(self.topology.slot.millis().0.saturating_mul(u64::try_from(slots).unwrap_or(0)))
    }

    pub(crate) fn region(&self, r: RegionIx) -> &str {
        self.topology.regions.get(r).map_or("?", |r| r.as_str())
    }

    pub(crate) fn active(&self) -> &str {
        self.region(self.episode.active)
    }

    pub(crate) fn other_name(&self) -> &str {
        self.other.map_or("?", |r| self.region(r))
    }
}

/// What users see: the public name, or the active region where there is none.
pub(crate) fn is_entry(facts: &Facts<'_>) -> impl Fn(&Role) -> bool + use<> {
    let any = facts.topology.endpoints.iter().any(|e| e.entry.is_some());
    let active = facts.episode.active;
    move |role| match role {
        Role::Entry(_) => true,
        Role::Regional(_, r) => !any && *r == active,
        _ => false,
    }
}

/// A region asked directly.
pub(crate) fn is_region(region: RegionIx) -> impl Fn(&Role) -> bool {
    move |role| matches!(role, Role::Regional(_, r) if *r == region)
}

pub(crate) fn is_control(role: &Role) -> bool {
    matches!(role, Role::Control(_))
}
