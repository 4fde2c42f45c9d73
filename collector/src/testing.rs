//! What do the tests of the data path share?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use uitwijk_model::plan::{Control, Endpoint, Probe, ProbeKind, Service, ServiceClass, TcpProbe};
use uitwijk_model::{
    AgentId, BootId, Clock, ControlId, Elapsed, EndpointName, Measurement, Millis, Observer, Outcome, Phases, Plan,
    Policy, Region, ServiceId, Slot, SlotLength, SystemClock, TargetId, Vantage, WallTime, Zone,
};
use uitwijk_proto::columns;
use uitwijk_proto::v1;

use crate::store::{Sample, Samples};

pub(crate) mod outage;

/// 2026-03-02T08:00:00Z, which is when these tests play.
pub(crate) const NOW: WallTime = WallTime::from_millis(1_772_438_400_000);

/// A wall clock that is set by hand; elapsed time is real.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn at(time: WallTime) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(time.as_micros())))
    }
}

impl Clock for TestClock {
    fn wall(&self) -> WallTime {
        WallTime::from_micros(self.0.load(Ordering::Relaxed))
    }

    fn elapsed(&self) -> Elapsed {
        SystemClock.elapsed()
    }
}

/// What the judge is told of rows, comparable with [`told_of`] them.
pub(crate) fn told(samples: &Samples) -> Vec<String> {
    let line = |row: &Sample| {
        let served = row.served.map(|at| &samples.names.places[usize::try_from(at).unwrap()]);
        let (target, offset) = (samples.target(row), row.clock_offset_us);
        let (slot, attempt, scheduled, started) = (row.slot, row.attempt, row.scheduled, row.started);
        let (outcome, total) = (row.outcome, row.total);
        format!("{target} {slot:?} {attempt} {scheduled} {started} {outcome:?} {total:?} {served:?} {offset:?}")
    };
    samples.rows.iter().map(line).collect()
}

/// What the judge is to be told of measurements.
pub(crate) fn told_of<'a>(measurements: impl IntoIterator<Item = &'a Measurement>) -> Vec<String> {
    let line = |m: &Measurement| {
        let (target, slot, attempt, scheduled, started) = (&m.target, m.slot, m.attempt, m.scheduled, m.started);
        let (outcome, total, served, offset) = (m.outcome, m.total, m.served.as_ref(), m.observer.clock_offset_us);
        format!("{target} {slot:?} {attempt} {scheduled} {started} {outcome:?} {total:?} {served:?} {offset:?}")
    };
    measurements.into_iter().map(line).collect()
}

pub(crate) fn agent_id(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

pub(crate) fn vantage(region: &str, zone: &str) -> Vantage {
    Vantage { region: Region::new(region).unwrap(), zone: Zone::new(zone).unwrap() }
}

fn probe() -> Probe {
    Probe {
        kind: ProbeKind::Tcp(TcpProbe { address: "a.test:1".into(), send: None, expect: None }),
        timeout: Millis(8000),
        retries: 1,
        connect: Default::default(),
        tls: Default::default(),
        served: None,
    }
}

/// Two agents, one service in two regions, and so many controls.
pub(crate) fn plan(revision: u64, controls: usize) -> Plan {
    let regions: Vec<Region> = ["NL", "IE"].iter().map(|r| Region::new(r).unwrap()).collect();
    let endpoint = Endpoint {
        weight: 1,
        critical: false,
        regional: regions.iter().map(|region| (region.clone(), probe())).collect(),
        zonal: BTreeMap::new(),
        global: Some(probe()),
    };
    let service = Service {
        title: "Exchange".into(),
        class: ServiceClass::Webservice,
        objective: Millis(1500),
        active_region: regions[0].clone(),
        chain: BTreeSet::new(),
        endpoints: [(EndpointName::new("default").unwrap(), endpoint)].into(),
        policy: None,
    };
    let control =
        |i: usize| (ControlId::new(format!("ctl-{i}")).unwrap(), Control { probe: probe(), objective: Millis(1500) });
    Plan {
        name: "trial".into(),
        revision,
        slot: SlotLength::new(Millis::from_secs(10)).unwrap(),
        regions: regions.iter().map(|r| (r.clone(), [Zone::new("1").unwrap()].into())).collect(),
        agents: [(agent_id("nl-1"), vantage("NL", "1")), (agent_id("ie-1"), vantage("IE", "1"))].into(),
        services: [(ServiceId::new("exchange").unwrap(), service)].into(),
        partners: BTreeMap::new(),
        controls: (0..controls).map(control).collect(),
        policy: Policy::default(),
        shadow: BTreeMap::new(),
        windows: Vec::new(),
    }
}

/// What two measurements that are the same attempt have in common, and whatever else a test tells apart.
pub(crate) fn row(target: &str, slot: i64, attempt: u8, total_us: u64) -> Measurement {
    let scheduled = WallTime::from_micros(slot * 10_000_000 + 1_234_567);
    Measurement {
        target: TargetId::from_wire(target),
        slot: Slot(slot),
        attempt,
        scheduled,
        started: scheduled,
        outcome: Outcome::Up,
        total: Some(Elapsed::from_micros(total_us)),
        phases: Phases::default(),
        http_status: Some(200),
        served: None,
        hops: Vec::new(),
        certificate_expires: None,
        observer: Observer::default(),
    }
}

/// The slot that [`NOW`] begins.
pub(crate) fn slot_now() -> i64 {
    NOW.as_micros() / 10_000_000
}

/// Rows as an agent sends them.
pub(crate) fn batch(boot: u64, first_sequence: u64, rows: &[Measurement]) -> v1::Batch {
    columns::batch(BootId(boot), first_sequence, &columns::encode(rows), v1::Compression::None)
}
