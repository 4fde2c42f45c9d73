//! Which tasks make a collector, and in which order do they start and stop?
//!
//! ```text
//!   start   credentials, plan, ports            what the operator may have got wrong, before anything is touched
//!           verdict log, store                  opened, versions checked
//!           admin                               /-/healthy from here on, /-/ready tells what is missing
//!           recovery                            measurements of the horizon back to the judge
//!           judge, committer, gRPC              from here on agents are acknowledged
//!           sealing                             hours move from the hot store into files
//!           ready file
//!
//!   stop    not ready, nobody new               agents go to the other collector
//!           streams end, committer drains       what came in is on disk and acknowledged
//!           judge ends                          what is on disk is judged, logged, published; watchers hear the last of it
//!           shadows end                         they got what the judge got
//!           gRPC, admin, ready file
//! ```
//!
//! Each stage of the stop ends because the one before has dropped its end of a channel, so nothing is lost between two of
//! them. All of it together may take `stop_grace`; what is not acknowledged by then is still with the agents.

mod error;
mod ground;
mod plan_file;
mod ports;
mod ready_file;
mod recovery;
mod reload;
mod retention;
mod sealing;
mod services;
mod stop;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uitwijk_model::Clock;
use uitwijk_telemetry::Health;
use uitwijk_telemetry::admin::{self, AdminState};

use crate::api::{Gate, GrpcHealth};
use crate::config::Config;
use crate::ingest::{CommitterHandle, HEALTH_CONDITION};
use crate::judging::{self, Judging};
use crate::shadow::{self, Shadows};

pub use error::{RunError, StartError};
use ground::Ground;
pub use ground::{load_credentials, open_store};
pub use plan_file::load_plan;
use ports::Port;
use ready_file::ReadyFile;
pub use reload::Reloader;
use retention::Retention;
use sealing::Tiers;

/// Messages that may wait for the judge. When it is full the committer waits, and with it the agents.
const JUDGE_QUEUE: usize = 256;

/// A running collector.
#[derive(Debug)]
pub struct Collector {
    addresses: Addresses,
    config: Config,
    health: Health,
    grpc_health: GrpcHealth,
    /// Ends streams and the gRPC listener.
    stopping: CancellationToken,
    /// Ends the admin pages and the look at the certificate files.
    ending: CancellationToken,
    gate: Gate,
    committer: Option<CommitterHandle>,
    judging: Judging,
    judge: judging::Ended,
    shadows: Shadows,
    shadows_end: shadow::Ended,
    grpc: Option<JoinHandle<Result<(), tonic::transport::Error>>>,
    admin: JoinHandle<std::io::Result<()>>,
    retention: JoinHandle<()>,
    sealing: JoinHandle<()>,
    reloader: Option<Arc<Reloader>>,
    ready_file: Option<ReadyFile>,
}

/// Where a collector listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// gRPC.
    pub listen: SocketAddr,
    /// Metrics and health.
    pub admin: SocketAddr,
}

