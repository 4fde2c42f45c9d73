//! Which services share the gRPC port?

use std::future::Future;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use uitwijk_identity::ServerLimits;
use uitwijk_identity::server::incoming;
use uitwijk_proto::v1;
use uitwijk_telemetry::Health;

use super::StartError;
use super::ground::Ground;
use super::recovery::blocking;
use crate::api::{
    self, BackupsApi, FleetApi, Gate, GrpcHealth, LabelsApi, MeasurementsApi, PoliciesApi, SwitchesApi, VerdictsApi,
    Watching,
};
use crate::ingest::{CommitterHandle, IngestLimits, IngestService, JudgeInput, Parts};
use crate::judging::Judging;
use crate::shadow::Shadows;

/// Longest question: names and numbers.
const QUESTION_BYTES_MAX: usize = 64 << 10;

pub(super) fn routes(
    ground: &Ground,
    (judging, judge): (&Judging, mpsc::WeakSender<JudgeInput>),
    shadows: &Shadows,
    gate: &Gate,
    health: &GrpcHealth,
    stopping: &CancellationToken,
) -> Routes {
    let watching = Watching::new(ground.metrics.api.watchers.clone());
    let fleet = FleetApi {
        collector: ground.name.clone(),
        ingest: gate.clone(),
        plans: ground.plans.clone(),
        store: ground.store.clone(),
        ledger_readers: Arc::new(Semaphore::new(api::LEDGER_READERS_MAX)),
        watching: watching.clone(),
        stopping: stopping.clone(),
    };
    let watchers_max = ground.config.limits.watchers_max;
    let verdicts = VerdictsApi {
        log: ground.log.clone(),
        judging: judging.clone(),
        plans: ground.plans.clone(),
        watchers: Arc::new(Semaphore::new(watchers_max)),
        watchers_max,
        watching,
        metrics: ground.metrics.judging.clone(),
    };
    let fleet = v1::fleet_server::FleetServer::new(fleet).max_decoding_message_size(QUESTION_BYTES_MAX);
    let verdicts = v1::verdicts_server::VerdictsServer::new(verdicts).max_decoding_message_size(QUESTION_BYTES_MAX);
    let measurements = MeasurementsApi::new(ground.store.clone(), ground.clock.clone());
    let measurements =
        v1::measurements_server::MeasurementsServer::new(measurements).max_decoding_message_size(QUESTION_BYTES_MAX);
    let backups = BackupsApi::new(ground.backup(shadows.clone()), ground.metrics.api.clone(), stopping.clone());
    let backups = v1::backups_server::BackupsServer::new(backups).max_decoding_message_size(QUESTION_BYTES_MAX);
    let (log, plans, clock) = (ground.log.clone(), ground.plans.clone(), ground.clock.clone());
    let labels = LabelsApi { log: log.clone(), plans: plans.clone(), clock: clock.clone() };
    let labels = v1::labels_server::LabelsServer::new(labels).max_decoding_message_size(QUESTION_BYTES_MAX);
    let switches = SwitchesApi { log: log.clone(), plans: plans.clone(), clock: clock.clone(), judge };
    let switches = v1::switches_server::SwitchesServer::new(switches).max_decoding_message_size(QUESTION_BYTES_MAX);
    let policies = PoliciesApi::new(ground.store.clone(), log, shadows.clone(), plans, clock, stopping.clone());
    let policies = v1::policies_server::PoliciesServer::new(policies).max_decoding_message_size(QUESTION_BYTES_MAX);
    let ingest = v1::ingest_server::IngestServer::new(gate.clone())
        .max_decoding_message_size(ground.config.limits.message_bytes_max);
    let routes = Routes::new(fleet).add_service(verdicts).add_service(measurements).add_service(ingest);
    let routes = routes.add_service(labels).add_service(policies).add_service(switches).add_service(backups);
    api::with_standard_services(routes, health)
}

/// Starts the data path.
pub(super) async fn data_path(
    ground: &Ground,
    judge: mpsc::Sender<JudgeInput>,
    health: Health,
    stopping: CancellationToken,
) -> Result<(IngestService, CommitterHandle), StartError> {
    let limits = &ground.config.limits;
    let parts = Parts {
        collector: ground.name.clone(),
        store: ground.store.clone(),
        plans: ground.plans.clone(),
        limits: IngestLimits {
            batch_bytes_max: limits.batch_bytes_max,
            batch_rows_max: limits.batch_rows_max,
            unacknowledged_batches_max: limits.unacknowledged_batches_max,
            future_max: limits.future_max,
            retention: ground.config.retention.measurements,
            ..IngestLimits::default()
        },
        clock: ground.clock.clone(),
        judge,
        metrics: ground.metrics.ingest.clone(),
        health,
        stopping,
    };
    blocking(move || Ok(IngestService::start(parts)?)).await
}

pub(super) fn serve(
    ground: &Ground,
    listener: TcpListener,
    routes: Routes,
    stopping: CancellationToken,
) -> impl Future<Output = Result<(), tonic::transport::Error>> + use<> {
    let limits = ground.config.limits.clone();
    let server_limits = ServerLimits {
        handshake_timeout: limits.handshake_timeout.into(),
        connections_max: limits.connections_max,
        ..ServerLimits::default()
    };
    let peers = incoming(listener, ground.credentials.clone(), server_limits, ground.metrics.connections.clone());
    let metrics = Arc::new(ground.metrics.api.clone());
    async move { api::serve(peers, routes, &limits, metrics, stopping.cancelled_owned()).await }
}
