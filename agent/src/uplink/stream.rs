//! What goes over one open stream, until it ends?
//!
//! Wait for an event, apply it: a message of the collector, the time for a heartbeat, room in the window and something to
//! send, a new certificate, stop. Nothing here decides whether to try again; that is the task's business.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;
use tracing::Instrument as _;
use uitwijk_model::{Clock, PlanVersion, WallTime};
use uitwijk_proto::v1::ingest_client::IngestClient;
use uitwijk_proto::v1::{self, from_agent, from_collector};

use super::backlog::{Backlog, Piece};
use super::heartbeat;
use super::session::{Session, WelcomeError, refusal_label};
use crate::metrics::CollectorMetrics;
use crate::schedule::Complete;
use crate::selfcheck::{Exchange, SelfCheck};

/// The collector has to say welcome within this time.
const WELCOME_WITHIN: Duration = Duration::from_secs(10);
/// A heartbeat carries how far the schedule is complete, which a verdict waits for; so they go out often, and are small.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);
/// After the stop, what is left is looked at this often.
const LOOK_WHILE_DRAINING: Duration = Duration::from_millis(20);
/// Messages between this task and the connection; the window bounds the batches, this the rest.
const OUT_MAX: usize = 32;
/// A connection that takes no message for so long is stuck.
const SEND_WITHIN: Duration = Duration::from_secs(30);
/// No message of a collector is larger.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// What a stream needs to know of the rest of the agent.
pub(super) struct StreamContext {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: CollectorMetrics,
    pub(super) compression: v1::Compression,
    pub(super) complete: watch::Receiver<Complete>,
    pub(super) plan_version: watch::Receiver<Option<PlanVersion>>,
    /// Told of every exchange of time, and asked what came of them.
    pub(super) selfcheck: Arc<SelfCheck>,
    pub(super) heartbeat_every: Duration,
}

/// Why a stream ended.
#[derive(Debug)]
pub(super) enum End {
    /// Everything was delivered after the stop, or nobody wants to wait any longer.
    Stopped,
    /// There is a new certificate to connect with.
    Renewed,
    /// The collector does not want us, but the connection is good.
    Refused(tonic::Status),
    /// The connection is gone, or as good as.
    Lost(tonic::Status),
    /// The collector asks for what we cannot do.
    Unfit(WelcomeError),
}

impl From<tonic::Status> for End {
    fn from(status: tonic::Status) -> Self {
        use tonic::Code;
        match status.code() {
            Code::Unavailable
            | Code::Unknown
            | Code::Internal
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Ok => Self::Lost(status),
            _ => Self::Refused(status),
        }
    }
}

/// How a stream is told to end.
#[derive(Debug, Clone)]
pub(super) struct Stopping {
    /// Deliver what is there, then end.
    pub(super) drain: CancellationToken,
    /// End now.
    pub(super) now: CancellationToken,
}

/// One open stream.
pub(super) struct Stream<'a, B> {
    context: &'a StreamContext,
    backlog: &'a mut B,
    session: Session,
    /// The heartbeat that is not answered yet.
    asked: Option<WallTime>,
    out: mpsc::Sender<v1::FromAgent>,
    incoming: Streaming<v1::FromCollector>,
}

fn message(message: from_agent::Message) -> v1::FromAgent {
    v1::FromAgent { message: Some(message) }
}

