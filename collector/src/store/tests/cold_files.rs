//! Does a file of an hour give back what was put in, and say so when it cannot?

use proptest::prelude::*;
use uitwijk_model::{
    Elapsed, Fault, Hop, Measurement, Observer, Outcome, Phases, Region, ServedBy, Slot, TargetId, Unmeasured,
    WallTime, Zone,
};

use super::sealing::{HOW, remove_covered, seal_all};
use super::{EVER, all_rows, in_memory_with, stored, write};
use crate::store::{Filter, Hour, MemoryStore, Objects, Part, Store, StoreError};
use crate::testing::{NOW, row, slot_now};

fn outcomes() -> impl Strategy<Value = Outcome> {
    let faults = Fault::ALL.iter().map(|fault| Outcome::Down(*fault));
    let reasons = Unmeasured::ALL.iter().map(|reason| Outcome::Unmeasured(*reason));
    let all: Vec<Outcome> = [Outcome::Up, Outcome::Slow].into_iter().chain(faults).chain(reasons).collect();
    prop::sample::select(all)
}

fn lengths() -> impl Strategy<Value = Option<Elapsed>> {
    // The wire writes a length plus one, so the greatest one is not possible.
    let us = prop_oneof![4 => 0u64..20_000_000, 1 => 0u64..u64::MAX];
    prop::option::of(us.prop_map(Elapsed::from_micros))
}

fn phases() -> impl Strategy<Value = Phases> {
    let all = (lengths(), lengths(), lengths(), lengths(), lengths(), lengths());
    all.prop_map(|(dns, connect, tls, send, wait, transfer)| Phases { dns, connect, tls, send, wait, transfer })
}

fn served() -> impl Strategy<Value = Option<ServedBy>> {
    let region = prop::sample::select(vec!["NL", "IE"]).prop_map(|r| Region::new(r).unwrap());
    let zone = prop::option::of(prop::sample::select(vec!["1", "2"]).prop_map(|z| Zone::new(z).unwrap()));
    prop::option::of((region, zone).prop_map(|(region, zone)| ServedBy { region, zone }))
}

fn hops() -> impl Strategy<Value = Vec<Hop>> {
    let hop = (300u16..400, any::<u64>());
    let hop = hop.prop_map(|(http_status, us)| Hop { http_status, elapsed: Elapsed::from_micros(us) });
    prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(hop, 0..4)]
}

fn observers() -> impl Strategy<Value = Observer> {
    (prop::option::of(any::<i64>()), any::<u32>(), any::<u16>(), any::<u16>()).prop_map(
        |(clock_offset_us, lag, controls_failed, controls_seen)| {
            let loop_lag = Elapsed::from_micros(u64::from(lag));
            Observer { clock_offset_us, loop_lag, controls_failed, controls_seen }
        },
    )
}

/// Any measurement that the wire can carry, within a minute that lies on the edge of an hour.
fn measurements() -> impl Strategy<Value = Measurement> {
    let name = (prop::sample::select(vec!["a/b@NL", "a/b@IE", "chain:p", "x"]), any::<i64>(), any::<u8>());
    let time = (-30_000_000i64..30_000_000, any::<i64>());
    let rest = (prop::option::of(100u16..1000), served(), hops(), prop::option::of(0i64..4_000_000_000), observers());
    (name, time, outcomes(), lengths(), phases(), rest).prop_map(
        |(
            (target, slot, attempt),
            (at, after),
            outcome,
            total,
            phases,
            (http_status, served, hops, expires, observer),
        )| {
            let scheduled = WallTime::from_micros(NOW.as_micros() + at);
            Measurement {
                target: TargetId::from_wire(target),
                slot: Slot(slot),
                attempt,
                scheduled,
                started: WallTime::from_micros(scheduled.as_micros().wrapping_add(after)),
                outcome,
                total,
                phases,
                http_status,
                served,
                hops,
                certificate_expires: expires.map(|s| WallTime::from_micros(s * 1_000_000)),
                observer,
            }
        },
    )
}

/// Everything of a store, as one sorted list.
pub(super) fn contents(store: &Store) -> Vec<String> {
    let mut all = Vec::new();
    for accepted in store.recover(EVER.0) {
        let a = accepted.unwrap();
        for (row, sequence) in a.rows.iter().zip(&a.sequences) {
            all.push(format!("{} {} {} {} {sequence} {row:?}", a.agent, a.vantage, a.boot, a.arrived));
        }
    }
    all.sort();
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Batches on both sides of an hour, in files of few rows.
    #[test]
    fn what_is_sealed_is_what_was_stored(batches in prop::collection::vec(prop::collection::vec(measurements(), 1..12), 1..8)) {
        let (_, _, store) = in_memory_with();
        let agents = ["nl-1", "ie-1"];
        let records: Vec<_> =
            batches.iter().zip(1..).map(|(rows, serial)| stored(agents[usize::try_from(serial).unwrap() % 2], serial, rows)).collect();
        write(&store, &records);
        let before = contents(&store);
        prop_assert_eq!(before.len(), batches.iter().map(Vec::len).sum::<usize>());
        seal_all(&store, 9);
        prop_assert_eq!(&contents(&store), &before);
        remove_covered(&store);
        prop_assert_eq!(store.hot().disk_bytes(), 0);
        prop_assert_eq!(&contents(&store), &before);
        // Keys alone name the same measurements.
        let mut keys = Vec::new();
        for part in store.records(EVER.0, EVER.1) {
            part.unwrap().each_key(|k| keys.push((k.agent.to_owned(), k.target.to_owned(), k.slot, k.attempt, k.scheduled))).unwrap();
        }
        prop_assert_eq!(keys.len(), before.len());
    }
}

