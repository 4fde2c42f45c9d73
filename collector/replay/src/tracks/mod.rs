//! What does the collector's own judge say about a stream, at the time and afterwards?
//!
//! ```text
//!   records, by arrival --> live.rs   judged slot by slot as time passes     live:  what was said at the time
//!                      \--> evidence  judged once, when all is in            final: what is said afterwards
//! ```
//!
//! Nothing is judged here: both tracks drive the code that the collector runs. Records are fed by reference, one at a time,
//! so a stream of any length takes the memory of its evidence (8 bytes per agent, target and slot) and no more.

use std::collections::BTreeMap;

use uitwijk_judge::{Evidence, Switch, Topology, UnknownService, judge};
use uitwijk_model::{AgentId, Measurement, Outcome, Plan, ServiceId, Slot, SlotLength, WallTime};

mod cast;
mod frontier;
mod live;

use cast::Cast;
pub use cast::Foreign;
use frontier::Frontier;
use live::LiveTrack;

use crate::record::Record;
use crate::segment::{Cover, ReplaySegment, Track};

/// Rounds of an agent that may be missing at the beginning of a stream; with more, the stream began later than the agent.
const SLACK_ROUNDS: u64 = 10;

/// Which tracks are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tracks {
    /// What was said at the time.
    pub live: bool,
    /// What is said afterwards.
    pub settled: bool,
}

impl Tracks {
    /// Both.
    pub const BOTH: Self = Self { live: true, settled: true };
}

/// Why a stream cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The plan does not have a service that was asked for.
    #[error(transparent)]
    Service(#[from] UnknownService),
    /// The live track goes by arrival.
    #[error(
        "record {sequence} of {agent} arrived at {arrived_ms}, before the record in front of it: sort the stream by arrived_at_ms, or ask for the final track only"
    )]
    Unordered {
        /// The agent.
        agent: AgentId,
        /// The record.
        sequence: u64,
        /// When it arrived, milliseconds since 1970.
        arrived_ms: i64,
    },
}

/// A plan's judges, being fed a stream.
#[derive(Debug)]
pub struct Replay {
    slot: SlotLength,
    cast: Cast,
    services: Vec<Judged>,
    /// Per target: the services that rest on it, and a measurement that is filled in for each record.
    targets: Vec<(Vec<usize>, Option<Measurement>)>,
    frontiers: Vec<(AgentId, Option<WallTime>)>,
    lives: BTreeMap<(usize, Option<u64>), Frontier>,
    tracks: Tracks,
    last: Option<WallTime>,
    bounds: Option<(Slot, Slot)>,
    foreign_bounds: Option<(Slot, Slot)>,
}

/// One service in both tracks.
#[derive(Debug)]
struct Judged {
    topology: Topology,
    evidence: Option<Evidence>,
    live: Option<LiveTrack>,
}

