//! A simple agent: it measures nothing, and delivers what it is told to.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use uitwijk_model::measurement::{Fault, Measurement, Observer, Outcome, Phases, ServedBy};
use uitwijk_model::{BootId, Elapsed, Region, SlotLength, TargetId, WallTime};
use uitwijk_proto::columns;
use uitwijk_proto::v1::from_agent::Message as ToCollector;
use uitwijk_proto::v1::from_collector::Message as FromCollector;
use uitwijk_proto::v1::ingest_client::IngestClient;
use uitwijk_proto::{PROTOCOL_VERSION, v1};

/// One stream of one boot.
pub struct FakeAgent {
    to: mpsc::Sender<v1::FromAgent>,
    from: Streaming<v1::FromCollector>,
    boot: BootId,
    next_sequence: u64,
    acknowledged: u64,
}

impl FakeAgent {
    /// Opens a stream and is welcomed; goes on after what this boot delivered before.
    pub async fn connect(channel: Channel, boot: u64, next_sequence: u64) -> Result<Self, Status> {
        let (to, queue) = mpsc::channel(64);
        let buffered = vec![v1::BootRange { boot, first_sequence: next_sequence, next_sequence }];
        let hello = v1::Hello {
            protocol_version: PROTOCOL_VERSION,
            boot,
            software: "fake-agent".to_owned(),
            plan_version: String::new(),
            buffered,
            buffered_is_all: true,
        };
        to.send(message(ToCollector::Hello(hello))).await.unwrap();
        let mut from = IngestClient::new(channel).stream(ReceiverStream::new(queue)).await?.into_inner();
        let welcome = from.message().await?.and_then(|m| m.message);
        assert!(matches!(welcome, Some(FromCollector::Welcome(_))), "{welcome:?}");
        Ok(Self { to, from, boot: BootId(boot), next_sequence, acknowledged: 0 })
    }

    /// The sequence that the next measurement gets.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Delivers, and waits for the acknowledgement.
    pub async fn deliver(&mut self, rows: &[Measurement]) -> Result<(), Status> {
        if rows.is_empty() {
            return Ok(());
        }
        let batch = columns::batch(self.boot, self.next_sequence, &columns::encode(rows), v1::Compression::None);
        self.next_sequence += rows.len() as u64;
        let _ = self.to.send(message(ToCollector::Batch(batch))).await;
        while self.acknowledged < self.next_sequence {
            self.hear().await?;
        }
        Ok(())
    }

    /// Says that everything scheduled before a moment is delivered, and waits for the reply.
    pub async fn heartbeat(&mut self, through: WallTime) -> Result<(), Status> {
        let heartbeat = v1::Heartbeat {
            sent_us: through.as_micros(),
            books: Vec::new(),
            buffer_bytes: 0,
            backlog: 0,
            clock_offset_us: Some(0),
            plan_version: String::new(),
            complete_through_us: through.as_micros(),
            complete_sequence: self.next_sequence,
        };
        let _ = self.to.send(message(ToCollector::Heartbeat(heartbeat))).await;
        while !matches!(self.hear().await?, FromCollector::HeartbeatReply(_)) {}
        Ok(())
    }

    /// The next message of the collector.
    pub async fn hear(&mut self) -> Result<FromCollector, Status> {
        let heard = self.from.message().await?.and_then(|m| m.message);
        let heard = heard.ok_or_else(|| Status::unavailable("the stream ended"))?;
        if let FromCollector::Acknowledgement(acknowledgement) = &heard {
            for cursor in acknowledgement.cursors.iter().filter(|cursor| cursor.boot == self.boot.0) {
                self.acknowledged = self.acknowledged.max(cursor.next_sequence);
            }
        }
        Ok(heard)
    }
}

fn message(message: ToCollector) -> v1::FromAgent {
    v1::FromAgent { message: Some(message) }
}

/// What a target did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen<'a> {
    /// A right answer, of a region if it told.
    Up(Option<&'a str>),
    /// Connection refused.
    Refused,
}

/// One attempt.
pub fn attempt(target: &str, slot: SlotLength, scheduled: WallTime, seen: Seen<'_>) -> Measurement {
    let (outcome, served) = match seen {
        Seen::Up(region) => (Outcome::Up, region.map(|r| ServedBy { region: Region::new(r).unwrap(), zone: None })),
        Seen::Refused => (Outcome::Down(Fault::ConnectRefused), None),
    };
    Measurement {
        target: TargetId::from_wire(target),
        slot: slot.slot_of(scheduled),
        attempt: 0,
        scheduled,
        started: scheduled,
        outcome,
        total: Some(Elapsed::from_micros(120_000)),
        phases: Phases::default(),
        http_status: None,
        served,
        hops: Vec::new(),
        certificate_expires: None,
        observer: Observer { clock_offset_us: Some(0), controls_seen: 3, ..Observer::default() },
    }
}
