//! A fleet of six agents in two regions, and the times at which one region is down.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use uitwijk_model::measurement::{Fault, Measurement, Observer, Outcome, Phases, ServedBy};
use uitwijk_model::plan::read::read_plan;
use uitwijk_model::{AgentId, BootId, Clock, Elapsed, Millis, Plan, Region, SystemClock, TargetId, Vantage, WallTime};
use uitwijk_proto::columns;
use uitwijk_proto::v1;

use super::NOW;
use crate::store::{AcceptedRows, Mask, MemoryStore, RecordKey, Store, StoredBatch, Writes};

const PLAN: &str = include_str!("../../tests/support/plan.yaml");
/// Slots that an agent delivers at a time.
const SLOTS_PER_BATCH: u64 = 6;

/// The plan, with more at its end.
pub(crate) fn plan(more: &str) -> Arc<Plan> {
    Arc::new(read_plan(&format!("{PLAN}{more}"), &|_| None).unwrap())
}

/// So many seconds after the beginning.
pub(crate) fn at(seconds: u64) -> WallTime {
    NOW.plus(Millis::from_secs(seconds))
}

/// A wall clock that is moved by hand.
#[derive(Debug)]
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn at(time: WallTime) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(time.as_micros())))
    }

    pub(crate) fn set(&self, time: WallTime) {
        self.0.store(time.as_micros(), Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn wall(&self) -> WallTime {
        WallTime::from_micros(self.0.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Elapsed {
        SystemClock.elapsed()
    }
}

/// What all agents deliver of the slots of some seconds; NL is down in the outages.
pub(crate) fn delivered(plan: &Plan, seconds: Range<u64>, outages: &[Range<u64>]) -> Vec<AcceptedRows> {
    let mut all = Vec::new();
    for start in seconds.clone().step_by(usize::try_from(10 * SLOTS_PER_BATCH).unwrap()) {
        let end = (start + 10 * SLOTS_PER_BATCH).min(seconds.end);
        for (agent, vantage) in &plan.agents {
            let slots = (start..end).step_by(10);
            let rows = slots.flat_map(|s| slot(plan, s, outages.iter().any(|outage| outage.contains(&s)))).collect();
            all.push(accepted(agent, vantage, at(end), rows));
        }
    }
    all
}

fn accepted(agent: &AgentId, vantage: &Vantage, arrived: WallTime, rows: Vec<Measurement>) -> AcceptedRows {
    let (boot, sequences) = (BootId(1), (1..=rows.len() as u64).collect());
    AcceptedRows { agent: agent.clone(), vantage: vantage.clone(), boot, arrived, rows, sequences }
}

fn slot(plan: &Plan, seconds: u64, nl_is_down: bool) -> Vec<Measurement> {
    let down =
        |target: &TargetId| nl_is_down && (target.as_str().ends_with("@NL") || target.as_str().ends_with("@public"));
    plan.targets().into_iter().map(|target| attempt(plan, target.id.clone(), seconds, down(&target.id))).collect()
}

fn attempt(plan: &Plan, target: TargetId, seconds: u64, down: bool) -> Measurement {
    let scheduled = at(seconds);
    let region = if target.as_str().ends_with("@IE") { "IE" } else { "NL" };
    let served = ServedBy { region: Region::new(region).unwrap(), zone: None };
    Measurement {
        target,
        slot: plan.slot.slot_of(scheduled),
        attempt: 0,
        scheduled,
        started: scheduled,
        outcome: if down { Outcome::Down(Fault::ConnectRefused) } else { Outcome::Up },
        total: Some(Elapsed::from_micros(100_000)),
        phases: Phases::default(),
        http_status: None,
        served: (!down).then_some(served),
        hops: Vec::new(),
        certificate_expires: None,
        observer: Observer::default(),
    }
}

/// A store with what was delivered.
pub(crate) fn stored(delivered: &[AcceptedRows]) -> Store {
    let store = Store::over(Arc::new(MemoryStore::default()));
    store_more(&store, 1, delivered);
    store
}

/// Stores more; the serials must be free.
pub(crate) fn store_more(store: &Store, first_serial: u64, delivered: &[AcceptedRows]) {
    let mut writes = Writes::default();
    for (serial, rows) in (first_serial..).zip(delivered) {
        let columns = columns::encode(&rows.rows);
        let (from, to) = (rows.rows[0].scheduled, rows.rows[rows.rows.len() - 1].scheduled);
        writes.batch(&StoredBatch {
            key: RecordKey {
                from,
                agent: rows.agent.clone(),
                boot: BootId(1),
                first_sequence: serial * 1000,
                serial,
                span_us: u32::try_from(to.micros_since(from)).unwrap(),
            },
            vantage: rows.vantage.clone(),
            arrived: rows.arrived,
            count: columns.count,
            mask: Mask::all(),
            columns: columns::to_bytes(&columns, v1::Compression::None),
            compression: v1::Compression::None.into(),
        });
    }
    store.hot().write(&writes).unwrap();
}