#[test]
fn a_file_is_in_order_and_tells_what_it_holds() {
    let (_, objects, store) = in_memory_with();
    let rows: Vec<Measurement> =
        (0..40).map(|i| row(["b/x@NL", "a/x@NL", "chain:p"][i % 3], slot_now() + i as i64, 0, 5)).collect();
    write(&store, &[stored("nl-1", 1, &rows[..6]), stored("ie-1", 2, &rows[6..])]);
    store.seal(Hour::of(NOW), &HOW).unwrap().unwrap();
    let paths = objects.list("collector=c/measurements").unwrap();
    assert_eq!(paths, ["collector=c/measurements/year=2026/month=03/day=02/hour=08/gen-1-2-1.parquet"]);
    let parts: Vec<Part> = store.records(EVER.0, EVER.1).map(Result::unwrap).collect();
    let mut keys = Vec::new();
    parts[0]
        .each_key(|k| {
            keys.push((
                k.target.split_once('/').map(|s| s.0.to_owned()),
                k.target.to_owned(),
                k.agent.to_owned(),
                k.slot,
            ));
        })
        .unwrap();
    assert!(keys.is_sorted(), "{keys:?}");
    assert_eq!((parts.len(), keys.len()), (1, 40));
    let bytes = objects.get(&paths[0]).unwrap();
    let footer = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(8000)..]).into_owned();
    for said in ["uitwijk.format", "uitwijk.hour", "2026-03-02T08:00:00Z", "uitwijk.rows.up", "uitwijk.plan_version"] {
        assert!(footer.contains(said), "{said}");
    }
}

#[test]
fn what_is_no_file_of_ours_is_damage_and_its_neighbours_are_read() {
    let (_, objects, store) = in_memory_with();
    let near = |hours: i64| row("a/x@NL", slot_now() - hours * 360, 0, 5);
    write(&store, &[stored("nl-1", 1, &[near(0)]), stored("nl-1", 2, &[near(1)]), stored("nl-1", 3, &[near(2)])]);
    seal_all(&store, 100);
    remove_covered(&store);
    assert_eq!(all_rows(&store).len(), 3);
    let paths = objects.list("collector=c/measurements").unwrap();
    objects.delete(&paths[0]).unwrap();
    let good = objects.get(&paths[1]).unwrap();
    assert_eq!(all_rows(&store).len(), 2);
    assert_eq!(store.damaged_records(), 1);
    let page = store.query(&Filter::default(), EVER.0, EVER.1, "", 10).unwrap();
    assert_eq!((page.rows.len(), page.damaged), (2, 1));
    // Any byte that is another: either it is noticed, or what is read is as it was but for that value; never a panic.
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.to_vec();
        bad[at] ^= 0x15;
        objects.put(&paths[1], bad).unwrap();
        let read: Result<Vec<_>, StoreError> = store.recover(EVER.0).collect();
        assert!(!read.unwrap().is_empty(), "byte {at}");
    }
    for left in [good.len() - 1, good.len() / 2, 1, 0] {
        objects.put(&paths[1], good[..left].to_vec()).unwrap();
        assert_eq!(all_rows(&store).len(), 1, "cut short to {left}");
    }
}

#[test]
fn a_file_of_a_folder_that_is_cut_short_is_damage_and_its_neighbours_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let store =
        Store::joined(std::sync::Arc::new(MemoryStore::default()), Objects::folder(dir.path()).unwrap()).unwrap();
    let near = |hours: i64| row("a/x@NL", slot_now() - hours * 360, 0, 5);
    write(&store, &[stored("nl-1", 1, &[near(0)]), stored("nl-1", 2, &[near(1)])]);
    seal_all(&store, 100);
    remove_covered(&store);
    let path = dir.path().join(&store.cold.objects().list("collector=c/measurements").unwrap()[0]);
    let good = std::fs::read(&path).unwrap();
    for left in [good.len() - 1, good.len() / 2, 1, 0] {
        std::fs::write(&path, &good[..left]).unwrap();
        assert_eq!(all_rows(&store).len(), 1, "cut short to {left}");
    }
}
