//! Does sending anything twice, in any order, across restarts, change nothing?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uitwijk_model::{BootId, Measurement, WallTime};
use uitwijk_proto::columns::{Limits, Rows};
use uitwijk_proto::v1::LossReason;
use uitwijk_telemetry::Health;

use crate::ingest::board::Board;
use crate::ingest::books::AllBooks;
use crate::ingest::check;
use crate::ingest::committer::Committer;
use crate::ingest::dedup::Dedup;
use crate::ingest::group::State;
use crate::ingest::mailbox::Mailbox;
use crate::ingest::order::Order;
use crate::ingest::work::{IncomingBatch, Lost, Peer, Permits, Work};
use crate::ingest::{IngestLimits, IngestMetrics, JudgeInput};
use crate::plans::Plans;
use crate::store::tests::sealing::{remove_covered, seal_all};
use crate::store::{ISLANDS_MAX, MemoryStore, Objects, Store};
use crate::testing::{NOW, TestClock, agent_id, batch, plan, row, slot_now, told, told_of, vantage};

/// What an agent's boot measured, or did not live to deliver.
pub(super) fn row_of(boot: u64, sequence: u64) -> Measurement {
    // Two boots and a few sequences collide on purpose: an agent that restarts within a slot.
    let target = ["exchange/default@NL", "control:ctl-0", "nobody"][usize::try_from(sequence % 7 % 3).unwrap()];
    let slot = slot_now() - i64::try_from(sequence * 37 % 900).unwrap();
    row(target, slot, u8::try_from(sequence % 5 / 4).unwrap(), boot * 1000 + sequence)
}

#[derive(Debug, Clone)]
enum Step {
    Send {
        boot: u64,
        first: u64,
        count: u64,
    },
    Lose {
        boot: u64,
        first: u64,
        count: u64,
    },
    Commit,
    Restart,
    /// Every hour with something to seal.
    Seal,
    RemoveCovered,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let range = (1u64..3, 1u64..60, 1u64..20);
    let step = prop_oneof![
        8 => range.clone().prop_map(|(boot, first, count)| Step::Send { boot, first, count }),
        1 => range.prop_map(|(boot, first, count)| Step::Lose { boot, first, count }),
        4 => Just(Step::Commit),
        1 => Just(Step::Restart),
        1 => Just(Step::Seal),
        1 => Just(Step::RemoveCovered),
    ];
    prop::collection::vec(step, 1..60)
}

pub(super) fn committer(store: Store, judge: mpsc::Sender<JudgeInput>, dedup_bytes_max: usize) -> Committer {
    let small = store.small().unwrap();
    let books = AllBooks::of(&small);
    let dedup = Dedup::new(store.clone(), dedup_bytes_max);
    Committer {
        state: State {
            books,
            dedup,
            serial: small.serial,
            islands_max: ISLANDS_MAX,
            metrics: IngestMetrics::default(),
        },
        store,
        plans: Arc::new(Plans::fixed(plan(1, 1))),
        clock: TestClock::at(NOW),
        pace: TestClock::at(NOW),
        board: Arc::new(Board::default()),
        health: Health::default(),
        judge,
        group_rows_max: 1000,
        queue: mpsc::channel(1).0.downgrade(),
        give_up: CancellationToken::new(),
    }
}

pub(super) fn incoming(peer: &Arc<Peer>, plans: &Plans, boot: u64, first: u64, count: u64) -> Work {
    let rows: Vec<Measurement> = (first..first + count).map(|sequence| row_of(boot, sequence)).collect();
    let batch = batch(boot, first, &rows);
    let decoded = Rows::from_batch(&batch, &Limits::default()).unwrap();
    let times = check::Times::at(NOW, &IngestLimits::default(), WallTime::from_micros(i64::MIN));
    Work::Batch(Box::new(IncomingBatch {
        peer: peer.clone(),
        boot: BootId(boot),
        first_sequence: first,
        count: batch.count,
        columns: batch.columns,
        compression: batch.compression,
        arrived: NOW,
        checked: Some(check::rows(&decoded, &mut Order::default(), plans, &times, NOW)),
        span: tracing::Span::none(),
        permits: Permits::default(),
    }))
}

/// The rule in plain words: of all rows that came and are good, the first of each natural key.
#[derive(Default)]
struct Model {
    stored: BTreeMap<(String, i64, u8), Measurement>,
    settled: BTreeMap<u64, BTreeSet<u64>>,
}

impl Model {
    fn send(&mut self, boot: u64, first: u64, count: u64) {
        for sequence in first..first + count {
            let row = row_of(boot, sequence);
            if row.target.as_str() != "nobody" {
                let key = (row.target.to_string(), row.slot.0, row.attempt);
                self.stored.entry(key).or_insert(row);
            }
        }
        self.settle(boot, first, count);
    }

