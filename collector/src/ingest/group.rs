//! Which rows of a group are fresh, what is written of them, and who is told?
//!
//! Pure bookkeeping: the committer applies work to its state here, writes what comes out, and tells nobody before that
//! is on disk. The state runs ahead of the disk by one group; the committer writes that group until it succeeds.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::oneshot;
use uitwijk_model::{AgentId, BootId, Measurement, Sequence, WallTime};
use uitwijk_proto::columns::{self, Limits, ROWS_MAX, Rows};
use uitwijk_proto::v1::{self, LossReason, RefusalReason};

use super::JudgeInput;
use super::books::AllBooks;
use super::check::{Checked, Key};
use super::dedup::Dedup;
use super::mailbox::Refused;
use super::metrics::IngestMetrics;
use super::work::{Claim, Held, IncomingBatch, Lost, Peer, Permits, Work};
use crate::store::{Ledger, Mask, Names, RECORD_SPAN, RecordKey, Sample, Samples, StoredBatch, Writes, small};

/// Everything that a group changes and everybody who waits for it.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) writes: Writes,
    pub(super) accepted: Vec<Samples>,
    pub(super) frontiers: Vec<(AgentId, WallTime)>,
    pub(super) acknowledgements: Vec<(Arc<Peer>, BootId, Refused)>,
    pub(super) welcomes: Vec<(AgentId, Vec<BootId>, oneshot::Sender<Vec<v1::Cursor>>)>,
    pub(super) touched: BTreeSet<AgentId>,
    pub(super) rows: u64,
    pub(super) batches: u64,
    /// Held until the group is done.
    permits: Vec<Permits>,
    changed: BTreeSet<(AgentId, BootId)>,
}

impl Group {
    /// What the judge gets of it, once it is on disk.
    pub(super) fn judge_inputs(&mut self) -> impl Iterator<Item = JudgeInput> + use<> {
        let rows = std::mem::take(&mut self.accepted).into_iter().map(JudgeInput::Rows);
        let frontiers = std::mem::take(&mut self.frontiers).into_iter();
        rows.chain(frontiers.map(|(agent, through)| JudgeInput::Frontier { agent, through }))
    }
}

/// What the committer owns.
#[derive(Debug)]
pub(super) struct State {
    pub(super) books: AllBooks,
    pub(super) dedup: Dedup,
    /// The highest that was given to a record.
    pub(super) serial: u64,
    /// The most islands of a ledger beside those that it had from another collector; more are refused.
    pub(super) islands_max: usize,
    pub(super) metrics: IngestMetrics,
}

impl State {
    /// Applies a group. The chunks of all its slots must have been loaded.
    pub(super) fn apply(&mut self, work: Vec<Work>) -> Group {
        let mut group = Group::default();
        for work in work {
            match work {
                Work::Batch(batch) => self.batch(*batch, &mut group),
                Work::Lost(lost) => {
                    if self.lost(&lost, &mut group) {
                        group.acknowledgements.push((lost.peer, lost.boot, Refused::default()));
                    }
                }
                Work::Forgotten(lost) => drop(self.lost(&lost, &mut group)),
                Work::Held(held) => self.held(&held, &mut group),
                Work::Claim(agent, claim) => self.claim(agent, claim, &mut group),
                Work::Cursors(agent, boots, reply) => group.welcomes.push((agent, boots, reply)),
                // For those that wait for it, who are let in before there is a group.
                Work::Loaded(id, chunk) => self.dedup.insert(id, *chunk),
            }
        }
        self.advance_frontiers(&mut group);
        self.write_small(&mut group);
        group
    }

