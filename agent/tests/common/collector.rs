//! A collector that keeps everything it hears and does as the test says, over real mutual TLS.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use futures::Stream;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{ReceiverStream, WatchStream};
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};
use uitwijk_identity::{Credentials, ServerLimits};
use uitwijk_model::{BootId, Clock as _, Measurement, SystemClock};
use uitwijk_proto::columns::{Limits, Rows};
use uitwijk_proto::v1::fleet_server::{Fleet, FleetServer};
use uitwijk_proto::v1::ingest_server::{Ingest, IngestServer};
use uitwijk_proto::v1::{self, from_agent, from_collector};

use super::until;

/// What was heard and what to do.
#[derive(Default)]
pub struct Heard {
    /// Rows by boot and sequence; a second time must be equal.
    pub rows: BTreeMap<(BootId, u64), Measurement>,
    pub repeated: u64,
    pub batches: Vec<v1::Batch>,
    pub tombstones: Vec<v1::Tombstone>,
    pub hellos: Vec<v1::Hello>,
    pub heartbeats: Vec<v1::Heartbeat>,
    pub peers: Vec<String>,
    /// Take batches, but acknowledge none.
    pub deaf: bool,
    /// Batches that are not acknowledged at one moment, at most.
    pub unacknowledged_max: usize,
    unacknowledged: usize,
    /// Refuse streams with this.
    pub refuse: Option<(tonic::Code, &'static str)>,
    /// The next sequence per boot.
    pub cursors: BTreeMap<u64, u64>,
    /// Our clock is so far behind the agent's.
    pub clock_behind_us: i64,
    /// Refused rows to tell of.
    pub refused: Vec<v1::Refusal>,
}

#[derive(Clone)]
struct Mind {
    name: String,
    heard: Arc<Mutex<Heard>>,
    plan: watch::Receiver<Option<v1::PlanUpdate>>,
}

pub struct FakeCollector {
    pub name: String,
    pub address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
    plan: watch::Sender<Option<v1::PlanUpdate>>,
    credentials: Arc<Credentials>,
    /// Everything it does happens here, so that it can go without a word.
    runtime: Option<tokio::runtime::Runtime>,
}

impl FakeCollector {
    pub async fn start(name: &str, credentials: Arc<Credentials>, plan: Option<v1::PlanUpdate>) -> Self {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let mut collector = Self {
            name: name.to_owned(),
            address: "127.0.0.1:0".parse().unwrap(),
            heard,
            plan: watch::Sender::new(plan),
            credentials,
            runtime: None,
        };
        collector.come_back().await;
        collector
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap()
    }

    pub fn set_plan(&self, plan: v1::PlanUpdate) {
        self.plan.send_replace(Some(plan));
    }

    /// Rows that say something, of one target.
    pub fn measured(&self, target: &str) -> Vec<Measurement> {
        let heard = self.heard();
        let of_target = heard.rows.values().filter(|m| m.target.as_str() == target && m.outcome.is_measured());
        of_target.cloned().collect()
    }

    /// Goes away without a word: connections break, the port is free.
    pub fn go(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Comes back at the same address with the same memory.
    pub async fn come_back(&mut self) {
        let listener = until("the address is free", || listen(self.address).ok()).await;
        self.address = listener.local_addr().unwrap();
        let mind = Mind { name: self.name.clone(), heard: self.heard.clone(), plan: self.plan.subscribe() };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(serve(listener, self.credentials.clone(), mind));
        self.runtime = Some(runtime);
    }
}

fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn serve(listener: std::net::TcpListener, credentials: Arc<Credentials>, mind: Mind) {
    let listener = TcpListener::from_std(listener).unwrap();
    let incoming = uitwijk_identity::server::incoming(listener, credentials, ServerLimits::default(), Arc::default());
    let ingest = IngestServer::new(mind.clone()).accept_compressed(CompressionEncoding::Zstd);
    Server::builder()
        .add_service(ingest)
        .add_service(FleetServer::new(mind))
        .serve_with_incoming(incoming)
        .await
        .unwrap();
}

impl Drop for FakeCollector {
    fn drop(&mut self) {
        self.go();
    }
}

type Replies = Pin<Box<dyn Stream<Item = Result<v1::FromCollector, Status>> + Send>>;
type Plans = Pin<Box<dyn Stream<Item = Result<v1::PlanUpdate, Status>> + Send>>;

fn reply(message: from_collector::Message) -> v1::FromCollector {
    v1::FromCollector { message: Some(message) }
}

#[tonic::async_trait]
impl Ingest for Mind {
    type StreamStream = Replies;

