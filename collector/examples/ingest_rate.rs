//! How many measurements per second go through decoding, checking, deduplication, sync and hand-over to the judge?
//!
//! ```text
//!   cargo run --release -p uitwijk-collector --example ingest_rate [ROWS] [STREAMS] [ROWS_PER_BATCH] [none|zstd]
//! ```
//!
//! Without network: batches are made beforehand and handed to the service through channels, which keep to the window as agents
//! do. The store is a real one in a temporary directory. The judge takes its input and drops it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uitwijk_collector::ingest::{IngestLimits, IngestMetrics, IngestService, JudgeInput, Parts};
use uitwijk_collector::plans::Plans;
use uitwijk_collector::store::{DiskOptions, Store};
use uitwijk_identity::{Identity, PeerInfo, Role};
use uitwijk_model::plan::read::read_plan;
use uitwijk_model::{
    BootId, Clock, Elapsed, Measurement, Observer, Outcome, Phases, Plan, Slot, SystemClock, TargetId, WallTime,
};
use uitwijk_proto::columns;
use uitwijk_proto::v1::{self, from_agent, from_collector};
use uitwijk_telemetry::Health;

const TARGETS: usize = 1000;
const SLOT_US: i64 = 10_000_000;

struct Load {
    rows: usize,
    streams: usize,
    batch_rows: usize,
    compression: v1::Compression,
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let mut number = |default: usize| args.next().map_or(Ok(default), |text| text.parse());
    let (rows, streams, batch_rows) = (number(4_000_000)?, number(8)?, number(500)?);
    let compression = match args.next().as_deref() {
        Some("zstd") => v1::Compression::Zstd,
        _ => v1::Compression::None,
    };
    let load = Load { rows, streams: streams.clamp(1, 64), batch_rows: batch_rows.clamp(1, 8192), compression };
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(&load))
}

async fn run(load: &Load) -> Result<()> {
    let plan = plan(load.streams)?;
    let batches: Vec<Vec<v1::Batch>> = (0..load.streams).map(|stream| batches(load, stream)).collect();
    let bytes: usize = batches.iter().flatten().map(|batch| batch.columns.len()).sum();
    let rows: u64 = batches.iter().flatten().map(|batch| u64::from(batch.count)).sum();
    println!("{rows} rows in batches of {}, {:.1} bytes a row on the wire", load.batch_rows, ratio(bytes as u64, rows));

    let dir = tempfile::tempdir()?;
    let (judge, judged) = mpsc::channel(256);
    let metrics = IngestMetrics::default();
    let stopping = CancellationToken::new();
    let clock = Arc::new(SystemClock);
    let store = Store::open(dir.path(), DiskOptions::default(), clock.clone())?;
    let (service, committer) = IngestService::start(Parts {
        collector: "bench".into(),
        store: store.clone(),
        plans: Arc::new(Plans::fixed(plan.clone())),
        limits: IngestLimits::default(),
        clock,
        judge,
        metrics: metrics.clone(),
        health: Health::default(),
        stopping: stopping.clone(),
    })?;
    let drained = tokio::spawn(drain(judged));
    let (began, cpu) = (SystemClock.elapsed(), cpu_seconds("self")?);
    let mut agents = Vec::new();
    for (stream, batches) in batches.into_iter().enumerate() {
        agents.push(tokio::spawn(agent(service.clone(), info(&plan, stream)?, batches)));
    }
    for agent in agents {
        agent.await??;
    }
    let (took, cpu) = (SystemClock.elapsed().since(began), cpu_seconds("self")? - cpu);
    let committer_cpu = thread_cpu_seconds("committer")?;
    drop(service);
    committer.ended(Duration::from_secs(60)).await;
    let judged = drained.await?;

    let seconds = took.as_micros() as f64 / 1e6;
    let million = rows as f64 / 1e6;
    println!("{:.0} measurements/s, {:.2} s", rows as f64 / seconds, seconds);
    println!("{:.2} CPU s per million, of them {:.2} in the committer", cpu / million, committer_cpu / million);
    println!(
        "{} stored, {judged} judged, {} groups of {:.0} rows",
        metrics.rows_stored.get(),
        metrics.commits.get(),
        ratio(rows, metrics.commits.get())
    );
    println!("{:.1} bytes a row on disk", ratio(store.disk_bytes(), rows));
    let began = SystemClock.elapsed();
    let mut recovered = 0;
    for accepted in store.recover(WallTime::from_micros(0)) {
        recovered += accepted?.rows.len() as u64;
    }
    let seconds = SystemClock.elapsed().since(began).as_micros() as f64 / 1e6;
    println!("{:.0} measurements/s read back as after a start", recovered as f64 / seconds);
    if metrics.rows_stored.get() == rows && judged == rows && recovered == rows {
        Ok(())
    } else {
        Err(anyhow!("rows are missing"))
    }
}

