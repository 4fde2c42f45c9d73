//! Which plan is in force, and which were before?
//!
//! ```text
//!   plan file --read, check--> current ---> subscribers (agents, judge, streams)
//!                                 |
//!                                 +-------> plans/REVISION-VERSION.json, one file for each plan that ever was in force
//! ```
//!
//! An agent that was away for hours delivers what it measured under an older plan, so targets and slot lengths of every
//! plan that was in force stay known. Each target gets a number once, so that the data path compares numbers and
//! never texts; the numbers live as long as the process and are on no disk.
//!
//! The choice left aside is to keep only the current plan and to refuse the rest as unknown targets. It would lose good
//! measurements whenever a plan changes while an agent is cut off.

mod history;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use tokio::sync::watch;
use uitwijk_model::{AgentId, Plan, PlanVersion, SlotLength, TargetId, Vantage};

use history::History;
pub use history::PLANS_MAX;

/// Plans cannot be changed as asked. The operator must act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlansError {
    /// Agents would not take it: of two plans they keep the one with the higher revision.
    #[error(
        "the plan changed, but its revision {found} is not above {current}, which is in force: count `revision` up"
    )]
    NotNewer {
        /// Revision of the new plan.
        found: u64,
        /// Revision of the plan in force.
        current: u64,
    },
    /// The plans of the past cannot be kept.
    #[error("the directory of plans {dir} cannot be used: {source}: make it writable, or change data_dir")]
    History {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The plan in force, with what agents are sent of it.
#[derive(Debug, PartialEq)]
pub struct CurrentPlan {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Its content hash.
    pub version: PlanVersion,
    /// Its canonical JSON.
    pub json: Bytes,
}

impl CurrentPlan {
    fn of(plan: Plan) -> Self {
        let json = Bytes::from(plan.to_canonical_json());
        Self { version: plan.version(), plan: Arc::new(plan), json }
    }

    /// Where the plan says that an agent stands; absent when it is not enrolled.
    #[must_use]
    pub fn place_of(&self, agent: &AgentId) -> Option<&Vantage> {
        self.plan.agents.get(agent)
    }
}

/// Number of a target, the same everywhere in this process.
pub type TargetNumber = u32;

/// What measurements are checked against. A snapshot: it never changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    targets: HashMap<TargetId, TargetNumber>,
    /// By number; absent for those that are in no known plan.
    names: Vec<Option<TargetId>>,
    slot_lengths: Vec<SlotLength>,
}

impl Known {
    /// A target of any plan that was ever in force.
    #[must_use]
    pub fn target(&self, text: &str) -> Option<TargetNumber> {
        self.targets.get(text).copied()
    }

    /// What a target with a number is called.
    #[must_use]
    pub fn name(&self, number: TargetNumber) -> Option<&TargetId> {
        self.names.get(usize::try_from(number).ok()?)?.as_ref()
    }

    fn add(&mut self, target: TargetId, number: TargetNumber) {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        if self.names.len() <= at {
            self.names.resize(at + 1, None);
        }
        self.names[at] = Some(target.clone());
        self.targets.insert(target, number);
    }

    /// Slot lengths of all plans, that of the newest first.
    #[must_use]
    pub fn slot_lengths(&self) -> &[SlotLength] {
        &self.slot_lengths
    }
}

/// The plan in force and all that were.
#[derive(Debug)]
pub struct Plans {
    current: watch::Sender<Arc<CurrentPlan>>,
    known: RwLock<Arc<Known>>,
    numbers: Mutex<Numbers>,
    history: Option<(PathBuf, History)>,
}

/// Numbers of targets, also of those in no known plan (rows of a plan whose file was removed by hand).
#[derive(Debug, Default)]
struct Numbers(HashMap<TargetId, TargetNumber>);

impl Numbers {
    fn of(&mut self, target: &str) -> TargetNumber {
        if let Some(&number) = self.0.get(target) {
            return number;
        }
        let number = TargetNumber::try_from(self.0.len()).unwrap_or(TargetNumber::MAX);
        self.0.insert(TargetId::from_wire(target), number);
        number
    }
}

impl Plans {
    /// Plans that come from no file; for tests and replays.
    #[must_use]
    pub fn fixed(plan: Plan) -> Self {
        let plans = Self {
            current: watch::Sender::new(Arc::new(CurrentPlan::of(plan))),
            known: RwLock::default(),
            numbers: Mutex::default(),
            history: None,
        };
        plans.learn(&plans.current().plan);
        plans
    }

    /// Puts a plan in force, with those of a directory as its past, and adds it to them.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn open(dir: &Path, plan: Plan) -> Result<Self, PlansError> {
        let unusable = |source| PlansError::History { dir: dir.to_path_buf(), source };
        let history = History::open(dir).map_err(unusable)?;
        let past = history.read().map_err(unusable)?;
        let mut plans = Self::fixed(plan);
        past.iter().for_each(|plan| plans.learn(plan));
        let current = plans.current();
        plans.learn(&current.plan);
        history.add(&current).map_err(unusable)?;
        plans.history = Some((dir.to_path_buf(), history));
        match past.last().filter(|newest| newest.revision > current.plan.revision) {
            Some(newest) => tracing::warn!(
                revision = current.plan.revision,
                newest = newest.revision,
                "the plan is older than one that was in force: agents that know the newer one keep to it"
            ),
            None => tracing::info!(revision = current.plan.revision, version = %current.version, "plan in force"),
        }
        Ok(plans)
    }

    /// Puts another plan in force; `false` when it is the one that is in force already.
    ///
    /// # Errors
    /// When its revision is not higher, or it cannot be kept; the plan in force stays.
    pub fn adopt(&self, plan: Plan) -> Result<bool, PlansError> {
        let (new, old) = (CurrentPlan::of(plan), self.current());
        if new.version == old.version {
            return Ok(false);
        }
        if new.plan.revision <= old.plan.revision {
            return Err(PlansError::NotNewer { found: new.plan.revision, current: old.plan.revision });
        }
        if let Some((dir, history)) = &self.history {
            history.add(&new).map_err(|source| PlansError::History { dir: dir.clone(), source })?;
        }
        // Known first: a measurement under the new plan must not come before its targets are known.
        self.learn(&new.plan);
        tracing::info!(revision = new.plan.revision, version = %new.version, "plan in force");
        self.current.send_replace(Arc::new(new));
        Ok(true)
    }

    /// The files of all plans that are remembered, the oldest first; none when they are in no directory. Reads the disk.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn files(&self) -> io::Result<Vec<PathBuf>> {
        self.history.as_ref().map_or(Ok(Vec::new()), |(_, history)| history.files())
    }

    /// The plan in force.
    #[must_use]
    pub fn current(&self) -> Arc<CurrentPlan> {
        self.current.borrow().clone()
    }

    /// The plan in force and each that follows.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<CurrentPlan>> {
        self.current.subscribe()
    }

    /// What measurements are checked against now.
    #[must_use]
    pub fn known(&self) -> Arc<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number of a target, known or not.
    #[must_use]
    pub fn number_of(&self, target: &str) -> TargetNumber {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).of(target)
    }

    /// Adds the targets and the slot length of a plan to what is known.
    fn learn(&self, plan: &Plan) {
        let mut known = Known::clone(&self.known());
        for target in plan.targets() {
            let number = self.number_of(target.id.as_str());
            known.add(target.id, number);
        }
        known.slot_lengths.retain(|&length| length != plan.slot);
        known.slot_lengths.insert(0, plan.slot);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
    }
}

#[cfg(test)]
mod tests;
