//! Who and what of a stream does the plan know?
//!
//! Records share their names, so each is looked up once, by the address of what is shared. A target that is not known by
//! its name may be known by its parts. What the plan does not know is counted and never fatal.

use std::collections::BTreeMap;
use std::sync::Arc;

use uitwijk_model::{AgentId, Elapsed, Plan, Target, TargetId, TargetKind};

use crate::record::{Record, Watched, Watcher};
use crate::target::built;

/// Addresses that are remembered; a stream with more different names than any fleet is looked up again.
const KNOWN_MAX: usize = 1 << 17;
/// Unknown names that are told.
const FOREIGN_MAX: usize = 32;

/// What the plan does not know, with the number of records of each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Foreign {
    /// Agents.
    pub agents: BTreeMap<String, u64>,
    /// Targets.
    pub targets: BTreeMap<String, u64>,
    /// Records left out.
    pub records: u64,
}

impl Foreign {
    fn count(map: &mut BTreeMap<String, u64>, name: &str) {
        if let Some(n) = map.get_mut(name) {
            *n += 1;
        } else if map.len() < FOREIGN_MAX {
            map.insert(name.to_owned(), 1);
        }
    }
}

fn objective(target: &Target) -> Option<Elapsed> {
    let of_others = matches!(target.kind, TargetKind::Control { .. } | TargetKind::Chain { .. });
    of_others.then(|| Elapsed::from_micros(target.objective.0.saturating_mul(1000)))
}

/// Everyone and everything, by number.
#[derive(Debug)]
pub(crate) struct Cast {
    agents: Vec<AgentId>,
    targets: Vec<TargetId>,
    /// Over which a right answer of a reference or a partner is slow.
    objectives: Vec<Option<Elapsed>>,
    watchers: BTreeMap<usize, (Arc<Watcher>, Option<usize>)>,
    watched: BTreeMap<usize, (Arc<Watched>, Option<usize>)>,
    pub(crate) foreign: Foreign,
}

impl Cast {
    pub(crate) fn of(plan: &Plan) -> Self {
        let known: BTreeMap<TargetId, Option<Elapsed>> =
            plan.targets().into_iter().map(|t| (t.id.clone(), objective(&t))).collect();
        let (targets, objectives) = known.into_iter().unzip();
        Self {
            agents: plan.agents.keys().cloned().collect(),
            targets,
            objectives,
            watchers: BTreeMap::new(),
            watched: BTreeMap::new(),
            foreign: Foreign::default(),
        }
    }

    pub(crate) fn agents(&self) -> &[AgentId] {
        &self.agents
    }

    pub(crate) fn targets(&self) -> &[TargetId] {
        &self.targets
    }

    /// Over which a right answer of a target is slow, where a stream does not say so itself.
    pub(crate) fn objective(&self, what: usize) -> Option<Elapsed> {
        self.objectives.get(what).copied().flatten()
    }

    /// The numbers of agent and target; none, counted, when the plan does not know one of them.
    pub(crate) fn find(&mut self, r: &Record) -> Option<(usize, usize)> {
        let (who, what) = (self.agent(&r.watcher), self.target(&r.watched));
        if let (Some(who), Some(what)) = (who, what) {
            return Some((who, what));
        }
        self.foreign.records += 1;
        if who.is_none() {
            Foreign::count(&mut self.foreign.agents, r.watcher.agent.as_str());
        }
        if what.is_none() {
            Foreign::count(&mut self.foreign.targets, r.watched.target.as_str());
        }
        None
    }

    fn agent(&mut self, w: &Arc<Watcher>) -> Option<usize> {
        let key = Arc::as_ptr(w).addr();
        if let Some((_, known)) = self.watchers.get(&key) {
            return *known;
        }
        let found = self.agents.binary_search(&w.agent).ok();
        if self.watchers.len() >= KNOWN_MAX {
            self.watchers.clear();
        }
        self.watchers.insert(key, (Arc::clone(w), found));
        found
    }

    fn target(&mut self, w: &Arc<Watched>) -> Option<usize> {
        let key = Arc::as_ptr(w).addr();
        if let Some((_, known)) = self.watched.get(&key) {
            return *known;
        }
        let parts = || built(w.kind, w.service.as_ref(), w.endpoint.as_ref(), w.target_region.as_ref());
        let by_name = self.targets.binary_search(&w.target).ok();
        let found = by_name.or_else(|| self.targets.binary_search(&parts()?).ok());
        if self.watched.len() >= KNOWN_MAX {
            self.watched.clear();
        }
        self.watched.insert(key, (Arc::clone(w), found));
        found
    }
}
