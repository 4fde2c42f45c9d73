//! How does a simulated agent talk to a collector?
//!
//! It sends batches as long as the window allows, and counts a measurement when its acknowledgement is back, that is after the
//! collector's sync.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use uitwijk_identity::{ClientOptions, Credentials};
use uitwijk_model::{Clock as _, SystemClock, WallTime};
use uitwijk_proto::v1::ingest_client::IngestClient;
use uitwijk_proto::v1::{FromAgent, FromCollector, Hello, from_agent, from_collector};

use super::traffic::Traffic;

/// An agent that is welcome and has sent nothing yet.
pub(super) struct Agent {
    sender: mpsc::Sender<FromAgent>,
    answers: Streaming<FromCollector>,
    window: usize,
    traffic: Traffic,
}

/// What all agents together came to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Sequences that were acknowledged.
    pub(super) acknowledged: AtomicU64,
    /// Measurements of which none was sent before, acknowledged in the end.
    pub(super) fresh: AtomicU64,
    /// All that were sent.
    pub(super) sent: AtomicU64,
}

impl Tally {
    pub(super) fn get(number: &AtomicU64) -> u64 {
        number.load(Ordering::Relaxed)
    }
}

fn message(message: from_agent::Message) -> FromAgent {
    FromAgent { message: Some(message) }
}

impl Agent {
    pub(super) async fn connect(url: &str, credentials: Arc<Credentials>, traffic: Traffic) -> anyhow::Result<Self> {
        let channel = uitwijk_identity::channel(url, credentials, ClientOptions::default()).await?;
        let (sender, receiver) = mpsc::channel(4);
        let boot = traffic.boot.0;
        let hello = Hello { protocol_version: 1, boot, software: "uitwijk-fleet load".into(), ..Hello::default() };
        sender.send(message(from_agent::Message::Hello(hello))).await?;
        let mut client = IngestClient::new(channel);
        let mut answers = client.stream(ReceiverStream::new(receiver)).await?.into_inner();
        let window = match answers.message().await?.and_then(|m| m.message) {
            Some(from_collector::Message::Welcome(welcome)) => welcome.unacknowledged_batches_max.max(1) as usize,
            other => anyhow::bail!("expected a welcome, found {other:?}"),
        };
        Ok(Self { sender, answers, window, traffic })
    }

    /// Sends until a moment, or until what was kept is sent, and then until all is acknowledged.
    pub(super) async fn run(self, until: WallTime, tally: Arc<Tally>) -> anyhow::Result<()> {
        let Self { sender, mut answers, window, traffic } = self;
        let boot = traffic.boot.0;
        let room = Arc::new(Semaphore::new(window));
        let (sizes, mut sent) = mpsc::unbounded_channel();
        let sending = tokio::spawn(send(traffic, sender, room.clone(), sizes, until));

        // A batch is acknowledged when the cursor has passed its end; then there is room for another.
        let mut cursor = 1;
        let mut unacknowledged = VecDeque::new();
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
                    let next = ack.cursors.iter().filter(|c| c.boot == boot).map(|c| c.next_sequence).max();
                    let next = next.unwrap_or(cursor);
                    tally.acknowledged.fetch_add(next.saturating_sub(cursor), Ordering::Relaxed);
                    cursor = cursor.max(next);
                }
            }
            // The end of a batch may be told after its acknowledgement is back.
            while let Ok(end) = sent.try_recv() {
                unacknowledged.push_back(end);
            }
            while unacknowledged.front().is_some_and(|&end| end <= cursor) {
                unacknowledged.pop_front();
                room.add_permits(1);
            }
        }
        // Our half of the stream stays open until here.
        let (traffic, _sender) = sending.await??;
        tally.fresh.fetch_add(traffic.fresh, Ordering::Relaxed);
        tally.sent.fetch_add(traffic.total, Ordering::Relaxed);
        Ok(())
    }
}

async fn send(
    mut traffic: Traffic,
    sender: mpsc::Sender<FromAgent>,
    room: Arc<Semaphore>,
    sizes: mpsc::UnboundedSender<u64>,
    until: WallTime,
) -> anyhow::Result<(Traffic, mpsc::Sender<FromAgent>)> {
    while !traffic.is_over() && traffic.measured() < until {
        room.acquire().await?.forget();
        let early = traffic.due().micros_since(SystemClock.wall());
        if early > 0 {
            tokio::time::sleep(Duration::from_micros(early.unsigned_abs())).await;
        }
        let batch = traffic.next_batch();
        sizes.send(batch.first_sequence + u64::from(batch.count))?;
        sender.send(message(from_agent::Message::Batch(batch))).await?;
        if let Some(heartbeat) = traffic.heartbeat() {
            sender.send(message(from_agent::Message::Heartbeat(heartbeat))).await?;
        }
    }
    Ok((traffic, sender))
}
