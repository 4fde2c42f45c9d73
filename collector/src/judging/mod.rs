//! When is which service judged, and what is published?
//!
//! ```text
//!   committer --JudgeInput--> owner (a thread of its own) --Revision--> verdict log (synced) --> board --> API, watchers
//!                              bench: one `Live` per service               chain of hashes         latest of each open
//!                              slot clock, catch-up after a start                                  episode, broadcast
//! ```
//!
//! One owner holds all state of the judge. It waits for an input, a question or the next moment at which an answer can
//! change, and then asks the judge. Neither its arithmetic nor its syncs hold up the network, because it has a thread of
//! its own; and if it falls behind, the bounded queue in front makes the committer wait, and with it the agents, whose
//! buffers are made for that. Nothing is dropped.
//!
//! A revision is on disk before anybody hears of it. After a restart the measurements of the horizon are read back, the
//! published revisions are handed to the judge, and it goes on where it was: it publishes what is new and nothing twice.
//! While the collector was away its agents were not silent, only unheard; so the judge waits for what they kept (see
//! `catch_up.rs`) before it says anything about that time.

pub(crate) mod bench;
mod board;
mod catch_up;
mod owner;
mod pace;
mod published;
mod publisher;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use uitwijk_judge::Segment;
use uitwijk_model::{AgentId, Clock, Millis, Plan, Policy, ServiceId, WallTime};

use uitwijk_telemetry::Health;

use crate::ingest::JudgeInput;
use crate::metrics::JudgingMetrics;
use crate::shadow::Feed;
use crate::store::{Samples, Store};
use crate::switches::HeardSwitch;
use crate::verdict_log::{LogError, VerdictLog};

pub use board::{Board, Watch, WatchError};
pub(crate) use catch_up::CatchUp;
pub use published::Published;

/// Questions that may wait at a time.
const ASKS_MAX: usize = 64;

/// What the judge's shell is started with.
#[derive(Debug)]
pub struct Setup {
    /// Name of the collector, in each verdict.
    pub collector: String,
    /// The plan in force.
    pub plan: Arc<Plan>,
    /// Where revisions go before they are published.
    pub log: Arc<VerdictLog>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// From when on it goes on as if there had been no restart: [`reach`] ago, or longer after a restore.
    pub since: WallTime,
    /// How long to wait, at most, for what agents kept while the collector was away.
    pub catch_up_max: Millis,
    /// Bytes that what is kept for agents that are away may take in memory, about.
    pub memory_bytes_max: usize,
    /// What is counted.
    pub metrics: JudgingMetrics,
    /// Told when verdicts cannot be published.
    pub health: Health,
    /// Where what the judge has forgotten is read again; absent where nothing is stored.
    pub store: Option<Store>,
    /// Where what was judged is handed on to, for shadow policies; absent where there are none.
    pub shadows: Option<Feed>,
}

/// Why the judge's shell cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum JudgingError {
    /// The verdict log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// What the log holds is not a revision of ours.
    #[error("entry {sequence} of the verdict log holds no revision that can be read: {why}")]
    Unreadable {
        /// The entry.
        sequence: u64,
        /// What is wrong.
        why: String,
    },
    /// The system gave no thread.
    #[error("cannot start the thread of the judge: {0}")]
    Thread(#[source] std::io::Error),
    /// A bug: the judge's thread is gone.
    #[error("the judge's thread ended by a panic")]
    Gone,
}

/// A service's past as it was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    /// Adjacent stretches.
    pub segments: Vec<Segment>,
    /// Every enrolled agent's records are in up to this moment; absent before all have told.
    pub watermark: Option<WallTime>,
}

/// A question to the owner.
#[derive(Debug)]
enum Ask {
    Timeline { service: ServiceId, from: WallTime, to: WallTime, answer: oneshot::Sender<Option<Timeline>> },
    Settle(oneshot::Sender<()>),
}

/// The running judge, for those who ask it things.
#[derive(Debug, Clone)]
pub struct Judging {
    asks: mpsc::Sender<Ask>,
    board: Arc<Board>,
}

