//! How many bytes does a measurement take after its hour is sealed, and what does sealing cost?
//!
//! ```text
//!   cargo run --release -p uitwijk-collector --example seal_rate [HOURS] [TARGETS] [ROWS_PER_BATCH] [PLACE]
//! ```
//!
//! Six agents measure so many targets every ten seconds for some hours, with phases that jitter independently of each other, as
//! real ones do. The batches are written to a store in a temporary directory as the committer writes them, then every hour is sealed,
//! its hot records are removed, and all is read back. The last line is the figure. PLACE is one for `cold.url`; with the feature `s3`
//! that may be a bucket.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use uitwijk_collector::store::{
    DiskOptions, DiskStore, FILE_ROWS_MAX, HotStore as _, Mask, Objects, RecordKey, Sealing, Store, StoredBatch,
    Writes, small,
};
use uitwijk_model::{
    AgentId, BootId, Clock as _, Elapsed, Measurement, Observer, Outcome, Phases, Region, ServedBy, Slot, SystemClock,
    TargetId, Vantage, WallTime, Zone,
};
use uitwijk_proto::columns;
use uitwijk_proto::v1;

const AGENTS: u64 = 6;
const SLOT_US: i64 = 10_000_000;
const HOUR_US: i64 = 3_600_000_000;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let mut number = |default: u64| args.next().map_or(Ok(default), |text| text.parse());
    let (hours, targets, batch_rows) = (number(2)?, number(500)?, number(500)?);
    let place = std::env::args().nth(4);
    let dir = tempfile::tempdir()?;
    let hot = Arc::new(DiskStore::open(&dir.path().join("store"), DiskOptions::default(), Arc::new(SystemClock))?);
    let objects = match &place {
        Some(url) => Objects::at(url)?,
        None => Objects::folder(&dir.path().join("cold"))?,
    };
    let store = Store::joined(hot.clone(), objects)?;
    let start = SystemClock.wall().as_micros().div_euclid(HOUR_US) * HOUR_US - HOUR_US * hours.cast_signed() - HOUR_US;
    let (rows, bytes) = fill(&hot, start, hours, targets, batch_rows)?;
    println!("{rows} rows, {:.1} bytes a row in the records of the hot store", ratio(bytes, rows));

    let (began, cpu) = (SystemClock.elapsed(), cpu_seconds()?);
    let mut sealed_rows = 0;
    for (hour, ..) in store.unsealed(SystemClock.wall())? {
        let how = Sealing {
            collector: "bench",
            plan_version: "0123456789abcdef",
            now: SystemClock.wall(),
            file_rows_max: FILE_ROWS_MAX,
            give_up: &|| false,
        };
        let sealed = store.seal(hour, &how)?.context("nobody gave up")?;
        sealed_rows += sealed.rows;
    }
    let (took, cpu) = (SystemClock.elapsed().since(began), cpu_seconds()? - cpu);
    ensure!(sealed_rows == rows, "{sealed_rows} rows were sealed");
    let mut from = Some(bytes::Bytes::new());
    while let Some(at) = from {
        from = store.remove_covered(&at)?.1;
    }
    let hours = store.sealed_hours();
    let (bytes, rollup_bytes) = (hours.iter().map(|h| h.bytes).sum(), hours.iter().map(|h| h.rollup_bytes).sum());
    println!("{} KiB are left of the hot store, its journal included", hot.disk_bytes() / 1024);

    let (began, mut read) = (SystemClock.elapsed(), 0);
    for part in store.records(WallTime::from_micros(i64::MIN), WallTime::from_micros(i64::MAX)) {
        part?.each_key(|_| read += 1)?;
    }
    let seconds = SystemClock.elapsed().since(began).as_micros() as f64 / 1e6;
    println!("{:.1} million keys read a second", read as f64 / 1e6 / seconds);
    let (began, mut accepted) = (SystemClock.elapsed(), 0);
    for batch in store.recover(WallTime::from_micros(i64::MIN)) {
        accepted += batch?.rows.len() as u64;
    }
    let seconds = SystemClock.elapsed().since(began).as_micros() as f64 / 1e6;
    println!("{:.1} million measurements read back a second", accepted as f64 / 1e6 / seconds);
    ensure!(read == rows && accepted == rows, "rows are missing: {read} keys, {accepted} measurements");
    println!(
        "{:.1} bytes a measurement after sealing and {:.1} of rollups, {:.2} CPU s per million sealed, {:.2} million sealed a \
         second, {} MiB at most",
        ratio(bytes, rows),
        ratio(rollup_bytes, rows),
        cpu / (rows as f64 / 1e6),
        rows as f64 / took.as_micros() as f64,
        peak_mib()?
    );
    Ok(())
}

