//! Which judge gets which measurement, and whose turn is it?
//!
//! One judge for each service of a plan, and for each target the judges whose verdicts rest on it. When a judge may be asked
//! says `pace.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uitwijk_judge::{AgentIx, Live, Numbered, Origin, Place, Revision, Taken, TargetIx, Topology};
use uitwijk_model::{
    AgentId, Elapsed, Millis, Plan, PlanVersion, PolicyOverrides, ServedBy, ServiceId, Slot, SlotLength, TargetId,
    WallTime,
};

use super::Timeline;
use super::pace::{Back, Pace, Times};
use crate::store::{Sample, Samples, Targets};
use crate::switches::HeardSwitch;

/// The judges of all services of a plan.
#[derive(Debug)]
pub(crate) struct Bench {
    /// What is laid over the policies of the plan; nothing for the real judges.
    overrides: PolicyOverrides,
    /// Bytes that all judges together may take, about.
    bytes_max: usize,
    /// They take more, so each keeps within its part.
    is_full: bool,
    seats: Vec<Seat>,
    /// Of each seat. They stand by themselves because they are looked through whenever something arrives.
    times: Vec<Times>,
    routes: Routes,
    pace: Pace,
}

/// One judge.
#[derive(Debug)]
struct Seat {
    service: ServiceId,
    judge: Live,
    slot: SlotLength,
    grace: Millis,
    /// How often it had let go of something for want of memory when it was last asked.
    crowded: u64,
    /// Its part of the memory that all may take.
    part: usize,
}

/// What one judge said in one turn.
#[derive(Debug)]
pub(crate) struct Turn {
    /// When it could be known: the end of the grace, or the arrival that changed it.
    pub(crate) knowable: WallTime,
    /// What is new.
    pub(crate) revisions: Vec<Revision>,
    /// Whether slots that were judged before were judged again.
    pub(crate) back: Back,
    /// How often it let go of slots that an agent may still tell of, because there was no more memory.
    pub(crate) crowded: u64,
}

impl Seat {
    fn new(plan: (&Plan, &PlanVersion), service: &ServiceId, overrides: &PolicyOverrides) -> Option<Self> {
        let topology = topology(plan, service, overrides)?;
        Some(Self {
            service: service.clone(),
            slot: topology.slot,
            grace: topology.policy.grace,
            judge: Live::around(topology),
            crowded: 0,
            part: usize::MAX,
        })
    }

    fn set_plan(mut self, plan: (&Plan, &PlanVersion), overrides: &PolicyOverrides) -> Option<Self> {
        let topology = topology(plan, &self.service, overrides)?;
        (self.slot, self.grace) = (topology.slot, topology.policy.grace);
        self.judge.set_topology(topology);
        Some(self)
    }

    fn keep_within_part(&mut self, is_full: bool) {
        self.judge.keep_within(if is_full { self.part } else { usize::MAX });
    }

    fn observe(&mut self, times: &mut Times, numbered: &Numbered, origin: Origin) {
        if let Taken::Changed { from: slot, .. } = self.judge.observe_numbered(Some(numbered), Some(origin)) {
            self.change(times, slot, numbered.arrived);
        }
    }

    fn switch(&mut self, times: &mut Times, heard: &HeardSwitch) -> Taken {
        let taken = self.judge.switch(&heard.switch);
        if let Taken::Changed { from: slot, .. } = taken {
            self.change(times, slot, heard.heard);
        }
        taken
    }

    /// Something arrived that changes a slot, which may have been judged already.
    fn change(&self, times: &mut Times, slot: i64, arrived: WallTime) {
        times.change(self.slot.start_of(Slot(slot).plus(1)).plus(self.grace), arrived);
    }

    fn advance(&mut self, times: &mut Times, now: WallTime, to_all: bool) -> Turn {
        let knowable = times.knowable(now);
        let before = self.judge.counters().again;
        let revisions = if to_all { self.judge.advance(now) } else { self.judge.advance_ahead(now) };
        let back = match (self.judge.counters().again > before, to_all) {
            (false, _) => Back::Not,
            (true, false) => Back::Near,
            (true, true) => Back::All,
        };
        times.answered(now, self.judge.next_wakeup(now), self.judge.is_behind());
        let crowded = self.judge.counters().crowded;
        let crowded = crowded.saturating_sub(std::mem::replace(&mut self.crowded, crowded));
        Turn { knowable, revisions, back, crowded }
    }
}

