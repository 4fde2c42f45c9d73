//! What would the agents of a fleet deliver if this happened?
//!
//! ```text
//!   every 10 s, agent by agent, target by target:
//!     agent running? --> where does the request land? --> answer --> record --> arrival (or arrivals, or none)
//!       agent path        failovers, load balancing      faults     clock       collector path
//! ```
//!
//! Written from the description of scenarios, and set beside the recorded examples: same names, same times of the round,
//! same numbers on a quiet day. Records are sorted by arrival.

use std::sync::Arc;

use uitwijk_model::{Elapsed, EndpointName, Region, ServedBy, ServiceId, TargetKind, Vantage, WallTime, Zone};
use uitwijk_replay::{PhaseTimes, Record, RecordKind, Watched, Watcher};

mod answer;
mod balance;
mod delivery;
mod dice;
mod scope;
mod strength;

pub(crate) use answer::fails;
pub(crate) use balance::Balance;
pub(crate) use dice::Dice;
pub(crate) use scope::{Aim, Request, drags, touches};
pub(crate) use strength::strength;

use answer::Answer;
use delivery::rounded;

use crate::format::{EffectKind, FaultPath, Scenario};
use crate::places;

/// Milliseconds of a round.
const ROUND: i64 = 10_000;
/// The first agent's first probe, milliseconds into the round.
const FIRST: i64 = 300;

/// Plays a scenario; equal seeds give equal streams.
#[must_use]
pub fn simulate(s: &Scenario, seed: u64) -> Vec<Record> {
    let world = World::of(s, seed);
    let mut all = Vec::new();
    for who in 0..world.agents.len() {
        world.watch(who, &mut all);
    }
    all.sort_by_key(|(arrived, who, record)| (*arrived, *who, record.sequence));
    all.into_iter().map(|(_, _, record)| record).collect()
}

/// A target, with what is known about it beforehand.
struct Goal {
    aim: Aim,
    watched: Arc<Watched>,
    /// How each region that may serve it spreads its requests.
    balances: Vec<(Region, Balance)>,
}

struct World<'a> {
    s: &'a Scenario,
    seed: u64,
    agents: Vec<(Arc<Watcher>, Vantage)>,
    goals: Vec<Goal>,
    places: Vec<Arc<ServedBy>>,
}

impl<'a> World<'a> {
    fn of(s: &'a Scenario, seed: u64) -> Self {
        let regions = places::regions(s);
        let agents = places::agents(s).into_iter().map(|(agent, vantage)| {
            let watcher = Watcher { agent, vantage: Some(vantage.clone()), boot: None };
            (Arc::new(watcher), vantage)
        });
        let place = |(region, zones): &(Region, Vec<Zone>)| {
            let served = |zone: &Zone| Arc::new(ServedBy { region: region.clone(), zone: Some(zone.clone()) });
            zones.iter().map(served).collect::<Vec<_>>()
        };
        Self {
            s,
            seed,
            agents: agents.collect(),
            goals: goals(s, &regions),
            places: regions.iter().flat_map(place).collect(),
        }
    }

    /// Everything that one agent measures and delivers.
    fn watch(&self, who: usize, all: &mut Vec<(i64, usize, Record)>) {
        let (agents, goals) = (count(self.agents.len()), count(self.goals.len()));
        let offset = FIRST + count(who) * (1550.min((ROUND - 700) / agents));
        let step = 60.min(1250 / goals).max(1);
        let end = i64::try_from(self.s.duration.0).unwrap_or(i64::MAX);
        let mut sequence = 0;
        for round in 0.. {
            if round * ROUND >= end {
                return;
            }
            for (what, goal) in self.goals.iter().enumerate() {
                let at = round * ROUND + offset + step * count(what);
                let key = [self.seed, who as u64, what as u64, round.unsigned_abs()];
                if at < end && self.runs(who, at, &key) {
                    sequence += 1;
                    self.probe(who, goal, at, &key, sequence, all);
                }
            }
        }
    }

