//! Which rows are stored, which are refused, and why?

use prost::Message as _;
use uitwijk_model::{Measurement, Slot, WallTime};
use uitwijk_proto::columns;
use uitwijk_proto::v1::{self, RefusalReason, from_agent};

use super::world::{World, limits, peer};
use crate::ingest::{JudgeInput, ReasonLabel};
use crate::store::tests::sealing::{remove_covered, seal_all};
use crate::store::{Filter, Goes, Hour, MemoryStore, Objects, Part, Store};
use crate::testing::{NOW, batch, plan, row, slot_now, told_of, vantage};

const NL: &str = "exchange/default@NL";

fn good() -> Measurement {
    row(NL, slot_now() - 1, 0, 100)
}

#[tokio::test]
async fn rows_are_stored_judged_and_acknowledged() {
    let mut world = World::new();
    let mut agent = world.agent(5).await;
    let rows = [good(), row(NL, slot_now() - 1, 1, 90), row("control:ctl-0", slot_now(), 0, 80)];
    agent.batch(batch(5, 1, &rows)).await;
    agent.acknowledged(5, 4).await;
    agent.done().await;
    assert_eq!(world.stored(), rows);
    assert_eq!(world.judged(), told_of(&rows));
    let page = world.store.query(&Filter::default(), NOW.minus(uitwijk_model::Millis(60_000)), NOW, "", 10).unwrap();
    assert_eq!(page.rows.len(), 2, "the third is scheduled after now");
    assert_eq!((page.rows[0].record.sequence, page.rows[0].record.boot.0), (1, 5));
    let state = &world.service.agents()[1];
    assert_eq!((state.agent.as_str(), state.connected, state.enrolled), ("nl-1", false, true));
    let ledger =
        v1::Ledger { boot: 5, next_sequence: 4, stored: 3, settled: 3, end_sequence: 4, ..v1::Ledger::default() };
    assert_eq!(state.ledgers[0], ledger);
}

#[tokio::test]
async fn a_bad_row_takes_no_neighbour_with_it() {
    let mut world = World::new();
    let mut agent = world.agent(5).await;
    let at = |us: i64, slot: i64| {
        let mut m = good();
        (m.scheduled, m.slot) = (WallTime::from_micros(us), Slot(slot));
        m.started = m.scheduled;
        m
    };
    let hours = |n: i64| NOW.as_micros() + n * 3_600_000_000;
    let bad = [
        (row("exchange/default@DE", slot_now(), 0, 1), RefusalReason::UnknownTarget),
        (at(hours(2), hours(2) / 10_000_000), RefusalReason::Future),
        (at(i64::MAX, 1), RefusalReason::Future),
        (at(hours(-24 * 36), hours(-24 * 36) / 10_000_000), RefusalReason::Past),
        (at(i64::MIN, 1), RefusalReason::Past),
        (at(NOW.as_micros(), slot_now() + 1), RefusalReason::Slot),
    ];
    let mut rows = vec![good()];
    rows.extend(bad.iter().map(|(row, _)| row.clone()));
    rows.push(row(NL, slot_now() - 7, 0, 100));
    agent.batch(batch(5, 1, &rows)).await;
    let ack = agent.acknowledged(5, 9).await;
    let mut expected: Vec<(i32, u64)> = Vec::new();
    for (_, reason) in &bad {
        match expected.iter_mut().find(|(r, _)| *r == i32::from(*reason)) {
            Some((_, count)) => *count += 1,
            None => expected.push((i32::from(*reason), 1)),
        }
    }
    let refused: Vec<(i32, u64)> = ack.refused.iter().map(|r| (r.reason, r.count)).collect();
    assert_eq!(refused, expected);
    assert_eq!(world.judged().len(), 2);
    assert_eq!(world.stored().len(), 2);
    assert_eq!(world.refused("future"), 2);
}

