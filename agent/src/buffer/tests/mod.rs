//! Does the buffer keep its promises, whatever happens to its disk?

mod disk;
mod fixture;
mod kill;
mod life;
mod model;
mod segments;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use uitwijk_model::{BootId, Elapsed, Measurement, Observer, Outcome, Phases, Slot, SystemClock, TargetId, WallTime};
use uitwijk_proto::columns::{Limits, Rows};

use super::{Books, Buffer, BufferOptions, Delivery, OpenReport, Reader};

pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn measurement(n: u64) -> Measurement {
    let at = WallTime::from_millis(i64::try_from(n).unwrap() * 20);
    Measurement {
        target: TargetId::from_wire(&format!("exchange/default@{}", n % 40)),
        slot: Slot(at.as_millis() / 10_000),
        attempt: 0,
        scheduled: at,
        started: at,
        outcome: Outcome::Up,
        total: Some(Elapsed::from_micros(5_000 + n * 7919 % 10_000)),
        phases: Phases::default(),
        http_status: Some(200),
        served: None,
        hops: Vec::new(),
        certificate_expires: None,
        observer: Observer::default(),
    }
}

pub(super) fn measurements(count: u64) -> Vec<Measurement> {
    (0..count).map(measurement).collect()
}

pub(super) fn options(dir: &Path, collectors: &[&str]) -> BufferOptions {
    let names = collectors.iter().map(|&name| name.to_owned()).collect();
    let options = BufferOptions::new(dir.join("buffer"), names, Arc::new(SystemClock));
    BufferOptions {
        ballast_bytes: 64 << 10,
        commit_every: Duration::from_millis(10),
        retry_every: Duration::from_millis(20),
        ..options
    }
}

pub(super) fn open(dir: &Path, collectors: &[&str]) -> (Buffer, OpenReport) {
    Buffer::open(options(dir, collectors)).unwrap()
}

/// What a collector has: rows and tombstones, sequence by sequence.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) rows: BTreeSet<(BootId, u64)>,
    pub(super) told: BTreeSet<(BootId, u64)>,
}

impl Received {
    pub(super) fn add(&mut self, delivery: &Delivery) -> (BootId, u64) {
        match delivery {
            Delivery::Batch(batch) => {
                let rows = Rows::from_batch(batch, &Limits::default()).unwrap();
                assert_eq!(rows.len(), batch.count as usize);
                let end = batch.first_sequence + u64::from(batch.count);
                self.rows.extend((batch.first_sequence..end).map(|sequence| (BootId(batch.boot), sequence)));
                (BootId(batch.boot), end)
            }
            Delivery::Tombstone(tombstone) => {
                assert!(tombstone.count > 0);
                let end = tombstone.first_sequence + tombstone.count;
                self.told.extend((tombstone.first_sequence..end).map(|sequence| (BootId(tombstone.boot), sequence)));
                (BootId(tombstone.boot), end)
            }
        }
    }
}

pub(super) async fn next(reader: &mut Reader) -> Delivery {
    let next = tokio::time::timeout(PATIENCE, reader.next(8192, 1 << 20)).await;
    next.expect("the buffer has something").expect("the buffer is open")
}

/// Waits until a condition holds that the owner thread brings about.
pub(super) async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited for: {what}"));
}

/// Reads everything that is buffered and acknowledges it.
pub(super) async fn drain(buffer: &Buffer, collector: &str) -> Received {
    buffer.sync().await;
    let mut reader = buffer.reader(collector).unwrap();
    let mut received = Received::default();
    while open_items(buffer, collector) > 0 {
        let (boot, end) = received.add(&next(&mut reader).await);
        buffer.acknowledge(collector, boot, end);
        let settled = || buffer.cursor(collector, boot).is_none_or(|cursor| cursor >= end);
        until("the acknowledgement", settled).await;
    }
    received
}

fn open_items(buffer: &Buffer, collector: &str) -> u64 {
    buffer.ranges(collector).iter().map(|range| range.next_sequence - range.first_sequence).sum()
}

pub(super) fn running(buffer: &Buffer, collector: &str) -> Books {
    let books = buffer.books(collector);
    books.iter().for_each(|books| assert!(books.balance(), "{books:?}"));
    *books.last().unwrap()
}
