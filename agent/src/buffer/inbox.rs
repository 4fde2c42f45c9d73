//! How do measurements, acknowledgements and questions reach the owner of the buffer?
//!
//! Through one locked inbox that is bounded in every part: rows up to a limit, past which they are lost and
//! counted; acknowledgements folded to one per collector and boot; one question per reader. A channel would need
//! a bound on messages, which bounds no memory. The lock is only held to move pointers, so probing never waits for the disk.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use uitwijk_model::{BootId, Clock, Elapsed, Measurement, Sequence};

use super::reading::ReadRequest;

/// So many rows are committed without waiting for more.
const COMMIT_ROWS: usize = 8192;
/// Callers that may wait for a sync at one time.
const SYNCS_MAX: usize = 64;

/// Rows with adjacent sequences.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) first: Sequence,
    pub(super) rows: Vec<Measurement>,
}

impl Chunk {
    fn end(&self) -> Sequence {
        self.first + self.rows.len() as u64
    }
}

/// What waits for the owner.
#[derive(Debug)]
struct Waiting {
    chunks: VecDeque<Chunk>,
    rows: usize,
    /// When the oldest row came.
    since: Elapsed,
    next: Sequence,
    /// Ranges that found no room: first and one past the last.
    refused: Vec<(Sequence, Sequence)>,
    acknowledged: BTreeMap<(String, BootId), Sequence>,
    requests: BTreeMap<u64, ReadRequest>,
    syncs: Vec<oneshot::Sender<bool>>,
    closing: bool,
}

/// What the owner is to do next.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) chunks: VecDeque<Chunk>,
    pub(super) refused: Vec<(Sequence, Sequence)>,
    /// The sequence after everything in `chunks` and `refused`, when they were taken.
    pub(super) next: Option<Sequence>,
    pub(super) acknowledged: BTreeMap<(String, BootId), Sequence>,
    pub(super) requests: Vec<ReadRequest>,
    pub(super) syncs: Vec<oneshot::Sender<bool>>,
    pub(super) closing: bool,
}

/// The hand-over between everyone and the owner thread.
#[derive(Debug)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// The same for an owner that is a task.
    woken: Notify,
    rows_max: usize,
    commit_every: Elapsed,
    pace: Arc<dyn Clock>,
}

/// What became of appended rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The sequence of the first of them.
    pub first_sequence: Sequence,
    /// How many wait for their commit, counted from the first.
    pub taken: u64,
    /// How many found no room and are lost as `unwritable`.
    pub lost: u64,
}

impl Inbox {
    pub(super) fn new(rows_max: usize, commit_every: Duration, pace: Arc<dyn Clock>) -> Self {
        let waiting = Waiting {
            chunks: VecDeque::new(),
            rows: 0,
            since: Elapsed::default(),
            next: 1,
            refused: Vec::new(),
            acknowledged: BTreeMap::new(),
            requests: BTreeMap::new(),
            syncs: Vec::new(),
            closing: false,
        };
        let (waiting, wake, woken) = (Mutex::new(waiting), Condvar::new(), Notify::new());
        Self { waiting, wake, woken, rows_max, commit_every: commit_every.into(), pace }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn append(&self, mut rows: Vec<Measurement>) -> Appended {
        let mut waiting = self.lock();
        let room = if waiting.closing { 0 } else { self.rows_max.saturating_sub(waiting.rows) };
        let (first, all) = (waiting.next, rows.len());
        rows.truncate(room);
        let (taken, lost) = (rows.len(), all - rows.len());
        waiting.take(rows, || self.now());
        waiting.refuse(lost as u64);
        if waiting.rows == taken || waiting.rows >= COMMIT_ROWS || lost > 0 {
            self.wake();
        }
        Appended { first_sequence: first, taken: taken as u64, lost: lost as u64 }
    }

    pub(super) fn next_sequence(&self) -> Sequence {
        self.lock().next
    }

    pub(super) fn acknowledge(&self, collector: &str, boot: BootId, next: Sequence) {
        let mut waiting = self.lock();
        let to = waiting.acknowledged.entry((collector.to_owned(), boot)).or_default();
        *to = next.max(*to);
        self.wake();
    }

    /// Replaces the earlier request of the same reader, whose answer nobody waits for any more.
    pub(super) fn request(&self, reader: u64, request: ReadRequest) {
        let mut waiting = self.lock();
        if !waiting.closing {
            waiting.requests.insert(reader, request);
            self.wake();
        }
    }

    /// True will be sent when everything appended before is on disk; dropped unsent when too many wait.
    pub(super) fn sync(&self, done: oneshot::Sender<bool>) {
        let mut waiting = self.lock();
        if waiting.syncs.len() < SYNCS_MAX && !waiting.closing {
            waiting.syncs.push(done);
            self.wake();
        }
    }

    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.wake();
    }