#[tokio::test]
async fn of_two_numbers_with_one_key_the_first_stays_and_the_other_is_a_duplicate() {
    let mut world = World::new();
    let mut agent = world.agent(5).await;
    let other = row(NL, slot_now() - 1, 0, 777);
    agent.batch(batch(5, 1, &[good(), other.clone(), row("nobody", slot_now(), 0, 1)])).await;
    agent.acknowledged(5, 4).await;
    agent.batch(batch(6, 1, &[other])).await;
    let ack = agent.acknowledged(6, 2).await;
    assert_eq!(ack.refused, [v1::Refusal { reason: RefusalReason::UnknownTarget.into(), count: 1 }]);
    agent.batch(batch(6, 1, &[good()])).await;
    agent.acknowledged(6, 2).await;
    assert_eq!((world.metrics.rows_duplicate.get(), world.metrics.rows_again.get()), (2, 1));
    assert_eq!((world.stored(), world.judged()), (vec![good()], told_of(&[good()])));
    let ledgers = world.store.small().unwrap().ledgers;
    let books = ledgers.iter().map(|(_, boot, l)| (boot.0, l.stored, l.duplicate, l.refused, l.balances()));
    assert_eq!(books.collect::<Vec<_>>(), [(5, 1, 1, 1, true), (6, 0, 1, 0, true)]);
}

#[tokio::test]
async fn a_value_out_of_range_refuses_its_row_only() {
    let mut world = World::new();
    let mut agent = world.agent(5).await;
    let mut columns = columns::encode(&[good(), row(NL, slot_now() - 2, 0, 1), row(NL, slot_now() - 3, 0, 1)]);
    columns.outcome = vec![1, 9, 1];
    columns.target = vec![0, 0, 77];
    let mut batch = batch(5, 1, &[good()]);
    (batch.count, batch.columns) = (3, columns.encode_to_vec().into());
    agent.batch(batch).await;
    let ack = agent.acknowledged(5, 4).await;
    assert_eq!(ack.refused, [v1::Refusal { reason: RefusalReason::Value.into(), count: 2 }]);
    assert_eq!(world.judged(), told_of(&[good()]));
}

#[tokio::test]
async fn a_malformed_batch_is_refused_whole_and_the_cursor_moves() {
    let world = World::new();
    let mut agent = world.agent(5).await;
    let rows = [good(), row(NL, slot_now() - 2, 0, 1)];
    let mut unequal = columns::encode(&rows);
    unequal.outcome = vec![1, 1, 1];
    let with = |columns: Vec<u8>, compression: v1::Compression, count: u32, first: u64| v1::Batch {
        boot: 5,
        first_sequence: first,
        count,
        columns: columns.into(),
        compression: compression.into(),
        traceparent: "nonsense".into(),
    };
    let plain = columns::encode(&rows).encode_to_vec();
    let bad = [
        with(unequal.encode_to_vec(), v1::Compression::None, 2, 1),
        with(b"no protobuf".to_vec(), v1::Compression::None, 2, 3),
        with(b"no zstd".to_vec(), v1::Compression::Zstd, 2, 5),
        with(vec![0; 2 << 20], v1::Compression::None, 2, 7),
        with(plain, v1::Compression::None, 3, 9),
    ];
    for batch in bad {
        let next = batch.first_sequence + u64::from(batch.count);
        agent.batch(batch).await;
        agent.acknowledged(5, next).await;
    }
    assert_eq!(world.refused("malformed"), 11);
    assert!(world.stored().is_empty());
}

#[tokio::test]
async fn a_batch_that_names_no_range_ends_the_stream() {
    let world = World::new();
    for (boot, first, count) in [(0, 1, 1), (5, 0, 1), (5, 1, 0), (5, 1, 8193), (5, u64::MAX, 1)] {
        let mut agent = world.agent(5).await;
        let mut batch = batch(5, 1, &[good()]);
        (batch.boot, batch.first_sequence, batch.count) = (boot, first, count);
        agent.batch(batch).await;
        let status = agent.error().await;
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status}");
        let tombstone = v1::Tombstone { boot, first_sequence: first, count: count.into(), reason: 1 };
        if count != 8193 {
            let mut agent = world.agent(5).await;
            agent.send(from_agent::Message::Tombstone(tombstone)).await;
            assert_eq!(agent.error().await.code(), tonic::Code::InvalidArgument);
        }
    }
}

