//! Which task decides on the plan, and what follows from a decision?

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use uitwijk_model::{AgentId, PlanVersion, TargetKind, Vantage};
use uitwijk_telemetry::Health;

use super::targets::{Compiled, Compiler};
use crate::metrics::AgentMetrics;
use crate::plan_memory::{Choice, Offer, PlanMemory};
use crate::schedule::Work;
use crate::selfcheck::SelfCheck;
use crate::uplink::PlanNews;

/// The owner of the plan.
pub(super) struct Plans {
    pub(super) agent: AgentId,
    pub(super) vantage: Vantage,
    pub(super) memory: PlanMemory,
    pub(super) compiler: Compiler,
    pub(super) metrics: Arc<AgentMetrics>,
    pub(super) selfcheck: Arc<SelfCheck>,
    pub(super) health: Health,
    pub(super) work: watch::Sender<Work>,
    pub(super) version: watch::Sender<Option<PlanVersion>>,
    pub(super) choice: Choice,
    /// Names of the collectors, and the kind of trouble with each that was told of last.
    pub(super) collectors: Vec<(String, Option<String>)>,
}

impl Plans {
    /// Runs the remembered plan, if there is one.
    pub(super) fn start(&mut self) {
        match self.memory.load() {
            Ok(Some(offer)) => {
                tracing::info!(version = %offer.version, revision = offer.revision, "running the remembered plan");
                self.choice = Choice::new(Some(offer.clone()));
                self.put_in_force(&offer);
            }
            Ok(None) => {
                tracing::info!("no plan is remembered, waiting for a collector");
                self.health.set("plan", Err("no collector has given a plan yet".to_owned()));
            }
            Err(error) => {
                tracing::error!(%error, "the remembered plan is lost, waiting for a collector");
                self.health.set("plan", Err("no collector has given a plan yet".to_owned()));
            }
        }
    }

    /// Takes news until nobody has any.
    pub(super) async fn run(mut self, mut news: mpsc::Receiver<(usize, PlanNews)>) {
        while let Some((collector, news)) = news.recv().await {
            if let Some(offer) = self.apply(collector, news) {
                self.remember(offer).await;
            }
        }
    }

    /// Applies what a collector says; answers with a new plan that is in force now.
    fn apply(&mut self, collector: usize, news: PlanNews) -> Option<Offer> {
        let offer = match news {
            PlanNews::Failed(status) => {
                self.trouble(collector, &format!("{:?}: {}", status.code(), status.message()));
                return None;
            }
            // It names the version that runs, so it offers just that; any other comes by the watch.
            PlanNews::Has(version) => {
                self.choice.running().filter(|running| running.version.as_str() == version)?.clone()
            }
            PlanNews::Update(update) => match Offer::from_update(&update) {
                Ok(offer) => offer,
                Err(error) => {
                    self.trouble(collector, &error.to_string());
                    return None;
                }
            },
        };
        if let Some((_, told)) = self.collectors.get_mut(collector) {
            *told = None;
        }
        let chosen = self.choice.offer(collector, offer.clone());
        self.explain(collector, &offer);
        if let Some(chosen) = &chosen {
            self.put_in_force(chosen);
        }
        chosen
    }

    /// Says why an offer is not what runs.
    fn explain(&mut self, collector: usize, offer: &Offer) {
        let Some(running) = self.choice.running() else { return };
        let (runs, offers) = (running.revision, offer.revision);
        if self.choice.contradicts(offer) {
            let text =
                format!("two plans have revision {offers}: {} runs, {} does not", running.version, offer.version);
            self.trouble(collector, &text);
        } else if offers < runs {
            self.trouble(
                collector,
                &format!("it offers revision {offers}, but {runs} runs; raise the revision to go back"),
            );
        }
    }

    /// Tells of trouble with a collector's plan once, until it changes.
    fn trouble(&mut self, collector: usize, text: &str) {
        let Some((name, told)) = self.collectors.get_mut(collector) else { return };
        if told.as_deref() != Some(text) {
            tracing::warn!(collector = name, reason = text, "plan of collector is not taken");
            *told = Some(text.to_owned());
        }
    }

    fn put_in_force(&mut self, offer: &Offer) {
        let plan = match offer.plan() {
            Ok(plan) => plan,
            Err(error) => return tracing::error!(%error, "plan was good and is not any more"),
        };
        let Compiled { work, broken, targets } = self.compiler.compile(&plan);
        let (revision, version) = (offer.revision, offer.version.clone());
        tracing::info!(%version, revision, targets = targets.len(), broken, "plan is in force");
        match plan.agents.get(&self.agent) {
            None => {
                tracing::warn!(agent = %self.agent, "the plan does not enrol this agent; collectors will refuse it");
            }
            Some(place) if *place != self.vantage => tracing::warn!(
                agent = %self.agent, plan = %place, certificate = %self.vantage,
                "the plan has this agent elsewhere than its certificate; collectors will refuse it"
            ),
            Some(_) => {}
        }
        let controls = targets.iter().filter(|target| matches!(target.kind, TargetKind::Control { .. }));
        self.selfcheck.set_controls(controls.map(|target| target.id.clone()), plan.slot);
        self.metrics.plan(&version, revision);
        self.metrics.board.set_targets(&targets);
        self.metrics.targets_broken.set(i64::try_from(broken).unwrap_or(i64::MAX));
        self.work.send_replace(work);
        self.version.send_replace(Some(version));
        self.health.set("plan", Ok(()));
    }

    async fn remember(&self, offer: Offer) {
        let memory = self.memory.clone();
        match tokio::task::spawn_blocking(move || memory.save(&offer)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "plan runs but cannot be remembered for the next start"),
            Err(error) => tracing::error!(%error, "remembering the plan failed"),
        }
    }
}