    /// Waits until there is something to do, at most `idle`.
    pub(super) fn wait(&self, idle: Duration) -> Work {
        let until = self.after(idle);
        let mut waiting = self.lock();
        loop {
            let left = match self.due(&mut waiting, until) {
                Ok(work) => return work,
                Err(left) => left,
            };
            waiting = self.wake.wait_timeout(waiting, left.into()).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The same for an owner that is a task: its time is that of the runtime.
    pub(super) async fn waited(&self, idle: Duration) -> Work {
        let until = self.after(idle);
        loop {
            let left = match self.due(&mut self.lock(), until) {
                Ok(work) => return work,
                Err(left) => left,
            };
            let _ = tokio::time::timeout(left.into(), self.woken.notified()).await;
        }
    }

    /// What there is to do, or how long there is nothing.
    fn due(&self, waiting: &mut Waiting, until: Elapsed) -> Result<Work, Elapsed> {
        let now = self.now();
        let deadline = until.min(waiting.commit_at(self.commit_every).unwrap_or(until));
        let left = deadline.since(now);
        let due = waiting.is_urgent() || left == Elapsed::default();
        if due { Ok(waiting.give(self.commit_every, now)) } else { Err(left) }
    }

    fn wake(&self) {
        self.wake.notify_one();
        self.woken.notify_one();
    }

    /// Group commits keep the time of the machine, whatever clock names the moments.
    pub(super) fn now(&self) -> Elapsed {
        self.pace.elapsed()
    }

    fn after(&self, wait: Duration) -> Elapsed {
        Elapsed::from_micros(self.now().as_micros().saturating_add(Elapsed::from(wait).as_micros()))
    }
}

impl Waiting {
    fn take(&mut self, rows: Vec<Measurement>, now: impl FnOnce() -> Elapsed) {
        if rows.is_empty() {
            return;
        }
        if self.rows == 0 {
            self.since = now();
        }
        self.rows += rows.len();
        let first = self.next;
        self.next += rows.len() as u64;
        match self.chunks.back_mut() {
            Some(last) if last.end() == first => last.rows.extend(rows),
            _ => self.chunks.push_back(Chunk { first, rows }),
        }
    }

    fn refuse(&mut self, count: u64) {
        if count == 0 {
            return;
        }
        let (first, end) = (self.next, self.next + count);
        self.next = end;
        match self.refused.last_mut() {
            Some(last) if last.1 == first => last.1 = end,
            _ => self.refused.push((first, end)),
        }
    }

    fn commit_at(&self, commit_every: Elapsed) -> Option<Elapsed> {
        let at = Elapsed::from_micros(self.since.as_micros() + commit_every.as_micros());
        (self.rows > 0).then_some(at)
    }

    fn is_urgent(&self) -> bool {
        self.closing
            || self.rows >= COMMIT_ROWS
            || !self.refused.is_empty()
            || !self.acknowledged.is_empty()
            || !self.requests.is_empty()
            || !self.syncs.is_empty()
    }

    fn give(&mut self, commit_every: Elapsed, now: Elapsed) -> Work {
        let mut work = Work {
            acknowledged: std::mem::take(&mut self.acknowledged),
            requests: std::mem::take(&mut self.requests).into_values().collect(),
            syncs: std::mem::take(&mut self.syncs),
            closing: self.closing,
            ..Work::default()
        };
        let due = self.commit_at(commit_every).is_some_and(|at| at <= now);
        if due || self.rows >= COMMIT_ROWS || !self.refused.is_empty() || !work.syncs.is_empty() || self.closing {
            work.chunks = std::mem::take(&mut self.chunks);
            work.refused = std::mem::take(&mut self.refused);
            work.next = Some(self.next);
            self.rows = 0;
        }
        work
    }
}