    fn settle(&mut self, boot: u64, first: u64, count: u64) {
        self.settled.entry(boot).or_default().extend(first..first + count);
    }
}

fn check(steps: &[Step], dedup_bytes_max: usize) -> Result<(), TestCaseError> {
    let (hot, objects) = (Arc::new(MemoryStore::default()), Objects::memory());
    let open = || Store::joined(hot.clone(), objects.clone()).unwrap();
    let peer = Arc::new(Peer { agent: agent_id("nl-1"), vantage: vantage("NL", "1"), mailbox: Mailbox::default() });
    let (judge, mut judged) = mpsc::channel(10_000);
    let mut committer_now = committer(open(), judge.clone(), dedup_bytes_max);
    let mut model = Model::default();
    let mut waiting: Vec<(Work, Step)> = Vec::new();
    for step in steps.iter().chain([&Step::Commit]) {
        match step {
            Step::Send { boot, first, count } => {
                waiting.push((incoming(&peer, &committer_now.plans, *boot, *first, *count), step.clone()));
            }
            Step::Lose { boot, first, count } => {
                let (peer, boot, first_sequence, count) = (peer.clone(), BootId(*boot), *first, *count);
                let lost = Lost { peer, boot, first_sequence, count, reason: LossReason::Expired, arrived: NOW };
                waiting.push((Work::Lost(lost), step.clone()));
            }
            Step::Commit => {
                let (work, sent): (Vec<Work>, Vec<Step>) = waiting.drain(..).unzip();
                prop_assert!(committer_now.load(&work).and_then(|()| committer_now.commit(work)).is_some());
                for step in sent {
                    match step {
                        Step::Send { boot, first, count } => model.send(boot, first, count),
                        Step::Lose { boot, first, count } => model.settle(boot, first, count),
                        _ => unreachable!("they do not wait"),
                    }
                }
            }
            // What was not committed is gone, as with a process that dies.
            Step::Restart => {
                waiting.clear();
                committer_now = committer(open(), judge.clone(), dedup_bytes_max);
            }
            Step::Seal => seal_all(&committer_now.store, 7),
            Step::RemoveCovered => remove_covered(&committer_now.store),
        }
    }
    let key = |m: &Measurement| (m.target.to_string(), m.slot.0, m.attempt);
    let (mut named_in_store, mut named_to_judge) = (BTreeSet::new(), BTreeSet::new());
    let mut stored = BTreeMap::new();
    for accepted in open().recover(WallTime::from_micros(i64::MIN)) {
        let accepted = accepted.unwrap();
        prop_assert_eq!(accepted.sequences.len(), accepted.rows.len());
        named_in_store.extend(accepted.sequences.iter().map(|n| (accepted.boot.0, *n)));
        for row in accepted.rows {
            prop_assert!(stored.insert(key(&row), row).is_none(), "stored twice");
        }
    }
    prop_assert_eq!(&stored, &model.stored);
    let mut judged_rows = Vec::new();
    while let Ok(JudgeInput::Rows(samples)) = judged.try_recv() {
        named_to_judge.extend(samples.rows.iter().map(|row| (samples.boot.0, row.sequence)));
        judged_rows.extend(told(&samples));
    }
    judged_rows.sort();
    let mut wanted = told_of(model.stored.values());
    wanted.sort();
    prop_assert_eq!(&judged_rows, &wanted);
    let from_store = open().samples(WallTime::from_micros(i64::MIN)).flat_map(|samples| told(&samples.unwrap()));
    let mut from_store: Vec<String> = from_store.collect();
    from_store.sort();
    prop_assert_eq!(&from_store, &wanted);
    prop_assert_eq!(named_in_store.len(), model.stored.len());
    prop_assert_eq!(&named_in_store, &named_to_judge);
    for (_, boot, ledger) in open().small().unwrap().ledgers {
        let settled = &model.settled[&boot.0];
        prop_assert!(ledger.balances());
        prop_assert_eq!(ledger.settled(), settled.len() as u64);
        // A number that was written off and came after all counts as what it is.
        prop_assert_eq!(ledger.stored, named_in_store.iter().filter(|(of, _)| *of == boot.0).count() as u64);
        prop_assert_eq!(ledger.next_sequence(), (1..).find(|n| !settled.contains(n)).unwrap());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_sent_is_stored_and_judged_once(steps in steps()) {
        check(&steps, 512 << 20)?;
    }

    /// Every bitmap is dropped after its group and read back from the store.
    #[test]
    fn it_holds_without_memory_for_bitmaps(steps in steps()) {
        check(&steps, 0)?;
    }
}
