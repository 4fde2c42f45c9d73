//! How long does a month of one service take from memory, and how soon after the deciding record is there a verdict?
//!
//! `cargo bench -p uitwijk-judge --bench month` prints a line for the month in one batch, one for the month through the
//! live judge woken every slot (6 agents, 12 targets, slots of 10 s, 30 days with three outages), one each for an hour
//! with 7 targets, quiet and with an outage, and one each for the time of the `advance` that confirms an outage and of the
//! one after late records that go back 30 minutes.
//!
//! Two days are played, a quiet one and one with an outage of two hours, and the month is put together from them: its
//! samples are read from memory one by one, with their slots and times moved. Names were looked up when the memory was
//! filled; a line of its own tells what it costs to look them up sample by sample. Seconds are those of the processor.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "a benchmark measures time")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use support::scenario::Scenario;
use support::{plans, world};
use uitwijk_judge::{Evidence, Live, Need, Numbered, Revision, Sample, Topology, judge};
use uitwijk_model::{AgentId, Millis, Plan, WallTime};

const DAY_S: u64 = 86_400;
const DAYS: u64 = 30;
/// Days with an outage.
const BAD: [u64; 3] = [4, 11, 25];

fn scenario(duration_s: u64, faults: &serde_json::Value) -> Scenario {
    serde_json::from_value(serde_json::json!({
        "id": "month", "active_region": "NL", "duration_s": duration_s, "faults": faults,
        "services": [{"id": "exchange", "class": "webservice", "chain": ["idp", "kvk", "rdw"],
                      "endpoints": [{"name": "api", "weight": 2}, {"name": "portal"}]}]
    }))
    .unwrap()
}

fn outage(from_s: u64, to_s: u64) -> serde_json::Value {
    serde_json::json!([{"from_s": from_s, "to_s": to_s, "scope": {"target_region": "NL"},
                        "effect": {"kind": "error", "params": {"rate": 0.7}}}])
}

fn played(s: &Scenario, plan: &Plan, seed: u64) -> Vec<Sample> {
    world::play(s, plan, seed).iter().map(|d| Sample::of(&d.agent, &d.measurement, d.arrived)).collect()
}

/// A sample that can be moved to another day.
trait Movable: Clone {
    fn moved(&mut self, slots: i64, time: Millis);
}

impl Movable for Numbered {
    fn moved(&mut self, slots: i64, time: Millis) {
        (self.slot, self.started, self.arrived) =
            (self.slot.plus(slots), self.started.plus(time), self.arrived.plus(time));
    }
}

impl Movable for Sample {
    fn moved(&mut self, slots: i64, time: Millis) {
        (self.slot, self.started, self.arrived) =
            (self.slot.plus(slots), self.started.plus(time), self.arrived.plus(time));
    }
}

/// A month of samples in order of arrival, two days of which are kept.
struct Month<S> {
    quiet: Vec<S>,
    bad: Vec<S>,
}

impl<S: Movable> Month<S> {
    /// Hands every sample over once, moved to its day.
    fn each(&mut self, mut f: impl FnMut(&S)) {
        let (slots, time) = (i64::try_from(DAY_S / 10).unwrap(), Millis::from_secs(DAY_S));
        let mut moved = [0, 0];
        for day in 0..DAYS {
            let bad = BAD.contains(&day);
            let samples = if bad { &mut self.bad } else { &mut self.quiet };
            let days = day - std::mem::replace(&mut moved[usize::from(bad)], day);
            for s in samples.iter_mut() {
                s.moved(slots * i64::try_from(days).unwrap(), Millis(time.0 * days));
                f(s);
            }
        }
    }
}

/// Time that this thread has had a processor for.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn line(what: &str, samples: u64, took: Duration, bytes: usize, needed: usize) {
    let per_s = samples as f64 / took.as_secs_f64() / 1e6;
    println!(
        "{what}: {samples} measurements in {:.3} s, {per_s:.1} M/s, {bytes} bytes, {needed} needed episodes",
        took.as_secs_f64()
    );
}

fn batch<S: Movable>(
    what: &str,
    topology: &Topology,
    end: WallTime,
    mut month: Month<S>,
    add: impl Fn(&mut Evidence, &S),
) {
    let (mut evidence, mut samples, began) = (Evidence::new(topology), 0, cpu());
    month.each(|s| {
        add(&mut evidence, s);
        samples += 1;
    });
    let filled = cpu() - began;
    let timeline = judge(topology, &evidence, end);
    let needed = timeline.episodes.iter().filter(|e| e.need == Need::Needed).count();
    line(what, samples, cpu() - began, evidence.bytes(), needed);
    println!("  of which {:.3} s to fill the evidence", filled.as_secs_f64());
}

/// Wakes a judge as the collector does: each slot, with every agent's records in.
struct Woken {
    live: Live,
    agents: Vec<AgentId>,
    grace: Millis,
    wake: WallTime,
}

impl Woken {
    fn new(plan: &Plan, start: WallTime) -> Self {
        let live = Live::new(plan, &plans::service_id("exchange")).unwrap();
        let (agents, grace) = (plan.agents.keys().cloned().collect(), plan.policy.grace);
        Self { wake: live.next_wakeup(start), live, agents, grace }
    }

