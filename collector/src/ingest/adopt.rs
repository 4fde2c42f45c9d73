//! How does a collector take in what another one has?
//!
//! As from an agent, but offline and without anybody to acknowledge to: rows are checked, compared with what is there, and written in
//! groups with their ledgers. What is there already changes nothing, so it may be done again, and ended at any moment.
//!
//! Rows come in order of time and not of number, so a ledger has many islands meanwhile. Those that are left at the end have numbers between
//! them that the other has no row of; the agent's next word tells which of those still come. So none is written off, unless there are
//! more than a ledger can hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use uitwijk_model::{AgentId, BootId, Clock, Record, Sequence, Vantage};
use uitwijk_proto::columns::{self, Limits, ROWS_MAX, Rows};
use uitwijk_proto::v1;

use super::books::{AgentBooks, AllBooks};
use super::check;
use super::dedup::Dedup;
use super::group::State;
use super::limits::IngestLimits;
use super::mailbox::{Mailbox, Refused};
use super::metrics::{IngestMetrics, refusal_label};
use super::order::Order;
use super::work::{IncomingBatch, Peer, Permits, Work};
use crate::plans::Plans;
use crate::store::{ISLANDS_ADOPTED_MAX, Ledger, Store, StoreError, small};

/// Nothing that was stored is too large to be stored again.
const LIMITS: Limits = Limits { bytes_max: 64 << 20, unpacked_bytes_max: 64 << 20, rows_max: ROWS_MAX };

/// What became of rows that were handed in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Handed in.
    pub rows: u64,
    /// Stored, because they were not there.
    pub stored: u64,
    /// Refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Numbers between them that were written off.
    pub written_off: u64,
}

/// A store that takes in what another has.
#[derive(Debug)]
pub struct Adopting {
    state: State,
    store: Store,
    plans: Arc<Plans>,
    clock: Arc<dyn Clock>,
    limits: IngestLimits,
    done: Adopted,
}

/// Rows that follow each other.
type Boots = BTreeMap<(AgentId, BootId, Vantage), Vec<(Sequence, uitwijk_model::Measurement)>>;

impl Adopting {
    /// Reads the small state of a store that nobody else has open.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn begin(
        store: Store,
        plans: Arc<Plans>,
        limits: IngestLimits,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let small = store.small()?;
        let dedup = Dedup::new(store.clone(), limits.dedup_bytes_max);
        let (books, serial, metrics) = (AllBooks::of(&small), small.serial, IngestMetrics::default());
        let state = State { books, dedup, serial, islands_max: usize::MAX, metrics };
        Ok(Self { state, store, plans, clock, limits, done: Adopted::default() })
    }

    /// The ledger of a boot, if it was ever heard of.
    #[must_use]
    pub fn ledger(&self, agent: &AgentId, boot: BootId) -> Option<&Ledger> {
        self.state.books.find(agent)?.find(boot)
    }

    /// What was done so far.
    #[must_use]
    pub const fn done(&self) -> &Adopted {
        &self.done
    }

    /// Takes rows in; those that were not there are on disk when it returns.
    ///
    /// # Errors
    /// When the store fails; what was taken in before stays.
    pub fn take(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        self.done.rows += records.len() as u64;
        let mut boots = Boots::new();
        for Record { agent, vantage, boot, sequence, measurement } in records {
            boots.entry((agent, boot, vantage)).or_default().push((sequence, measurement));
        }
        let mut work = Vec::new();
        for ((agent, boot, vantage), mut rows) in boots {
            rows.sort_by_key(|(sequence, _)| *sequence);
            rows.dedup_by_key(|(sequence, _)| *sequence);
            let peer = Arc::new(Peer { agent, vantage, mailbox: Mailbox::default() });
            for run in rows.chunk_by(|(a, _), (b, _)| a + 1 == *b).flat_map(|run| run.chunks(ROWS_MAX)) {
                work.push(self.batch(&peer, boot, run)?);
            }
        }
        self.commit(work)
    }

    fn batch(
        &mut self,
        peer: &Arc<Peer>,
        boot: BootId,
        run: &[(Sequence, uitwijk_model::Measurement)],
    ) -> Result<Work, StoreError> {
        let first_sequence = run.first().map_or(1, |(sequence, _)| *sequence);
        let rows: Vec<_> = run.iter().map(|(_, row)| row.clone()).collect();
        let batch = columns::batch(boot, first_sequence, &columns::encode(&rows), v1::Compression::Zstd);
        let bad =
            |why: String| StoreError::Damaged(format!("rows of {} {boot} from {first_sequence}: {why}", peer.agent));
        check::names_a_range(&batch).map_err(bad)?;
        let decoded = Rows::from_batch(&batch, &LIMITS).map_err(|e| bad(e.to_string()))?;
        let arrived = self.clock.wall();
        let times = check::Times::at(arrived, &self.limits, self.store.dropped_through());
        let checked = check::rows(&decoded, &mut Order::default(), &self.plans, &times, arrived);
        Ok(Work::Batch(Box::new(IncomingBatch {
            peer: peer.clone(),
            boot,
            first_sequence,
            count: batch.count,
            columns: batch.columns,
            compression: batch.compression,
            arrived,
            checked: Some(checked),
            span: tracing::Span::none(),
            permits: Permits::default(),
        })))
    }

    fn commit(&mut self, work: Vec<Work>) -> Result<(), StoreError> {
        self.state.dedup.load(&self.plans, work.iter().flat_map(Work::stretches))?;
        let mut group = self.state.apply(work);
        let refused = group.acknowledgements.iter().fold(Refused::default(), |mut all, (_, _, refused)| {
            all.merge(refused);
            all
        });
        for (reason, rows) in refused.each() {
            *self.done.refused.entry(refusal_label(reason)).or_default() += rows;
        }
        self.done.stored += group.accepted.iter().map(|accepted| accepted.rows.len() as u64).sum::<u64>();
        let (written_off, changes) = self.write_off(ISLANDS_ADOPTED_MAX);
        self.done.written_off += written_off;
        group.writes.small.extend(changes);
        if !group.writes.is_empty() {
            self.store.hot().write(&group.writes)?;
        }
        self.state.dedup.end_group();
        Ok(())
    }

    /// Nothing more comes.
    #[must_use]
    pub fn finish(self) -> Adopted {
        self.done
    }

    /// Writes off the lowest gaps of ledgers with more islands than that.
    fn write_off(&mut self, islands: usize) -> (u64, Vec<small::Change>) {
        let (mut numbers, mut changes) = (0, Vec::new());
        for (agent, books) in self.state.books.iter_mut() {
            for (boot, ledger) in AgentBooks::ledgers_mut(books) {
                let written_off = ledger.write_off_gaps(islands);
                if written_off > 0 {
                    numbers += written_off;
                    changes.push(small::ledger(agent, boot, Some(ledger)));
                }
            }
        }
        (numbers, changes)
    }
}
