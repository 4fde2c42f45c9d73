//! How does a plan become work for the schedule?
//!
//! A target that a new plan leaves as it was keeps its prober. One that cannot be probed on this agent gets a stand-in
//! whose every turn is unmeasured for a local reason: it is visible as such at the collector, and the other
//! targets do not suffer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use uitwijk_model::plan::ProbeKind;
use uitwijk_model::{Clock, Measurement, Millis, Observer, Plan, Region, Target, TargetId, Unmeasured, Zone};

use crate::probe::{Prober, ProberEnv};
use crate::schedule::{Attempts, Turn, Work, unmeasured};

/// How the observer is now.
pub(super) type Observe = Arc<dyn Fn() -> Observer + Send + Sync>;

/// One target and how it is probed.
struct Probing {
    target: Target,
    /// Absent when it cannot be probed on this agent.
    prober: Option<Prober>,
    observe: Observe,
    clock: Arc<dyn Clock>,
}

impl Attempts for Probing {
    fn attempt(self: Arc<Self>, turn: Turn, attempt: u8) -> BoxFuture<'static, Measurement> {
        async move {
            let observer = (self.observe)();
            match &self.prober {
                Some(prober) => prober.attempt(turn.slot, attempt, turn.scheduled, observer).await,
                None => unmeasured(&turn, attempt, Unmeasured::Local, self.clock.wall(), observer),
            }
        }
        .boxed()
    }

    fn retries(&self) -> u8 {
        self.target.probe.retries
    }

    fn timeout(&self) -> Millis {
        self.target.probe.timeout
    }
}

/// Makes work of plans.
pub(super) struct Compiler {
    env: ProberEnv,
    clock: Arc<dyn Clock>,
    observe: Observe,
    resolver: Option<SocketAddr>,
    /// The probers of the plan before, for those that stay.
    known: BTreeMap<TargetId, Arc<Probing>>,
    /// What the places in answers may be, by that plan.
    regions: BTreeMap<Region, BTreeSet<Zone>>,
}

/// What became of a plan.
pub(super) struct Compiled {
    pub(super) work: Work,
    /// Targets that cannot be probed here.
    pub(super) broken: usize,
    /// All targets, in order.
    pub(super) targets: Vec<Target>,
}

impl Compiler {
    pub(super) fn new(clock: Arc<dyn Clock>, observe: Observe, resolver: Option<SocketAddr>) -> Self {
        Self {
            env: ProberEnv::new(clock.clone()),
            clock,
            observe,
            resolver,
            known: BTreeMap::new(),
            regions: BTreeMap::new(),
        }
    }

    pub(super) fn compile(&mut self, plan: &Plan) -> Compiled {
        // Probers share what the regions of the plan mean, so other regions ask for other probers.
        if self.regions != plan.regions {
            self.known.clear();
            self.env = self.env.clone().with_regions(&plan.regions);
            self.regions = plan.regions.clone();
        }
        let mut targets = plan.targets();
        targets.iter_mut().for_each(|target| self.resolve(target));
        let old = std::mem::take(&mut self.known);
        for target in &targets {
            let kept = old.get(&target.id).filter(|known| known.target == *target).cloned();
            let probing = kept.unwrap_or_else(|| Arc::new(self.probing(target)));
            self.known.insert(target.id.clone(), probing);
        }
        let broken = self.known.values().filter(|probing| probing.prober.is_none()).count();
        let attempts = |(id, probing): (&TargetId, &Arc<Probing>)| (id.clone(), probing.clone() as Arc<dyn Attempts>);
        let work = Work { slot: plan.slot, targets: Arc::new(self.known.iter().map(attempts).collect()) };
        Compiled { work, broken, targets }
    }

    fn probing(&self, target: &Target) -> Probing {
        let prober = match Prober::new(target, &self.env) {
            Ok(prober) => Some(prober),
            Err(error) => {
                tracing::error!(target_id = %target.id, %error, "target cannot be probed on this agent");
                None
            }
        };
        Probing { target: target.clone(), prober, observe: self.observe.clone(), clock: self.clock.clone() }
    }

    /// The agent's own resolver, where the plan leaves the choice to the agent.
    fn resolve(&self, target: &mut Target) {
        let Some(resolver) = self.resolver else { return };
        target.probe.connect.resolver.get_or_insert(resolver);
        if let ProbeKind::Dns(dns) = &mut target.probe.kind {
            dns.server.get_or_insert(resolver);
        }
    }
}
