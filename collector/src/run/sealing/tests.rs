use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use uitwijk_model::{BootId, Millis, WallTime};
use uitwijk_proto::columns;
use uitwijk_proto::v1;
use uitwijk_telemetry::Health;

use super::{HEALTH_CONDITION, Tiers};
use crate::cold_metrics::ColdMetrics;
use crate::config::Retention;
use crate::ingest::ReasonLabel;
use crate::plans::Plans;
use crate::store::{
    Failing, Hour, Mask, MemoryStore, Objects, RecordKey, Store, StoreError, StoredBatch, Writes, small,
};
use crate::testing::{NOW, TestClock, agent_id, plan, row, slot_now, vantage};

const HOUR: Millis = Millis(3_600_000);

/// A store with the tiers that look at it, at any moment.
struct World {
    hot: Arc<MemoryStore>,
    store: Store,
    metrics: ColdMetrics,
    keep: Retention,
    health: Health,
}

impl World {
    fn new() -> Self {
        let hot = Arc::new(MemoryStore::default());
        let store = Store::joined(hot.clone(), Objects::memory()).unwrap();
        let keep = Retention {
            hot: Millis(2 * HOUR.0),
            measurements: Millis(48 * HOUR.0),
            rollups: Millis(96 * HOUR.0),
            disk_bytes_max: None,
        };
        Self { hot, store, metrics: ColdMetrics::default(), keep, health: Health::default() }
    }

    /// A record with one row of the hour that begins now.
    fn write(&self, serial: u64) {
        let rows = [row("exchange/default@NL", slot_now(), u8::try_from(serial).unwrap(), serial)];
        let columns = columns::encode(&rows);
        let (from, boot) = (rows[0].scheduled, BootId(1));
        let key = RecordKey { from, agent: agent_id("nl-1"), boot, first_sequence: serial, serial, span_us: 0 };
        let mut writes = Writes::default();
        writes.batch(&StoredBatch {
            key,
            vantage: vantage("NL", "1"),
            arrived: NOW,
            count: 1,
            mask: Mask::all(),
            columns: columns::to_bytes(&columns, v1::Compression::None),
            compression: v1::Compression::None.into(),
        });
        writes.small.push(small::serial(serial));
        self.store.hot().write(&writes).unwrap();
    }

    fn frontier(&self, agent: &str, through: WallTime) {
        let small = vec![small::frontier(&agent_id(agent), through)];
        self.store.hot().write(&Writes { batches: Vec::new(), small }).unwrap();
    }

    /// So long after the hour began.
    fn tiers(&self, hours: u64) -> Tiers {
        Tiers {
            store: self.store.clone(),
            plans: Arc::new(Plans::fixed(plan(1, 1))),
            clock: TestClock::at(NOW.plus(Millis(hours * HOUR.0))),
            collector: "c".into(),
            keep: self.keep.clone(),
            wait_max: Millis(6 * HOUR.0),
            metrics: self.metrics.clone(),
            health: self.health.clone(),
            ending: CancellationToken::new(),
        }
    }

    /// What a look makes of it: generations of the hour, its measurements in files, and hot records.
    fn after(&self, hours: u64) -> (usize, u64, bool) {
        self.tiers(hours).look().unwrap();
        let rows = self.store.sealed_hours().iter().map(|hour| hour.rows).sum();
        (self.store.generations(Hour::of(NOW)), rows, self.store.hot().disk_bytes() > 0)
    }
}

#[test]
fn an_hour_is_sealed_when_every_agent_delivered_it_and_not_before_its_time() {
    let world = World::new();
    world.write(1);
    let end = Hour::of(NOW).end();
    world.frontier("nl-1", end);
    assert_eq!(world.after(4), (0, 0, true), "ie-1 has not delivered");
    world.frontier("ie-1", end);
    assert_eq!(world.after(2), (0, 0, true), "it ended an hour ago");
    assert_eq!(world.after(3), (1, 1, false));
    assert_eq!(
        (world.metrics.hours_sealed.get(), world.metrics.rows_sealed.get(), world.metrics.hours.get()),
        (1, 1, 1)
    );
}

#[test]
fn an_agent_that_is_away_is_waited_for_only_so_long() {
    let world = World::new();
    world.write(1);
    assert_eq!(world.after(6), (0, 0, true));
    assert_eq!(world.after(7), (1, 1, false));
}

#[test]
fn what_trickles_in_makes_generations_further_and_further_apart() {
    let world = World::new();
    let mut sealed = Vec::new();
    for hour in 7..60 {
        world.write(hour);
        let before = world.store.generations(Hour::of(NOW));
        world.tiers(hour).look().unwrap();
        if world.store.generations(Hour::of(NOW)) > before {
            sealed.push(hour);
        }
    }
    // After the 49th hour measurements are too old to be sealed.
    assert_eq!(sealed, [7, 9, 13, 21, 37]);
}

#[test]
fn measurements_go_by_age_and_their_rollups_later() {
    let world = World::new();
    world.write(1);
    assert_eq!(world.after(48), (1, 1, false));
    assert_eq!(world.after(49), (1, 0, false));
    assert_eq!((world.store.sealed_hours().len(), world.metrics.rows.get()), (1, 0));
    let dropped = |reason| world.metrics.rows_dropped.get_or_create(&ReasonLabel { reason }).get();
    assert_eq!((dropped("age"), dropped("budget")), (1, 0));
    world.after(97);
    assert_eq!((world.store.sealed_hours().len(), world.metrics.bytes.get()), (0, 0));
}

#[test]
fn the_oldest_hours_go_when_the_disk_is_too_small() {
    let mut world = World::new();
    world.write(1);
    assert_eq!(world.after(7), (1, 1, false));
    world.keep.disk_bytes_max = Some(world.store.disk_bytes());
    assert_eq!(world.after(8), (1, 1, false), "it fits");
    world.keep.disk_bytes_max = Some(world.store.disk_bytes() - 1);
    assert_eq!(world.after(8), (1, 0, false));
    assert_eq!(world.metrics.rows_dropped.get_or_create(&ReasonLabel { reason: "budget" }).get(), 1);
}

#[test]
fn sealing_that_fails_for_long_is_told() {
    let world = World::new();
    world.write(1);
    world.hot.fail(Failing::Before);
    let tiers = world.tiers(7);
    let since = tiers.note(tiers.look(), None);
    assert_eq!((since, world.health.missing().len()), (Some(NOW.plus(Millis(7 * HOUR.0))), 0));
    let later = world.tiers(8);
    later.note(Err(StoreError::Write("no space left on device".into())), since);
    assert_eq!(
        world.health.missing(),
        [(
            HEALTH_CONDITION.to_owned(),
            "hours are not sealed since 2026-03-02T15:00:00Z: cannot write to the store: no space left on device"
                .to_owned()
        )]
    );
    world.hot.fail(Failing::No);
    assert_eq!(later.note(later.look(), since), None);
    assert_eq!(world.metrics.failures.get_or_create(&ReasonLabel { reason: "write" }).get(), 2);
}
