//! How fast is the buffer, and how much memory does a long backlog take?
//!
//! ```text
//!   cargo run --release -p uitwijk-agent --example buffer_rate -- [BACKLOG_MIB] [DIR] [ROWS_PER_COMMIT]
//! ```
//!
//! Fills a buffer up to a backlog (default 64 MiB of records, in a temporary folder) and prints measurements per second, all of
//! them synced, and the resident memory. A folder that has the backlog already is drained instead: run it twice to see
//! what a fresh process takes.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use uitwijk_agent::buffer::{Buffer, BufferOptions, Delivery};
use uitwijk_model::{
    Clock, Elapsed, Measurement, Observer, Outcome, Phases, Region, ServedBy, Slot, SystemClock, TargetId, WallTime,
    Zone,
};

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let backlog_mib: u64 = args.next().map_or(Ok(64), |text| text.parse()).context("BACKLOG_MIB is a number")?;
    let temporary = tempfile::tempdir()?;
    let dir = args.next().map_or_else(|| temporary.path().join("buffer"), Into::into);
    let commit_rows: u64 = args.next().map_or(Ok(8192), |text| text.parse()).context("ROWS_PER_COMMIT is a number")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("{:<22} {:>12} {:>10} {:>8} {:>10}", "step", "measurements", "per s", "RSS MiB", "disk MiB");
    println!("{:<22} {:>12} {:>10} {:>8.1}", "start", "", "", resident_mib());
    runtime.block_on(run(&dir, backlog_mib << 20, commit_rows))
}

async fn run(dir: &Path, backlog: u64, commit_rows: u64) -> Result<()> {
    let began = SystemClock.elapsed();
    let (buffer, opened) = Buffer::open(options(dir, backlog))?;
    report("open", opened.rows_kept, began, &buffer);

    let began = SystemClock.elapsed();
    if buffer.counts().raw_bytes < backlog {
        let written = fill(&buffer, backlog, commit_rows).await?;
        report("fill, synced", written, began, &buffer);
    } else {
        let drained = drain(&buffer, opened.rows_kept).await?;
        report("drain, acknowledged", drained, began, &buffer);
        while buffer.counts().raw_bytes > 0 {
            buffer.sync().await;
        }
        report("empty", drained, began, &buffer);
    }
    buffer.close().await;
    Ok(())
}

fn options(dir: &Path, backlog: u64) -> BufferOptions {
    let mut options = BufferOptions::new(dir, vec!["col-nl".into()], Arc::new(SystemClock));
    options.disk_bytes_max = backlog * 4;
    options
}

async fn fill(buffer: &Buffer, backlog: u64, commit_rows: u64) -> Result<u64> {
    let mut written = 0;
    while buffer.counts().raw_bytes < backlog {
        written += buffer.append((written..written + commit_rows).map(measurement).collect()).taken;
        if !buffer.sync().await {
            bail!("the disk of the buffer failed");
        }
    }
    Ok(written)
}

async fn drain(buffer: &Buffer, rows: u64) -> Result<u64> {
    let mut reader = buffer.reader("col-nl").context("the collector is configured")?;
    let mut drained = 0;
    while drained < rows {
        let Some(Delivery::Batch(batch)) = reader.next(500, 1 << 20).await else { bail!("rows are missing") };
        drained += u64::from(batch.count);
        let end = batch.first_sequence + u64::from(batch.count);
        buffer.acknowledge("col-nl", uitwijk_model::BootId(batch.boot), end);
    }
    Ok(drained)
}

fn report(step: &str, rows: u64, began: Elapsed, buffer: &Buffer) {
    let ms = SystemClock.elapsed().since(began).as_millis().max(1);
    let disk = buffer.counts().disk_bytes >> 20;
    println!("{step:<22} {rows:>12} {:>10} {:>8.1} {disk:>10}", rows * 1000 / ms, resident_mib());
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(f64::NAN);
    kib / 1024.0
}

/// A usual row: most differ from the one before in little, none is the same.
fn measurement(n: u64) -> Measurement {
    let at = WallTime::from_micros(i64::try_from(n).unwrap_or(0) * 20_000 + 1_700_000_000_000_000);
    let us = |base: u64| Some(Elapsed::from_micros(base + n.wrapping_mul(7919) % base));
    let served = Region::new("NL").ok().map(|region| ServedBy { region, zone: Zone::new("1").ok() });
    Measurement {
        target: TargetId::from_wire(&format!("exchange/default@NL-{}", n % 500)),
        slot: Slot(at.as_millis() / 10_000),
        attempt: 0,
        scheduled: at,
        started: at,
        outcome: Outcome::Up,
        total: us(9_000),
        phases: Phases {
            dns: us(300),
            connect: us(900),
            tls: us(2_000),
            send: us(40),
            wait: us(5_000),
            transfer: us(60),
        },
        http_status: Some(200),
        served,
        hops: Vec::new(),
        certificate_expires: Some(WallTime::from_millis(1_800_000_000_000)),
        observer: Observer::default(),
    }
}