    fn runs(&self, who: usize, at: i64, key: &[u64; 4]) -> bool {
        let mut dice = Dice::of(&[key[0], key[1], key[3], 1 << 32]);
        let mine = self.s.faults.iter().filter(|f| scope::befalls(f, FaultPath::Agent, &self.agents[who].1));
        mine.filter(|f| matches!(f.effect.kind, EffectKind::Down { .. } | EffectKind::Partition { .. }))
            .all(|f| !dice.chance(fails(&f.effect.kind) * strength(f, at)))
    }

    fn probe(
        &self,
        who: usize,
        goal: &Goal,
        at: i64,
        key: &[u64; 4],
        sequence: u64,
        all: &mut Vec<(i64, usize, Record)>,
    ) {
        let (watcher, vantage) = &self.agents[who];
        let region = self.landing(goal, who, at);
        let zone = region.and_then(|region| {
            let balance = goal.balances.iter().find(|(r, _)| r == region)?;
            let zones = balance.1.zones(at);
            let which = Dice::of(&[key[0], key[1], key[2], key[3], 2 << 32]).below(zones.len());
            zones.get(which).copied()
        });
        let request = Request { from: Some(vantage), aim: &goal.aim, region, zone };
        let answer = answer::ask(self.s, &request, at, key);
        let sent = at + rounded(answer.total);
        let served = answer.told.then(|| self.place(region, zone)).flatten();
        let ahead = self.clock(vantage, at);
        for arrived in delivery::arrivals(self.s, vantage, sent, key) {
            let record = self.record(watcher, goal, sequence, (at + ahead, arrived), &answer, served.clone());
            all.push((arrived, who, record));
        }
    }

    /// The region that a request reaches.
    fn landing<'g>(&'g self, goal: &'g Goal, who: usize, at: i64) -> Option<&'g Region> {
        match &goal.aim {
            Aim::Regional(_, _, region) => Some(region),
            Aim::Global(..) => Some(self.active(who, at)),
            Aim::Chain(_) | Aim::Control(_) => None,
        }
    }

    /// The region that this client's requests to the public name reach: it follows each change at a moment of its own.
    #[expect(clippy::cast_precision_loss, reason = "times to live are small")]
    fn active(&self, who: usize, at: i64) -> &Region {
        let follows = |(i, f): &(usize, &crate::format::Failover)| {
            let delay = Dice::of(&[self.seed, who as u64, *i as u64, 3 << 32]).share() * f.ttl.0 as f64;
            at >= i64::try_from(f.at.0).unwrap_or(i64::MAX).saturating_add(rounded(delay))
        };
        let mut in_order: Vec<(usize, &crate::format::Failover)> = self.s.failovers.iter().enumerate().collect();
        in_order.sort_by_key(|(i, f)| (f.at, *i));
        in_order.into_iter().rfind(follows).map_or(&self.s.active_region, |(_, f)| &f.to)
    }

    /// How far the agent's clock is ahead, milliseconds.
    fn clock(&self, vantage: &Vantage, at: i64) -> i64 {
        let skew = |f: &crate::format::Fault| match f.effect.kind {
            EffectKind::Skew { offset_ms } if scope::befalls(f, FaultPath::Agent, vantage) =>
            {
                #[expect(clippy::cast_precision_loss, reason = "offsets are small")]
                Some(rounded(offset_ms as f64 * strength(f, at)))
            }
            _ => None,
        };
        self.s.faults.iter().filter_map(skew).sum()
    }

    fn place(&self, region: Option<&Region>, zone: Option<&Zone>) -> Option<Arc<ServedBy>> {
        let (region, zone) = (region?, zone?);
        self.places.iter().find(|p| p.region == *region && p.zone.as_ref() == Some(zone)).cloned()
    }

