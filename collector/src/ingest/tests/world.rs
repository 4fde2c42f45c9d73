//! A data path without network: streams are channels, the disk is a map.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use uitwijk_identity::{Identity, PeerInfo, Role};
use uitwijk_model::{Measurement, Millis, Vantage, WallTime};
use uitwijk_proto::v1::{self, from_agent, from_collector};
use uitwijk_telemetry::Health;

use crate::ingest::{CommitterHandle, IngestLimits, IngestMetrics, IngestService, JudgeInput, OutboundStream, Parts};
use crate::plans::Plans;
use crate::store::{MemoryStore, Store};
use crate::testing::{NOW, TestClock, plan, told, vantage};

/// Longer than anything here takes; only a failing test waits for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct World {
    pub(super) hot: Arc<MemoryStore>,
    pub(super) store: Store,
    pub(super) plans: Arc<Plans>,
    pub(super) service: IngestService,
    pub(super) committer: CommitterHandle,
    pub(super) judge: mpsc::Receiver<JudgeInput>,
    pub(super) metrics: IngestMetrics,
    pub(super) health: Health,
    pub(super) stopping: CancellationToken,
}

pub(super) fn limits() -> IngestLimits {
    IngestLimits { takeover_after: Millis(300), ..IngestLimits::default() }
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(limits())
    }

    pub(super) fn with(limits: IngestLimits) -> Self {
        let hot = Arc::new(MemoryStore::default());
        Self { hot: hot.clone(), ..Self::over(Store::over(hot), limits) }
    }

    /// Over a store that was there before.
    pub(super) fn over(store: Store, limits: IngestLimits) -> Self {
        let (judge_in, judge) = mpsc::channel(1000);
        let (hot, plans) = (Arc::default(), Arc::new(Plans::fixed(plan(1, 2))));
        let (metrics, health, stopping) = (IngestMetrics::default(), Health::default(), CancellationToken::new());
        let (service, committer) = IngestService::start(Parts {
            collector: "col-nl".into(),
            store: store.clone(),
            plans: plans.clone(),
            limits,
            clock: TestClock::at(NOW),
            judge: judge_in,
            metrics: metrics.clone(),
            health: health.clone(),
            stopping: stopping.clone(),
        })
        .unwrap();
        Self { hot, store, plans, service, committer, judge, metrics, health, stopping }
    }

    /// A stream that is not greeted yet.
    pub(super) fn connect(&self, info: &PeerInfo) -> Result<Agent, Status> {
        let (to_collector, inbound) = mpsc::channel(64);
        let from_collector = self.service.serve(info, inbound)?;
        Ok(Agent { to_collector, from_collector })
    }

    /// The agent nl-1 after its welcome.
    pub(super) async fn agent(&self, boot: u64) -> Agent {
        let mut agent = self.connect(&peer("nl-1", vantage("NL", "1"))).unwrap();
        agent.hello(boot).await;
        agent.welcome().await;
        agent
    }

    /// What the judge has been told of rows until now.
    pub(super) fn judged(&mut self) -> Vec<String> {
        let mut rows = Vec::new();
        while let Ok(input) = self.judge.try_recv() {
            if let JudgeInput::Rows(samples) = input {
                rows.extend(told(&samples));
            }
        }
        rows
    }

    /// Everything that is stored.
    pub(super) fn stored(&self) -> Vec<Measurement> {
        self.store.recover(WallTime::from_micros(i64::MIN)).flat_map(|accepted| accepted.unwrap().rows).collect()
    }

    pub(super) fn refused(&self, reason: &'static str) -> u64 {
        self.metrics.rows_refused.get_or_create(&crate::ingest::ReasonLabel { reason }).get()
    }
}

pub(super) fn peer(name: &str, vantage: Vantage) -> PeerInfo {
    PeerInfo {
        identity: Identity { name: name.into(), role: Role::Agent(vantage) },
        addr: ([127, 0, 0, 1], 1).into(),
        certificate_expires: WallTime::from_micros(i64::MAX),
        certificate_fingerprint: [7; 32],
    }
}

/// The other end of a stream.
pub(super) struct Agent {
    to_collector: mpsc::Sender<v1::FromAgent>,
    from_collector: OutboundStream,
}

impl Agent {
    pub(super) async fn send(&self, message: from_agent::Message) {
        // A stream that has ended already takes nothing more, and its end tells why.
        let _ = self.to_collector.send(v1::FromAgent { message: Some(message) }).await;
    }

    pub(super) async fn hello(&self, boot: u64) {
        self.hello_with(boot, &[]).await;
    }

    /// A hello of an agent that has (boot, first, next) buffered, and no others.
    pub(super) async fn hello_with(&self, boot: u64, buffered: &[(u64, u64, u64)]) {
        self.hello_of(boot, buffered, true).await;
    }

    pub(super) async fn hello_of(&self, boot: u64, buffered: &[(u64, u64, u64)], buffered_is_all: bool) {
        let range = |&(boot, first_sequence, next_sequence): &_| v1::BootRange { boot, first_sequence, next_sequence };
        let buffered = buffered.iter().map(range).collect();
        let software = "test".into();
        let hello =
            v1::Hello { protocol_version: 1, boot, software, buffered, buffered_is_all, ..v1::Hello::default() };
        self.send(from_agent::Message::Hello(hello)).await;
    }

    pub(super) async fn batch(&self, batch: v1::Batch) {
        self.send(from_agent::Message::Batch(batch)).await;
    }

    pub(super) async fn heartbeat(&self, heartbeat: v1::Heartbeat) {
        self.send(from_agent::Message::Heartbeat(heartbeat)).await;
    }

    /// The next message or the error with which the stream ends; nothing when it ends well.
    pub(super) async fn next(&mut self) -> Option<Result<from_collector::Message, Status>> {
        let next = tokio::time::timeout(PATIENCE, self.from_collector.next()).await.expect("an answer in time");
        next.map(|answer| answer.map(|message| message.message.expect("a message of a known kind")))
    }

    pub(super) async fn welcome(&mut self) -> v1::Welcome {
        match self.next().await {
            Some(Ok(from_collector::Message::Welcome(welcome))) => welcome,
            other => panic!("no welcome: {other:?}"),
        }
    }

    /// Waits for an acknowledgement of everything of a boot below a sequence.
    pub(super) async fn acknowledged(&mut self, boot: u64, next_sequence: u64) -> v1::Acknowledgement {
        loop {
            match self.next().await {
                Some(Ok(from_collector::Message::Acknowledgement(ack)))
                    if ack.cursors.iter().any(|c| c.boot == boot && c.next_sequence >= next_sequence) =>
                {
                    return ack;
                }
                Some(Ok(_)) => {}
                other => panic!("no acknowledgement: {other:?}"),
            }
        }
    }

    /// The error with which the stream ends.
    pub(super) async fn error(&mut self) -> Status {
        loop {
            match self.next().await {
                Some(Ok(_)) => {}
                Some(Err(status)) => return status,
                None => panic!("the stream ended without an error"),
            }
        }
    }

    /// Sends nothing more, and waits for the end of the stream.
    pub(super) async fn done(self) {
        let Self { to_collector, mut from_collector } = self;
        drop(to_collector);
        while let Some(answer) = tokio::time::timeout(PATIENCE, from_collector.next()).await.expect("an end in time") {
            answer.expect("a good end");
        }
    }
}