/// Which judge a target has a part in, and by which number there.
#[derive(Debug, Clone, Copy)]
struct Route {
    seat: usize,
    target: TargetIx,
}

/// The seats whose verdicts rest on a target. A control rests under all of them.
#[derive(Debug, Default)]
struct Routes {
    all: Vec<Vec<Route>>,
    /// Where the routes of a target stand.
    by_name: HashMap<TargetId, usize>,
    /// The same by the number that the data path has for it, once it was looked up by name.
    by_number: Vec<Option<usize>>,
}

impl Routes {
    fn to(seats: &[Seat]) -> Self {
        let mut routes = Self::default();
        for (seat, judge) in seats.iter().map(|seat| &seat.judge).enumerate() {
            for (target, info) in judge.topology().targets.iter().enumerate() {
                let at = *routes.by_name.entry(info.id.clone()).or_insert_with(|| {
                    routes.all.push(Vec::new());
                    routes.all.len() - 1
                });
                routes.all[at].push(Route { seat, target });
            }
        }
        routes
    }

    /// Where the routes of a target stand; nowhere when nobody judges it.
    fn find(&mut self, targets: &Targets, at: usize) -> usize {
        let by_name = |routes: &Self| routes.by_name.get(targets.name(at)).copied().unwrap_or(usize::MAX);
        let Some(number) = targets.number(at).and_then(|number| usize::try_from(number).ok()) else {
            return by_name(self);
        };
        if let Some(&Some(at)) = self.by_number.get(number) {
            return at;
        }
        let at = by_name(self);
        if self.by_number.len() <= number {
            self.by_number.resize(number + 1, None);
        }
        self.by_number[number] = Some(at);
        at
    }

    fn at(&self, at: usize) -> &[Route] {
        self.all.get(at).map_or(&[][..], Vec::as_slice)
    }
}

/// What one judge calls the places of a batch. Rows of one service follow each other, so the names are asked once for many.
struct PlaceNumbers<'a> {
    places: &'a [ServedBy],
    /// For each place: the seat that was asked last, and its answer.
    known: Vec<(usize, Place)>,
}

impl<'a> PlaceNumbers<'a> {
    fn of(places: &'a [ServedBy]) -> Self {
        Self { places, known: vec![(usize::MAX, Place::UNTOLD); places.len()] }
    }

    fn number(&mut self, seat: usize, topology: &Topology, sample: &Sample) -> Place {
        let measured = sample.served.filter(|_| sample.outcome.is_measured());
        let Some(at) = measured.and_then(|at| usize::try_from(at).ok()).filter(|&at| at < self.places.len()) else {
            return Place::UNTOLD;
        };
        if self.known[at].0 != seat {
            self.known[at] = (seat, Place::of(topology, &self.places[at]));
        }
        self.known[at].1
    }
}

const fn numbered(agent: AgentIx, target: TargetIx, served: Place, sample: &Sample) -> Numbered {
    Numbered {
        agent,
        target,
        slot: sample.slot,
        attempt: sample.attempt,
        started: sample.started,
        arrived: sample.arrived,
        outcome: sample.outcome,
        total: sample.total,
        served,
        clock_offset_us: sample.clock_offset_us,
    }
}

fn topology(
    (plan, version): (&Plan, &PlanVersion),
    service: &ServiceId,
    overrides: &PolicyOverrides,
) -> Option<Topology> {
    Topology::versioned(plan, version, service, &overrides.over(plan.policy_of(service))).ok()
}

impl Bench {
    /// Judges that may take so many bytes of memory together, about.
    pub(crate) fn new(plan: &Plan, bytes_max: usize) -> Self {
        Self::under(plan, PolicyOverrides::default(), bytes_max)
    }

