//! When does an uplink connect, and when does it try again?
//!
//! ```text
//!   connect --ok--> watch the plan, and open streams until the connection is lost --+
//!      ^  \--no--> pause --+                                                        |
//!      +-------------------+<------------------------ pause ------------------------+
//! ```
//!
//! A collector that refuses the stream (an agent that is not in its plan, two agents with one identity) still tells
//! the plan, so the watch goes on while the stream is tried again: the next plan may be the cure.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::Channel;
use uitwijk_identity::{ConnectError, connect_error_of};
use uitwijk_model::{Clock, PlanVersion};
use uitwijk_proto::v1;

use super::backlog::Backlog;
use super::backoff::Backoff;
use super::dial::Dial;
use super::plan::{PlanNews, watch};
use super::status::Status;
use super::stream::{End, Stopping, Stream, StreamContext};
use crate::metrics::AgentMetrics;
use crate::schedule::Complete;
use crate::selfcheck::SelfCheck;

/// A stream that held for so long worked; the next failure is a new story.
const WORKED_AFTER: Duration = Duration::from_secs(10);

/// What all uplinks share.
#[derive(Clone)]
pub struct UplinkContext {
    /// How to connect.
    pub dial: Arc<dyn Dial>,
    /// Both clocks.
    pub clock: Arc<dyn Clock>,
    /// What to count.
    pub metrics: Arc<AgentMetrics>,
    /// How to pack batches.
    pub compression: v1::Compression,
    /// How far the schedule is complete.
    pub complete: watch::Receiver<Complete>,
    /// The plan that runs.
    pub plan_version: watch::Receiver<Option<PlanVersion>>,
    /// Where news of plans go.
    pub plan_news: mpsc::Sender<(usize, PlanNews)>,
    /// Told of every exchange of time.
    pub selfcheck: Arc<SelfCheck>,
    /// Deliver what is there, then end.
    pub drain: CancellationToken,
    /// End now.
    pub stop: CancellationToken,
    /// How often the agent says how far it is.
    pub heartbeat_every: Duration,
    /// What the pauses between tries are drawn from; chance when absent.
    pub seed: Option<u64>,
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Another try; the same connection will do if it is good.
    Again,
    /// Another try on a connection of its own, with the new certificate or to the new address.
    Anew,
    /// Nothing: the agent stops.
    End,
}

/// The uplink to one collector.
pub struct Uplink<B> {
    context: UplinkContext,
    stream: StreamContext,
    index: usize,
    name: String,
    url: watch::Receiver<String>,
    /// Counts up with every new certificate.
    renewed: watch::Receiver<u64>,
    backlog: B,
    backoff: Backoff,
    status: Status,
}

impl<B: Backlog> Uplink<B> {
    /// An uplink to the collector at this place in the configuration; its address may change later.
    #[must_use]
    pub fn new(context: UplinkContext, index: usize, name: &str, url: watch::Receiver<String>, backlog: B) -> Self {
        let metrics = context.metrics.collector(name);
        let stream = StreamContext {
            clock: context.clock.clone(),
            metrics: metrics.clone(),
            compression: context.compression,
            complete: context.complete.clone(),
            plan_version: context.plan_version.clone(),
            selfcheck: context.selfcheck.clone(),
            heartbeat_every: context.heartbeat_every,
        };
        let (status, backoff) =
            (Status::new(name, metrics), Backoff::new(context.seed.map(|seed| seed ^ index as u64)));
        let renewed = context.dial.renewals();
        Self { context, stream, index, name: name.to_owned(), url, renewed, backlog, backoff, status }
    }

    /// Delivers until the stop.
    pub async fn run(mut self) {
        let stop = self.context.stop.clone();
        while !stop.is_cancelled() {
            let channel = match stop.run_until_cancelled(self.connect()).await {
                None => break,
                Some(Ok(channel)) => channel,
                Some(Err(error)) => match self.failed(&kind_of(&error), &error.to_string()).await {
                    Next::Again | Next::Anew => continue,
                    Next::End => break,
                },
            };
            let (index, running) = (self.index, self.context.plan_version.clone());
            let (news, seed) = (self.context.plan_news.clone(), self.context.seed);
            let watching = tokio::spawn(watch(channel.clone(), index, running, news, seed));
            // It ends with the connection, and with this task.
            let _watching = AbortOnDropHandle::new(watching);
            let ended = self.streams(&channel).await;
            if ended {
                break;
            }
        }
        self.status.closed();
    }

