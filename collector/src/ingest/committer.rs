//! How do many small messages become few syncs, and what happens when the disk fails?
//!
//! One thread takes what waits, up to a bound, applies it (group.rs), writes it with one sync, and only then acknowledges. While
//! it syncs, the next group gathers in the queue: the slower the disk, the larger the groups. On a quick disk a thousand agents would
//! ask for a thousand syncs a second, so groups begin some milliseconds apart; what comes after a silence waits for nothing.
//!
//! When the disk fails, the same group is written again until it succeeds. Nothing is acknowledged meanwhile, the queue
//! fills, the streams stop reading, and the agents keep what they measure. Writing a group twice changes nothing: its keys
//! are made once.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::info_span;
use uitwijk_model::{Clock, Elapsed};
use uitwijk_telemetry::Health;
use uitwijk_telemetry::context::{add_link, traceparent_of};

use super::JudgeInput;
use super::aside::Aside;
use super::board::Board;
use super::group::{Group, State};
use super::metrics::seconds;
use super::work::Work;
use crate::plans::Plans;
use crate::store::{Store, StoreError};

/// The condition of [`Health`] that says whether the store takes writes.
pub const HEALTH_CONDITION: &str = "store";

const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// From the begin of one group to that of the next. So a stream gets so many batches acknowledged in this time as it may have under
/// way: an agent that drains has 16 of 2048 rows, 1.6 million rows a second.
pub(super) const APART: Duration = Duration::from_millis(20);
/// The rows of so many groups may wait for hours that are far away.
const GROUPS_ASIDE: usize = 4;

/// What the thread works with.
pub(super) struct Committer {
    pub(super) state: State,
    pub(super) store: Store,
    pub(super) plans: Arc<Plans>,
    pub(super) clock: Arc<dyn Clock>,
    /// By which groups begin apart; a clock that stands still would keep them apart for ever.
    pub(super) pace: Arc<dyn Clock>,
    pub(super) board: Arc<Board>,
    pub(super) health: Health,
    pub(super) judge: mpsc::Sender<JudgeInput>,
    pub(super) group_rows_max: usize,
    /// The queue itself, for what is read from afar meanwhile.
    pub(super) queue: mpsc::WeakSender<Work>,
    /// Ends the waiting for a failing disk.
    pub(super) give_up: CancellationToken,
}

/// A committer that runs. It ends when the service and all streams are gone, after the queue is empty.
#[derive(Debug)]
pub struct CommitterHandle {
    pub(super) thread: JoinHandle<()>,
    pub(super) give_up: CancellationToken,
    /// The thread has ended, however.
    pub(super) over: CancellationToken,
}

impl CommitterHandle {
    /// Waits until the thread has ended, in order or by a panic.
    pub async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Waits until everything that came in is on disk and acknowledged. After `grace` it no longer waits for a disk that
    /// fails; what is not acknowledged is still with the agents. `false` when it came to that.
    pub async fn ended(self, grace: Duration) -> bool {
        let give_up = self.give_up.clone();
        let mut join = tokio::task::spawn_blocking(move || self.thread.join().is_ok());
        match tokio::time::timeout(grace, &mut join).await {
            Ok(joined) => joined.unwrap_or(false),
            Err(_) => {
                give_up.cancel();
                let _ = tokio::time::timeout(grace, join).await;
                false
            }
        }
    }
}

