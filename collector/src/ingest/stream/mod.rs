//! What does one agent say, and what is done with it?
//!
//! One task per stream reads its messages one by one. It stops reading while the agent has as many batches under way as it
//! may, while the memory for decoded rows is taken, or while the committer's queue is full; HTTP/2 then holds the
//! agent back. Answers go through the mailbox and never wait for this task.

mod greet;
mod intake;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use tracing::{Instrument as _, info_span};
use uitwijk_identity::PeerInfo;
use uitwijk_model::{BootId, WallTime};
use uitwijk_proto::v1::LossReason;
use uitwijk_proto::v1::{self, from_agent, from_collector};

use super::order::Order;
use super::service::{Shared, check_place, expired};
use super::sessions::Session;
use super::work::{Claim, Lost, Peer, Work};
use crate::plans::CurrentPlan;

/// The longest list of boots in one message.
const BOOTS_MAX: usize = 4096;
/// Longer than any process runs.
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Messages from an agent.
pub trait Inbound: Send + 'static {
    /// The next one; nothing when the agent is done.
    fn message(&mut self) -> impl Future<Output = Result<Option<v1::FromAgent>, Status>> + Send;
}

impl Inbound for Streaming<v1::FromAgent> {
    fn message(&mut self) -> impl Future<Output = Result<Option<v1::FromAgent>, Status>> + Send {
        Self::message(self)
    }
}

impl Inbound for tokio::sync::mpsc::Receiver<v1::FromAgent> {
    async fn message(&mut self) -> Result<Option<v1::FromAgent>, Status> {
        Ok(self.recv().await)
    }
}

/// The task of one stream.
pub(super) struct StreamTask {
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    certificate: [u8; 32],
    expires: WallTime,
    plans: watch::Receiver<Arc<CurrentPlan>>,
    /// The reader of the answers is gone.
    gone: CancellationToken,
    window: Arc<Semaphore>,
    order: Order,
    /// The running boot.
    boot: BootId,
    /// Before this, a stream that is over its rate reads nothing.
    next_read: Instant,
    /// Earlier boots of which the agent still had something when it connected.
    earlier: Vec<v1::BootRange>,
}

/// How a stream ended, for the metric.
struct End {
    reason: &'static str,
    /// Absent when the agent ended it, and all is well.
    status: Option<Status>,
}

impl End {
    const fn of(reason: &'static str, status: Status) -> Self {
        Self { reason, status: Some(status) }
    }

    const fn invalid(status: Status) -> Self {
        Self::of("invalid", status)
    }

    fn stopping() -> Self {
        Self::of("stopping", Status::unavailable("the collector stops"))
    }
}

impl StreamTask {
    pub(super) fn new(shared: Arc<Shared>, peer: Arc<Peer>, info: &PeerInfo, gone: CancellationToken) -> Self {
        let window = Arc::new(Semaphore::new(shared.limits.unacknowledged_batches_max.max(1) as usize));
        Self {
            plans: shared.plans.subscribe(),
            certificate: info.certificate_fingerprint,
            expires: info.certificate_expires,
            shared,
            peer,
            gone,
            window,
            order: Order::default(),
            boot: BootId(0),
            next_read: Instant::now(),
            earlier: Vec::new(),
        }
    }

    pub(super) async fn run(mut self, mut inbound: impl Inbound) {
        self.shared.metrics.streams.inc();
        let span = info_span!("stream", agent = %self.peer.agent, vantage = %self.peer.vantage);
        let end = self.converse(&mut inbound).instrument(span.clone()).await;
        let _entered = span.enter();
        match end.status {
            Some(status) => {
                tracing::info!(reason = end.reason, detail = status.message(), "stream ended");
                self.peer.mailbox.end(status);
            }
            None => {
                tracing::info!(reason = end.reason, "stream ended");
                self.peer.mailbox.finish();
            }
        }
        self.shared.metrics.streams.dec();
        self.shared.metrics.stream_ended(end.reason);
    }

    async fn converse(&mut self, inbound: &mut impl Inbound) -> End {
        let (stopping, gone) = (self.shared.stopping.clone(), self.gone.clone());
        let greeted = tokio::select! {
            biased;
            () = stopping.cancelled() => Err(End::stopping()),
            () = gone.cancelled() => Err(End { reason: "disconnected", status: None }),
            greeted = self.greet(inbound) => greeted,
        };
        let session = match greeted {
            Ok(session) => session,
            Err(end) => return end,
        };
        let end = tokio::select! {
            // In this order, so that an agent that never pauses is stopped all the same.
            biased;
            () = stopping.cancelled() => End::stopping(),
            () = gone.cancelled() => End { reason: "disconnected", status: None },
            // The one who took over has said so to the agent already.
            () = session.taken() => End { reason: "replaced", status: None },
            end = self.listen(inbound, &session) => end,
        };
        self.shared.board.disconnected(&self.peer.agent);
        end
    }

    /// Reads until the agent is done or something is wrong.
    async fn listen(&mut self, inbound: &mut impl Inbound, session: &Session) -> End {
        loop {
            tokio::time::sleep_until(self.next_read).await;
            let heard = match self.next_event(inbound).await {
                Ok(Event::Message(message)) => {
                    session.heard();
                    self.handle(message).await
                }
                Ok(Event::PlanChanged) => self.check_enrolment(),
                Ok(Event::Done) => return self.drained().await,
                Err(end) => return end,
            };
            if let Err(end) = heard {
                return end;
            }
        }
    }