    async fn connect(&mut self) -> Result<Channel, ConnectError> {
        // What changes from here on asks for another connection.
        self.renewed.mark_unchanged();
        let url = self.url.borrow_and_update().clone();
        self.context.dial.dial(&url).await
    }

    /// Opens streams on this connection until it is lost; true when the uplink is to end.
    async fn streams(&mut self, channel: &Channel) -> bool {
        loop {
            let (kind, detail, lost) = match self.stream(channel).await {
                End::Stopped => return true,
                End::Renewed => {
                    tracing::info!(collector = self.name, "connecting anew with a new certificate or address");
                    self.status.closed();
                    return false;
                }
                End::Refused(status) => {
                    let code = format!("{:?}", status.code());
                    (code.clone(), format!("{code}: {}", status.message()), false)
                }
                End::Unfit(error) => ("unfit".to_owned(), error.to_string(), false),
                End::Lost(status) => match connect_error_of(&status) {
                    Some(error) => (kind_of(&error), error.to_string(), true),
                    None => ("lost".to_owned(), status.message().to_owned(), true),
                },
            };
            match self.failed(&kind, &detail).await {
                Next::End => return true,
                Next::Again if !lost => {}
                // This connection shows the certificate and has the address that it was made with.
                Next::Again | Next::Anew => return false,
            }
        }
    }

    async fn stream(&mut self, channel: &Channel) -> End {
        let stop = Stopping { drain: self.context.drain.clone(), now: self.context.stop.clone() };
        let opening = Stream::open(channel.clone(), &self.stream, &mut self.backlog);
        let opened = match stop.now.run_until_cancelled(opening).await {
            None => return End::Stopped,
            Some(opened) => opened,
        };
        let (stream, welcome) = match opened {
            Ok(opened) => opened,
            Err(end) => return end,
        };
        check_name(&self.name, &welcome);
        self.status.connected(self.context.clock.as_ref());
        let opened = self.context.clock.elapsed();
        let news = (self.index, PlanNews::Has(welcome.plan_version));
        // When nobody takes news the agent is stopping.
        let _ = self.context.plan_news.send(news).await;
        let end = tokio::select! {
            biased;
            end = stream.run(&mut self.renewed, &stop) => end,
            Ok(()) = self.url.changed() => End::Renewed,
        };
        if Duration::from(self.context.clock.elapsed().since(opened)) > WORKED_AFTER {
            self.backoff.reset();
        }
        end
    }

    /// Counts and tells of a failure, then waits for the next try, or for something that may cure it.
    async fn failed(&mut self, kind: &str, detail: &str) -> Next {
        let news = self.status.failed(kind, detail, self.context.clock.as_ref());
        let pause = self.backoff.next();
        tracing::debug!(collector = self.name, kind, news, ?pause, "waiting before the next try");
        tokio::select! {
            biased;
            () = self.context.stop.cancelled() => Next::End,
            () = self.context.drain.cancelled() => Next::End,
            // Before the pause: who has both is to connect anew.
            Ok(()) = self.renewed.changed() => Next::Anew,
            Ok(()) = self.url.changed() => Next::Anew,
            () = tokio::time::sleep(pause) => Next::Again,
        }
    }
}

/// The name in the configuration is that of our cursor, and may differ; but who mixes up two collectors should know.
fn check_name(name: &str, welcome: &v1::Welcome) {
    if welcome.collector != name {
        let says = &welcome.collector;
        tracing::warn!(collector = name, says, "collector has another name than the configuration gives it");
    }
}

/// The same for errors that differ only in detail, such as an address or a time.
fn kind_of(error: &ConnectError) -> String {
    let debug = format!("{error:?}");
    debug.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}
