//! Were the promises kept?
//!
//! ```text
//!   started, as a witness wrote it down   =   stored  +  not on disk at a kill  +  expired, with a tombstone  +  repeated:
//!                                             its slot was taken before the agent's clock went back
//!   stored at one collector: each key once, nothing that was not started, contents as measured
//!   two collectors with all that was delivered: the same timeline, and the one that judging everything at once gives
//! ```

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use uitwijk_judge::{Cause, Evidence, Execution, Need, Segment, Topology, judge};
use uitwijk_model::{AgentId, BootId, Clock as _, Measurement, Sequence, ServiceId, Slot, TargetId, WallTime};

use super::agent::{Agent, COMMIT_EVERY, Started};
use super::collector::Collector;
use super::fleet::Fleet;

/// The stated bound: what is younger than this at a kill may be lost. The commit itself takes no time here.
const UNSYNCED_MAX: Duration = COMMIT_EVERY;
/// Faults of one kind that are told one by one.
const TOLD_MAX: usize = 3;

/// What was found, besides broken promises.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) unsynced: u64,
    pub(super) expired: u64,
    pub(super) repeated: u64,
    pub(super) episodes: usize,
    pub(super) digest: u64,
}

/// The name of a measurement in transport.
type Number = (AgentId, BootId, Sequence);
/// Its name by what it is.
type Natural = (AgentId, TargetId, Slot, u8);

/// Everything that a collector stored.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) rows: BTreeMap<Number, (Measurement, WallTime)>,
    /// Which one is kept of each turn.
    kept: HashMap<Natural, Number>,
}

fn natural(agent: &AgentId, m: &Measurement) -> Natural {
    (agent.clone(), m.target.clone(), m.slot, m.attempt)
}

pub(super) async fn ask(fleet: &Fleet, broken: &mut Vec<String>) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let mut digest = DefaultHasher::new();
    let mut timelines = Vec::new();
    for collector in &fleet.collectors {
        let stored = stored(collector, broken)?;
        for agent in &fleet.agents {
            ledger(agent, collector, &stored, &mut found, broken)?;
        }
        for (key, (measurement, _)) in &stored.rows {
            (key.0.as_str(), key.1.0, key.2, format!("{measurement:?}")).hash(&mut digest);
        }
        let live = live(fleet, collector).await;
        for (service, segments) in &live {
            let again = again(fleet, service, &stored, segments.last().map_or(fleet.world.end, |last| last.to));
            if again != *segments {
                let difference = first_difference(segments, Some(&again));
                broken.push(format!("{}: live and a replay differ for {service}: {difference}", collector.name));
            }
        }
        timelines.push((stored, live));
    }
    // Where a full buffer dropped the first of two for one collector, that one rightly keeps the second.
    let nothing_expired = fleet.agents.iter().all(|agent| !agent.may_expire());
    for (stored, _) in timelines[1..].iter().filter(|_| nothing_expired) {
        let first = &timelines[0].0.kept;
        let other = |(turn, number): &(&Natural, &Number)| first.get(*turn).is_some_and(|kept| kept != *number);
        let others: BTreeMap<_, _> = stored.kept.iter().filter(other).collect();
        if let Some((turn, number)) = others.first_key_value() {
            let count = others.len();
            broken.push(format!("the collectors keep others of {count} turns, such as {number:?} of {turn:?}"));
        }
    }
    for (service, segments) in &timelines[0].1 {
        format!("{segments:?}").hash(&mut digest);
        found.episodes += segments.iter().filter(|told| told.cause != Cause::Healthy).count();
        for (_, other) in &timelines[1..] {
            // A full buffer may have dropped different rows for each collector.
            let same_evidence = timelines.iter().all(|(stored, _)| stored.rows.keys().eq(timelines[0].0.rows.keys()));
            if same_evidence && other.get(service) != Some(segments) {
                let difference = first_difference(segments, other.get(service));
                broken.push(format!("the collectors differ for {service}: {difference}"));
            }
        }
    }
    found.digest = digest.finish();
    Ok(found)
}

pub(super) fn stored(collector: &Collector, broken: &mut Vec<String>) -> anyhow::Result<Stored> {
    let mut all = Stored::default();
    for rows in collector.store.recover(WallTime::from_micros(i64::MIN)) {
        let rows = rows?;
        for (sequence, measurement) in rows.sequences.iter().zip(rows.rows) {
            let number = (rows.agent.clone(), rows.boot, *sequence);
            if let Some(first) = all.kept.insert(natural(&rows.agent, &measurement), number.clone()) {
                broken.push(format!("{}: stored twice: {first:?} and {sequence} of {}", collector.name, rows.boot));
            }
            if all.rows.insert(number, (measurement, rows.arrived)).is_some() {
                broken.push(format!("{}: number {sequence} of {} is there twice", collector.name, rows.boot));
            }
        }
    }
    Ok(all)
}