    /// Judges by other policies than the plan's.
    pub(crate) fn under(plan: &Plan, overrides: PolicyOverrides, bytes_max: usize) -> Self {
        let (seats, times, routes, pace) = (Vec::new(), Vec::new(), Routes::default(), Pace::default());
        let mut bench = Self { overrides, bytes_max, is_full: true, seats, times, routes, pace };
        bench.set_plan(plan);
        bench
    }

    /// How many judges there are.
    pub(crate) fn len(&self) -> usize {
        self.seats.len()
    }

    /// Bytes that they take, about.
    pub(crate) fn bytes(&self) -> usize {
        self.seats.iter().map(|seat| seat.judge.bytes()).sum()
    }

    /// Bytes that wait for agents that are away, as they were some slots ago.
    pub(crate) fn bytes_waiting(&self) -> usize {
        self.seats.iter().map(|seat| seat.judge.bytes_waiting()).sum()
    }

    /// Gives every judge its part of the memory: about as many slots to one as to another.
    fn share_memory(&mut self) {
        let cells = |seat: &Seat| seat.judge.topology().agents.len() * seat.judge.topology().targets.len();
        let all = self.seats.iter().map(cells).sum::<usize>().max(1);
        for seat in &mut self.seats {
            let part = self.bytes_max as u128 * cells(seat) as u128 / all as u128;
            seat.part = usize::try_from(part).unwrap_or(usize::MAX);
            seat.keep_within_part(self.is_full);
        }
    }

    /// Goes on under another plan. Judges of services that are gone leave. Answers the services that are new.
    pub(crate) fn set_plan(&mut self, plan: &Plan) -> BTreeSet<ServiceId> {
        let old = self.seats.drain(..).zip(self.times.drain(..));
        let mut old: BTreeMap<ServiceId, (Seat, Times)> = old.map(|(s, t)| (s.service.clone(), (s, t))).collect();
        let mut new = BTreeSet::new();
        let versioned = (plan, &plan.version());
        for service in plan.services.keys() {
            let kept = old.remove(service);
            let kept = kept.and_then(|(seat, t)| Some((seat.set_plan(versioned, &self.overrides)?, t.at_once())));
            if kept.is_none() {
                new.insert(service.clone());
            }
            let fresh = || Seat::new(versioned, service, &self.overrides).map(|seat| (seat, Times::NEW));
            let (seat, times) = kept.or_else(fresh).unzip();
            self.seats.extend(seat);
            self.times.extend(times);
        }
        for service in old.keys() {
            tracing::warn!(%service, "the plan no longer has a service, it is not judged any more");
        }
        self.routes = Routes::to(&self.seats);
        self.share_memory();
        new
    }

    /// Hands measurements to the judges whose verdicts rest on them.
    pub(crate) fn rows(&mut self, samples: &Samples) {
        let Self { seats, times, routes, .. } = self;
        // All judges of a plan have its agents, in one order.
        let Some(agent) = seats.first().and_then(|seat| seat.judge.topology().agent(&samples.agent)) else { return };
        let targets = &samples.names.targets;
        let found: Vec<usize> = (0..targets.len()).map(|at| routes.find(targets, at)).collect();
        let mut places = PlaceNumbers::of(&samples.names.places);
        for row in &samples.rows {
            let origin = Origin { boot: samples.boot, sequence: row.sequence };
            for &Route { seat: at, target } in found.get(row.target as usize).map_or(&[][..], |&at| routes.at(at)) {
                let seat = &mut seats[at];
                let served = places.number(at, seat.judge.topology(), row);
                seat.observe(&mut times[at], &numbered(agent, target, served, row), origin);
            }
        }
    }

    /// Tells all judges that an agent has delivered everything up to a moment.
    pub(crate) fn frontier(&mut self, agent: &AgentId, through: WallTime) {
        self.seats.iter_mut().for_each(|seat| seat.judge.frontier(agent, through));
    }

    /// Tells the judge of a service that users were moved; absent when there is none.
    pub(crate) fn switch(&mut self, heard: &HeardSwitch) -> Option<Taken> {
        let mut all = self.seats.iter_mut().zip(&mut self.times);
        all.find(|(seat, _)| seat.service == heard.service).map(|(seat, times)| seat.switch(times, heard))
    }