    async fn next_event(&mut self, inbound: &mut impl Inbound) -> Result<Event, End> {
        let silence_max = self.shared.limits.silence_max;
        let valid_us = self.expires.micros_since(self.shared.clock.wall()).max(0).cast_unsigned();
        tokio::select! {
            // In this order, so that an agent that never pauses does not outlive its certificate or its place in the plan.
            biased;
            changed = self.plans.changed() => changed.map(|()| Event::PlanChanged).map_err(|_| End::stopping()),
            // Timers take some years at most.
            () = tokio::time::sleep(Duration::from_micros(valid_us).min(YEAR)) => {
                Err(End::of("expired", expired(self.expires)))
            }
            message = inbound.message() => match message {
                Ok(Some(message)) => Ok(Event::Message(message)),
                Ok(None) => Ok(Event::Done),
                Err(status) => Err(broken(&status)),
            },
            () = tokio::time::sleep(silence_max.into()) => {
                Err(End::of("silent", Status::deadline_exceeded(format!("not a word for {silence_max}"))))
            }
        }
    }

    fn check_enrolment(&mut self) -> Result<(), End> {
        let current = self.plans.borrow_and_update().clone();
        check_place(&current, &self.peer.agent, &self.peer.vantage).map_err(|status| End::of("not_enrolled", status))
    }

    /// The agent is done; what it sent is acknowledged before the stream ends.
    async fn drained(&self) -> End {
        let all = self.shared.limits.unacknowledged_batches_max.max(1);
        let _ = self.window.acquire_many(all).await;
        End { reason: "done", status: None }
    }

    async fn handle(&mut self, message: v1::FromAgent) -> Result<(), End> {
        match message.message {
            Some(from_agent::Message::Batch(batch)) => self.batch(batch).await,
            Some(from_agent::Message::Tombstone(tombstone)) => self.tombstone(tombstone).await,
            Some(from_agent::Message::Heartbeat(heartbeat)) => self.heartbeat(heartbeat).await,
            Some(from_agent::Message::Hello(_)) => {
                Err(End::invalid(Status::invalid_argument("a second Hello: there is one, at the beginning")))
            }
            None => {
                Err(End::invalid(Status::invalid_argument("a message of a kind that this collector does not know")))
            }
        }
    }

    async fn tombstone(&self, tombstone: v1::Tombstone) -> Result<(), End> {
        let v1::Tombstone { boot, first_sequence, count, reason } = tombstone;
        if boot == 0 || first_sequence == 0 || count == 0 || first_sequence.checked_add(count).is_none() {
            return Err(End::invalid(Status::invalid_argument(format!(
                "tombstone of {count} from sequence {first_sequence} of boot {boot}: all are 1 or more"
            ))));
        }
        let lost = Lost {
            peer: self.peer.clone(),
            boot: BootId(boot),
            first_sequence,
            count,
            reason: LossReason::try_from(reason).unwrap_or(LossReason::Unspecified),
            arrived: self.shared.clock.wall(),
        };
        self.hand_over(Work::Lost(lost)).await
    }

    async fn heartbeat(&self, heartbeat: v1::Heartbeat) -> Result<(), End> {
        let received = self.shared.clock.wall();
        if heartbeat.books.len() > BOOTS_MAX {
            let found = heartbeat.books.len();
            let text = format!("heartbeat with the books of {found} boots: allowed are {BOOTS_MAX}");
            return Err(End::of("limit", Status::resource_exhausted(text)));
        }
        self.shared.board.heartbeat(&self.peer.agent, &heartbeat, received);
        self.peer.mailbox.reply(from_collector::Message::HeartbeatReply(v1::HeartbeatReply {
            sent_us: heartbeat.sent_us,
            received_us: received.as_micros(),
            replied_us: self.shared.clock.wall().as_micros(),
        }));
        if heartbeat.complete_sequence == 0 {
            return Ok(());
        }
        self.hand_over(Work::Claim(self.peer.agent.clone(), self.claim(&heartbeat, received))).await
    }

    /// What the heartbeat says to be complete, and when it is.
    fn claim(&self, heartbeat: &v1::Heartbeat, now: WallTime) -> Claim {
        let buffered = self.earlier.iter().map(|range| (BootId(range.boot), range.next_sequence));
        let books = heartbeat.books.iter().filter(|books| books.boot != self.boot.0 && books.buffered > 0);
        let started = books.map(|books| (BootId(books.boot), books.started.saturating_add(1)));
        Claim {
            boot: self.boot,
            // A clock that runs far ahead must not close the books on the future.
            through: WallTime::from_micros(heartbeat.complete_through_us).min(now.plus(self.shared.limits.future_max)),
            below: heartbeat.complete_sequence,
            earlier: buffered.chain(started).collect(),
        }
    }

    /// Waits while the queue is full.
    async fn hand_over(&self, work: Work) -> Result<(), End> {
        self.shared.queue.send(work).await.map_err(|_| End::stopping())
    }
}

/// What a stream waits for.
enum Event {
    Message(v1::FromAgent),
    PlanChanged,
    Done,
}

/// The transport failed, or what came is no message.
fn broken(status: &Status) -> End {
    match status.code() {
        tonic::Code::OutOfRange | tonic::Code::ResourceExhausted => {
            End::of("limit", Status::resource_exhausted(status.message()))
        }
        tonic::Code::Internal if status.message().contains("decode") => {
            End::invalid(Status::invalid_argument(status.message()))
        }
        _ => End { reason: "disconnected", status: None },
    }
}
