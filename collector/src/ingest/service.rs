//! Who may open a stream, and what do the parts of the data path look like together?

use std::pin::Pin;
use std::sync::Arc;

use futures::stream::{self, Stream, StreamExt as _};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status, Streaming};
use uitwijk_identity::{PeerInfo, Role, peer_of};
use uitwijk_model::{AgentId, Clock, SystemClock, Vantage, WallTime};
use uitwijk_proto::v1;
use uitwijk_telemetry::Health;

use super::JudgeInput;
use super::board::Board;
use super::books::AllBooks;
use super::committer::{Committer, CommitterHandle};
use super::dedup::Dedup;
use super::group::State;
use super::limits::IngestLimits;
use super::metrics::IngestMetrics;
use super::sessions::Sessions;
use super::stream::{Inbound, StreamTask};
use super::work::{Peer, Work};
use crate::plans::{CurrentPlan, Plans};
use crate::store::{ISLANDS_MAX, Store, StoreError};

/// What the data path is made of.
#[derive(Debug)]
pub struct Parts {
    /// Name of this collector, from its certificate.
    pub collector: String,
    /// Where rows are kept.
    pub store: Store,
    /// What they are checked against.
    pub plans: Arc<Plans>,
    /// What agents may ask for.
    pub limits: IngestLimits,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Gets fresh rows and frontiers.
    pub judge: mpsc::Sender<JudgeInput>,
    /// Where counts go.
    pub metrics: IngestMetrics,
    /// Told whether the store takes writes, under [`super::HEALTH_CONDITION`].
    pub health: Health,
    /// Ends every stream.
    pub stopping: CancellationToken,
}

/// The service `Ingest`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct IngestService {
    shared: Arc<Shared>,
}

/// What all streams share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) collector: String,
    pub(super) store: Store,
    pub(super) plans: Arc<Plans>,
    pub(super) limits: IngestLimits,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: IngestMetrics,
    pub(super) stopping: CancellationToken,
    pub(super) sessions: Arc<Sessions>,
    pub(super) board: Arc<Board>,
    pub(super) queue: mpsc::Sender<Work>,
    /// KiB of decoded rows that may still be under way.
    pub(super) memory: Arc<Semaphore>,
}

impl IngestService {
    /// Reads the small state of the store and starts the committer. Reads the disk.
    ///
    /// # Errors
    /// When the state cannot be read, or the system has no thread left.
    pub fn start(parts: Parts) -> Result<(Self, CommitterHandle), StoreError> {
        let (service, committer, work) = Self::assemble(parts)?;
        let handle = committer.spawn(work).map_err(|e| StoreError::Write(format!("no thread for it: {e}")))?;
        Ok((service, handle))
    }

