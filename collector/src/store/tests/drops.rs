//! Do sealed hours go as they should, and nothing else?

use uitwijk_model::Millis;

use super::cold_files::contents;
use super::sealing::{remove_covered, seal_all};
use super::{EVER, in_memory_with, stored, write};
use crate::store::{Goes, Hour, Store};
use crate::testing::{NOW, row, slot_now};

/// Three hours with a row each, sealed.
fn three_hours() -> (crate::store::Objects, std::sync::Arc<crate::store::MemoryStore>, Store) {
    let (hot, objects, store) = in_memory_with();
    for ago in 0..3 {
        let rows = [row("a/x@NL", slot_now() - ago * 360, 0, 5)];
        write(&store, &[stored("nl-1", u64::try_from(ago).unwrap() + 1, &rows)]);
    }
    seal_all(&store, 100);
    remove_covered(&store);
    (objects, hot, store)
}

#[test]
fn an_hour_that_goes_takes_its_files_along_once_nobody_reads_them() {
    let (objects, hot, store) = three_hours();
    let oldest = store.sealed_hours()[0].hour;
    assert_eq!(oldest, Hour::of(NOW.minus(Millis(2 * 3_600_000))));
    let mut walk = store.records(EVER.0, EVER.1);
    let gone = store.drop_hour(oldest, Goes::Measurements).unwrap();
    assert_eq!(gone.rows, 1);
    assert!(!store.remove_condemned().unwrap(), "a walk still has them");
    assert_eq!(walk.by_ref().map(|part| part.unwrap().accepted().unwrap().len()).sum::<usize>(), 3);
    drop(walk);
    assert_eq!((objects.list("").unwrap().len(), contents(&store).len()), (6, 2));
    // A kill here: the next start goes on.
    let store = Store::joined(hot, objects.clone()).unwrap();
    assert!(store.remove_condemned().unwrap());
    assert_eq!((objects.list("").unwrap().len(), contents(&store).len()), (5, 2));
    assert_eq!(store.sealed_hours().len(), 3, "its rollups are there");
    store.drop_hour(oldest, Goes::All).unwrap();
    store.remove_condemned().unwrap();
    assert_eq!((objects.list("").unwrap().len(), store.sealed_hours().len()), (4, 2));
}

#[test]
fn a_hot_record_that_comes_back_to_life_stays_covered_after_its_hour_went() {
    let (hot, objects, store) = in_memory_with();
    let batch = stored("nl-1", 1, &[row("a/x@NL", slot_now(), 0, 5)]);
    write(&store, std::slice::from_ref(&batch));
    seal_all(&store, 100);
    remove_covered(&store);
    store.drop_hour(Hour::of(NOW), Goes::All).unwrap();
    // The removal was not on disk when the machine lost its power.
    write(&store, &[batch]);
    store.remove_condemned().unwrap();
    let store = Store::joined(hot, objects).unwrap();
    assert_eq!(contents(&store), Vec::<String>::new());
    remove_covered(&store);
    store.remove_condemned().unwrap();
    assert_eq!((store.sealed_hours().len(), store.small().unwrap().serial), (0, 1));
}

#[test]
fn what_comes_for_an_hour_that_went_is_kept_on_its_own() {
    let (_, _, store) = three_hours();
    let hour = store.sealed_hours()[0].hour;
    store.drop_hour(hour, Goes::Measurements).unwrap();
    write(&store, &[stored("nl-1", 9, &[row("a/x@NL", slot_now() - 720, 1, 5)])]);
    assert_eq!(contents(&store).len(), 3);
    seal_all(&store, 100);
    remove_covered(&store);
    assert_eq!((contents(&store).len(), store.hot().disk_bytes()), (3, 0));
}