impl Replay {
    /// Judges for some services of a plan, in the order of their names.
    ///
    /// # Errors
    /// When the plan does not have one of them.
    pub fn new<'a>(
        plan: &Plan,
        services: impl IntoIterator<Item = &'a ServiceId>,
        tracks: Tracks,
    ) -> Result<Self, ReplayError> {
        let mut names: Vec<&ServiceId> = services.into_iter().collect();
        names.sort();
        names.dedup();
        let services = names.into_iter().map(|s| Judged::new(plan, s, tracks)).collect::<Result<Vec<_>, _>>()?;
        let cast = Cast::of(plan);
        let rest_on = |target| {
            let rests = |j: &Judged| j.topology.target(target).is_some();
            services.iter().enumerate().filter(|(_, j)| rests(j)).map(|(i, _)| i).collect::<Vec<_>>()
        };
        Ok(Self {
            slot: plan.slot,
            targets: cast.targets().iter().map(|t| (rest_on(t), None)).collect(),
            frontiers: cast.agents().iter().map(|a| (a.clone(), None)).collect(),
            services,
            cast,
            lives: BTreeMap::new(),
            tracks,
            last: None,
            bounds: None,
            foreign_bounds: None,
        })
    }

    /// Tells of a switch that somebody reported at a moment; a service that is not judged has none. Before the first record.
    pub fn hear(&mut self, service: &ServiceId, switch: &Switch, heard: WallTime) {
        for judged in self.services.iter_mut().filter(|judged| judged.topology.service == *service) {
            if let Some(evidence) = &mut judged.evidence {
                evidence.add_switch(&judged.topology, switch);
            }
            if let Some(live) = &mut judged.live {
                live.will_hear(heard, switch.clone());
            }
        }
    }

    /// What the plan does not know, so far.
    #[must_use]
    pub const fn foreign(&self) -> &Foreign {
        &self.cast.foreign
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// When it arrived before the one in front of it and the live track is wanted.
    pub fn feed(&mut self, r: &Record) -> Result<(), ReplayError> {
        if self.tracks.live && self.last.is_some_and(|last| r.arrived < last) {
            let (agent, arrived_ms) = (r.watcher.agent.clone(), r.arrived.as_millis());
            return Err(ReplayError::Unordered { agent, sequence: r.sequence, arrived_ms });
        }
        self.last = Some(r.arrived);
        let Some((who, what)) = self.cast.find(r) else {
            extend(&mut self.foreign_bounds, self.slot, r);
            return Ok(());
        };
        extend(&mut self.bounds, self.slot, r);
        let (rest_on, scratch) = &mut self.targets[what];
        let m = scratch.get_or_insert_with(|| {
            let mut m = r.measurement(self.slot);
            m.target = self.cast.targets()[what].clone();
            m
        });
        r.fill(self.slot, m);
        // Whoever wrote the stream knew the objectives of services; those of references and partners stand in the plan.
        if let Some(objective) = self.cast.objective(what) {
            let over = m.total.is_some_and(|total| total > objective);
            m.outcome = if m.outcome == Outcome::Up && over { Outcome::Slow } else { m.outcome };
        }
        let agent = &self.frontiers[who].0;
        for &i in rest_on.iter() {
            let judged = &mut self.services[i];
            if let (Some(evidence), Some(v)) = (&mut judged.evidence, judged.topology.agent(agent)) {
                evidence.add_measurement(&judged.topology, v, m, r.arrived);
            }
        }
        if self.tracks.live {
            self.feed_live(r, who, what);
        }
        Ok(())
    }

    fn feed_live(&mut self, r: &Record, who: usize, what: usize) {
        for live in self.services.iter_mut().filter_map(|j| j.live.as_mut()) {
            live.run_until(r.arrived, &self.frontiers);
        }
        let (rest_on, scratch) = &self.targets[what];
        let Some(m) = scratch else { return };
        for &i in rest_on {
            if let Some(live) = &mut self.services[i].live {
                live.observe(&self.frontiers[who].0, m, r.arrived);
            }
        }
        let slack = SLACK_ROUNDS * self.targets.len() as u64;
        let life = self.lives.entry((who, r.watcher.boot)).or_insert_with(|| Frontier::begin(r.sequence, slack));
        if let Some(through) = life.take(r.sequence, r.scheduled) {
            let known = &mut self.frontiers[who].1;
            *known = Some(known.map_or(through, |k| k.max(through)));
        }
    }

    /// What was said from the first slot of the stream to its last: all of the live track, then all of the final one,
    /// each by service and time.
    #[must_use]
    pub fn finish(self) -> Vec<ReplaySegment> {
        let Some((first, last)) = self.bounds.or(self.foreign_bounds) else { return Vec::new() };
        let span = (self.slot.start_of(first), self.slot.start_of(last.plus(1)));
        let (mut live, mut settled) = (Vec::new(), Vec::new());
        for judged in self.services {
            settled.extend(judged.settled(span));
            if let Some(track) = judged.live {
                live.extend(track.finish(span, &self.frontiers));
            }
        }
        live.extend(settled);
        live
    }
}

/// A record cannot be of a time after it arrived; a clock that says so is ahead.
fn extend(bounds: &mut Option<(Slot, Slot)>, slot: SlotLength, r: &Record) {
    let (first, last) = (slot.slot_of(r.scheduled), slot.slot_of(r.scheduled.min(r.arrived)));
    let first = first.min(last);
    *bounds = Some(bounds.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
}

impl Judged {
    fn new(plan: &Plan, service: &ServiceId, tracks: Tracks) -> Result<Self, UnknownService> {
        let topology = Topology::of(plan, service)?;
        let policy = topology.policy_version.clone();
        Ok(Self {
            evidence: tracks.settled.then(|| Evidence::new(&topology)),
            live: tracks.live.then(|| LiveTrack::new(plan, service, policy)).transpose()?,
            topology,
        })
    }

    fn settled(&self, (from, to): (WallTime, WallTime)) -> Vec<ReplaySegment> {
        let Some(evidence) = &self.evidence else { return Vec::new() };
        let t = &self.topology;
        let mut cover = Cover::new(t.service.clone(), Track::Final, t.policy_version.clone());
        for segment in &judge(t, evidence, to).segments {
            cover.say(segment);
        }
        cover.between(from, to)
    }
}

/// What was said at the time about one service.
///
/// # Errors
/// When the plan does not have it, or records are not in order of arrival.
pub fn live(plan: &Plan, service: &ServiceId, records: &[Record]) -> Result<Vec<ReplaySegment>, ReplayError> {
    replay(plan, [service], records, Tracks { live: true, settled: false })
}

/// What is said afterwards about one service.
///
/// # Errors
/// When the plan does not have it.
pub fn settled(plan: &Plan, service: &ServiceId, records: &[Record]) -> Result<Vec<ReplaySegment>, ReplayError> {
    replay(plan, [service], records, Tracks { live: false, settled: true })
}

/// Judges records that are all there.
///
/// # Errors
/// As [`Replay::new`] and [`Replay::feed`].
pub fn replay<'a>(
    plan: &Plan,
    services: impl IntoIterator<Item = &'a ServiceId>,
    records: &[Record],
    tracks: Tracks,
) -> Result<Vec<ReplaySegment>, ReplayError> {
    let mut judges = Replay::new(plan, services, tracks)?;
    for record in records {
        judges.feed(record)?;
    }
    Ok(judges.finish())
}