/// Holds what one collector has of one agent against what the agent began.
fn ledger(
    agent: &Agent,
    collector: &Collector,
    stored: &Stored,
    found: &mut Found,
    broken: &mut Vec<String>,
) -> anyhow::Result<()> {
    let mut missing: BTreeMap<BootId, Vec<&Started>> = BTreeMap::new();
    let mut repeated: BTreeMap<BootId, u64> = BTreeMap::new();
    let mut started = BTreeMap::new();
    for began in &agent.started {
        started.insert((began.boot, began.sequence), began);
        match stored.rows.get(&(agent.name.clone(), began.boot, began.sequence)) {
            // Of two that a clock gave one name, either may be kept.
            None if stored.kept.contains_key(&natural(&agent.name, &began.measurement)) => {
                *repeated.entry(began.boot).or_default() += 1;
            }
            None => missing.entry(began.boot).or_default().push(began),
            Some((measurement, _)) if *measurement != began.measurement => {
                broken
                    .push(format!("{}: {} of {} is not what was measured", collector.name, began.sequence, agent.name));
            }
            Some(_) => {}
        }
    }
    let own = stored.rows.keys().filter(|key| key.0 == agent.name);
    let invented = own.filter(|key| !started.contains_key(&(key.1, key.2))).count();
    if invented > 0 {
        broken.push(format!("{}: {invented} rows of {} were never measured", collector.name, agent.name));
    }
    let ledgers = collector.store.small()?.ledgers;
    for (boot, lost) in missing {
        let kill = agent.kills.iter().find(|(killed, _)| *killed == boot).map(|(_, at)| *at);
        let young = |began: &&&Started| {
            let within = i64::try_from(UNSYNCED_MAX.as_micros()).unwrap_or(i64::MAX);
            kill.is_some_and(|kill| kill.micros_since(began.at) <= within)
        };
        let unsynced = lost.iter().rev().take_while(young).count() as u64;
        let told =
            ledgers.iter().find(|(name, of, _)| *name == agent.name && *of == boot).map_or(0, |(_, _, l)| l.lost);
        let rest = lost.len() as u64 - unsynced;
        if rest > told {
            let first: Vec<Sequence> = lost.iter().take(TOLD_MAX).map(|began| began.sequence).collect();
            broken.push(format!(
                "{}: {rest} rows of {} boot {boot} are missing, {told} of them declared lost; first {first:?}",
                collector.name, agent.name
            ));
        }
        if rest > 0 && !agent.may_expire() {
            let name = &collector.name;
            broken
                .push(format!("{name}: {rest} rows of {} boot {boot} are lost though its buffer had room", agent.name));
        }
        found.unsynced += unsynced;
        found.expired += rest.min(told);
    }
    found.repeated += repeated.values().sum::<u64>();
    if !repeated.is_empty() && !agent.clock.went_back() {
        broken.push(format!("{}: {} named turns twice with a clock that never went back", collector.name, agent.name));
    }
    for (_, boot, ledger) in ledgers.iter().filter(|(name, _, _)| *name == agent.name) {
        if !ledger.balances() || !ledger.has_no_gaps() {
            broken.push(format!("{}: the ledger of {} boot {boot} does not balance", collector.name, agent.name));
        }
        // Those that were lost at a kill or expired were never sent.
        if ledger.duplicate > repeated.get(boot).copied().unwrap_or(0) {
            broken.push(format!("{}: {} duplicates of {} boot {boot}", collector.name, ledger.duplicate, agent.name));
        }
    }
    Ok(())
}

/// A stretch, as far as two judges must agree on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    from: WallTime,
    to: WallTime,
    need: Need,
    cause: Cause,
    execution: Execution,
}

type Timelines = BTreeMap<ServiceId, Vec<Told>>;

fn told(segments: &[Segment]) -> Vec<Told> {
    let mut all: Vec<Told> = Vec::new();
    for s in segments {
        let next = Told { from: s.from, to: s.to, need: s.need, cause: s.cause, execution: s.execution };
        match all.last_mut() {
            Some(last) if Told { from: last.from, to: last.to, ..next } == *last && last.to == next.from => {
                last.to = next.to;
            }
            _ => all.push(next),
        }
    }
    all
}

async fn live(fleet: &Fleet, collector: &Collector) -> Timelines {
    let mut all = Timelines::new();
    let Some(judging) = collector.judging() else { return all };
    let (from, to) = (WallTime::from_micros(i64::MIN), fleet.clock.wall());
    judging.settle().await;
    for service in fleet.world.plan.services.keys() {
        let timeline = judging.timeline(service.clone(), from, to).await;
        all.insert(service.clone(), told(&timeline.map(|t| t.segments).unwrap_or_default()));
    }
    all
}

/// Judges all that is stored of a service at once, as far as it was judged live.
fn again(fleet: &Fleet, service: &ServiceId, stored: &Stored, through: WallTime) -> Vec<Told> {
    let Ok(topology) = Topology::of(&fleet.world.plan, service) else { return Vec::new() };
    let mut evidence = Evidence::new(&topology);
    for ((agent, _, _), (measurement, arrived)) in &stored.rows {
        if let Some(agent) = topology.agent(agent) {
            evidence.add_measurement(&topology, agent, measurement, *arrived);
        }
    }
    told(&judge(&topology, &evidence, through).segments)
}

fn first_difference(one: &[Told], other: Option<&Vec<Told>>) -> String {
    let Some(other) = other else { return "one of them has nothing".to_owned() };
    let at = one.iter().zip(other).position(|(a, b)| a != b).unwrap_or(one.len().min(other.len()));
    format!("{:?} against {:?}", one.get(at), other.get(at))
}
