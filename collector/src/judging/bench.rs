//! Which judge gets which measurement, and whose turn is it?
//!
//! A judge is asked when a slot and its grace are over, which it names itself, and when something arrives that changes what
//! was judged already. The second kind waits for a rest of a hundred times what the last answers of this kind took, those of all judges
//! together, so that hours of late records cost a hundredth of the thread and not all of it. A judge whose slot ends meanwhile goes
//! on ahead of what changed long before, and goes back only when it has something to say: that rests on all that it was told.
//! What changed shortly before it must take in at once; then it waits for as long as the last answers took, so that half of the
//! thread is left to take in what comes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uitwijk_judge::{AgentIx, Live, Numbered, Origin, Place, Revision, Taken, TargetIx, Topology};
use uitwijk_model::{
    AgentId, Elapsed, Millis, Plan, PlanVersion, PolicyOverrides, ServedBy, ServiceId, Slot, SlotLength, TargetId,
    WallTime,
};

use super::Timeline;
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
    /// From when on what changed may be judged again.
    rested: Rested,
    spent: Spent,
}

/// From when on a judge may go back.
#[derive(Debug, Clone, Copy)]
struct Rested {
    /// At the end of a slot, to what changed shortly before.
    at_slots: WallTime,
    /// To whatever changed.
    to_all: WallTime,
}

impl Rested {
    const ALWAYS: Self = Self { at_slots: WallTime::from_micros(i64::MIN), to_all: WallTime::from_micros(i64::MIN) };

    /// Going back took so long until now: at all, and to whatever changed.
    fn after(self, now: WallTime, spent: Spent) -> Self {
        let millis = |spent: Elapsed| Millis(spent.as_micros() / 1000);
        let to_all = Millis((spent.to_all.as_micros() * REST_FACTOR / 1000).clamp(REST_MIN.0, REST_MAX.0));
        let to_all = now.plus(to_all.max(millis(spent.to_all)));
        let goes_on = spent.to_all == Elapsed::default();
        Self { at_slots: now.plus(millis(spent.at_all)), to_all: if goes_on { self.to_all } else { to_all } }
    }

    /// A clock that was set back must not put off what was to be later.
    fn is_void(self, now: WallTime) -> bool {
        self.at_slots.max(self.to_all) > now.plus(REST_MAX).plus(REST_MAX)
    }
}

/// What going back took since the last rest.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    at_all: Elapsed,
    to_all: Elapsed,
}

/// How far a judge went back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Back {
    /// Not at all.
    Not,
    /// To what changed shortly before, and to all when it had something to say.
    Near,
    /// To whatever changed.
    All,
}

/// When a judge was and will be asked.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// When it was last asked; absent before the first time.
    asked: Option<WallTime>,
    /// When it wants to be asked, if nothing changes before.
    due: WallTime,
    /// When something arrived that changes what was judged.
    changed: Option<WallTime>,
}

impl Times {
    const NEW: Self = Self { asked: None, due: WallTime::from_micros(i64::MIN), changed: None };

    /// When it should be asked next. Nothing waits for longer than the longest rest to be judged again.
    fn wants(&self, rested: Rested) -> WallTime {
        let Some(changed) = self.changed else { return self.due };
        self.due.max(rested.at_slots).min(rested.to_all).min(changed.plus(REST_MAX))
    }
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

/// Shortest wait between two answers about changed slots.
const REST_MIN: Millis = Millis(20);
/// How much longer it is than those answers took.
const REST_FACTOR: u64 = 100;
/// No such wait is longer.
const REST_MAX: Millis = Millis(300_000);

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
        let settled = self.slot.start_of(Slot(slot).plus(1)).plus(self.grace);
        if times.asked.is_some_and(|asked| settled <= asked) {
            times.changed.get_or_insert(arrived);
        }
    }

    fn advance(&mut self, times: &mut Times, now: WallTime, rested: Rested) -> Turn {
        let knowable = if times.due <= now { times.due } else { times.changed.unwrap_or(now) };
        let to_all = rested.to_all.min(times.changed.map_or(rested.to_all, |changed| changed.plus(REST_MAX))) <= now;
        let before = self.judge.counters().again;
        let revisions = if to_all { self.judge.advance(now) } else { self.judge.advance_ahead(now) };
        let back = match (self.judge.counters().again > before, to_all) {
            (false, _) => Back::Not,
            (true, false) => Back::Near,
            (true, true) => Back::All,
        };
        times.changed = times.changed.filter(|_| self.judge.is_behind());
        times.asked = Some(now);
        times.due = self.judge.next_wakeup(now);
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
        let (seats, times, routes, rested) = (Vec::new(), Vec::new(), Routes::default(), Rested::ALWAYS);
        let spent = Spent::default();
        let mut bench = Self { overrides, bytes_max, is_full: true, seats, times, routes, rested, spent };
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
            let at_once = |times| Times { due: Times::NEW.due, ..times };
            let kept = old.remove(service);
            let kept = kept.and_then(|(seat, t)| Some((seat.set_plan(versioned, &self.overrides)?, at_once(t))));
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
        times.changed.get_or_insert(now);
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
        // A clock that was set back must not silence the judge until it has caught up again.
        let turn = |times: &Times| times.wants(self.rested) <= now || times.asked.is_some_and(|asked| asked > now);
        self.times.iter().enumerate().filter(|(_, times)| turn(times)).map(|(i, _)| i).collect()
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
        self.seats[seat].keep_within_part(self.is_full);
        self.seats[seat].advance(&mut self.times[seat], now, self.rested)
    }

    /// How long an answer took.
    pub(crate) fn took(&mut self, turn: &Turn, elapsed: Elapsed) {
        let add = |sum: &mut Elapsed| *sum = Elapsed::from_micros(sum.as_micros() + elapsed.as_micros());
        if turn.back != Back::Not {
            add(&mut self.spent.at_all);
        }
        if turn.back == Back::All {
            add(&mut self.spent.to_all);
        }
    }

    /// Everybody whose turn it was has answered: what changes from now on waits, when what changed before was judged again.
    pub(crate) fn rest(&mut self, now: WallTime) {
        self.is_full = self.bytes_waiting() > self.bytes_max;
        let spent = std::mem::take(&mut self.spent);
        if spent.at_all > Elapsed::default() {
            self.rested = self.rested.after(now, spent);
        }
        if self.rested.is_void(now) {
            self.rested = Rested::ALWAYS;
        }
    }

    /// Whether somebody has not judged yet what came in late.
    #[cfg(test)]
    pub(crate) fn is_behind(&self) -> bool {
        self.seats.iter().any(|seat| seat.judge.is_behind())
    }

    /// The next moment at which it is somebody's turn; absent when nobody is judged.
    pub(crate) fn next_turn(&self) -> Option<WallTime> {
        self.times.iter().map(|times| times.wants(self.rested)).min()
    }

    pub(crate) fn timeline(&self, service: &ServiceId, from: WallTime, to: WallTime) -> Option<Timeline> {
        let judge = &self.seats.iter().find(|seat| seat.service == *service)?.judge;
        // What came in and was not judged yet is not in the segments.
        let watermark = judge.watermark().map(|at| judge.behind_from().map_or(at, |from| from.min(at)));
        Some(Timeline { segments: judge.timeline(from, to), watermark })
    }
}
