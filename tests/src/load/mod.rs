//! How many measurements does one collector take, and at what cost?
//!
//! ```text
//!   this process: one stream for each simulated agent --mutual TLS, loopback--> a collector process
//!     batches made beforehand, only their times change         check, dedup, sync, acknowledge, judge
//! ```
//!
//! A measurement counts when its acknowledgement is back, that is after the collector's sync. Slots are 100 ms long and follow the
//! clock, so agents times targets times ten is the rate that is offered, and the judge publishes as it would live. What a
//! collector cannot take in time comes late; the lag at the end says by how much. Every measurement is up: an outage costs the
//! judge more, which its own benchmark shows.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::BodyExt as _;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use uitwijk_identity::{ClientOptions, Credentials, Identity, Role, TlsFiles};
use uitwijk_model::{AgentId, BootId, Clock as _, Region, SystemClock, Vantage, Zone};
use uitwijk_proto::v1::ingest_client::IngestClient;
use uitwijk_proto::v1::{FromAgent, Hello, from_agent, from_collector};

pub mod cost;
mod traffic;

use crate::fleet::pki::Pki;
use crate::fleet::process::{Process, Program};
use crate::fleet::{COLLECTORS, config};
use crate::world::forward::forward;
use cost::Cost;
use traffic::{Shape, Traffic};

/// What to load the collector with.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Simulated agents, each with a stream of its own.
    pub agents: u32,
    /// Targets that each agent measures in each slot.
    pub targets: u32,
    /// How long to send.
    pub lasting: Duration,
    /// Rows in a batch.
    pub rows: u32,
    /// The binary `uitwijk-fleet`.
    pub binary: PathBuf,
    /// An empty directory on the disk to measure.
    pub dir: PathBuf,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Measurements whose acknowledgement came back.
    pub acknowledged: u64,
    /// How long that took.
    pub elapsed: Duration,
    /// What the collector spent on it.
    pub cost: Cost,
    /// Slots' worth of services that the judge went through.
    pub judgements: u64,
}

impl Figures {
    /// One line for people and for records.
    pub fn line(&self, options: &LoadOptions) -> String {
        let millions = self.acknowledged as f64 / 1e6;
        format!(
            "ingest: {:.0} measurements/s acknowledged after sync of {} offered, {:.2} CPU s per million in the \
             collector, {} turns of the judge, {} MiB RSS, {} bytes on disk per measurement, {} agents x {} targets, {:.1} s",
            self.acknowledged as f64 / self.elapsed.as_secs_f64(),
            u64::from(options.agents) * u64::from(options.targets) * 10,
            self.cost.cpu.as_secs_f64() / millions,
            self.judgements,
            self.cost.rss_bytes >> 20,
            self.cost.disk_bytes / self.acknowledged.max(1),
            options.agents,
            options.targets,
            self.elapsed.as_secs_f64(),
        )
    }
}

/// Starts a collector, loads it, stops it.
///
/// # Errors
/// When it cannot be started, a stream breaks, or nothing is acknowledged.
pub async fn run(options: &LoadOptions) -> anyhow::Result<Figures> {
    let shape = Shape::new(options.agents, options.targets, options.rows)?;
    for sub in ["pki", "log"] {
        std::fs::create_dir_all(options.dir.join(sub))?;
    }
    let pki = Pki::create(&options.dir.join("pki"))?;
    std::fs::write(options.dir.join("plan.yaml"), shape.plan_yaml())?;
    let mut collector = start_collector(options, &pki)?;
    let ready = collector.ready().await?;
    let url = format!("https://{}", ready.listen.context("a collector tells where it listens")?);

    let shape = Arc::new(shape);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let before = Cost::of(&collector, &options.dir.join("data"))?;
    let begun = tokio::time::Instant::now();
    let until = begun + options.lasting;
    let mut streams = tokio::task::JoinSet::new();
    for agent in 0..options.agents {
        let name = Shape::agent_name(agent);
        let identity = Identity::agent(&AgentId::new(&name)?, Shape::vantage(agent)?);
        pki.issue(&identity, &[])?;
        let credentials = pki.credentials(&name)?;
        streams.spawn(stream(agent, url.clone(), credentials, shape.clone(), until, acknowledged.clone()));
    }
    while let Some(ended) = streams.join_next().await {
        ended??;
    }
    let elapsed = begun.elapsed();
    let cost = Cost::of(&collector, &options.dir.join("data"))?.since(before);
    let judgements = judgements(ready.admin).await?;
    collector.stop(Duration::from_secs(60)).await?;
    let acknowledged = acknowledged.load(Ordering::Relaxed);
    anyhow::ensure!(acknowledged > 0, "nothing was acknowledged");
    anyhow::ensure!(judgements > 0, "the judge was never asked, so these would be figures without it");
    Ok(Figures { acknowledged, elapsed, cost, judgements })
}

/// How often the judge was asked, from the collector's own metrics.
async fn judgements(admin: std::net::SocketAddr) -> anyhow::Result<u64> {
    let answer = forward(admin, "localhost", "/metrics", Duration::from_secs(10)).await?;
    let text = answer.into_body().collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&text);
    let count = text.lines().find_map(|line| line.strip_prefix("uitwijk_collector_judge_seconds_count "));
    count.context("the collector has no metric judge_seconds")?.trim().parse().context("read the metric judge_seconds")
}