    fn until(&mut self, now: WallTime, mut each: impl FnMut(&mut Live, WallTime)) {
        while now >= self.wake {
            for agent in &self.agents {
                self.live.frontier(agent, self.wake.minus(self.grace));
            }
            each(&mut self.live, self.wake);
            self.wake = self.live.next_wakeup(self.wake);
        }
    }
}

fn live(plan: &Plan, start: WallTime, end: WallTime, mut month: Month<Numbered>) {
    let mut woken = Woken::new(plan, start);
    let (mut samples, mut revisions, began) = (0, Vec::<Revision>::new(), cpu());
    month.each(|s| {
        woken.until(s.arrived, |live, now| revisions.extend(live.advance(now)));
        woken.live.observe_numbered(Some(s), None);
        samples += 1;
    });
    revisions.extend(woken.live.advance(end));
    let took = cpu() - began;
    let mut needed: Vec<_> = revisions.iter().filter(|r| r.need == Need::Needed).map(|r| &r.episode).collect();
    needed.sort_unstable();
    needed.dedup();
    line("month, live", samples, took, woken.live.bytes(), needed.len());
}

/// An hour of the plan that `benches/judge.rs` uses (7 targets), through the live judge: the mean of 200, because the
/// clock of a thread is only set forward some hundred times a second.
fn hour(what: &str, faults: &serde_json::Value) {
    let s: Scenario = serde_json::from_value(
        serde_json::json!({"id": "hour", "active_region": "NL", "duration_s": 3600, "faults": faults}),
    )
    .unwrap();
    let mut plan = s.plan();
    plan.services.retain(|id, _| id.as_str() == "exchange");
    let samples = played(&s, &plan, 1);
    let once = || {
        let mut woken = Woken::new(&plan, s.at(0));
        for x in &samples {
            woken.until(x.arrived, |live, now| _ = live.advance(now));
            woken.live.observe_sample(x);
        }
        woken.live.advance(s.at(3600));
        woken.live.bytes()
    };
    let began = cpu();
    let bytes = (0..200).map(|_| once()).max().unwrap();
    let took = (cpu() - began) / 200;
    let per_s = samples.len() as f64 / took.as_secs_f64() / 1e6;
    println!("{what}: {} measurements in {took:?}, {per_s:.1} M/s, {bytes} bytes left open", samples.len());
}

/// The time of the `advance` that first says needed, and of the one that goes back 30 minutes.
fn delays() -> (Duration, Duration) {
    let s = scenario(7200, &outage(3600, 7200));
    let plan = s.plan();
    let mut samples = played(&s, &plan, 3);
    let (from, to) = (s.at(5390), s.at(7190));
    let mut late = samples.clone();
    late.retain(|x| x.agent.as_str() == "nl-1" && x.started >= from && x.started < to);
    samples.retain(|x| !(x.agent.as_str() == "nl-1" && x.started >= from && x.started < to));
    let mut woken = Woken::new(&plan, s.at(0));
    let mut confirmed = None;
    let mut step = |live: &mut Live, now: WallTime| {
        let began = Instant::now();
        let revisions = live.advance(now);
        let took = began.elapsed();
        if revisions.iter().any(|r| r.need == Need::Needed) {
            confirmed.get_or_insert(took);
        }
    };
    for x in &samples {
        woken.until(x.arrived, &mut step);
        woken.live.observe_sample(x);
    }
    woken.until(s.at(7210), &mut step);
    late.iter().for_each(|x| _ = woken.live.observe_sample(x));
    let began = Instant::now();
    let _ = woken.live.advance(s.at(7211));
    (confirmed.unwrap(), began.elapsed())
}

fn main() {
    let (quiet, bad) = (scenario(DAY_S, &serde_json::json!([])), scenario(DAY_S, &outage(36_000, 43_200)));
    let (plan, start, end) = (quiet.plan(), quiet.at(0), quiet.at(DAYS * DAY_S + 60));
    let topology = Topology::of(&plan, &plans::service_id("exchange")).unwrap();
    let names = || Month { quiet: played(&quiet, &plan, 1), bad: played(&bad, &plan, 2) };
    let seen = || {
        let numbers = |all: Vec<Sample>| all.iter().filter_map(|s| Numbered::of(&topology, s)).collect();
        let Month { quiet, bad } = names();
        Month { quiet: numbers(quiet), bad: numbers(bad) }
    };
    for _ in 0..3 {
        batch("month, batch", &topology, end, seen(), |evidence, s| _ = evidence.add_numbered(s));
        live(&plan, start, end, seen());
    }
    batch("month, batch, by name", &topology, end, names(), |evidence, s| _ = evidence.add(&topology, s));
    hour("quiet hour, live, by name", &serde_json::json!([]));
    hour("hour with 30 min of outage, live, by name", &outage(900, 2700));
    let all: Vec<_> = (0..20).map(|_| delays()).collect();
    let (confirms, late): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    println!(
        "the advance that confirms an outage: best {:?}, worst {:?} of 20",
        confirms.iter().min().unwrap(),
        confirms.iter().max().unwrap()
    );
    println!(
        "the advance after records that go back 30 min: best {:?}, worst {:?} of 20",
        late.iter().min().unwrap(),
        late.iter().max().unwrap()
    );
}
