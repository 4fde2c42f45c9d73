//! What changes without a restart?
//!
//! The plan and the certificates. The rest of the configuration is read once: ports, directories and limits that
//! changed under open streams would be true for some of them only.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;
use uitwijk_identity::Credentials;
use uitwijk_model::Plan;

use super::load_plan;
use crate::ingest::JudgeInput;
use crate::metrics::ReloadMetrics;
use crate::plans::Plans;

/// Looks again at what may change.
#[derive(Debug)]
pub struct Reloader {
    plan_file: PathBuf,
    credentials: Arc<Credentials>,
    plans: Arc<Plans>,
    inputs: mpsc::Sender<JudgeInput>,
    metrics: ReloadMetrics,
}

impl Reloader {
    pub(super) fn new(
        plan_file: PathBuf,
        credentials: Arc<Credentials>,
        plans: Arc<Plans>,
        inputs: mpsc::Sender<JudgeInput>,
        metrics: ReloadMetrics,
    ) -> Self {
        Self { plan_file, credentials, plans, inputs, metrics }
    }

    pub(super) async fn reload(&self) {
        let certificates = self.certificates();
        let plan = self.plan().await;
        self.metrics.reloads.inc();
        self.metrics.last_successful.set(i64::from(certificates && plan));
    }

    fn certificates(&self) -> bool {
        match self.credentials.reload() {
            Ok(true) => tracing::info!(expires = %self.credentials.expires(), "new certificates are in use"),
            Ok(false) => {}
            Err(error) => {
                tracing::error!(%error, "the certificates were not reloaded, those before stay in use");
                return false;
            }
        }
        true
    }

    async fn plan(&self) -> bool {
        let path = self.plan_file.clone();
        let loaded = tokio::task::spawn_blocking(move || load_plan(&path)).await;
        let current = self.plans.current();
        let plan = match loaded {
            Ok(Ok(plan)) => plan,
            Ok(Err(error)) => {
                tracing::error!(%error, in_force = %current.version, "the plan was not reloaded, the one before stays in force");
                return false;
            }
            Err(error) => {
                tracing::error!(%error, "the plan was not reloaded, reading it ended by a panic");
                return false;
            }
        };
        self.adopt(plan).await
    }

    async fn adopt(&self, plan: Plan) -> bool {
        match self.plans.adopt(plan) {
            // Whoever feeds the judge gets no later plan than this one; it may have ended, which a stop tells.
            Ok(true) => self.inputs.send(JudgeInput::Plan(self.plans.current().plan.clone())).await.is_ok(),
            Ok(false) => true,
            Err(error) => {
                tracing::error!(%error, "the plan was not reloaded, the one before stays in force");
                false
            }
        }
    }
}