impl Collector {
    /// Starts a collector; when this returns it serves.
    ///
    /// # Errors
    /// What the operator has to mend. Nothing runs then.
    pub async fn start(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let health = Health::waiting_for(["recovery", "grpc", HEALTH_CONDITION]);
        let (stopping, ending) = (CancellationToken::new(), CancellationToken::new());
        // Whatever fails below ends the tasks that run already.
        let guard = ending.clone().drop_guard();

        let port = Port::bind("listen", config.listen)?;
        let admin_port = Port::bind("admin_listen", config.admin_listen)?;
        let addresses = Addresses { listen: port.address(), admin: admin_port.address() };
        let ground = Ground::prepare(config, clock)?;

        let admin = serve_admin(admin_port.listen()?, &ground, health.clone(), ending.clone());
        ground.credentials.spawn_watcher(ground.config.tls.reload_every.into(), ending.clone());
        let retention = tokio::spawn(Retention::of(&ground).run(ending.clone()));

        let (inputs, fed) = mpsc::channel(JUDGE_QUEUE);
        let (shadows, feed, shadows_end) = shadow::start(ground.shadows()).map_err(StartError::Shadow)?;
        let (ground, recovering) = recovery::recover(ground, health.clone(), feed).await?;
        let (judging, judge) = recovering.run(fed)?;
        health.set("recovery", Ok(()));

        let (ingest, committer) =
            services::data_path(&ground, inputs.clone(), health.clone(), stopping.clone()).await?;
        let gate = Gate::to(ingest);
        // Not before: until here the start has the disk to itself.
        let sealing = tokio::spawn(Tiers::of(&ground, health.clone(), ending.clone()).run());

        let grpc_health = GrpcHealth::not_serving().await;
        let routes =
            services::routes(&ground, (&judging, inputs.downgrade()), &shadows, &gate, &grpc_health, &stopping);
        let grpc = tokio::spawn(services::serve(&ground, port.listen()?, routes, stopping.clone()));
        grpc_health.serving().await;
        health.set("grpc", Ok(()));

        let ready_file = ready_file(&ground.config, addresses)?;
        guard.disarm();
        tracing::info!(name = ground.name, listen = %addresses.listen, admin = %addresses.admin, "the collector serves");
        let (reloader, config) = (Some(Arc::new(ground.reloader(inputs))), ground.config);
        let grpc = Some(grpc);
        Ok(Self {
            addresses,
            config,
            health,
            grpc_health,
            stopping,
            ending,
            gate,
            committer: Some(committer),
            judging,
            judge,
            shadows,
            shadows_end,
            grpc,
            admin,
            retention,
            sealing,
            reloader,
            ready_file,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The running judge.
    #[must_use]
    pub fn judging(&self) -> &Judging {
        &self.judging
    }

    /// The running shadow policies.
    #[must_use]
    pub fn shadows(&self) -> &Shadows {
        &self.shadows
    }

    /// Looks at the plan and the certificates again. What cannot be used is told and counted, and what was in use stays.
    pub async fn reload(&self) {
        if let Some(reloader) = &self.reloader {
            reloader.reload().await;
        }
    }

    /// Waits until something without which a collector is none has ended by itself.
    pub async fn failure(&mut self) -> RunError {
        tokio::select! {
            judge = self.judge.wait() => judge.err().map_or(RunError::Early("the judge"), RunError::Judging),
            () = over(self.committer.as_ref()) => RunError::Early("the committer"),
            grpc = ended(&mut self.grpc) => grpc.err().unwrap_or(RunError::Early("the gRPC server")),
        }
    }
}

/// The end of the committer's thread; never when it was waited for already.
async fn over(committer: Option<&CommitterHandle>) {
    match committer {
        Some(committer) => committer.over().await,
        None => std::future::pending().await,
    }
}

/// The end of the server; at once when it was seen before.
async fn ended(grpc: &mut Option<JoinHandle<Result<(), tonic::transport::Error>>>) -> Result<(), RunError> {
    let Some(task) = grpc else { return Ok(()) };
    let result = task.await;
    *grpc = None;
    match result {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(RunError::Server(error.to_string())),
        Err(error) => Err(RunError::Server(error.to_string())),
    }
}

fn serve_admin(
    listener: TcpListener,
    ground: &Ground,
    health: Health,
    ending: CancellationToken,
) -> JoinHandle<std::io::Result<()>> {
    let registry = Arc::new(ground.metrics.registry());
    tokio::spawn(admin::serve(listener, AdminState { registry, health, extra: axum::Router::new() }, ending))
}

fn ready_file(config: &Config, addresses: Addresses) -> Result<Option<ReadyFile>, StartError> {
    config.ready_file.as_ref().map(|path| ReadyFile::write(path, addresses.listen, addresses.admin)).transpose()
}