    fn record(
        &self,
        watcher: &Arc<Watcher>,
        goal: &Goal,
        sequence: u64,
        (scheduled, arrived): (i64, i64),
        answer: &Answer,
        served: Option<Arc<ServedBy>>,
    ) -> Record {
        let moment = |ms: i64| WallTime::from_micros(self.s.start.as_micros().saturating_add(ms.saturating_mul(1000)));
        let total = rounded(answer.total);
        // Phases to a tenth of a millisecond.
        let time = |ms: Option<f64>| ms.map(|ms| Elapsed::from_micros(rounded(ms * 10.0).unsigned_abs() * 100));
        let [dns, connect, tls, ttfb, body] = answer.phases.map(time);
        Record {
            watcher: Arc::clone(watcher),
            watched: Arc::clone(&goal.watched),
            sequence,
            attempt: 0,
            scheduled: moment(scheduled),
            sent: moment(scheduled + total),
            arrived: moment(arrived),
            outcome: answer.word,
            fault: None,
            http_status: answer.status,
            total: Some(Elapsed::from_micros(total.unsigned_abs() * 1000)),
            phases: PhaseTimes { dns, connect, tls, ttfb, body },
            served,
            clock_offset_us: None,
        }
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX).max(0)
}

/// What is probed, in the order of the round: service by service with its partners, then the controls.
fn goals(s: &Scenario, regions: &[(Region, Vec<Zone>)]) -> Vec<Goal> {
    let mut aims: Vec<(Aim, Option<&ServiceId>)> = Vec::new();
    for spec in &s.services {
        for e in &spec.endpoints {
            for (region, _) in regions {
                aims.push((Aim::Regional(spec.id.clone(), e.name.clone(), region.clone()), Some(&spec.id)));
            }
            aims.push((Aim::Global(spec.id.clone(), e.name.clone()), Some(&spec.id)));
        }
        for partner in &spec.chain {
            let aim = Aim::Chain(partner.clone());
            if aims.iter().all(|(known, _)| *known != aim) {
                aims.push((aim, Some(&spec.id)));
            }
        }
    }
    aims.extend(places::controls(s).into_iter().map(|control| (Aim::Control(control), None)));
    let end = i64::try_from(s.duration.0).unwrap_or(i64::MAX);
    let goal = |(aim, service): (Aim, Option<&ServiceId>)| {
        let serves = |region: &Region| match &aim {
            Aim::Regional(_, _, own) => own == region,
            Aim::Global(..) => true,
            Aim::Chain(_) | Aim::Control(_) => false,
        };
        let balances = regions.iter().filter(|(region, _)| serves(region));
        let balance = |(r, zones): &(Region, Vec<Zone>)| (r.clone(), Balance::of(s, &aim, r, zones, end));
        Goal { balances: balances.map(balance).collect(), watched: Arc::new(watched(&aim, service)), aim }
    };
    aims.into_iter().map(goal).collect()
}

fn watched(aim: &Aim, service: Option<&ServiceId>) -> Watched {
    let parts = |kind, target: TargetKind, endpoint: Option<&EndpointName>, region: Option<&Region>| Watched {
        kind,
        service: service.cloned(),
        endpoint: endpoint.cloned(),
        target: target.id(),
        target_region: region.cloned(),
    };
    match aim {
        Aim::Regional(service, endpoint, region) => {
            let target =
                TargetKind::Regional { service: service.clone(), endpoint: endpoint.clone(), region: region.clone() };
            parts(RecordKind::Regional, target, Some(endpoint), Some(region))
        }
        Aim::Global(service, endpoint) => {
            let target = TargetKind::Global { service: service.clone(), endpoint: endpoint.clone() };
            parts(RecordKind::Global, target, Some(endpoint), None)
        }
        Aim::Chain(partner) => parts(RecordKind::Chain, TargetKind::Chain { partner: partner.clone() }, None, None),
        Aim::Control(control) => {
            parts(RecordKind::Control, TargetKind::Control { control: control.clone() }, None, None)
        }
    }
}