    /// As [`Self::start`], but the committer is a task that the caller spawns, not a thread: for a simulation, where time is that
    /// of the runtime. A task that is dropped leaves in the store what a kill would.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn start_as_task(parts: Parts) -> Result<(Self, impl Future<Output = ()> + Send + use<>), StoreError> {
        let (service, committer, work) = Self::assemble(parts)?;
        Ok((service, committer.run_as_task(work)))
    }

    fn assemble(parts: Parts) -> Result<(Self, Committer, mpsc::Receiver<Work>), StoreError> {
        let small = parts.store.small()?;
        let books = AllBooks::of(&small);
        let board = Arc::new(Board::of(&books));
        let (queue, work) = mpsc::channel(parts.limits.queue_messages_max.max(1));
        let dedup = Dedup::new(parts.store.clone(), parts.limits.dedup_bytes_max);
        let committer = Committer {
            state: State {
                books,
                dedup,
                serial: small.serial,
                islands_max: ISLANDS_MAX,
                metrics: parts.metrics.clone(),
            },
            store: parts.store.clone(),
            plans: parts.plans.clone(),
            clock: parts.clock.clone(),
            pace: Arc::new(SystemClock),
            board: board.clone(),
            health: parts.health,
            judge: parts.judge,
            group_rows_max: parts.limits.group_rows_max,
            queue: queue.downgrade(),
            give_up: CancellationToken::new(),
        };
        let sessions = Sessions::new(parts.clock.clone(), parts.limits.takeover_after, parts.metrics.clone());
        let memory = Arc::new(Semaphore::new((parts.limits.queue_bytes_max >> 10).clamp(1, Semaphore::MAX_PERMITS)));
        let shared = Shared {
            collector: parts.collector,
            store: parts.store,
            plans: parts.plans,
            limits: parts.limits,
            clock: parts.clock,
            metrics: parts.metrics,
            stopping: parts.stopping,
            sessions,
            board,
            queue,
            memory,
        };
        Ok((Self { shared: Arc::new(shared) }, committer, work))
    }

    /// Every agent of the plan in force and every agent heard of, by name, for `Fleet.ListAgents`.
    #[must_use]
    pub fn agents(&self) -> Vec<v1::AgentState> {
        self.shared.board.states(&self.shared.plans.current().plan)
    }

    /// Answers a stream of messages as `Ingest.Stream` does; the peer is known already.
    ///
    /// # Errors
    /// When the peer is no agent of the plan.
    pub fn serve(&self, info: &PeerInfo, inbound: impl Inbound) -> Result<OutboundStream, Status> {
        let (agent, vantage) = agent_of(info)?;
        check_place(&self.shared.plans.current(), &agent, &vantage)?;
        let peer = Arc::new(Peer { agent, vantage, mailbox: super::mailbox::Mailbox::default() });
        let gone = CancellationToken::new();
        let task = StreamTask::new(self.shared.clone(), peer.clone(), info, gone.clone());
        tokio::spawn(task.run(inbound));
        Ok(outbound(peer, gone.drop_guard()))
    }
}

/// What an agent gets.
pub type OutboundStream = Pin<Box<dyn Stream<Item = Result<v1::FromCollector, Status>> + Send>>;

/// Empties the mailbox. When the connection drops it, the task of the stream ends.
fn outbound(peer: Arc<Peer>, gone: DropGuard) -> OutboundStream {
    stream::unfold((peer, gone), |(peer, gone)| async move {
        let letter = peer.mailbox.next().await?;
        Some((letter, (peer, gone)))
    })
    .boxed()
}

#[tonic::async_trait]
impl v1::ingest_server::Ingest for IngestService {
    type StreamStream = OutboundStream;

    async fn stream(&self, request: Request<Streaming<v1::FromAgent>>) -> Result<Response<Self::StreamStream>, Status> {
        let info = peer_of(&request)?.clone();
        let outbound = self.serve(&info, request.into_inner()).inspect_err(|status| {
            tracing::warn!(peer = %info.identity, addr = %info.addr, reason = status.message(), "stream refused");
            self.shared.metrics.stream_ended("refused");
        })?;
        Ok(Response::new(outbound))
    }
}

/// The agent that a certificate is for.
fn agent_of(info: &PeerInfo) -> Result<(AgentId, Vantage), Status> {
    let Role::Agent(vantage) = &info.identity.role else {
        return Err(Status::unauthenticated(format!(
            "{} is no agent: only agents deliver measurements",
            info.identity
        )));
    };
    let agent = AgentId::new(&info.identity.name).map_err(|e| Status::unauthenticated(e.to_string()))?;
    Ok((agent, vantage.clone()))
}

/// The agent stands where the plan says.
pub(super) fn check_place(current: &CurrentPlan, agent: &AgentId, vantage: &Vantage) -> Result<(), Status> {
    let (name, version) = (&current.plan.name, &current.version);
    match current.place_of(agent) {
        Some(place) if place == vantage => Ok(()),
        Some(place) => Err(Status::permission_denied(format!(
            "agent {agent} stands at {vantage} by its certificate and at {place} by plan {name} ({version}): \
             issue the certificate for {place}, or change `agents` in the plan"
        ))),
        None => Err(Status::permission_denied(format!(
            "agent {agent} at {vantage} is not enrolled in plan {name} ({version}): add it to `agents` in the plan"
        ))),
    }
}

/// A certificate that has run out speaks for nobody.
pub(super) fn expired(at: WallTime) -> Status {
    Status::unauthenticated(format!("the agent's certificate expired at {at}: renew it"))
}