impl<'a, B: Backlog> Stream<'a, B> {
    /// Opens a stream and takes the collector's cursors.
    pub(super) async fn open(
        channel: Channel,
        context: &'a StreamContext,
        backlog: &'a mut B,
    ) -> Result<(Self, v1::Welcome), End> {
        let (out, queue) = mpsc::channel(OUT_MAX);
        let hello = hello(context, backlog).await;
        let _ = out.try_send(message(from_agent::Message::Hello(hello)));
        let opening = async {
            let mut client = IngestClient::new(channel)
                .accept_compressed(CompressionEncoding::Zstd)
                .max_decoding_message_size(MESSAGE_BYTES_MAX);
            let mut incoming = client.stream(ReceiverStream::new(queue)).await?.into_inner();
            let welcome = expect_welcome(&mut incoming).await?;
            Ok::<_, tonic::Status>((incoming, welcome))
        };
        let (incoming, welcome) = match tokio::time::timeout(WELCOME_WITHIN, opening).await {
            Ok(opened) => opened?,
            Err(_) => return Err(End::Lost(tonic::Status::deadline_exceeded("no welcome in time"))),
        };
        let session = Session::new(&welcome, context.compression).map_err(End::Unfit)?;
        let mut stream = Self { context, backlog, session, asked: None, out, incoming };
        for cursor in &welcome.cursors {
            stream.settle(cursor).await;
        }
        stream.backlog.rewind().await;
        Ok((stream, welcome))
    }

