//! The store of a collector: groups in the hot store, hours sealed into files.
//!
//! A child writes groups of one row each, numbered from 0, seals hours, removes what is covered, and says what is stored. After a
//! cut every row that was said to be stored is there once and is the one that was written, and so are those behind it, without a gap.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use rand::rngs::StdRng;
use rand::{RngCore as _, SeedableRng as _};
use uitwijk_collector::store::{
    DiskOptions, DiskStore, HotStore, Mask, Objects, RecordKey, Sealing, Store, StoredBatch, Writes, small,
};
use uitwijk_model::{
    AgentId, BootId, Elapsed, Measurement, Millis, Observer, Outcome, Phases, Region, Slot, SystemClock, TargetId,
    Vantage, WallTime, Zone,
};
use uitwijk_proto::{columns, v1};

use super::cuts::{Cut, Story, life};
use super::recorder::child_dir;
use super::trace::say;

/// 2026-03-02T08:00:00Z.
const NOW: WallTime = WallTime::from_millis(1_772_438_400_000);
const LATER: WallTime = NOW.plus(Millis(86_400_000));
/// Rows are spread over the two hours before.
const SLOTS: i64 = 720;

fn row(i: u64) -> Measurement {
    let slot = NOW.as_micros() / 10_000_000 - 1 - i64::try_from(i * 7).unwrap_or(0) % SLOTS;
    let scheduled = WallTime::from_micros(slot * 10_000_000 + 1_234_567);
    Measurement {
        target: TargetId::from_wire("exchange/default@NL"),
        slot: Slot(slot),
        attempt: 0,
        scheduled,
        started: scheduled,
        outcome: Outcome::Up,
        total: Some(Elapsed::from_micros(i)),
        phases: Phases::default(),
        http_status: Some(200),
        served: None,
        hops: Vec::new(),
        certificate_expires: None,
        observer: Observer::default(),
    }
}

fn batch(i: u64, serial: u64) -> anyhow::Result<StoredBatch> {
    let columns = columns::encode(&[row(i)]);
    Ok(StoredBatch {
        key: RecordKey {
            from: row(i).scheduled,
            agent: AgentId::new("nl-1")?,
            boot: BootId(1),
            first_sequence: i + 1,
            serial,
            span_us: 0,
        },
        vantage: Vantage { region: Region::new("NL")?, zone: Zone::new("1")? },
        arrived: NOW,
        count: 1,
        mask: Mask::all(),
        columns: columns::to_bytes(&columns, v1::Compression::Zstd),
        compression: v1::Compression::Zstd.into(),
    })
}

/// A store whose groups the child writes itself, opened as [`Store::open`] opens it.
struct Child {
    hot: Arc<DiskStore>,
    store: Store,
    next: u64,
}

impl Child {
    fn open(dir: &Path) -> anyhow::Result<Self> {
        drop(Store::open(&dir.join("store"), DiskOptions::default(), Arc::new(SystemClock))?);
        let dir = dir.join("store");
        let hot = Arc::new(DiskStore::open(&dir, DiskOptions::default(), Arc::new(SystemClock))?);
        let store = Store::joined(hot.clone(), Objects::folder(&dir.join("cold"))?)?;
        let next = rows(&store)?.len() as u64;
        Ok(Self { hot, store, next })
    }

    /// Writes the next row, beside so many bytes that nobody can press together, and says that it is stored.
    fn write(&mut self, ballast: usize) -> anyhow::Result<()> {
        let serial = self.store.small()?.serial + 1;
        let mut writes = Writes::default();
        writes.batch(&batch(self.next, serial)?);
        writes.small.push(small::serial(serial));
        if ballast > 0 {
            let mut noise = vec![0; ballast];
            StdRng::seed_from_u64(self.next).fill_bytes(&mut noise);
            // Behind the last moment that a reader can ask for.
            writes.batches.push(([&[0xff; 8], &self.next.to_be_bytes()[..]].concat(), noise));
        }
        self.hot.write(&writes)?;
        say(&format!("stored {}", self.next));
        self.next += 1;
        Ok(())
    }

