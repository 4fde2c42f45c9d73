//! Who owns the schedule, and how do its turns become measurements?
//!
//! One task owns the ring, the running turns and the waiting retries. It waits for an event (a turn is due, an attempt
//! ended, the plan changed, stop), applies it, and hands the rows that came of it to the buffer. Attempts run as tasks
//! of their own, one per attempt, and only ever give their measurement back.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uitwijk_model::{AgentId, Clock, Measurement, Observer, Sequence, TargetId, Unmeasured, WallTime};

use super::flights::{Flight, Flights};
use super::turn::{attempt, retry_at, unmeasured};
use super::{Ring, Step, Turn, Work};
use crate::metrics::ScheduleMetrics;

/// The schedule looks at the clock at least so often, so that a step of it is noticed soon.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Rows that are handed to the buffer at once.
const ROWS_MAX: usize = 512;

/// Where measurements go.
pub trait Recorder: Send + 'static {
    /// Takes rows in order and gives each the next sequence. Must not wait for a disk or a collector; what it cannot
    /// keep, it counts. Answers with the sequence after the last.
    fn record(&mut self, rows: Vec<Measurement>) -> impl Future<Output = Sequence> + Send;
}

/// Up to where the schedule is complete: every turn due before `through` has a sequence below `next_sequence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Complete {
    /// Time on the agent's clock.
    pub through: WallTime,
    /// The first sequence that is not given yet.
    pub next_sequence: Sequence,
}

/// What a runner needs to know.
pub struct RunnerOptions {
    /// Who probes; part of the place of each target within a slot.
    pub agent: AgentId,
    /// Attempts that may run at one moment.
    pub in_flight_max: u32,
    /// Slots per target written down as missed after a pause.
    pub missed_slots_max: u32,
    /// Running attempts may go on so long after a stop.
    pub grace: Duration,
    /// Both clocks.
    pub clock: Arc<dyn Clock>,
    /// How the observer is now, for turns without an attempt.
    pub observer: Arc<dyn Fn() -> Observer + Send + Sync>,
    /// What to count.
    pub metrics: Arc<ScheduleMetrics>,
}

/// The owner of the schedule.
pub struct Runner<R> {
    options: RunnerOptions,
    ring: Ring,
    work: Work,
    /// Where other work comes from; `None` once nobody can give any.
    changes: Option<watch::Receiver<Work>>,
    flights: Flights,
    attempts: JoinSet<(TargetId, Measurement)>,
    /// Who an attempt belongs to, for one that panicked and cannot say.
    owners: HashMap<Id, TargetId>,
    /// Retries that wait for their time.
    retries: BTreeMap<(WallTime, TargetId), ()>,
    rows: Vec<Measurement>,
    recorder: R,
    complete: watch::Sender<Complete>,
    next_sequence: Sequence,
}

impl<R: Recorder> Runner<R> {
    /// A runner for the work there is, as it changes, and a view on how far it is complete.
    #[must_use]
    pub fn new(
        options: RunnerOptions,
        mut changes: watch::Receiver<Work>,
        recorder: R,
    ) -> (Self, watch::Receiver<Complete>) {
        let now = options.clock.wall();
        let work = changes.borrow_and_update().clone();
        let mut ring = Ring::new(options.agent.clone(), work.slot, options.missed_slots_max);
        ring.set_targets(work.slot, work.targets.keys().cloned(), now);
        let (complete, receiver) = watch::channel(Complete { through: now, next_sequence: 1 });
        let runner = Self {
            flights: Flights::new(options.in_flight_max),
            ring,
            work,
            changes: Some(changes),
            options,
            attempts: JoinSet::new(),
            owners: HashMap::new(),
            retries: BTreeMap::new(),
            rows: Vec::new(),
            recorder,
            complete,
            next_sequence: 1,
        };
        (runner, receiver)
    }

