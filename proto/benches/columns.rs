//! How many measurements per second can be encoded, decoded and checked on one core?
//!
//! `cargo bench -p uitwijk-proto` prints elements per second; an element is one row of a batch of 500.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use uitwijk_model::id::TargetId;
use uitwijk_model::{
    BootId, Elapsed, Fault, Measurement, Observer, Outcome, Phases, Region, ServedBy, Slot, WallTime, Zone,
};
use uitwijk_proto::columns::{Limits, Rows, batch, encode, merge};
use uitwijk_proto::v1::Compression;

const ROWS: i64 = 500;

/// A slot of an agent with 500 targets, one in fifty down.
fn rows() -> Vec<Measurement> {
    let served = ServedBy { region: Region::new("NL").expect("NL is a name"), zone: Zone::new("2").ok() };
    (0..ROWS)
        .map(|i| {
            let jitter = u64::try_from(i * 7919 % 5000).unwrap_or(0);
            let us = |base: u64| Some(Elapsed::from_micros(base + jitter));
            let down = i % 50 == 0;
            Measurement {
                target: TargetId::from_wire(&format!("service-{}/default@NL/{}", i / 3, i % 3)),
                slot: Slot(177_243_840),
                attempt: 0,
                scheduled: WallTime::from_millis(1_772_438_400_000 + i * 20),
                started: WallTime::from_micros(1_772_438_400_000_000 + i * 20_000 + 150),
                outcome: if down { Outcome::Down(Fault::ConnectTimeout) } else { Outcome::Up },
                total: us(150_000),
                phases: Phases {
                    dns: us(900),
                    connect: us(20_000),
                    tls: us(41_000),
                    send: us(50),
                    wait: us(80_000),
                    transfer: us(700),
                },
                http_status: (!down).then_some(200),
                served: (!down).then(|| served.clone()),
                hops: vec![],
                certificate_expires: Some(WallTime::from_millis(1_780_000_000_000)),
                observer: Observer {
                    clock_offset_us: Some(-350),
                    loop_lag: Elapsed::from_micros(jitter),
                    controls_failed: 0,
                    controls_seen: 3,
                },
            }
        })
        .collect()
}

fn columns(c: &mut Criterion) {
    let rows = rows();
    let limits = Limits::default();
    let mut group = c.benchmark_group("columns");
    group.throughput(Throughput::Elements(ROWS.unsigned_abs()));
    group.sample_size(30).measurement_time(std::time::Duration::from_secs(2));
    for how in [Compression::None, Compression::Zstd] {
        let name = how.as_str_name().to_lowercase();
        let encoded = batch(BootId(1), 1, &encode(&rows), how);
        println!("{name}: {:.1} bytes a row", encoded.columns.len() as f64 / ROWS as f64);
        group.bench_function(format!("encode/{name}"), |b| {
            b.iter(|| batch(BootId(1), 1, &encode(black_box(&rows)), how));
        });
        group.bench_function(format!("decode_and_check/{name}"), |b| {
            b.iter(|| {
                let rows = Rows::from_batch(black_box(&encoded), &limits).expect("our batch is well formed");
                rows.iter().filter(|row| row.as_ref().is_ok_and(|r| r.outcome.is_answer())).count()
            });
        });
    }
    let encoded = batch(BootId(1), 1, &encode(&rows), Compression::None);
    group.bench_function("decode_to_measurements", |b| {
        b.iter(|| {
            let rows = Rows::from_batch(black_box(&encoded), &limits).expect("our batch is well formed");
            rows.iter().flatten().map(|row| row.to_measurement()).collect::<Vec<_>>()
        });
    });
    let parts: Vec<_> = rows
        .chunks(50)
        .zip(0..)
        .map(|(part, i)| batch(BootId(1), 1 + 50 * i, &encode(part), Compression::None))
        .collect();
    group.bench_function("merge_of_ten", |b| b.iter(|| merge(black_box(&parts))));
    group.finish();
}

criterion_group!(benches, columns);
criterion_main!(benches);
