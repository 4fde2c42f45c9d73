//! The buffer of an agent.
//!
//! A child appends, syncs, acknowledges, closes and opens again, and says what is buffered. After a cut every measurement
//! that was said to be buffered and was not acknowledged is there, and is the one that was appended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use uitwijk_agent::buffer::{Books, Buffer, BufferOptions, Delivery};
use uitwijk_model::{BootId, Elapsed, Measurement, Observer, Outcome, Phases, Slot, SystemClock, TargetId, WallTime};
use uitwijk_proto::columns::{Limits, Rows};
use uitwijk_proto::v1;

use super::cuts::{Cut, Story, life};
use super::recorder::child_dir;
use super::trace::say;

const COLLECTOR: &str = "col-nl";
const PATIENCE: Duration = Duration::from_secs(30);

/// The measurement with this number of a boot: no two are alike.
fn measurement(boot: u64, sequence: u64) -> Measurement {
    let at = WallTime::from_millis(i64::try_from(sequence).unwrap_or(0) * 20);
    let mixed = (boot << 32 | sequence).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    Measurement {
        target: TargetId::from_wire(&format!("exchange/default@{}", sequence % 40)),
        slot: Slot(at.as_millis() / 10_000),
        attempt: 0,
        scheduled: at,
        started: at,
        outcome: Outcome::Up,
        total: Some(Elapsed::from_micros(mixed)),
        phases: Phases::default(),
        http_status: Some(200),
        served: None,
        hops: Vec::new(),
        certificate_expires: None,
        observer: Observer::default(),
    }
}

fn options(dir: &Path, boot: u64) -> BufferOptions {
    let mut options = BufferOptions::new(dir.join("buffer"), vec![COLLECTOR.to_owned()], Arc::new(SystemClock));
    options.ballast_bytes = 4096;
    options.commit_every = Duration::from_millis(1);
    // Made anew now and then in the life of a child.
    options.recreate_bytes = 1 << 20;
    options.boot = Some(BootId(boot));
    options
}

/// Appends so many, and says that they are buffered.
async fn buffered(buffer: &Buffer, count: u64) {
    let boot = buffer.boot().0;
    let first = buffer.next_sequence();
    buffer.append((first..first + count).map(|sequence| measurement(boot, sequence)).collect());
    assert!(buffer.sync().await, "the disk of the child is well");
    let expired: u64 = buffer.books(COLLECTOR).iter().map(|books| books.expired).sum();
    say(&format!("buffered {boot} {} {expired}", first + count - 1));
}

/// What is acknowledged may go, from now on.
fn acknowledge(buffer: &Buffer, next: u64) {
    say(&format!("acknowledged {} {next}", buffer.boot().0));
    buffer.acknowledge(COLLECTOR, buffer.boot(), next);
}

/// Not a test: the child.
#[tokio::test]
async fn child() {
    let Some(dir) = child_dir() else { return };
    for run in 1..=2 {
        let (buffer, report) = Buffer::open(options(&dir, life() * 100 + run)).unwrap();
        assert!(report.moved_aside.is_none(), "{report:?}");
        for turn in 1..=25u64 {
            buffered(&buffer, 1 + turn * 331 % 1400).await;
            let started = buffer.next_sequence() - 1;
            match turn % 10 {
                3 | 6 => acknowledge(&buffer, started / 2),
                9 => acknowledge(&buffer, started + 1),
                _ => {}
            }
        }
        match run {
            1 => buffer.close().await,
            // It dies with the process.
            _ => std::mem::forget(buffer),
        }
    }
}

/// Not a test: the child whose buffer is too small for what it measures.
#[tokio::test]
async fn small_child() {
    let Some(dir) = child_dir() else { return };
    let mut options = options(&dir, life() * 100 + 1);
    options.disk_bytes_max = 400_000;
    let (buffer, report) = Buffer::open(options).unwrap();
    assert!(report.moved_aside.is_none(), "{report:?}");
    // Long enough for segments of the file that are free again to be used again.
    for turn in 1..=130u64 {
        buffered(&buffer, 1 + turn * 331 % 1400).await;
    }
    buffer.close().await;
}

/// What was said.
#[derive(Debug, Default)]
struct Promised {
    /// By boot, up to which number.
    buffered: BTreeMap<u64, u64>,
    /// By boot, below which number.
    acknowledged: BTreeMap<u64, u64>,
    /// How many may have gone for want of room.
    expired: u64,
}