    /// Makes the judge of a service anew from what is stored, when it is told of a time that it has forgotten.
    pub(crate) fn anew<E>(
        &mut self,
        service: &ServiceId,
        stored: impl Iterator<Item = Result<Samples, E>>,
        switches: &[HeardSwitch],
        now: WallTime,
    ) -> Result<(), E> {
        let mut all = self.seats.iter_mut().zip(&mut self.times);
        let Some((seat, times)) = all.find(|(seat, _)| seat.service == *service) else { return Ok(()) };
        let mut judge = seat.judge.anew();
        for samples in stored {
            let samples = samples?;
            let Some(agent) = judge.topology().agent(&samples.agent) else { continue };
            let names = &samples.names.targets;
            let named = |at| judge.topology().target(&TargetId::from_wire(names.name(at)));
            let targets: Vec<Option<TargetIx>> = (0..names.len()).map(named).collect();
            let mut places = PlaceNumbers::of(&samples.names.places);
            for row in &samples.rows {
                let Some(target) = targets.get(row.target as usize).copied().flatten() else { continue };
                let served = places.number(0, judge.topology(), row);
                let origin = Origin { boot: samples.boot, sequence: row.sequence };
                judge.observe_numbered(Some(&numbered(agent, target, served, row)), Some(origin));
            }
        }
        switches.iter().for_each(|heard| _ = judge.switch(&heard.switch));
        judge.take_over(&seat.judge);
        seat.judge = judge;
        times.changed_now(now);
        Ok(())
    }

    /// Hands a judge what was published before, oldest first.
    pub(crate) fn restore(&mut self, service: &ServiceId, published: &[Revision]) {
        for seat in self.seats.iter_mut().filter(|seat| seat.service == *service) {
            seat.judge.restore(published);
        }
    }

    /// The judges whose turn it is.
    pub(crate) fn ready(&self, now: WallTime) -> Vec<usize> {
        self.times.iter().enumerate().filter(|(_, times)| self.pace.is_turn(times, now)).map(|(i, _)| i).collect()
    }

    /// The services that are judged.
    pub(crate) fn services(&self) -> impl Iterator<Item = &ServiceId> {
        self.seats.iter().map(|seat| &seat.service)
    }

    /// The service of a seat.
    pub(crate) fn service(&self, seat: usize) -> &ServiceId {
        &self.seats[seat].service
    }

    /// Asks one judge.
    pub(crate) fn advance(&mut self, seat: usize, now: WallTime) -> Turn {
        let to_all = self.pace.goes_back(&self.times[seat], now);
        self.seats[seat].keep_within_part(self.is_full);
        self.seats[seat].advance(&mut self.times[seat], now, to_all)
    }

    /// How long an answer took.
    pub(crate) fn took(&mut self, turn: &Turn, elapsed: Elapsed) {
        self.pace.took(turn.back, elapsed);
    }

    /// Everybody whose turn it was has answered: what changes from now on waits, when what changed before was judged again.
    pub(crate) fn rest(&mut self, now: WallTime) {
        self.is_full = self.bytes_waiting() > self.bytes_max;
        self.pace.rest(now);
    }

    /// Whether somebody has not judged yet what came in late.
    #[cfg(test)]
    pub(crate) fn is_behind(&self) -> bool {
        self.seats.iter().any(|seat| seat.judge.is_behind())
    }

    /// The next moment at which it is somebody's turn; absent when nobody is judged.
    pub(crate) fn next_turn(&self) -> Option<WallTime> {
        self.times.iter().map(|times| self.pace.wants(times)).min()
    }

    pub(crate) fn timeline(&self, service: &ServiceId, from: WallTime, to: WallTime) -> Option<Timeline> {
        let judge = &self.seats.iter().find(|seat| seat.service == *service)?.judge;
        // What came in and was not judged yet is not in the segments.
        let watermark = judge.watermark().map(|at| judge.behind_from().map_or(at, |from| from.min(at)));
        Some(Timeline { segments: judge.timeline(from, to), watermark })
    }
}
