//! What does each agent of a simulation measure, and when?
//!
//! A stretch of a random world of the scenarios, from a little before the first thing that goes wrong in it; most stretches are
//! short, so that many are played in a minute. Troubles of clocks and of the way to the collectors are taken out of it: the
//! simulation has its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use uitwijk_model::{AgentId, Measurement, Millis, Plan, Vantage, WallTime};
use uitwijk_replay::Record;
use uitwijk_scenario::format::{EffectKind, FaultPath, Scenario};
use uitwijk_scenario::{plan, random, simulate};

/// How much of a world is played: enough for a hard failure with its end, and now and then for a soft one.
const SHORT: Millis = Millis::from_secs(12 * 60);
const LONG: Millis = Millis::from_secs(40 * 60);
/// One world in so many is long.
const LONG_EACH: u64 = 8;
/// How much of a good time comes first.
const BEFORE: Millis = Millis::from_secs(100);

/// One attempt of an agent.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    /// When it has ended.
    pub(super) ends: WallTime,
    /// What was found.
    pub(super) measurement: Measurement,
    /// When it has ended, all attempts due before this have.
    pub(super) complete: WallTime,
}

/// One agent.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) agent: AgentId,
    pub(super) vantage: Vantage,
    /// In order of their end.
    pub(super) attempts: Vec<Attempt>,
}

/// A world with its observers.
#[derive(Debug)]
pub(super) struct World {
    pub(super) plan: Arc<Plan>,
    pub(super) start: WallTime,
    pub(super) end: WallTime,
    pub(super) watches: Vec<Watch>,
}

impl World {
    pub(super) fn of(seed: u64) -> Self {
        let mut scenario = random::random(seed);
        scenario.faults.retain(|fault| {
            fault.scope.path != FaultPath::Collector && !matches!(fault.effect.kind, EffectKind::Skew { .. })
        });
        let lasting = if seed.is_multiple_of(LONG_EACH) { LONG } else { SHORT };
        let first = scenario.faults.iter().map(|fault| fault.from).min().unwrap_or_default();
        let from = Millis(first.0.saturating_sub(BEFORE.0)).min(Millis(scenario.duration.0.saturating_sub(lasting.0)));
        scenario.duration = Millis(from.0 + lasting.0);
        Self::playing(&scenario, from, seed)
    }

    /// What a scenario says from some time after its start on, with the noise of a seed.
    pub(super) fn playing(scenario: &Scenario, from: Millis, seed: u64) -> Self {
        let start = scenario.at(from);
        let plan = Arc::new(plan(scenario));
        let records = simulate(scenario, seed);
        let watches =
            plan.agents.iter().map(|(agent, vantage)| watch(agent, vantage, &plan, &records, (start, scenario.end())));
        Self { watches: watches.collect(), start, end: scenario.end(), plan }
    }
}

fn watch(
    agent: &AgentId,
    vantage: &Vantage,
    plan: &Plan,
    records: &[Record],
    (start, end): (WallTime, WallTime),
) -> Watch {
    let mut seen = BTreeSet::new();
    let own = records.iter().filter(|r| r.watcher.agent == *agent && r.scheduled >= start && seen.insert(r.sequence));
    let mut attempts: Vec<Attempt> =
        own.map(|r| Attempt { ends: r.sent, measurement: r.measurement(plan.slot), complete: end }).collect();
    attempts.sort_by(|a, b| (a.ends, &a.measurement.target).cmp(&(b.ends, &b.measurement.target)));
    // From the last to the first: what is still to end was due no earlier.
    let mut earliest = end;
    for attempt in attempts.iter_mut().rev() {
        attempt.complete = earliest;
        earliest = earliest.min(attempt.measurement.scheduled);
    }
    Watch { agent: agent.clone(), vantage: vantage.clone(), attempts }
}