    /// Sends and receives until something ends it.
    pub(super) async fn run(mut self, renewed: &mut watch::Receiver<u64>, stop: &Stopping) -> End {
        let mut beat = tokio::time::interval(self.context.heartbeat_every);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut draining = false;
        let mut look = tokio::time::interval(LOOK_WHILE_DRAINING);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let applied = tokio::select! {
                biased;
                () = stop.now.cancelled() => return End::Stopped,
                incoming = self.incoming.message() => self.received(incoming).await,
                () = stop.drain.cancelled(), if !draining => {
                    draining = true;
                    Ok(())
                }
                _ = beat.tick() => self.beat().await,
                // The buffer applies an acknowledgement a moment after it came.
                _ = look.tick(), if draining => Ok(()),
                Ok(()) = renewed.changed() => return End::Renewed,
                piece = self.backlog.next(self.session.limits()), if self.session.may_send() => self.send(piece).await,
            };
            if let Err(end) = applied {
                return end;
            }
            if draining && self.session.unacknowledged() == 0 && self.is_empty().await {
                return End::Stopped;
            }
        }
    }

    async fn is_empty(&self) -> bool {
        heartbeat::backlog(&self.backlog.books().await.0) == 0
    }

    async fn received(&mut self, incoming: Result<Option<v1::FromCollector>, tonic::Status>) -> Result<(), End> {
        let Some(received) = incoming? else {
            return Err(End::Lost(tonic::Status::unavailable("the collector closed the stream")));
        };
        match received.message {
            Some(from_collector::Message::Acknowledgement(acknowledgement)) => self.acknowledged(acknowledgement).await,
            Some(from_collector::Message::HeartbeatReply(reply)) => self.answered(&reply),
            // A second welcome, or a message of a later version: neither asks anything of us.
            Some(from_collector::Message::Welcome(_)) | None => {}
        }
        Ok(())
    }

    async fn acknowledged(&mut self, acknowledgement: v1::Acknowledgement) {
        for cursor in &acknowledgement.cursors {
            self.settle(cursor).await;
        }
        for (reason, rows) in self.session.refused(&acknowledgement.refused) {
            let reason = refusal_label(reason);
            tracing::warn!(collector = self.context.metrics.name(), reason, rows, "collector refused rows");
            self.context.metrics.refused(reason, rows);
        }
        self.show_unacknowledged();
    }

    async fn settle(&mut self, cursor: &v1::Cursor) {
        self.session.acknowledged(cursor.boot, cursor.next_sequence);
        let rows = self.backlog.acknowledge(cursor.boot, cursor.next_sequence).await;
        self.context.metrics.rows.inc_by(rows);
    }

    fn answered(&mut self, reply: &v1::HeartbeatReply) {
        let sent = WallTime::from_micros(reply.sent_us);
        // An answer to an older question, or to none, says nothing of now.
        if self.asked.take_if(|asked| *asked == sent).is_none() {
            return;
        }
        let (received, replied) = (WallTime::from_micros(reply.received_us), WallTime::from_micros(reply.replied_us));
        let exchange = Exchange { sent, received, replied, answered: self.context.clock.wall() };
        let collector = self.context.metrics.name();
        self.context.selfcheck.heard(collector, exchange);
        if let Some(offset) = self.context.selfcheck.clock_offset_to(collector) {
            self.context.metrics.clock_offset_us(offset.us);
        }
    }

    async fn beat(&mut self) -> Result<(), End> {
        if self.session.is_stuck(self.context.clock.elapsed()) {
            return Err(End::Lost(tonic::Status::deadline_exceeded("the collector acknowledges nothing any more")));
        }
        // Before the books, so that they hold every sequence that it speaks of.
        let complete = *self.context.complete.borrow();
        let (books, bytes) = self.backlog.books().await;
        let plan = self.context.plan_version.borrow().as_ref().map(ToString::to_string).unwrap_or_default();
        let offset = self.context.selfcheck.clock_offset_to(self.context.metrics.name()).map(|offset| offset.us);
        let now = self.context.clock.wall();
        let beat = heartbeat::heartbeat(now, books, bytes, offset, plan, complete);
        self.asked = Some(now);
        self.put(from_agent::Message::Heartbeat(beat)).await
    }

    async fn send(&mut self, piece: Piece) -> Result<(), End> {
        self.session.sent(&piece, self.context.clock.elapsed());
        self.show_unacknowledged();
        match piece {
            Piece::Tombstone(tombstone) => self.put(from_agent::Message::Tombstone(tombstone)).await,
            Piece::Batch(mut batch) | Piece::Ahead(mut batch) => {
                let span = tracing::info_span!(
                    "batch",
                    collector = self.context.metrics.name(),
                    boot = batch.boot,
                    first_sequence = batch.first_sequence,
                    rows = batch.count
                );
                batch.traceparent = uitwijk_telemetry::context::traceparent_of(&span).unwrap_or_default();
                self.context.metrics.batches.inc();
                self.put(from_agent::Message::Batch(batch)).instrument(span).await
            }
        }
    }

    async fn put(&mut self, what: from_agent::Message) -> Result<(), End> {
        let deadline = Instant::now() + SEND_WITHIN;
        match tokio::time::timeout_at(deadline, self.out.send(message(what))).await {
            Ok(Ok(())) => Ok(()),
            // The connection dropped its end; why comes with the next message of the other direction.
            Ok(Err(_)) => match tokio::time::timeout_at(deadline, self.incoming.message()).await {
                Ok(Err(status)) => Err(status.into()),
                _ => Err(End::Lost(tonic::Status::unavailable("the collector closed the stream"))),
            },
            Err(_) => Err(End::Lost(tonic::Status::deadline_exceeded("the connection takes nothing any more"))),
        }
    }

    fn show_unacknowledged(&self) {
        let n = self.session.unacknowledged();
        self.context.metrics.unacknowledged.set(i64::try_from(n).unwrap_or(i64::MAX));
    }
}

async fn hello<B: Backlog>(context: &StreamContext, backlog: &mut B) -> v1::Hello {
    let plan_version = context.plan_version.borrow().as_ref().map(ToString::to_string).unwrap_or_default();
    // Before the ranges are taken: a disk that comes back between the two brings boots that are then named.
    let buffered_is_all = backlog.knows_all();
    v1::Hello {
        protocol_version: uitwijk_proto::PROTOCOL_VERSION,
        boot: backlog.boot(),
        software: concat!("uitwijk-agent ", env!("CARGO_PKG_VERSION")).to_owned(),
        plan_version,
        buffered: backlog.held().await,
        buffered_is_all,
    }
}

async fn expect_welcome(incoming: &mut Streaming<v1::FromCollector>) -> Result<v1::Welcome, tonic::Status> {
    match incoming.message().await?.and_then(|received| received.message) {
        Some(from_collector::Message::Welcome(welcome)) => Ok(welcome),
        Some(_) => Err(tonic::Status::failed_precondition("the collector did not say welcome first")),
        None => Err(tonic::Status::unavailable("the collector closed the stream")),
    }
}