impl Promised {
    fn of(cut: &Cut<'_>) -> anyhow::Result<Self> {
        let mut promised = Self::default();
        let lines = cut.said.iter().map(String::as_str);
        for (line, is_next) in lines.map(|line| (line, false)).chain(cut.next.map(|line| (line, true))) {
            let mut words = line.split(' ');
            let what = words.next();
            let numbers = words.map(str::parse).collect::<Result<Vec<u64>, _>>().with_context(|| line.to_owned())?;
            match (what, &numbers[..]) {
                (Some("buffered"), &[boot, last, expired]) => {
                    if !is_next {
                        promised.buffered.insert(boot, last);
                    }
                    promised.expired = promised.expired.max(expired);
                }
                (Some("acknowledged"), &[boot, next]) if !is_next => {
                    let before = promised.acknowledged.entry(boot).or_insert(1);
                    *before = next.max(*before);
                }
                (Some("acknowledged"), _) => {}
                _ => bail!("the child said {line:?}"),
            }
        }
        Ok(promised)
    }
}

/// What a buffer hands out.
#[derive(Debug, Default)]
struct Found {
    rows: BTreeSet<(u64, u64)>,
    expired: BTreeSet<(u64, u64)>,
    lost: BTreeSet<(u64, u64)>,
}

impl Found {
    async fn read(buffer: &Buffer) -> anyhow::Result<Self> {
        let mut found = Self::default();
        let mut reader = buffer.reader(COLLECTOR).context("a reader")?;
        let ranges = buffer.ranges(COLLECTOR);
        let mut open: u64 = ranges.iter().map(|range| range.next_sequence - range.first_sequence).sum();
        while open > 0 {
            let next = tokio::time::timeout(PATIENCE, reader.next(8192, 1 << 20)).await;
            let taken = match next.context("the buffer has more")?.context("the buffer is open")? {
                Delivery::Batch(batch) => {
                    found.take(&batch)?;
                    u64::from(batch.count)
                }
                Delivery::Tombstone(told) => {
                    let range = told.first_sequence..told.first_sequence + told.count;
                    let expired = told.reason == i32::from(v1::LossReason::Expired);
                    let set = if expired { &mut found.expired } else { &mut found.lost };
                    set.extend(range.map(|sequence| (told.boot, sequence)));
                    told.count
                }
            };
            open = open.saturating_sub(taken);
        }
        Ok(found)
    }

    fn take(&mut self, batch: &v1::Batch) -> anyhow::Result<()> {
        let rows = Rows::from_batch(batch, &Limits::default()).context("a batch of the buffer")?;
        for i in 0..rows.len() {
            let row = rows.row(i).map_err(|why| anyhow::anyhow!("row {i}: {why:?}"))?;
            let sequence = rows.sequence(i);
            let expected = measurement(batch.boot, sequence);
            ensure!(row.to_measurement() == expected, "{} {sequence} is not what was measured", batch.boot);
            self.rows.insert((batch.boot, sequence));
        }
        Ok(())
    }
}

fn check(cut: &Cut<'_>) -> anyhow::Result<()> {
    let promised = Promised::of(cut)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (buffer, report) = Buffer::open(options(cut.dir, u64::MAX)).context("open")?;
        ensure!(report.moved_aside.is_none(), "{:?}", report.moved_aside);
        let books = buffer.books(COLLECTOR);
        ensure!(books.iter().all(Books::balance), "{books:?}");
        let found = Found::read(&buffer).await?;
        ensure!(found.expired.len() as u64 <= promised.expired, "{} expired", found.expired.len());
        for (&boot, &last) in &promised.buffered {
            let from = promised.acknowledged.get(&boot).copied().unwrap_or(1);
            let gone = |sequence: &u64| {
                let row = (boot, *sequence);
                !found.rows.contains(&row) && !found.expired.contains(&row)
            };
            let missing: Vec<u64> = (from..=last).filter(gone).collect();
            let ends = (missing.first(), missing.last());
            ensure!(missing.is_empty(), "{} of {boot} are missing, from {:?} to {:?}", missing.len(), ends.0, ends.1);
        }
        buffer.append(vec![measurement(u64::MAX, buffer.next_sequence())]);
        ensure!(buffer.sync().await, "nothing can be written any more");
        buffer.close().await;
        Ok(())
    })
}

#[test]
fn what_was_buffered_outlives_the_power() -> anyhow::Result<()> {
    let story = Story { name: "buffer", child: "buffer::child", lives: 2, share: 1.0, kind: "", every: 1 };
    story.play(check)
}

#[test]
fn what_expired_before_the_power_went_is_told_and_no_more() -> anyhow::Result<()> {
    let story = Story { name: "small buffer", child: "buffer::small_child", lives: 2, share: 1.0, kind: "", every: 4 };
    story.play(check)
}