/// One agent: keeps the window full and waits for the last acknowledgement.
async fn agent(service: IngestService, info: PeerInfo, batches: Vec<v1::Batch>) -> Result<()> {
    let (to_collector, inbound) = mpsc::channel(4);
    let mut answers = service.serve(&info, inbound)?;
    let last = batches.last().map_or(1, |b| b.first_sequence + u64::from(b.count));
    let sending = tokio::spawn(async move {
        let hello = v1::Hello { protocol_version: 1, boot: 1, ..v1::Hello::default() };
        let messages = batches.into_iter().map(from_agent::Message::Batch);
        for message in [from_agent::Message::Hello(hello)].into_iter().chain(messages) {
            if to_collector.send(v1::FromAgent { message: Some(message) }).await.is_err() {
                return;
            }
        }
    });
    while let Some(answer) = answers.next().await {
        if let Some(from_collector::Message::Acknowledgement(ack)) = answer?.message
            && ack.cursors.iter().any(|cursor| cursor.next_sequence == last)
        {
            return Ok(sending.await?);
        }
    }
    Err(anyhow!("the stream ended before its last acknowledgement"))
}

async fn drain(mut judged: mpsc::Receiver<JudgeInput>) -> u64 {
    let mut rows = 0;
    while let Some(input) = judged.recv().await {
        if let JudgeInput::Rows(accepted) = input {
            rows += accepted.rows.len() as u64;
        }
    }
    rows
}

fn plan(agents: usize) -> Result<Plan> {
    use std::fmt::Write as _;
    let mut text = String::from("name: load\nrevision: 1\nslot: 10s\nregions:\n  NL: [1]\n  IE: [1]\nagents:\n");
    for i in 0..agents {
        writeln!(text, "  a-{i}: {}/1", ["NL", "IE"][i % 2])?;
    }
    text.push_str("controls:\n");
    for i in 0..TARGETS {
        writeln!(text, "  ctl-{i}:\n    probe: https://c{i}.example.net/")?;
    }
    text.push_str("services:\n  exchange:\n    title: Exchange\n    class: webservice\n    active_region: NL\n");
    text.push_str("    endpoints:\n      default:\n        regional:\n");
    text.push_str("          NL: https://nl.example.net/\n          IE: https://ie.example.net/\n");
    read_plan(&text, &|_| None).map_err(|mistakes| anyhow!("{mistakes}"))
}

fn info(plan: &Plan, stream: usize) -> Result<PeerInfo> {
    let name = format!("a-{stream}");
    let vantage = plan.agents.get(name.as_str()).context("an agent of the plan")?.clone();
    Ok(PeerInfo {
        identity: Identity { name, role: Role::Agent(vantage) },
        addr: ([127, 0, 0, 1], 1).into(),
        certificate_expires: WallTime::from_micros(i64::MAX),
        certificate_fingerprint: [0; 32],
    })
}

/// What one agent measured until now, a slot after the other, all targets in each.
fn batches(load: &Load, stream: usize) -> Vec<v1::Batch> {
    let rows = load.rows / load.streams;
    let slot_now = SystemClock.wall().as_micros() / SLOT_US;
    let first_slot = slot_now - i64::try_from(rows.div_ceil(TARGETS)).unwrap_or(0);
    let targets: Vec<TargetId> = (0..TARGETS).map(|i| TargetId::from_wire(&format!("control:ctl-{i}"))).collect();
    let mut made = Vec::new();
    for start in (0..rows).step_by(load.batch_rows) {
        let measured: Vec<Measurement> = (start..rows.min(start + load.batch_rows))
            .map(|i| measurement(&targets[i % TARGETS], first_slot, i, stream))
            .collect();
        let columns = columns::encode(&measured);
        made.push(columns::batch(BootId(1), start as u64 + 1, &columns, load.compression));
    }
    made
}

fn measurement(target: &TargetId, first_slot: i64, i: usize, stream: usize) -> Measurement {
    let (slot, turn) = (first_slot + (i / TARGETS).cast_signed() as i64, (i % TARGETS) as i64);
    let scheduled = WallTime::from_micros(slot * SLOT_US + turn * (SLOT_US / TARGETS as i64));
    // Numbers as jittery as real ones, so that they compress like them.
    let noise = (i as u64 ^ stream as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52;
    let us = |base: u64| Some(Elapsed::from_micros(base + noise));
    let phases =
        Phases { dns: us(300), connect: us(900), tls: us(3000), send: us(20), wait: us(12_000), transfer: us(200) };
    Measurement {
        target: target.clone(),
        slot: Slot(slot),
        attempt: 0,
        scheduled,
        started: WallTime::from_micros(scheduled.as_micros() + noise.cast_signed()),
        outcome: Outcome::Up,
        total: us(17_000),
        phases,
        http_status: Some(200),
        served: None,
        hops: Vec::new(),
        certificate_expires: Some(WallTime::from_millis(1_900_000_000_000)),
        observer: Observer { clock_offset_us: Some(-400), controls_seen: 3, ..Observer::default() },
    }
}

/// User and system time of this process, or of one of its threads.
fn cpu_seconds(of: &str) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{of}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').context("a stat line")?.1.split_whitespace().collect();
    // A tick of the kernel is 10 ms on every system that we know.
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}

fn thread_cpu_seconds(name: &str) -> Result<f64> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let id = task?.file_name().into_string().unwrap_or_default();
        if std::fs::read_to_string(format!("/proc/self/task/{id}/comm"))?.trim() == name {
            return cpu_seconds(&format!("self/task/{id}"));
        }
    }
    Ok(0.0)
}

fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b.max(1) as f64
}