    fn batch(&mut self, mut batch: IncomingBatch, group: &mut Group) {
        let span = batch.span.clone();
        let _entered = span.enter();
        let range = batch.first_sequence..batch.first_sequence + u64::from(batch.count);
        let peer = batch.peer.clone();
        let Some(open) = self.open_parts(&peer, batch.boot, &range) else { return };
        let mut ledger = self.books.of_agent(&peer.agent).ledger(batch.boot).clone();
        let mut refused = Refused::default();
        let (fresh, names) = match batch.checked.take() {
            None => {
                refused.add(RefusalReason::Malformed, open.iter().map(|part| part.end - part.start).sum());
                (Vec::new(), Arc::default())
            }
            Some(checked) => {
                let is_open = |sequence: Sequence| open.iter().any(|part| part.contains(&sequence));
                let bad = checked.bad.iter().filter(|(row, _)| is_open(range.start + Sequence::from(*row)));
                bad.for_each(|(_, reason)| refused.add(*reason, 1));
                let Checked { good, keys, names, .. } = checked;
                (self.fresh(&peer.agent, good, &keys, &is_open, &mut ledger), names)
            }
        };
        refused.each().for_each(|(reason, rows)| self.metrics.refused(reason, rows));
        ledger.refused += refused.total();
        ledger.arrived = batch.arrived;
        if !open.is_empty() || !fresh.is_empty() {
            ledger.settle(range);
            group.changed.insert((peer.agent.clone(), batch.boot));
        }
        debug_assert!(ledger.balances(), "{ledger:?}");
        *self.books.of_agent(&peer.agent).ledger(batch.boot) = ledger;
        self.metrics.bytes.inc_by(batch.columns.len() as u64);
        group.rows += u64::from(batch.count);
        group.batches += 1;
        group.touched.insert(peer.agent.clone());
        group.acknowledgements.push((peer, batch.boot, refused));
        group.permits.push(std::mem::take(&mut batch.permits));
        self.record(&batch, fresh, names, group);
    }

    /// The parts of a range that are not settled, unless there are too many gaps below it: then its stream ends, and the
    /// agent comes back and sends from the cursor on.
    fn open_parts(&mut self, peer: &Peer, boot: BootId, range: &Range<Sequence>) -> Option<Vec<Range<Sequence>>> {
        let books = self.books.of_agent(&peer.agent);
        let islands_max = self.islands_max.saturating_add(books.adopted(boot));
        let ledger = books.ledger(boot);
        if ledger.can_settle(range, islands_max) {
            return Some(ledger.open_parts(range.clone()));
        }
        peer.mailbox.end(tonic::Status::resource_exhausted(format!(
            "boot {boot} has too many gaps above sequence {}: send from there on",
            ledger.next_sequence()
        )));
        None
    }

    /// Takes the slots of good rows. The ones that were free come back.
    fn fresh(
        &mut self,
        agent: &AgentId,
        good: Vec<Sample>,
        keys: &[Key],
        is_open: &dyn Fn(Sequence) -> bool,
        ledger: &mut Ledger,
    ) -> Vec<Sample> {
        let mut known = Vec::new();
        let (mut again, mut duplicate) = (0, 0);
        let mut rows = good.iter().zip(keys).enumerate().peekable();
        while let Some((_, (first, key))) = rows.peek() {
            let mut slots = self.dedup.series(agent, key.slot_length, first.slot);
            while let Some((at, (row, key))) = rows.next_if(|(_, (row, key))| slots.covers(key.slot_length, row.slot)) {
                let taken = !slots.take(key.target, row.slot, row.attempt);
                match (taken, is_open(row.sequence)) {
                    // Another number with the slot of this one: two attempts say that they are the same. The first stays,
                    // whatever the other says; contents are not compared.
                    (true, true) => duplicate += 1,
                    (true, false) => again += 1,
                    // A number that was written off may come after all: from a peer, or from an agent that was away.
                    (false, true) => ledger.stored += 1,
                    (false, false) => ledger.take_back(),
                }
                if taken {
                    known.push(at);
                }
            }
        }
        ledger.duplicate += duplicate;
        self.metrics.rows_duplicate.inc_by(duplicate);
        self.metrics.rows_again.inc_by(again);
        without(good, &known)
    }

