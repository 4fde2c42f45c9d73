//! What is a collector in a simulation?
//!
//! Ingest, judge and verdict log that ship. The store is the map in memory that its tests hold it against: what a group commit
//! has written there outlives a kill, and nothing else does.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use uitwijk_collector::ingest::{IngestLimits, IngestMetrics, IngestService, Parts};
use uitwijk_collector::judging::{Judging, Published, Recovering, Setup, reach};
use uitwijk_collector::metrics::JudgingMetrics;
use uitwijk_collector::plans::Plans;
use uitwijk_collector::store::{MemoryStore, Store};
use uitwijk_collector::verdict_log::VerdictLog;
use uitwijk_model::{Clock as _, Millis, Plan, WallTime};
use uitwijk_proto::v1::ingest_server::IngestServer;
use uitwijk_telemetry::Health;

use super::clock::SimClock;
use super::link::{Conn, Door};

/// Connections that wait to be taken.
const WAITING_MAX: usize = 64;
/// Messages that may wait for the judge.
const JUDGE_QUEUE: usize = 256;

/// One collector.
pub(super) struct Collector {
    pub(super) name: String,
    clock: Arc<SimClock>,
    dir: PathBuf,
    plan: Arc<Plan>,
    pub(super) store: Store,
    pub(super) door: Door,
    running: Option<Running>,
}

struct Running {
    tasks: JoinSet<()>,
    judging: Judging,
    log: Arc<VerdictLog>,
    stopping: CancellationToken,
}

impl Collector {
    pub(super) fn new(name: String, clock: Arc<SimClock>, dir: PathBuf, plan: Arc<Plan>) -> Self {
        let store = Store::over(Arc::new(MemoryStore::default()));
        Self { name, clock, dir, plan, store, door: Door::default(), running: None }
    }

    pub(super) const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// The judge, while it runs.
    pub(super) fn judging(&self) -> Option<&Judging> {
        self.running.as_ref().map(|running| &running.judging)
    }

    /// Every revision that it ever published, oldest first; none while it is down.
    pub(super) fn published(&self) -> anyhow::Result<Vec<Published>> {
        let Some(running) = &self.running else { return Ok(Vec::new()) };
        let entries = running.log.since(WallTime::from_micros(i64::MIN))?;
        Ok(entries.iter().map(Published::from_entry).collect::<Result<_, _>>()?)
    }

    /// Starts it on what its store and its log hold.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        let log = Arc::new(VerdictLog::open(&self.dir)?);
        let (health, stopping) = (Health::default(), CancellationToken::new());
        let mut recovering = Recovering::begin(Setup {
            collector: self.name.clone(),
            plan: self.plan.clone(),
            log: log.clone(),
            clock: self.clock.clone(),
            since: self.clock.wall().minus(reach(&self.plan)),
            catch_up_max: Millis::from_secs(60),
            memory_bytes_max: usize::MAX,
            metrics: JudgingMetrics::default(),
            health: health.clone(),
            store: Some(self.store.clone()),
            shadows: None,
        })?;
        for rows in self.store.samples(self.clock.wall().minus(reach(&self.plan))) {
            recovering.put_back(&rows?);
        }
        for (agent, through) in self.store.small()?.frontiers {
            recovering.put_back_frontier(&agent, through);
        }
        let (inputs, fed) = mpsc::channel(JUDGE_QUEUE);
        let (judging, judge) = recovering.run_as_task(fed);
        let (ingest, committer) = IngestService::start_as_task(Parts {
            collector: self.name.clone(),
            store: self.store.clone(),
            plans: Arc::new(Plans::fixed(Plan::clone(&self.plan))),
            limits: IngestLimits::default(),
            clock: self.clock.clone(),
            judge: inputs,
            metrics: IngestMetrics::default(),
            health,
            stopping: stopping.clone(),
        })?;
        let (door, connections) = mpsc::channel::<Conn>(WAITING_MAX);
        *self.door.lock().unwrap_or_else(PoisonError::into_inner) = Some(door);
        let incoming = ReceiverStream::new(connections).map(Ok::<_, std::io::Error>);
        let server = tonic::transport::Server::builder().add_service(IngestServer::new(ingest));
        let mut tasks = JoinSet::new();
        tasks.spawn(committer);
        tasks.spawn(async move { judge.await.expect("the judge can publish") });
        tasks.spawn(async move { server.serve_with_incoming(incoming).await.expect("pipes do not fail") });
        self.running = Some(Running { tasks, judging, log, stopping });
        Ok(())
    }

    /// As `kill -9` does; the caller ends the connections. What a task of a stream still does afterwards reaches nobody: its
    /// committer is gone.
    pub(super) async fn kill(&mut self) {
        let Some(Running { mut tasks, judging, log, stopping }) = self.running.take() else { return };
        *self.door.lock().unwrap_or_else(PoisonError::into_inner) = None;
        drop((judging, log));
        tasks.shutdown().await;
        stopping.cancel();
    }
}
