//! How many measurements per second does one core judge, and how much memory does an open service take?
//!
//! `cargo bench -p uitwijk-judge` prints the time for one hour of one service (6 agents, 7 targets, slots of 10 s)
//! through the live judge, woken every slot, and the memory that is left open; and the same in one batch.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "criterion measures time")]

#[path = "../tests/support/mod.rs"]
mod support;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use support::scenario::Scenario;
use support::{Delivery, plans, world};
use uitwijk_judge::{Evidence, Live, Sample, Topology, judge};
use uitwijk_model::{Plan, WallTime};

fn hour(faults: &serde_json::Value) -> (Plan, Vec<Delivery>, WallTime) {
    let s: Scenario = serde_json::from_value(
        serde_json::json!({"id": "bench", "active_region": "NL", "duration_s": 3600, "faults": faults}),
    )
    .unwrap();
    let mut plan = s.plan();
    plan.services.retain(|id, _| id.as_str() == "exchange");
    let deliveries = world::play(&s, &plan, 1);
    (plan, deliveries, s.at(3600))
}

fn live(plan: &Plan, deliveries: &[Delivery], end: WallTime) -> Live {
    let mut live = Live::new(plan, &plans::service_id("exchange")).unwrap();
    let mut wake = live.next_wakeup(deliveries[0].arrived);
    for d in deliveries {
        while d.arrived >= wake {
            for agent in plan.agents.keys() {
                live.frontier(agent, wake.minus(plan.policy.grace));
            }
            live.advance(wake);
            wake = live.next_wakeup(wake);
        }
        live.observe(&d.agent, &d.measurement, d.arrived);
    }
    live.advance(end);
    live
}

fn benches(c: &mut Criterion) {
    let down = serde_json::json!([
        {"from_s": 900, "to_s": 2700, "scope": {"target_region": "NL"}, "effect": {"kind": "error", "params": {"rate": 0.7}}}
    ]);
    for (name, faults) in [("quiet", serde_json::json!([])), ("outage", down)] {
        let (plan, deliveries, end) = hour(&faults);
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(deliveries.len() as u64));
        group.bench_function("live", |b| b.iter(|| live(&plan, &deliveries, end)));
        let topology = Topology::of(&plan, &plans::service_id("exchange")).unwrap();
        let samples: Vec<Sample> = deliveries.iter().map(|d| Sample::of(&d.agent, &d.measurement, d.arrived)).collect();
        group.bench_function("batch", |b| {
            b.iter_batched(
                || Evidence::new(&topology),
                |mut evidence| {
                    samples.iter().for_each(|s| _ = evidence.add(&topology, s));
                    judge(&topology, &evidence, end)
                },
                BatchSize::LargeInput,
            );
        });
        group.finish();
        let open = live(&plan, &deliveries, end);
        println!("{name}: memory of one open service {} KiB", open.bytes() / 1024);
    }
}

criterion_group!(all, benches);
criterion_main!(all);