    /// Writes the batch as it came when all of it is of about one time, else in pieces that are.
    fn record(&mut self, batch: &IncomingBatch, fresh: Vec<Sample>, names: Arc<Names>, group: &mut Group) {
        if fresh.is_empty() {
            return;
        }
        self.metrics.rows_stored.inc_by(fresh.len() as u64);
        match span_of(fresh.iter().map(|row| row.scheduled)) {
            Some((from, span_us)) => {
                let mask = mask_of(&fresh, batch);
                let key = self.next_key(batch, from, span_us, batch.first_sequence);
                let columns = batch.columns.clone();
                group.writes.batch(&stored(batch, key, batch.count, mask, columns));
            }
            None => self.record_pieces(batch, &fresh, group),
        }
        let (agent, boot) = (batch.peer.agent.clone(), batch.boot);
        group.accepted.push(Samples { agent, boot, names, rows: fresh });
    }

    fn record_pieces(&mut self, batch: &IncomingBatch, fresh: &[Sample], group: &mut Group) {
        let all = decoded(batch);
        for piece in pieces(fresh) {
            let Some((from, span_us)) = span_of(piece.iter().map(|row| row.scheduled)) else { continue };
            let rows: Vec<Measurement> = piece
                .iter()
                .filter_map(|row| all.row(row_of(batch, row)).ok())
                .map(|row| row.to_measurement())
                .collect();
            let how = v1::Compression::try_from(batch.compression).unwrap_or(v1::Compression::None);
            let columns = columns::encode(&rows);
            let count = columns.count;
            let key = self.next_key(batch, from, span_us, piece[0].sequence);
            group.writes.batch(&stored(batch, key, count, Mask::all(), columns::to_bytes(&columns, how)));
        }
    }

    fn next_key(&mut self, batch: &IncomingBatch, from: WallTime, span_us: u32, first: Sequence) -> RecordKey {
        self.serial += 1;
        let (agent, boot, serial) = (batch.peer.agent.clone(), batch.boot, self.serial);
        RecordKey { from, agent, boot, first_sequence: first, serial, span_us }
    }

    /// Writes off what is still open of a range; `false` when it had to be refused.
    fn lost(&mut self, lost: &Lost, group: &mut Group) -> bool {
        let range = lost.first_sequence..lost.first_sequence.saturating_add(lost.count);
        let Some(open) = self.open_parts(&lost.peer, lost.boot, &range) else { return false };
        let ledger = self.books.of_agent(&lost.peer.agent).ledger(lost.boot);
        let numbers: u64 = open.iter().map(|part| part.end - part.start).sum();
        if numbers > 0 {
            ledger.lost += numbers;
            ledger.arrived = lost.arrived;
            ledger.settle(range);
            self.metrics.lost(lost.reason, numbers);
            warn_of(lost, numbers);
            group.changed.insert((lost.peer.agent.clone(), lost.boot));
        }
        group.touched.insert(lost.peer.agent.clone());
        true
    }

    /// Writes off what is open in boots of which the agent has nothing left.
    fn held(&mut self, held: &Held, group: &mut Group) {
        for (boot, count) in self.books.of_agent(&held.peer.agent).with_gaps() {
            if !held.boots.contains(&boot) {
                let (peer, arrived) = (held.peer.clone(), held.arrived);
                let lost = Lost { peer, boot, first_sequence: 1, count, reason: LossReason::Forgotten, arrived };
                self.lost(&lost, group);
            }
        }
    }

    fn claim(&mut self, agent: AgentId, claim: Claim, group: &mut Group) {
        self.books.of_agent(&agent).claim(claim);
        group.touched.insert(agent);
    }

    fn advance_frontiers(&mut self, group: &mut Group) {
        for agent in &group.touched {
            if let Some(through) = self.books.of_agent(agent).advance() {
                group.frontiers.push((agent.clone(), through));
            }
        }
    }

    /// Ledgers with the rows that they count. A frontier alone is not worth a sync: it is claimed again after a start.
    fn write_small(&mut self, group: &mut Group) {
        for (agent, boot) in &group.changed {
            let books = self.books.of_agent(agent);
            group.writes.small.push(small::ledger(agent, *boot, books.find(*boot)));
            let forgotten = books.forget(*boot);
            group.writes.small.extend(forgotten.into_iter().map(|boot| small::ledger(agent, boot, None)));
            group.writes.small.extend(books.frontier().map(|through| small::frontier(agent, through)));
        }
        if !group.writes.batches.is_empty() {
            group.writes.small.push(small::serial(self.serial));
        }
    }
}

