//! What does each agent of a simulation measure, and when?
//!
//! A random world of the scenarios, cut to a length that is played in about a second. Troubles of clocks and of the way to the
//! collectors are taken out of it: the simulation has its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use uitwijk_model::{AgentId, Measurement, Millis, Plan, Vantage, WallTime};
use uitwijk_replay::Record;
use uitwijk_scenario::format::{EffectKind, FaultPath, Scenario};
use uitwijk_scenario::{plan, random, simulate};

/// The most of a world that is played.
const LASTING_MAX: Millis = Millis::from_secs(40 * 60);

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
        scenario.duration = scenario.duration.min(LASTING_MAX);
        scenario.faults.retain(|fault| {
            fault.scope.path != FaultPath::Collector && !matches!(fault.effect.kind, EffectKind::Skew { .. })
        });
        Self::playing(&scenario, seed)
    }

    /// What a scenario says, with the noise of a seed.
    pub(super) fn playing(scenario: &Scenario, seed: u64) -> Self {
        let plan = Arc::new(plan(scenario));
        let records = simulate(scenario, seed);
        let watches = plan.agents.iter().map(|(agent, vantage)| watch(agent, vantage, &plan, &records, scenario));
        Self { watches: watches.collect(), start: scenario.start, end: scenario.end(), plan }
    }
}

fn watch(agent: &AgentId, vantage: &Vantage, plan: &Plan, records: &[Record], scenario: &Scenario) -> Watch {
    let mut seen = BTreeSet::new();
    let own = records.iter().filter(|r| r.watcher.agent == *agent && seen.insert(r.sequence));
    let mut attempts: Vec<Attempt> = own
        .map(|r| Attempt { ends: r.sent, measurement: r.measurement(plan.slot), complete: scenario.end() })
        .collect();
    attempts.sort_by(|a, b| (a.ends, &a.measurement.target).cmp(&(b.ends, &b.measurement.target)));
    // From the last to the first: what is still to end was due no earlier.
    let mut earliest = scenario.end();
    for attempt in attempts.iter_mut().rev() {
        attempt.complete = earliest;
        earliest = earliest.min(attempt.measurement.scheduled);
    }
    Watch { agent: agent.clone(), vantage: vantage.clone(), attempts }
}