    async fn stream(&self, request: Request<Streaming<v1::FromAgent>>) -> Result<Response<Replies>, Status> {
        let peer = uitwijk_identity::peer_of(&request)?.identity.to_string();
        {
            let mut heard = self.heard.lock().unwrap();
            heard.peers.push(peer);
            heard.unacknowledged = 0;
            if let Some((code, message)) = heard.refuse {
                return Err(Status::new(code, message));
            }
        }
        let (out, replies) = mpsc::channel(64);
        tokio::spawn(self.clone().converse(request.into_inner(), out));
        Ok(Response::new(Box::pin(ReceiverStream::new(replies))))
    }
}

impl Mind {
    async fn converse(
        self,
        mut incoming: Streaming<v1::FromAgent>,
        out: mpsc::Sender<Result<v1::FromCollector, Status>>,
    ) {
        while let Ok(Some(message)) = incoming.message().await {
            let answers = self.hear(message.message.unwrap());
            for answer in answers {
                if out.send(Ok(reply(answer))).await.is_err() {
                    return;
                }
            }
        }
    }

    fn hear(&self, message: from_agent::Message) -> Vec<from_collector::Message> {
        let mut heard = self.heard.lock().unwrap();
        match message {
            from_agent::Message::Hello(hello) => vec![self.welcome(&mut heard, hello)],
            from_agent::Message::Batch(batch) => take_batch(&mut heard, batch),
            from_agent::Message::Tombstone(tombstone) => {
                let (boot, next) = (tombstone.boot, tombstone.first_sequence + tombstone.count);
                heard.tombstones.push(tombstone);
                acknowledge(&mut heard, boot, next)
            }
            from_agent::Message::Heartbeat(heartbeat) => {
                let now = SystemClock.wall().as_micros() - heard.clock_behind_us;
                let answer = v1::HeartbeatReply { sent_us: heartbeat.sent_us, received_us: now, replied_us: now };
                heard.heartbeats.push(heartbeat);
                vec![from_collector::Message::HeartbeatReply(answer)]
            }
        }
    }

    fn welcome(&self, heard: &mut Heard, hello: v1::Hello) -> from_collector::Message {
        let cursors = hello.buffered.iter().filter_map(|range| {
            let next_sequence = *heard.cursors.get(&range.boot)?;
            Some(v1::Cursor { boot: range.boot, next_sequence })
        });
        let welcome = v1::Welcome {
            protocol_version: uitwijk_proto::PROTOCOL_VERSION,
            collector: self.name.clone(),
            cursors: cursors.collect(),
            plan_version: self.plan.borrow().as_ref().map(|p| p.version.clone()).unwrap_or_default(),
            unacknowledged_batches_max: 4,
            batch_bytes_max: 1 << 20,
            batch_rows_max: 8192,
        };
        heard.hellos.push(hello);
        from_collector::Message::Welcome(welcome)
    }
}

fn take_batch(heard: &mut Heard, batch: v1::Batch) -> Vec<from_collector::Message> {
    let rows = Rows::from_batch(&batch, &Limits::default()).unwrap();
    for i in 0..rows.len() {
        let measurement = rows.row(i).unwrap().to_measurement();
        let key = (BootId(batch.boot), batch.first_sequence + i as u64);
        if let Some(before) = heard.rows.insert(key, measurement.clone()) {
            assert_eq!(before, measurement, "what is sent again is the same");
            heard.repeated += 1;
        }
    }
    heard.unacknowledged += 1;
    heard.unacknowledged_max = heard.unacknowledged_max.max(heard.unacknowledged);
    let (boot, next) = (batch.boot, batch.first_sequence + u64::from(batch.count));
    heard.batches.push(batch);
    acknowledge(heard, boot, next)
}

fn acknowledge(heard: &mut Heard, boot: u64, next_sequence: u64) -> Vec<from_collector::Message> {
    if heard.deaf {
        return Vec::new();
    }
    heard.unacknowledged = heard.unacknowledged.saturating_sub(1);
    heard.cursors.insert(boot, next_sequence);
    let cursors = vec![v1::Cursor { boot, next_sequence }];
    let acknowledgement = v1::Acknowledgement { cursors, refused: heard.refused.clone() };
    vec![from_collector::Message::Acknowledgement(acknowledgement)]
}

#[tonic::async_trait]
impl Fleet for Mind {
    type WatchPlanStream = Plans;

    async fn watch_plan(&self, request: Request<v1::WatchPlanRequest>) -> Result<Response<Plans>, Status> {
        let known = request.into_inner().known_version;
        let plans =
            WatchStream::new(self.plan.clone()).filter_map(move |plan| plan.filter(|p| p.version != known).map(Ok));
        Ok(Response::new(Box::pin(plans)))
    }

    async fn list_agents(&self, _: Request<v1::ListAgentsRequest>) -> Result<Response<v1::ListAgentsResponse>, Status> {
        Err(Status::unimplemented("not a part of this stage"))
    }

    type ListLedgersStream = futures::stream::Empty<Result<v1::BootLedger, Status>>;

    async fn list_ledgers(
        &self,
        _: Request<v1::ListLedgersRequest>,
    ) -> Result<Response<Self::ListLedgersStream>, Status> {
        Err(Status::unimplemented("not a part of this stage"))
    }
}