#[tokio::test]
async fn lost_ranges_move_the_cursor_and_frontiers_follow_the_rows() {
    let mut world = World::new();
    let mut agent = world.agent(5).await;
    let heartbeat = |sequence: u64| v1::Heartbeat {
        sent_us: 77,
        complete_through_us: NOW.as_micros(),
        complete_sequence: sequence,
        books: vec![v1::Books { boot: 4, started: 2, buffered: 1, ..v1::Books::default() }],
        ..v1::Heartbeat::default()
    };
    agent.heartbeat(heartbeat(4)).await;
    agent.batch(batch(5, 3, &[good()])).await;
    agent.acknowledged(5, 1).await;
    let lost = |boot: u64| v1::Tombstone { boot, first_sequence: 1, count: 2, reason: 1 };
    agent.send(from_agent::Message::Tombstone(lost(5))).await;
    agent.acknowledged(5, 4).await;
    assert!(matches!(world.judge.recv().await, Some(JudgeInput::Rows(_))));
    assert!(world.judge.try_recv().is_err(), "boot 4 is not in");
    agent.send(from_agent::Message::Tombstone(lost(4))).await;
    agent.acknowledged(4, 3).await;
    let Some(JudgeInput::Frontier { agent: name, through }) = world.judge.recv().await else { panic!() };
    assert_eq!((name.as_str(), through), ("nl-1", NOW));
    agent.done().await;
    let small = world.store.small().unwrap();
    assert_eq!(
        small.ledgers.iter().map(|(_, boot, l)| (boot.0, l.stored, l.lost)).collect::<Vec<_>>(),
        [(4, 0, 2), (5, 1, 2)]
    );
}

#[tokio::test]
async fn what_is_open_in_a_boot_that_is_over_never_comes_and_is_taken_back_when_it_does() {
    let world = World::new();
    let ledgers = || {
        let small = world.store.small().unwrap();
        small.ledgers.iter().map(|(_, b, l)| (b.0, l.next_sequence(), l.stored, l.lost)).collect::<Vec<_>>()
    };
    let mut agent = world.agent(4).await;
    agent.batch(batch(4, 3, &[good()])).await;
    agent.acknowledged(4, 1).await;
    agent.done().await;
    assert_eq!(ledgers(), [(4, 1, 1, 0)]);
    // Still in the buffer: it may come.
    let mut agent = world.connect(&peer("nl-1", vantage("NL", "1"))).unwrap();
    agent.hello_with(5, &[(4, 1, 4), (5, 1, 1)]).await;
    agent.welcome().await;
    agent.done().await;
    assert_eq!(ledgers(), [(4, 1, 1, 0)]);
    let mut agent = world.connect(&peer("nl-1", vantage("NL", "1"))).unwrap();
    // Its disk could not be read: it may hold more than it names.
    agent.hello_of(5, &[(5, 1, 1)], false).await;
    agent.welcome().await;
    agent.done().await;
    assert_eq!(ledgers(), [(4, 1, 1, 0)]);
    let mut agent = world.connect(&peer("nl-1", vantage("NL", "1"))).unwrap();
    agent.hello_with(5, &[(5, 1, 1)]).await;
    agent.welcome().await;
    assert_eq!(ledgers(), [(4, 4, 1, 2)]);
    agent.batch(batch(4, 1, &[row(NL, slot_now() - 2, 0, 100)])).await;
    agent.acknowledged(4, 4).await;
    agent.done().await;
    assert_eq!(ledgers(), [(4, 4, 2, 1)]);
    assert_eq!(world.stored().len(), 2);
}

#[tokio::test]
async fn what_a_lost_store_had_acknowledged_blocks_nobody() {
    let mut world = World::new();
    for connection in 1..=2 {
        let mut agent = world.connect(&peer("nl-1", vantage("NL", "1"))).unwrap();
        agent.hello_with(5, &[(4, 3, 3), (5, 11, 12)]).await;
        let cursors = agent.welcome().await.cursors;
        let next = if connection == 1 { 11 } else { 12 };
        assert_eq!(cursors.iter().map(|c| (c.boot, c.next_sequence)).collect::<Vec<_>>(), [(4, 3), (5, next)]);
        agent.batch(batch(5, 11, &[good()])).await;
        agent.acknowledged(5, 12).await;
        let (complete_through_us, complete_sequence) = (NOW.as_micros() + connection, 12);
        agent.heartbeat(v1::Heartbeat { complete_through_us, complete_sequence, ..Default::default() }).await;
        if connection == 1 {
            assert!(matches!(world.judge.recv().await, Some(JudgeInput::Rows(_))));
        }
        assert!(matches!(world.judge.recv().await, Some(JudgeInput::Frontier { .. })));
        agent.done().await;
    }
    let counted = |reason| world.metrics.rows_lost.get_or_create(&ReasonLabel { reason }).get();
    assert_eq!(counted("forgotten"), 12, "each once, not with each connection");
    let ledgers = world.store.small().unwrap().ledgers;
    assert_eq!(ledgers.iter().map(|(_, b, l)| (b.0, l.stored, l.lost)).collect::<Vec<_>>(), [(4, 0, 2), (5, 1, 10)]);
}

