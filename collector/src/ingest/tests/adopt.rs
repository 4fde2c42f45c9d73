//! Does taking in what a peer has, in any order and again, give what the peer has, and ledgers that count it?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use tokio::sync::mpsc;
use uitwijk_model::{BootId, Record, WallTime};
use uitwijk_proto::v1::LossReason;

use super::exactly_once::{committer, incoming, row_of};
use super::world::{World, limits, peer};
use crate::ingest::mailbox::Mailbox;
use crate::ingest::work::{Lost, Peer, Work};
use crate::ingest::{Adopted, Adopting, IngestLimits};
use crate::plans::Plans;
use crate::store::tests::sealing::{remove_covered, seal_all};
use crate::store::{MemoryStore, Objects, Store};
use crate::testing::{NOW, TestClock, agent_id, batch, plan, row, slot_now, vantage};

type Key = (String, i64, u8);

const BOOTS: std::ops::Range<u64> = 1..3;
/// Enough for more gaps than a ledger keeps.
const SEQUENCES: std::ops::Range<u64> = 1..400;

/// What the peer has: of each good key the first row that came.
fn peer_has() -> Vec<Record> {
    let mut keys = BTreeSet::new();
    let mut all = Vec::new();
    for (boot, sequence) in BOOTS.flat_map(|boot| SEQUENCES.map(move |sequence| (boot, sequence))) {
        let measurement = row_of(boot, sequence);
        let key = (measurement.target.to_string(), measurement.slot.0, measurement.attempt);
        if measurement.target.as_str() != "nobody" && keys.insert(key) {
            let (agent, vantage) = (agent_id("nl-1"), vantage("NL", "1"));
            all.push(Record { agent, vantage, boot: BootId(boot), sequence, measurement });
        }
    }
    all.sort_by_key(|record| record.measurement.scheduled);
    all
}

fn take_all(store: &Store, records: &[Record], page: usize, turned: usize) -> Adopted {
    let plans = Arc::new(Plans::fixed(plan(1, 1)));
    let limits = IngestLimits::default();
    let mut adopting = Adopting::begin(store.clone(), plans, limits, TestClock::at(NOW)).unwrap();
    let mut pages: Vec<&[Record]> = records.chunks(page).collect();
    let at = turned % pages.len();
    pages.rotate_left(at);
    pages.into_iter().for_each(|page| adopting.take(page.to_vec()).unwrap());
    adopting.finish()
}

/// Keys in the store, and rows by boot; each key once.
fn holds(store: &Store) -> (BTreeSet<Key>, BTreeMap<BootId, u64>) {
    let (mut keys, mut rows) = (BTreeSet::new(), BTreeMap::new());
    for accepted in store.recover(WallTime::from_micros(i64::MIN)) {
        let accepted = accepted.unwrap();
        for m in &accepted.rows {
            assert!(keys.insert((m.target.to_string(), m.slot.0, m.attempt)), "stored twice");
            *rows.entry(accepted.boot).or_default() += 1;
        }
    }
    (keys, rows)
}

