//! Does sealing hours change nothing for whoever reads, whatever happens between its steps?

use std::sync::Arc;

use proptest::prelude::*;
use uitwijk_model::{Measurement, Millis, WallTime};

use super::cold_files::contents;
use super::{EVER, in_memory_with, stored, write};
use crate::store::{Failing, Hour, Objects, Sealing, Store};
use crate::testing::{NOW, row, slot_now};

/// As the running collector seals, in files of any size.
pub(crate) const HOW: Sealing<'static> =
    Sealing { collector: "c", plan_version: "0123456789abcdef", now: NOW, file_rows_max: 100_000, give_up: &|| false };

/// Long after everything that these tests write.
const LATER: WallTime = NOW.plus(Millis(86_400_000));

/// Seals every hour with something to seal, in files of few rows.
pub(crate) fn seal_all(store: &Store, file_rows_max: usize) {
    for (hour, _, _) in store.unsealed(LATER).unwrap() {
        store.seal(hour, &Sealing { file_rows_max, ..HOW }).unwrap().unwrap();
    }
    assert!(store.unsealed(LATER).unwrap().is_empty());
}

/// Removes all hot records that files stand for.
pub(crate) fn remove_covered(store: &Store) {
    let mut from = Some(bytes::Bytes::new());
    while let Some(start) = from {
        from = store.remove_covered(&start).unwrap().1;
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// Rows of a minute, so many slots ago.
    Write {
        ago: i64,
        rows: u8,
    },
    Seal(usize),
    /// The place of the files or the store fails at a step of sealing.
    SealBadly(Failing),
    Remove,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0i64..1000, 1u8..6).prop_map(|(ago, rows)| Step::Write { ago, rows }),
        2 => (1usize..20).prop_map(Step::Seal),
        1 => prop::sample::select(vec![Failing::Before, Failing::After]).prop_map(Step::SealBadly),
        2 => Just(Step::Remove),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..40)
}

fn rows_of(ago: i64, rows: u8, serial: u64) -> Vec<Measurement> {
    let one = |i: u8| {
        row(["a/x@NL", "b/x@IE"][usize::from(i) % 2], slot_now() - ago + i64::from(i), 0, serial * 100 + u64::from(i))
    };
    (0..rows).map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn every_row_is_there_once_whatever_was_sealed_when(steps in steps()) {
        let (hot, objects, mut store) = in_memory_with();
        let mut model = Vec::new();
        for step in steps {
            match step {
                Step::Write { ago, rows } => {
                    let serial = store.small().unwrap().serial + 1;
                    let batch = stored("nl-1", serial, &rows_of(ago, rows, serial));
                    let accepted = batch.accepted().unwrap();
                    model.extend(accepted.rows.iter().zip(&accepted.sequences).map(|(row, sequence)| {
                        format!("{} {} {} {} {sequence} {row:?}", accepted.agent, accepted.vantage, accepted.boot, accepted.arrived)
                    }));
                    write(&store, &[batch]);
                }
                Step::Seal(file_rows_max) => seal_all(&store, file_rows_max),
                Step::SealBadly(failing) => {
                    hot.fail(failing);
                    for (hour, _, _) in store.unsealed(LATER).unwrap() {
                        let sealed = store.seal(hour, &Sealing { file_rows_max: 3, ..HOW });
                        prop_assert!(sealed.is_err());
                    }
                    hot.fail(Failing::No);
                }
                Step::Remove => remove_covered(&store),
                Step::Reopen => store = Store::joined(hot.clone(), objects.clone()).unwrap(),
            }
            model.sort();
            prop_assert_eq!(&contents(&store), &model);
        }
        // No file is left that no hour knows, once every hour was sealed well.
        seal_all(&store, 100);
        prop_assert_eq!(contents(&store), model);
    }
}

