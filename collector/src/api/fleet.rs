//! Which plan is in force, and how are the agents?

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use uitwijk_proto::v1;

use super::watching::{Guard, Watching};
use super::{Gate, ask};
use crate::plans::{CurrentPlan, Plans};
use crate::store::{Store, StoreError};

/// Reads of the ledgers at a time.
pub const LEDGER_READERS_MAX: usize = 2;

/// The service `Fleet`.
#[derive(Debug, Clone)]
pub struct FleetApi {
    /// Name of the collector.
    pub collector: String,
    /// How the agents are.
    pub ingest: Gate,
    /// Which plan is in force.
    pub plans: Arc<Plans>,
    /// Where the ledgers are.
    pub store: Store,
    /// Places for those who read the ledgers.
    pub ledger_readers: Arc<Semaphore>,
    /// Who is watching.
    pub watching: Watching,
    /// Ends every watch.
    pub stopping: CancellationToken,
}

#[tonic::async_trait]
impl v1::fleet_server::Fleet for FleetApi {
    type WatchPlanStream = BoxStream<'static, Result<v1::PlanUpdate, Status>>;
    type ListLedgersStream = BoxStream<'static, Result<v1::BootLedger, Status>>;

    async fn watch_plan(
        &self,
        request: Request<v1::WatchPlanRequest>,
    ) -> Result<Response<Self::WatchPlanStream>, Status> {
        let mut plans = self.plans.subscribe();
        if plans.borrow().version.as_str() != request.into_inner().known_version {
            plans.mark_changed();
        } else {
            plans.mark_unchanged();
        }
        let watcher = Watcher { plans, stopping: self.stopping.clone(), _watching: self.watching.join() };
        Ok(Response::new(stream::unfold(Some(watcher), next).boxed()))
    }

    async fn list_agents(
        &self,
        _request: Request<v1::ListAgentsRequest>,
    ) -> Result<Response<v1::ListAgentsResponse>, Status> {
        let agents = self.ingest.pass()?.agents();
        Ok(Response::new(v1::ListAgentsResponse { agents, collector: self.collector.clone() }))
    }

    async fn list_ledgers(
        &self,
        request: Request<v1::ListLedgersRequest>,
    ) -> Result<Response<Self::ListLedgersStream>, Status> {
        let wanted = request.into_inner().agent;
        let place = self.ledger_readers.clone().acquire_owned().await.map_err(|e| Status::internal(e.to_string()))?;
        let store = self.store.clone();
        let mut ledgers = ask::blocking(move || store.small()).await?.ledgers;
        // Whoever reads slowly holds up nobody who asks after it.
        drop(place);
        ledgers.retain(|(agent, ..)| wanted.is_empty() || agent.as_str() == wanted);
        let messages = stream::iter(ledgers).map(|(agent, boot, ledger)| {
            let arrived_us = ledger.arrived.as_micros();
            Ok(v1::BootLedger { agent: agent.to_string(), ledger: Some(ledger.to_message(boot.0)), arrived_us })
        });
        Ok(Response::new(messages.boxed()))
    }
}

/// Somebody who watches the plan.
struct Watcher {
    plans: watch::Receiver<Arc<CurrentPlan>>,
    stopping: CancellationToken,
    _watching: Guard,
}

/// The next plan a watcher is told, and the watcher unless that was the last.
async fn next(watcher: Option<Watcher>) -> Option<(Result<v1::PlanUpdate, Status>, Option<Watcher>)> {
    let mut watcher = watcher?;
    let changed = tokio::select! {
        () = watcher.stopping.cancelled() => false,
        changed = watcher.plans.changed() => changed.is_ok(),
    };
    if !changed {
        return Some((Err(Status::unavailable("the collector stops")), None));
    }
    let update = update(&watcher.plans.borrow_and_update());
    Some((Ok(update), Some(watcher)))
}

fn update(current: &CurrentPlan) -> v1::PlanUpdate {
    v1::PlanUpdate {
        version: current.version.as_str().to_owned(),
        revision: current.plan.revision,
        plan_json: current.json.to_vec(),
    }
}

impl ask::Failure for StoreError {
    fn status(&self) -> Status {
        Status::internal(self.to_string())
    }
}