/// Writes what all agents measured, in order of time, as batches of one agent each. Gives the rows and the bytes of their records.
fn fill(hot: &DiskStore, start: i64, hours: u64, targets: u64, batch_rows: u64) -> Result<(u64, u64)> {
    let ids: Vec<TargetId> = (0..targets).map(|i| TargetId::from_wire(&format!("service-{i}/default@NL"))).collect();
    let slots = hours * 360;
    let (mut serial, mut rows, mut bytes) = (0, 0, 0);
    let per_agent = slots * targets;
    for first in (0..per_agent).step_by(usize::try_from(batch_rows)?) {
        let mut writes = Writes::default();
        for agent in 0..AGENTS {
            let all: Vec<Measurement> = (first..per_agent.min(first + batch_rows))
                .map(|i| measurement(&ids, start, agent, i / targets, i % targets, targets))
                .collect();
            serial += 1;
            rows += all.len() as u64;
            writes.batch(&batch(agent, first, serial, &all)?);
        }
        writes.small.push(small::serial(serial));
        bytes += writes.batches.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>();
        hot.write(&writes)?;
    }
    Ok((rows, bytes))
}

fn batch(agent: u64, first: u64, serial: u64, rows: &[Measurement]) -> Result<StoredBatch> {
    let columns = columns::encode(rows);
    let (from, to) = (rows[0].scheduled, rows[rows.len() - 1].scheduled);
    let region = ["NL", "IE"][usize::try_from(agent % 2)?];
    Ok(StoredBatch {
        key: RecordKey {
            from,
            agent: AgentId::new(format!("{region}-{agent}"))?,
            boot: BootId(0x9e37_79b9_0000_0000 + agent),
            first_sequence: first + 1,
            serial,
            span_us: u32::try_from(to.micros_since(from))?,
        },
        vantage: Vantage { region: Region::new(region)?, zone: Zone::new((agent / 2 + 1).to_string())? },
        arrived: WallTime::from_micros(to.as_micros() + 40_000 + noise(serial, 1, 30_000)),
        count: columns.count,
        mask: Mask::all(),
        columns: columns::to_bytes(&columns, v1::Compression::None),
        compression: v1::Compression::None.into(),
    })
}

fn measurement(ids: &[TargetId], start: i64, agent: u64, slot: u64, target: u64, targets: u64) -> Measurement {
    let seed = (slot * targets + target) * AGENTS + agent;
    let scheduled = start + slot.cast_signed() * SLOT_US + target.cast_signed() * SLOT_US / targets.cast_signed();
    let us =
        |salt: u64, base: i64, most: i64| Some(Elapsed::from_micros((base + noise(seed, salt, most)).unsigned_abs()));
    // One in two hundred is slow.
    let wait = if noise(seed, 9, 200) == 0 { us(5, 1_600_000, 400_000) } else { us(5, 12_000, 8000) };
    let phases = Phases {
        dns: us(2, 300, 200),
        connect: us(3, 900, 300),
        tls: us(4, 3000, 900),
        send: us(6, 20, 15),
        wait,
        transfer: us(7, 200, 90),
    };
    let total: u64 = phases.named().iter().filter_map(|(_, phase)| *phase).map(Elapsed::as_micros).sum();
    let region = Region::new("NL").expect("a name");
    Measurement {
        target: ids[usize::try_from(target).expect("few targets")].clone(),
        slot: Slot(scheduled.div_euclid(SLOT_US)),
        attempt: 0,
        scheduled: WallTime::from_micros(scheduled),
        started: WallTime::from_micros(scheduled + 60 + noise(seed, 8, 120)),
        outcome: if total > 1_500_000 { Outcome::Slow } else { Outcome::Up },
        total: Some(Elapsed::from_micros(total + 40)),
        phases,
        http_status: Some(200),
        served: Some(ServedBy { region, zone: None }),
        hops: Vec::new(),
        certificate_expires: Some(WallTime::from_millis(1_900_000_000_000)),
        observer: Observer {
            clock_offset_us: Some(-400 - noise(slot / 6 * AGENTS + agent, 10, 300)),
            loop_lag: Elapsed::from_micros(noise(slot * AGENTS + agent, 11, 500).unsigned_abs()),
            controls_failed: 0,
            controls_seen: 3,
        },
    }
}

/// From 0 to below `most`, evenly; the same for the same seed and salt.
fn noise(seed: u64, salt: u64, most: i64) -> i64 {
    let mut x = seed.wrapping_add(salt << 56).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) % most.unsigned_abs()).cast_signed()
}

/// User and system time of this process. A tick of the kernel is 10 ms on every system that we know.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit_once(')').context("a stat line")?.1.split_whitespace().collect();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}

fn peak_mib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("a peak")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}

fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b.max(1) as f64
}
