//! Do rollups say what the measurements said, when those are gone, and whatever came late?

use std::collections::BTreeMap;

use proptest::prelude::*;
use uitwijk_model::{Elapsed, Fault, Measurement, Outcome, Unmeasured};

use super::sealing::{remove_covered, seal_all};
use super::{EVER, in_memory_with, stored, write};
use crate::store::{Cell, Filter, Goes, Rollups, Store, key_of};
use crate::testing::{agent_id, row, slot_now, vantage};

const OUTCOMES: [Outcome; 5] = [
    Outcome::Up,
    Outcome::Slow,
    Outcome::Down(Fault::WaitTimeout),
    Outcome::Down(Fault::DnsName),
    Outcome::Unmeasured(Unmeasured::Missed),
];

/// Batches of a few slots each, around an edge of an hour.
fn batches() -> impl Strategy<Value = Vec<Vec<Measurement>>> {
    let one = (0usize..2, -6i64..6, 0usize..OUTCOMES.len(), prop::option::of(0u64..70_000_000));
    let measurement = one.prop_map(|(target, slot, outcome, total)| {
        let mut m = row(["a/x@NL", "control:c"][target], slot_now() + slot, 0, 1);
        (m.outcome, m.total) = (OUTCOMES[outcome], total.map(Elapsed::from_micros));
        m
    });
    // No batch spans more than a minute.
    prop::collection::vec(prop::collection::vec(measurement, 1..8), 1..10).prop_map(|mut batches| {
        batches.iter_mut().for_each(|rows| {
            let first = rows[0].slot.0;
            rows.retain(|m| (m.slot.0 - first).abs() <= 3);
        });
        batches
    })
}

fn model(batches: &[Vec<Measurement>]) -> Rollups {
    let mut all: Rollups = BTreeMap::new();
    batches.iter().flatten().for_each(|m| all.entry(key_of(m, &vantage("NL", "1"))).or_default().add(m));
    all
}

fn all(store: &Store) -> Rollups {
    store.rollups(&Filter::default(), EVER.0, EVER.1).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn late_generations_add_up(batches in batches(), late in 0usize..10) {
        let (_, _, store) = in_memory_with();
        for (i, rows) in batches.iter().enumerate() {
            write(&store, &[stored("nl-1", i as u64 + 1, rows)]);
            if i == late {
                seal_all(&store, 3);
            }
        }
        seal_all(&store, 3);
        prop_assert_eq!(&all(&store), &model(&batches));
        // They outlive their measurements.
        remove_covered(&store);
        for hour in store.sealed_hours() {
            store.drop_hour(hour.hour, Goes::Measurements).unwrap();
        }
        prop_assert!(store.remove_condemned().unwrap());
        prop_assert_eq!(store.records(EVER.0, EVER.1).count(), 0);
        prop_assert_eq!(&all(&store), &model(&batches));
    }

    /// Cells add up in any order.
    #[test]
    fn adding_cells_is_associative(batches in batches()) {
        let cells: Vec<Cell> = batches.iter().map(|rows| {
            let mut cell = Cell::default();
            rows.iter().for_each(|m| cell.add(m));
            cell
        }).collect();
        let forward = cells.iter().fold(Cell::default(), |mut sum, cell| { sum.merge(cell); sum });
        let mut backward = Cell::default();
        for pair in cells.rchunks(2) {
            let mut both = Cell::default();
            pair.iter().for_each(|cell| both.merge(cell));
            backward.merge(&both);
        }
        prop_assert_eq!(forward, backward);
    }
}

#[test]
fn a_filter_takes_what_it_names() {
    let (_, _, store) = in_memory_with();
    let rows = [row("a/x@NL", slot_now(), 0, 5), row("b/x@NL", slot_now(), 0, 5), row("b/x@NL", slot_now() + 6, 0, 5)];
    write(&store, &[stored("nl-1", 1, &rows), stored("ie-1", 2, &rows[..1])]);
    seal_all(&store, 100);
    let count = |filter: Filter| store.rollups(&filter, EVER.0, EVER.1).unwrap().len();
    assert_eq!(count(Filter::default()), 4);
    assert_eq!(count(Filter { service: Some(uitwijk_model::ServiceId::new("b").unwrap()), ..Filter::default() }), 2);
    assert_eq!(count(Filter { target: Some("a/x@NL".into()), ..Filter::default() }), 2);
    assert_eq!(count(Filter { vantage_region: Some(vantage("IE", "1").region), ..Filter::default() }), 1);
    // Agents are not kept apart.
    assert_eq!(count(Filter { agent: Some(agent_id("nl-1")), ..Filter::default() }), 4);
}