impl Committer {
    /// Starts the thread.
    pub(super) fn spawn(mut self, mut queue: mpsc::Receiver<Work>) -> std::io::Result<CommitterHandle> {
        let give_up = self.give_up.clone();
        self.health.set(HEALTH_CONDITION, Ok(()));
        let over = CancellationToken::new();
        let ending = over.clone().drop_guard();
        let run = move || {
            // Dropped at the end, and by a panic too.
            let _ending = ending;
            let mut aside = self.aside();
            let mut begun: Option<Elapsed> = None;
            while let Some(first) = queue.blocking_recv() {
                let passed = begun.map_or(APART, |begun| self.pace.elapsed().since(begun).into());
                std::thread::sleep(APART.saturating_sub(passed));
                begun = Some(self.pace.elapsed());
                let work = gather(first, &mut queue, self.group_rows_max);
                self.state.metrics.queue_depth.set(i64::try_from(queue.len()).unwrap_or(i64::MAX));
                let committed = self.ready(&mut aside, work).and_then(|work| self.commit(work));
                if committed.is_none() {
                    tracing::warn!("gave up a group that the store did not take; agents keep it");
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("committer".into()).spawn(run)?;
        Ok(CommitterHandle { thread, give_up, over })
    }

    /// What need not wait for an hour that is far away, with what is known of its hours in memory. Where an hour turns out to be
    /// far when it is read, since its copy is not what was put there, its batches wait after all.
    fn ready(&mut self, aside: &mut Aside, work: Vec<Work>) -> Option<Vec<Work>> {
        let mut work = aside.admit(work, &mut self.state.dedup);
        self.until_it_works(|this| {
            while let Err(error) = load_chunks(&mut this.state, &this.plans, &work) {
                let before = work.len();
                work = aside.admit(std::mem::take(&mut work), &mut this.state.dedup);
                if work.len() == before {
                    return Err(error);
                }
            }
            Ok(())
        })?;
        // Hours may have gone since their rows came, and with them what is known of those.
        let earliest = self.store.dropped_through();
        for work in &mut work {
            let Work::Batch(batch) = work else { continue };
            let first = batch.first_sequence;
            batch.checked.iter_mut().for_each(|checked| checked.refuse_before(earliest, first));
        }
        Some(work)
    }

    fn aside(&self) -> Aside {
        let (store, plans, queue) = (self.store.clone(), self.plans.clone(), self.queue.clone());
        let rows_max = self.group_rows_max.saturating_mul(GROUPS_ASIDE);
        Aside::new(store, plans, queue, rows_max, self.give_up.clone(), self.state.metrics.clone())
    }

    /// Without pauses as a task, for a simulation in one thread: a store near by that does not fail, and time that is the runtime's.
    pub(super) async fn run_as_task(mut self, mut queue: mpsc::Receiver<Work>) {
        self.health.set(HEALTH_CONDITION, Ok(()));
        while let Some(first) = queue.recv().await {
            let work = gather(first, &mut queue, self.group_rows_max);
            let Some(mut group) = self.load(&work).and_then(|()| self.write(work)) else { return };
            for input in group.judge_inputs() {
                let _ = self.judge.send(input).await;
            }
            self.acknowledge(group);
        }
    }

    /// What is known of the hours of a group comes into memory.
    pub(super) fn load(&mut self, work: &[Work]) -> Option<()> {
        self.until_it_works(|this| load_chunks(&mut this.state, &this.plans, work))
    }

    /// Writes a group, and tells the judge and then the agents. Nothing when the disk failed until it was told to give up. What is
    /// known of the hours of its rows must be in memory.
    pub(super) fn commit(&mut self, work: Vec<Work>) -> Option<()> {
        if work.is_empty() {
            return Some(());
        }
        let mut group = self.write(work)?;
        for input in group.judge_inputs() {
            // Without a judge the store still fills; a start recovers what the judge missed.
            let _ = self.judge.blocking_send(input);
        }
        self.acknowledge(group);
        Some(())
    }

    /// Everything in the group that it answers is on disk, and nobody was told yet.
    fn write(&mut self, work: Vec<Work>) -> Option<Group> {
        let began = self.clock.elapsed();
        let span = info_span!("commit", rows = tracing::field::Empty, batches = tracing::field::Empty);
        let _entered = span.clone().entered();
        link(&span, &work);
        let group = self.state.apply(work);
        span.record("rows", group.rows).record("batches", group.batches);
        if !group.writes.is_empty() {
            let times = self.until_it_works(|this| this.store.hot().write(&group.writes))?;
            self.state.metrics.commits.inc();
            self.state.metrics.commit_seconds.observe(seconds(times.total));
            self.state.metrics.sync_seconds.observe(seconds(times.sync));
        }
        self.count(began);
        Some(group)
    }

    /// Tries again until the store does it, or nobody wants it any more.
    fn until_it_works<T>(&mut self, mut attempt: impl FnMut(&mut Self) -> Result<T, StoreError>) -> Option<T> {
        let mut pause = RETRY_FIRST;
        loop {
            match attempt(self) {
                Ok(done) => {
                    if pause > RETRY_FIRST {
                        self.state.metrics.store_writable.set(1);
                        self.health.set(HEALTH_CONDITION, Ok(()));
                    }
                    return Some(done);
                }
                Err(error) => self.failed(&error),
            }
            if self.give_up.is_cancelled() {
                return None;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    fn failed(&self, error: &StoreError) {
        self.state.metrics.commit_failures.inc();
        if self.state.metrics.store_writable.set(0) != 0 {
            tracing::error!(%error, "the store does not take writes: nothing is acknowledged until it does");
        }
        self.health.set(HEALTH_CONDITION, Err(error.to_string()));
    }

    /// Tells the agents of what is on disk and was handed on to the judge.
    fn acknowledge(&mut self, group: Group) {
        let metrics = &self.state.metrics;
        metrics.batches.inc_by(group.batches);
        if group.rows > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a group has far fewer rows than 2^53")]
            metrics.group_rows.observe(group.rows as f64);
        }
        for (peer, boot, refused) in &group.acknowledgements {
            let ledger = self.state.books.find(&peer.agent).and_then(|books| books.find(*boot));
            peer.mailbox.acknowledge(*boot, ledger.map_or(1, crate::store::Ledger::next_sequence), refused);
        }
        for (agent, boots, reply) in group.welcomes {
            // The stream may be gone already.
            let _ = reply.send(cursors(&self.state, &agent, &boots));
        }
        for agent in &group.touched {
            if let Some(books) = self.state.books.find(agent) {
                self.board.ledgers(agent, books.to_messages());
            }
        }
    }

    fn count(&mut self, began: Elapsed) {
        let bytes = self.state.dedup.end_group();
        let metrics = &self.state.metrics;
        metrics.dedup_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        metrics.dedup_loads.inc_by(std::mem::take(&mut self.state.dedup.loads));
        metrics.committer_busy_seconds.inc_by(seconds(self.clock.elapsed().since(began)));
    }
}

/// What waits, up to a number of rows.
fn gather(first: Work, queue: &mut mpsc::Receiver<Work>, rows_max: usize) -> Vec<Work> {
    let mut rows = first.rows();
    let mut work = vec![first];
    while rows < rows_max {
        let Ok(next) = queue.try_recv() else { break };
        rows += next.rows();
        work.push(next);
    }
    work
}

/// The one step of a group that reads the disk comes before all that change something, so that it can be tried again.
fn load_chunks(state: &mut State, plans: &Plans, work: &[Work]) -> Result<(), StoreError> {
    state.dedup.load(plans, work.iter().flat_map(Work::stretches))
}

fn cursors(
    state: &State,
    agent: &uitwijk_model::AgentId,
    boots: &[uitwijk_model::BootId],
) -> Vec<uitwijk_proto::v1::Cursor> {
    let books = state.books.find(agent);
    let cursor = |boot: &uitwijk_model::BootId| {
        let next_sequence = books?.find(*boot)?.next_sequence();
        Some(uitwijk_proto::v1::Cursor { boot: boot.0, next_sequence })
    };
    boots.iter().filter_map(cursor).collect()
}

/// A commit has many batches, so it is linked to them and not a child of one.
fn link(span: &tracing::Span, work: &[Work]) {
    if span.is_disabled() {
        return;
    }
    for work in work.iter().take(32) {
        let Work::Batch(batch) = work else { continue };
        if let Some(parent) = traceparent_of(&batch.span) {
            add_link(span, &parent);
        }
    }
}