/// The judge before it runs: measurements can be put back.
#[derive(Debug)]
pub struct Recovering {
    owner: owner::Owner,
    asks: mpsc::Receiver<Ask>,
    handle: Judging,
}

/// The end of the judge's thread.
#[derive(Debug)]
pub struct Ended(Option<oneshot::Receiver<Result<(), JudgingError>>>);

impl Ended {
    /// Waits until everything that was fed is judged and published; at once when that was told before.
    ///
    /// # Errors
    /// When the judge stopped because it could not go on.
    pub async fn wait(&mut self) -> Result<(), JudgingError> {
        let Some(end) = &mut self.0 else { return Ok(()) };
        let result = end.await.unwrap_or(Err(JudgingError::Gone));
        self.0 = None;
        result
    }
}

/// How far back measurements are needed to go on as if there had been no restart.
#[must_use]
pub fn reach(plan: &Plan) -> Millis {
    let of = |p: &Policy| p.horizon.0 + p.soft_window.0 + p.soft_duration.0.max(p.hard_duration.0) + p.clear.0;
    Millis(plan.services.keys().map(|service| of(plan.policy_of(service))).max().unwrap_or(0))
}

impl Recovering {
    /// Reads what was published.
    ///
    /// # Errors
    /// When the verdict log cannot be read.
    pub fn begin(setup: Setup) -> Result<Self, JudgingError> {
        let (sender, asks) = mpsc::channel(ASKS_MAX);
        let owner = owner::Owner::begin(setup)?;
        let handle = Judging { asks: sender, board: owner.board() };
        Ok(Self { owner, asks, handle })
    }

    /// Puts measurements back that were stored before the restart.
    pub fn put_back(&mut self, samples: &Samples) {
        self.owner.put_back(samples);
    }

    /// Puts back a switch that was reported before.
    pub fn put_back_switch(&mut self, heard: &HeardSwitch) {
        self.owner.put_back_switch(heard);
    }

    /// Puts back how far an agent had delivered everything.
    pub fn put_back_frontier(&mut self, agent: &AgentId, through: WallTime) {
        self.owner.put_back_frontier(agent, through);
    }

    /// As [`Self::run`], but the judge is a task that the caller spawns, not a thread: for a simulation, where time is that of
    /// the runtime.
    pub fn run_as_task(
        self,
        inputs: mpsc::Receiver<JudgeInput>,
    ) -> (Judging, impl Future<Output = Result<(), JudgingError>> + use<>) {
        let Self { owner, asks, handle } = self;
        (handle, owner.run(inputs, asks))
    }

    /// Starts judging. The judge ends when all senders of `inputs` are gone and what they sent is judged.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn run(self, inputs: mpsc::Receiver<JudgeInput>) -> Result<(Judging, Ended), JudgingError> {
        let (ended, end) = oneshot::channel();
        let Self { owner, asks, handle } = self;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(JudgingError::Thread)?;
        let body = move || {
            let result = runtime.block_on(owner.run(inputs, asks));
            let _ = ended.send(result);
        };
        std::thread::Builder::new().name("judge".to_owned()).spawn(body).map_err(JudgingError::Thread)?;
        Ok((handle, Ended(Some(end))))
    }
}

impl Judging {
    /// What is published, and who wants to hear of it.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// What a service was judged to be; absent when the plan does not have the service or the judge has stopped.
    pub async fn timeline(&self, service: ServiceId, from: WallTime, to: WallTime) -> Option<Timeline> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask::Timeline { service, from, to, answer }).await.ok()?;
        answered.await.ok().flatten()
    }

    /// Waits until everything that was fed before is judged by the clock of now and published.
    pub async fn settle(&self) {
        let (answer, answered) = oneshot::channel();
        if self.asks.send(Ask::Settle(answer)).await.is_ok() {
            let _ = answered.await;
        }
    }
}

#[cfg(test)]
mod tests;