    /// Probes until `stop`, then lets running attempts end within the grace, and gives the recorder back.
    pub async fn run(mut self, stop: CancellationToken) -> R {
        loop {
            let wake = self.due();
            self.flush().await;
            let wait = wake.map_or(LOOK_AGAIN, |at| self.until(at).min(LOOK_AGAIN));
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                work = next_work(&mut self.changes) => self.take_work(work),
                Some(ended) = self.attempts.join_next_with_id() => self.ended(ended),
                () = tokio::time::sleep(wait) => {}
            }
            while let Some(ended) = self.attempts.try_join_next_with_id() {
                self.ended(ended);
            }
        }
        self.finish().await;
        self.recorder
    }

    /// Deals with everything that is due and tells when something is due next.
    fn due(&mut self) -> Option<WallTime> {
        let now = self.options.clock.wall();
        self.ring.tell_time(now, self.options.clock.elapsed());
        let next_retry = self.begin_retries(now);
        while self.rows.len() < ROWS_MAX {
            match self.ring.step(now) {
                Step::Take(turn) => self.take(turn, now),
                Step::Miss(turn, reason) => self.miss(&turn, reason, now),
                Step::Silent { turns, until } => {
                    self.options.metrics.silent.inc_by(turns);
                    tracing::warn!(turns, %until, "turns too long ago to write down as missed");
                }
                Step::WentBack { expected } => {
                    tracing::warn!(%expected, %now, "clock went back by more than a slot; slots will repeat");
                }
                Step::Wait(at) => return Some(next_retry.map_or(at, |retry| retry.min(at))),
                Step::Idle => return next_retry,
            }
        }
        // There is more to do at once, after these rows are handed over.
        Some(now)
    }

    fn take(&mut self, turn: Turn, now: WallTime) {
        let flight = Flight { slot: turn.slot, scheduled: turn.scheduled, attempt: 0 };
        match self.flights.begin(&turn.target, flight) {
            Ok(()) => {
                self.options.metrics.late(now.micros_since(turn.scheduled));
                self.begin(turn, 0);
            }
            Err(reason) => self.miss(&turn, reason, now),
        }
    }

    fn miss(&mut self, turn: &Turn, reason: Unmeasured, now: WallTime) {
        self.rows.push(unmeasured(turn, 0, reason, now, (self.options.observer)()));
    }

    fn begin(&mut self, turn: Turn, number: u8) {
        let Some(probe) = self.work.targets.get(&turn.target).cloned() else {
            self.flights.end(&turn.target);
            return;
        };
        let target = turn.target.clone();
        let handle = self.attempts.spawn(attempt(probe, turn, number, self.options.clock.clone()));
        self.owners.insert(handle.id(), target);
        self.count_in_flight();
    }

    fn begin_retries(&mut self, now: WallTime) -> Option<WallTime> {
        while let Some((&(at, _), ())) = self.retries.first_key_value() {
            if at > now {
                return Some(at);
            }
            let Some(((_, target), ())) = self.retries.pop_first() else { break };
            let Some(flight) = self.flights.get_mut(&target).copied() else { continue };
            self.begin(Turn { target, slot: flight.slot, scheduled: flight.scheduled }, flight.attempt);
        }
        None
    }

    fn ended(&mut self, ended: Result<(Id, (TargetId, Measurement)), JoinError>) {
        match ended {
            Ok((id, (target, measurement))) => {
                self.owners.remove(&id);
                self.measured(target, measurement);
            }
            Err(error) => self.broken(&error),
        }
        self.count_in_flight();
    }

    fn measured(&mut self, target: TargetId, measurement: Measurement) {
        let now = self.options.clock.wall();
        let probe = self.work.targets.get(&target);
        let retry = probe.and_then(|probe| retry_at(now, self.ring.slot(), probe.as_ref(), &measurement));
        match (retry, self.flights.get_mut(&target)) {
            (Some(at), Some(flight)) => {
                flight.attempt = measurement.attempt + 1;
                self.retries.insert((at, target), ());
            }
            _ => {
                self.flights.end(&target);
            }
        }
        self.rows.push(measurement);
    }

    /// An attempt that was cut off by the stop, or that panicked.
    fn broken(&mut self, error: &JoinError) {
        let Some(target) = self.owners.remove(&error.id()) else { return };
        let Some(flight) = self.flights.end(&target) else { return };
        let reason = if error.is_cancelled() { Unmeasured::Stopped } else { Unmeasured::Local };
        if error.is_panic() {
            tracing::error!(target_id = %target, %error, "probe panicked");
        }
        let turn = Turn { target, slot: flight.slot, scheduled: flight.scheduled };
        let now = self.options.clock.wall();
        self.rows.push(unmeasured(&turn, flight.attempt, reason, now, (self.options.observer)()));
    }

    fn take_work(&mut self, work: Work) {
        self.ring.set_targets(work.slot, work.targets.keys().cloned(), self.options.clock.wall());
        self.work = work;
    }

    /// Hands the rows over, then tells how far the schedule is complete.
    async fn flush(&mut self) {
        while !self.rows.is_empty() {
            let rest = self.rows.split_off(self.rows.len().min(ROWS_MAX));
            let rows = std::mem::replace(&mut self.rows, rest);
            self.next_sequence = self.recorder.record(rows).await;
        }
        let through = self.ring.through(self.options.clock.wall());
        let through = self.flights.oldest().map_or(through, |oldest| oldest.min(through));
        let complete = Complete { through, next_sequence: self.next_sequence };
        self.complete.send_if_modified(|old| std::mem::replace(old, complete) != complete);
    }

    /// Lets running attempts end until the grace is over, then cuts off and marks the rest.
    async fn finish(&mut self) {
        self.retries.clear();
        let deadline = Instant::now() + self.options.grace;
        while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, self.attempts.join_next_with_id()).await {
            self.ended(ended);
        }
        self.attempts.abort_all();
        while let Some(ended) = self.attempts.join_next_with_id().await {
            self.ended(ended);
        }
        self.flights = Flights::new(0);
        self.flush().await;
    }

    fn until(&self, at: WallTime) -> Duration {
        let us = at.micros_since(self.options.clock.wall());
        Duration::from_micros(u64::try_from(us).unwrap_or(0))
    }

    fn count_in_flight(&self) {
        self.options.metrics.in_flight.set(i64::try_from(self.attempts.len()).unwrap_or(i64::MAX));
    }
}

/// The next change of the work; waits for good when there can be none.
async fn next_work(changes: &mut Option<watch::Receiver<Work>>) -> Work {
    if let Some(receiver) = changes {
        if receiver.changed().await.is_ok() {
            return receiver.borrow_and_update().clone();
        }
        *changes = None;
    }
    std::future::pending().await
}