    fn seal(&self) -> anyhow::Result<()> {
        for (hour, ..) in self.store.unsealed(LATER)? {
            let how = Sealing { collector: "c", plan_version: "p", now: LATER, file_rows_max: 20, give_up: &|| false };
            self.store.seal(hour, &how)?.context("it was not given up")?;
        }
        Ok(())
    }

    fn remove_covered(&self) -> anyhow::Result<()> {
        let mut from = Some(bytes::Bytes::new());
        while let Some(start) = from {
            from = self.store.remove_covered(&start)?.1;
        }
        self.store.remove_condemned()?;
        Ok(())
    }
}

/// All rows, by their number.
fn rows(store: &Store) -> anyhow::Result<Vec<Measurement>> {
    let parts = store.recover(WallTime::from_micros(i64::MIN)).collect::<Result<Vec<_>, _>>()?;
    let mut rows: Vec<Measurement> = parts.into_iter().flat_map(|part| part.rows).collect();
    rows.sort_by_key(|row| row.total);
    Ok(rows)
}

/// Not a test: the child.
#[test]
fn child() -> anyhow::Result<()> {
    let Some(dir) = child_dir() else { return Ok(()) };
    for _ in 0..2 {
        let mut child = Child::open(&dir)?;
        for turn in 1..=30 {
            child.write(0)?;
            match turn % 12 {
                5 | 10 => child.seal()?,
                11 => child.remove_covered()?,
                _ => {}
            }
        }
    }
    Ok(())
}

/// Not a test: the child that writes more than the memory tables hold, so that they become files of their own.
#[test]
fn large_child() -> anyhow::Result<()> {
    let Some(dir) = child_dir() else { return Ok(()) };
    let mut child = Child::open(&dir)?;
    // The first life ends before the files are made, the second makes them.
    for turn in 0..[7, 8][usize::from(life() > 0)] {
        child.write(2 << 20)?;
        if turn % 5 == 4 {
            child.seal()?;
            child.remove_covered()?;
        }
    }
    Ok(())
}

fn check(cut: &Cut<'_>) -> anyhow::Result<()> {
    let last = cut.said.iter().rev().find_map(|line| line.strip_prefix("stored "));
    let promised = last.map(str::parse::<u64>).transpose()?.map_or(0, |last| last + 1);
    let found = {
        let store =
            Store::open(&cut.dir.join("store"), DiskOptions::default(), Arc::new(SystemClock)).context("open")?;
        let found = rows(&store)?;
        ensure!(store.damaged_records() == 0, "{} damaged records", store.damaged_records());
        found
    };
    let numbers: Vec<u64> = found.iter().map(|row| row.total.map_or(0, Elapsed::as_micros)).collect();
    ensure!(numbers.iter().copied().eq(0..numbers.len() as u64), "doubled or missing: {numbers:?}");
    ensure!(numbers.len() as u64 >= promised, "{} rows are there, {promised} were promised", numbers.len());
    for (number, found) in numbers.iter().zip(&found) {
        ensure!(*found == row(*number), "row {number} is not what was written");
    }
    let mut child = Child::open(cut.dir).context("open it again")?;
    child.write(0).context("write to it again")?;
    child.seal()?;
    ensure!(rows(&child.store)?.len() == numbers.len() + 1, "what is written afterwards is not there");
    Ok(())
}

#[test]
fn what_was_stored_outlives_the_power() -> anyhow::Result<()> {
    let story = Story { name: "store", child: "store::child", lives: 2, share: 1.0, kind: "blobs", every: 1 };
    story.play(check)
}

#[test]
fn tables_that_were_written_out_outlive_the_power() -> anyhow::Result<()> {
    let story =
        Story { name: "large store", child: "store::large_child", lives: 2, share: 0.3, kind: "blobs", every: 1 };
    story.play(check)
}