fn check(delivered: &[(u64, u64, u64)], lost: &[(u64, u64, u64)], page: usize, turned: usize, sealed: bool) {
    let (hot, objects) = (Arc::new(MemoryStore::default()), Objects::memory());
    let store = Store::joined(hot, objects).unwrap();
    let peer = Arc::new(Peer { agent: agent_id("nl-1"), vantage: vantage("NL", "1"), mailbox: Mailbox::default() });
    let (judge, _judged) = mpsc::channel(10_000);
    let mut ours = committer(store.clone(), judge, 1 << 20);
    for &(boot, first, count) in delivered {
        let work = vec![incoming(&peer, &ours.plans, boot, first, count)];
        ours.load(&work).and_then(|()| ours.commit(work)).unwrap();
    }
    for &(boot, first_sequence, count) in lost {
        let (peer, boot, reason) = (peer.clone(), BootId(boot), LossReason::Forgotten);
        ours.commit(vec![Work::Lost(Lost { peer, boot, first_sequence, count, reason, arrived: NOW })]).unwrap();
    }
    if sealed {
        seal_all(&store, 50);
        remove_covered(&store);
    }
    let (before, theirs) = (holds(&store).0, peer_has());
    let wanted: BTreeSet<Key> =
        theirs.iter().map(|r| &r.measurement).map(|m| (m.target.to_string(), m.slot.0, m.attempt)).collect();
    let done = take_all(&store, &theirs, page, turned);
    assert_eq!(done.stored, wanted.difference(&before).count() as u64);
    assert_eq!(done.refused, BTreeMap::new());
    let (keys, rows) = holds(&store);
    assert_eq!(keys, wanted.union(&before).cloned().collect());
    let ledgers = store.small().unwrap().ledgers;
    for (_, boot, ledger) in &ledgers {
        assert!(ledger.balances(), "{ledger:?}");
        assert_eq!(ledger.stored, rows.get(boot).copied().unwrap_or(0), "{boot}");
        let known = |n: u64| {
            let of = |all: &[(u64, u64, u64)]| {
                all.iter().any(|&(b, first, count)| b == boot.0 && (first..first + count).contains(&n))
            };
            of(delivered) || of(lost) || theirs.iter().any(|record| record.boot == *boot && record.sequence == n)
        };
        for gap in ledger.open_parts(1..ledger.end_sequence()) {
            gap.for_each(|n| assert!(!known(n), "{boot} {n} is open"));
        }
        let settled = (1..ledger.end_sequence()).filter(|n| known(*n)).count() as u64;
        assert_eq!(ledger.settled(), settled, "what nobody has a row of may still come from the agent");
    }
    assert_eq!(done.written_off, 0);
    assert_eq!(take_all(&store, &theirs, page, 0).stored, 0, "again, it changes nothing");
    assert_eq!(holds(&store).0, keys);
    assert_eq!(store.small().unwrap().ledgers, ledgers);
    assert_eq!(store.examine().unwrap().told, Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_there_before_the_peers_rows_are_there_once(
        delivered in prop::collection::vec((BOOTS, SEQUENCES, 1u64..60), 0..12),
        lost in prop::collection::vec((BOOTS, SEQUENCES, 1u64..60), 0..4),
        page in 1usize..700,
        turned in 0usize..100,
        sealed in any::<bool>(),
    ) {
        check(&delivered, &lost, page, turned, sealed);
    }
}

#[test]
fn rows_that_nobody_may_store_are_refused_and_counted() {
    let store = Store::over(Arc::new(MemoryStore::default()));
    let record = |sequence| Record {
        agent: agent_id("nl-1"),
        vantage: vantage("NL", "1"),
        boot: BootId(1),
        sequence,
        measurement: row_of(1, sequence),
    };
    let records: Vec<Record> = (1..8).map(record).collect();
    let unknown = records.iter().filter(|record| record.measurement.target.as_str() == "nobody").count() as u64;
    let done = take_all(&store, &records, 100, 0);
    assert_eq!((done.rows, done.stored, done.written_off), (7, 7 - unknown, 0));
    assert_eq!(done.refused, [("unknown_target", unknown)].into());
}

/// The peer has every second row of a boot, and the agent all of them: it sends the newest beside what it kept.
#[tokio::test]
async fn an_agent_fills_more_gaps_than_it_may_make_and_its_newest_rows_go_ahead() {
    // As many gaps as an agent may make, and more.
    for gaps in [64, 150] {
        an_agent_fills(gaps).await;
    }
}

async fn an_agent_fills(gaps: u64) {
    let store = Store::over(Arc::new(MemoryStore::default()));
    let of = |sequence: u64| {
        let (slot, attempt) = (slot_now() - 400 + i64::try_from(sequence).unwrap(), 0);
        row("exchange/default@NL", slot, attempt, sequence)
    };
    let (agent, last) = (agent_id("nl-1"), 2 * gaps);
    let every_second = (2..=last).step_by(2).map(|sequence| Record {
        agent: agent.clone(),
        vantage: vantage("NL", "1"),
        boot: BootId(1),
        sequence,
        measurement: of(sequence),
    });
    let done = take_all(&store, &every_second.collect::<Vec<_>>(), 1000, 0);
    assert_eq!((done.stored, done.written_off), (gaps, 0));

    let world = World::over(store, limits());
    let mut stream = world.connect(&peer("nl-1", vantage("NL", "1"))).unwrap();
    stream.hello_with(1, &[(1, 1, last + 65)]).await;
    stream.welcome().await;
    for newest in (2..=64).step_by(2).map(|ahead| last + ahead) {
        stream.batch(batch(1, newest, &[of(newest)])).await;
    }
    stream.batch(batch(1, 1, &(1..=last + 65).map(of).collect::<Vec<_>>())).await;
    stream.acknowledged(1, last + 66).await;
    stream.done().await;
    assert_eq!(world.stored().len() as u64, last + 65);
    let state = &world.service.agents()[1];
    assert_eq!((state.ledgers[0].stored, state.ledgers[0].lost), (last + 65, 0));
}