fn start_collector(options: &LoadOptions, pki: &Pki) -> anyhow::Result<Process> {
    let (name, region) = COLLECTORS[0];
    let identity = Identity { name: name.to_owned(), role: Role::Collector(Region::new(region)?) };
    let files: TlsFiles = pki.issue(&identity, &["127.0.0.1".to_owned()])?;
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let path = options.dir.join("collector.yaml");
    let (data, plan) = (options.dir.join("data"), options.dir.join("plan.yaml"));
    // Nothing was kept while the collector was away, so it need not wait for it.
    let text = config::collector(name, any, any, &data, &plan, &files) + "judging: { catch_up_max: 0s }\n";
    std::fs::write(&path, text)?;
    let args = vec!["--config".into(), path.into()];
    let (binary, dir) = (options.binary.clone(), options.dir.join("log"));
    Program { binary, part: "collector", args, name: name.to_owned(), dir, env: Vec::new() }.start()
}

/// One agent: sends batches as long as the window allows, until the time is over and all is acknowledged.
async fn stream(
    agent: u32,
    url: String,
    credentials: Arc<Credentials>,
    shape: Arc<Shape>,
    until: tokio::time::Instant,
    acknowledged: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    let channel = uitwijk_identity::channel(&url, credentials, ClientOptions::default()).await?;
    let (sender, receiver) = mpsc::channel(4);
    let boot = BootId(u64::from(agent) + 1);
    let hello = Hello { protocol_version: 1, boot: boot.0, software: "uitwijk-fleet load".into(), ..Hello::default() };
    sender.send(FromAgent { message: Some(from_agent::Message::Hello(hello)) }).await?;
    let mut client = IngestClient::new(channel);
    let mut answers = client.stream(ReceiverStream::new(receiver)).await?.into_inner();
    let window = match answers.message().await?.and_then(|m| m.message) {
        Some(from_collector::Message::Welcome(welcome)) => welcome.unacknowledged_batches_max.max(1) as usize,
        other => anyhow::bail!("expected a welcome, found {other:?}"),
    };
    let room = Arc::new(Semaphore::new(window));
    let (sizes, mut sent) = mpsc::unbounded_channel();
    let traffic = Traffic::new(shape, boot, SystemClock.wall());
    let sending = tokio::spawn(send(traffic, sender, room.clone(), sizes, until));

    // A batch is acknowledged when the cursor has passed its end; then there is room for another.
    let mut cursor = 1;
    let mut unacknowledged = std::collections::VecDeque::new();
    let mut all_sent = false;
    while !(all_sent && unacknowledged.is_empty()) {
        tokio::select! {
            size = sent.recv(), if !all_sent => match size {
                Some(end) => unacknowledged.push_back(end),
                None => all_sent = true,
            },
            answer = answers.message() => {
                let answer = answer?.context("the collector ended the stream")?;
                let Some(from_collector::Message::Acknowledgement(ack)) = answer.message else { continue };
                anyhow::ensure!(ack.refused.iter().all(|r| r.count == 0), "rows were refused: {:?}", ack.refused);
                let next = ack.cursors.iter().filter(|c| c.boot == boot.0).map(|c| c.next_sequence).max();
                let next = next.unwrap_or(cursor);
                acknowledged.fetch_add(next.saturating_sub(cursor), Ordering::Relaxed);
                cursor = cursor.max(next);
                // The end of a batch may be told after its acknowledgement is back.
                while let Ok(end) = sent.try_recv() {
                    unacknowledged.push_back(end);
                }
                while unacknowledged.front().is_some_and(|&end| end <= cursor) {
                    unacknowledged.pop_front();
                    room.add_permits(1);
                }
            }
        }
    }
    // Our half of the stream stays open until here.
    drop(sending.await??);
    Ok(())
}

async fn send(
    mut traffic: Traffic,
    sender: mpsc::Sender<FromAgent>,
    room: Arc<Semaphore>,
    sizes: mpsc::UnboundedSender<u64>,
    until: tokio::time::Instant,
) -> anyhow::Result<mpsc::Sender<FromAgent>> {
    while tokio::time::Instant::now() < until {
        room.acquire().await?.forget();
        let early = traffic.due().micros_since(SystemClock.wall());
        tokio::time::sleep(Duration::from_micros(u64::try_from(early).unwrap_or(0))).await;
        let batch = traffic.next_batch();
        sizes.send(batch.first_sequence + u64::from(batch.count))?;
        sender.send(FromAgent { message: Some(from_agent::Message::Batch(batch)) }).await?;
        if let Some(heartbeat) = traffic.heartbeat() {
            sender.send(FromAgent { message: Some(from_agent::Message::Heartbeat(heartbeat)) }).await?;
        }
    }
    Ok(sender)
}

impl Shape {
    fn vantage(agent: u32) -> anyhow::Result<Vantage> {
        let region = crate::world::REGIONS[agent as usize % 2];
        let zone = crate::world::ZONES[agent as usize / 2 % 3];
        Ok(Vantage { region: Region::new(region)?, zone: Zone::new(zone)? })
    }
}