#[test]
fn a_walk_that_began_before_sees_what_it_began_with() {
    let (_, _, store) = in_memory_with();
    let rows = rows_of(0, 3, 1);
    write(&store, &[stored("nl-1", 1, &rows), stored("nl-1", 2, &rows_of(400, 3, 2))]);
    let mut walk = store.records(EVER.0, EVER.1);
    let first = walk.next().unwrap().unwrap().accepted().unwrap();
    seal_all(&store, 100);
    remove_covered(&store);
    assert!(store.hot().disk_bytes() > 0, "somebody may still need them");
    let rest: Vec<_> = walk.by_ref().map(|part| part.unwrap().accepted().unwrap()).collect();
    assert_eq!(first.len() + rest.len(), 2);
    drop(walk);
    remove_covered(&store);
    assert_eq!(store.hot().disk_bytes(), 0);
}

#[test]
fn what_comes_late_makes_another_generation_and_leaves_the_first_alone() {
    let (_, objects, store) = in_memory_with();
    write(&store, &[stored("nl-1", 1, &rows_of(0, 3, 1))]);
    seal_all(&store, 100);
    let first = objects.list("collector=c/measurements").unwrap();
    write(&store, &[stored("nl-1", 2, &rows_of(1, 1, 2)), stored("nl-1", 3, &rows_of(-2, 2, 3))]);
    let unsealed: Vec<_> = store
        .unsealed(LATER)
        .unwrap()
        .into_iter()
        .map(|(hour, records, sealed)| (hour, records, sealed.is_some()))
        .collect();
    assert_eq!(unsealed, [(Hour(Hour::of(NOW).0 - 1), 1, false), (Hour::of(NOW), 1, true)]);
    seal_all(&store, 100);
    let now = objects.list("collector=c/measurements").unwrap();
    assert!(now.contains(&first[0]) && now.len() == 3, "{now:?}");
    assert_eq!((store.generations(Hour::of(NOW)), contents(&store).len()), (2, 6));
}

#[test]
fn an_hour_that_is_given_up_stays_as_it_was() {
    let (_, objects, store) = in_memory_with();
    write(&store, &[stored("nl-1", 1, &rows_of(0, 3, 1))]);
    assert_eq!(store.seal(Hour::of(NOW), &Sealing { give_up: &|| true, ..HOW }).unwrap(), None);
    assert_eq!(
        (
            objects.list("collector=c/measurements").unwrap().len(),
            store.generations(Hour::of(NOW)),
            contents(&store).len()
        ),
        (0, 0, 3)
    );
}

#[test]
fn a_damaged_record_stays_where_it_is_and_its_neighbours_are_sealed() {
    let (_, _, store) = in_memory_with();
    let mut bad = stored("nl-1", 2, &rows_of(0, 3, 2));
    bad.columns = bad.columns.slice(..bad.columns.len() - 1);
    write(&store, &[stored("nl-1", 1, &rows_of(0, 3, 1)), bad]);
    let sealed = store.seal(Hour::of(NOW), &HOW).unwrap().unwrap();
    assert_eq!((sealed.rows, sealed.damaged), (3, 1));
    remove_covered(&store);
    assert!(store.hot().disk_bytes() > 0, "the damaged one");
    let before = store.damaged_records();
    assert_eq!((contents(&store).len(), store.damaged_records() - before), (3, 1), "and is reported");
    assert!(store.unsealed(LATER).unwrap().is_empty(), "but not tried again");
}

#[test]
fn a_folder_keeps_hours_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(uitwijk_model::SystemClock);
    let store = Store::open(dir.path(), Default::default(), clock.clone()).unwrap();
    write(&store, &[stored("nl-1", 1, &rows_of(0, 5, 1)), stored("ie-1", 2, &rows_of(300, 5, 2))]);
    let before = contents(&store);
    seal_all(&store, 3);
    remove_covered(&store);
    drop(store);
    let objects = Objects::folder(&dir.path().join("cold")).unwrap();
    assert_eq!(objects.list("collector=c/measurements").unwrap().len(), 2);
    let store = Store::open(dir.path(), Default::default(), clock).unwrap();
    assert_eq!(contents(&store), before);
    assert_eq!(store.small().unwrap().serial, 2);
}