/// All but those at some places, which are in order; mostly there are none, and nothing is moved.
fn without(mut rows: Vec<Sample>, left_out: &[usize]) -> Vec<Sample> {
    let (mut at, mut left_out) = (0, left_out.iter().peekable());
    if left_out.peek().is_some() {
        rows.retain(|_| {
            at += 1;
            left_out.next_if(|&&out| out == at - 1).is_none()
        });
    }
    rows
}

fn warn_of(lost: &Lost, count: u64) {
    let (agent, boot, reason) = (&lost.peer.agent, lost.boot, lost.reason.as_str_name());
    if lost.reason == LossReason::Forgotten {
        tracing::warn!(%agent, %boot, count, reason,
            "measurements were acknowledged by a store that is no more: the agent has forgotten them, so they are lost here");
    } else {
        tracing::warn!(%agent, %boot, count, reason, "agent lost measurements");
    }
}

fn stored(batch: &IncomingBatch, key: RecordKey, count: u32, mask: Mask, columns: bytes::Bytes) -> StoredBatch {
    let (vantage, arrived) = (batch.peer.vantage.clone(), batch.arrived);
    StoredBatch { key, vantage, arrived, count, mask, columns, compression: batch.compression }
}

/// Number of a row in its batch.
fn row_of(batch: &IncomingBatch, row: &Sample) -> usize {
    usize::try_from(row.sequence - batch.first_sequence).unwrap_or(usize::MAX)
}

/// The rows of a batch in full. It was decoded before, by the task of its stream.
fn decoded(batch: &IncomingBatch) -> Rows {
    let v1_batch = v1::Batch {
        boot: batch.boot.0,
        first_sequence: batch.first_sequence,
        count: batch.count,
        columns: batch.columns.clone(),
        compression: batch.compression,
        traceparent: String::new(),
    };
    let any = Limits { bytes_max: usize::MAX, unpacked_bytes_max: 64 << 20, rows_max: ROWS_MAX };
    Rows::from_batch(&v1_batch, &any).expect("what was decoded once can be decoded again")
}

fn mask_of(fresh: &[Sample], batch: &IncomingBatch) -> Mask {
    let count = batch.count as usize;
    if fresh.len() == count {
        return Mask::all();
    }
    let mut mask = Mask::none(count);
    fresh.iter().for_each(|row| mask.set(row_of(batch, row)));
    mask
}

/// The earliest time, and the microseconds to the latest when a record may span as many.
fn span_of(times: impl Iterator<Item = WallTime>) -> Option<(WallTime, u32)> {
    let (from, to) = times.fold((i64::MAX, i64::MIN), |(a, b), t| (a.min(t.as_micros()), b.max(t.as_micros())));
    let span = u32::try_from(to.checked_sub(from)?).ok()?;
    (u64::from(span) <= RECORD_SPAN.0 * 1000).then_some((WallTime::from_micros(from), span))
}

/// Stretches of rows that follow each other without a gap and are of about one time.
fn pieces(rows: &[Sample]) -> Vec<&[Sample]> {
    let mut pieces = Vec::new();
    let (mut start, mut low, mut high) = (0, i64::MAX, i64::MIN);
    for (i, row) in rows.iter().enumerate() {
        let at = row.scheduled.as_micros();
        let (a, b) = (low.min(at), high.max(at));
        let gap = i > start && rows[i - 1].sequence + 1 != row.sequence;
        if gap || (i > start && span_of([a, b].map(WallTime::from_micros).into_iter()).is_none()) {
            pieces.push(&rows[start..i]);
            (start, low, high) = (i, at, at);
        } else {
            (low, high) = (a, b);
        }
    }
    pieces.push(&rows[start..]);
    pieces
}