#[tokio::test]
async fn a_hello_with_a_range_that_is_none_ends_the_stream() {
    let world = World::new();
    for range in [(0, 1, 2), (5, 0, 2), (5, 3, 2)] {
        let mut agent = world.connect(&peer("nl-1", vantage("NL", "1"))).unwrap();
        agent.hello_with(5, &[range]).await;
        assert_eq!(agent.error().await.code(), tonic::Code::InvalidArgument);
    }
}

#[tokio::test]
async fn targets_of_an_older_plan_stay_known() {
    let mut world = World::new();
    let mut agent = world.agent(5).await;
    assert!(world.plans.adopt(plan(2, 0)).unwrap());
    assert!(!world.plans.adopt(plan(2, 0)).unwrap(), "it is in force already");
    let error = world.plans.adopt(plan(1, 1)).unwrap_err().to_string();
    assert_eq!(error, "the plan changed, but its revision 1 is not above 2, which is in force: count `revision` up");
    agent.batch(batch(5, 1, &[row("control:ctl-1", slot_now(), 0, 1)])).await;
    agent.acknowledged(5, 2).await;
    assert_eq!(world.judged().len(), 1);
}

#[tokio::test]
async fn a_batch_over_hours_is_kept_in_pieces_of_a_minute() {
    let mut world = World::new();
    let mut agent = world.agent(5).await;
    let mut rows: Vec<Measurement> = (0..500).map(|i| row(NL, slot_now() - 500 + i, 0, 1)).collect();
    rows.insert(250, row("nobody", 1, 0, 1));
    agent.batch(batch(5, 1, &rows)).await;
    agent.acknowledged(5, 502).await;
    rows.remove(250);
    assert_eq!(world.judged(), told_of(&rows));
    let mut stored = world.stored();
    stored.sort_by_key(|m| m.slot);
    assert_eq!(stored, rows);
    let records: Vec<_> = world
        .store
        .records(WallTime::from_micros(i64::MIN), WallTime::from_micros(i64::MAX))
        .filter_map(|part| match part.unwrap() {
            Part::Batch(batch) => Some(batch),
            Part::Cold(_) => None,
        })
        .collect();
    assert!(records.iter().all(|r| r.key.span_us <= 60_000_000) && records.len() > 70, "{}", records.len());
    let sequences: Vec<u64> =
        records.iter().flat_map(|r| (0..u64::from(r.count)).map(|i| r.key.first_sequence + i)).collect();
    assert_eq!(sequences, (1..=250).chain(252..=501).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_row_of_an_hour_that_went_is_too_old_though_it_is_sent_again() {
    let (hot, objects) = (std::sync::Arc::new(MemoryStore::default()), Objects::memory());
    let store = Store::joined(hot.clone(), objects.clone()).unwrap();
    let world = World::over(store.clone(), limits());
    let (went, stays) = (row(NL, slot_now() - 3, 0, 100), row(NL, slot_now() + 3, 0, 100));
    let hour = Hour::of(went.scheduled);
    assert!(hour < Hour::of(stays.scheduled));
    let mut agent = world.agent(5).await;
    agent.batch(batch(5, 1, &[went.clone(), stays.clone()])).await;
    agent.acknowledged(5, 3).await;
    seal_all(&store, 100);
    remove_covered(&store);
    store.drop_hour(hour, Goes::Measurements).unwrap();
    // Another number and another attempt of the hour come, and what was there comes again to a collector that started anew.
    let world = World::over(Store::joined(hot, objects).unwrap(), limits());
    let mut agent = world.agent(6).await;
    let late = row(NL, slot_now() - 4, 0, 100);
    agent.batch(batch(6, 1, &[went, late, stays.clone()])).await;
    let ack = agent.acknowledged(6, 4).await;
    let refused: Vec<(i32, u64)> = ack.refused.iter().map(|r| (r.reason, r.count)).collect();
    assert_eq!(refused, [(RefusalReason::Past.into(), 2)]);
    assert_eq!(world.stored(), [stays]);
}
