//! Which judge gets which measurement, and whose turn is it?
//!
//! A judge is asked when a slot and its grace are over, which it names itself, and when something arrives that changes what
//! was judged already. The second kind waits for a rest of ten times what the last answer took, so that hours of
//! late records cost a tenth of the thread and not all of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uitwijk_judge::{Live, Origin, Revision, Taken, Topology};
use uitwijk_model::{
    AgentId, Elapsed, Measurement, Millis, Plan, PolicyOverrides, ServiceId, Slot, SlotLength, TargetId, WallTime,
};

use super::Timeline;
use crate::store::AcceptedRows;
use crate::switches::HeardSwitch;

/// The judges of all services of a plan.
#[derive(Debug)]
pub(crate) struct Bench {
    /// What is laid over the policies of the plan; nothing for the real judges.
    overrides: PolicyOverrides,
    seats: Vec<Seat>,
    /// The seats whose verdicts rest on a target. A control rests under all of them.
    routes: HashMap<TargetId, Vec<usize>>,
}

/// One judge, and when it was and will be asked.
#[derive(Debug)]
struct Seat {
    service: ServiceId,
    judge: Live,
    slot: SlotLength,
    grace: Millis,
    /// When it was last asked; absent before the first time.
    asked: Option<WallTime>,
    /// When it wants to be asked, if nothing changes before.
    due: WallTime,
    /// When something arrived that changes what was judged.
    changed: Option<WallTime>,
    /// How long a change waits at least after `asked`.
    rest: Millis,
}

/// Shortest wait between two answers about changed slots.
const REST_MIN: Millis = Millis(20);

/// What one judge said in one turn.
#[derive(Debug)]
pub(crate) struct Turn {
    /// When it could be known: the end of the grace, or the arrival that changed it.
    pub(crate) knowable: WallTime,
    /// What is new.
    pub(crate) revisions: Vec<Revision>,
}

impl Seat {
    fn new(plan: &Plan, service: &ServiceId, overrides: &PolicyOverrides) -> Option<Self> {
        let topology = topology(plan, service, overrides)?;
        Some(Self {
            service: service.clone(),
            slot: plan.slot,
            grace: topology.policy.grace,
            judge: Live::around(topology),
            asked: None,
            due: WallTime::from_micros(i64::MIN),
            changed: None,
            rest: REST_MIN,
        })
    }

    fn set_plan(mut self, plan: &Plan, overrides: &PolicyOverrides) -> Option<Self> {
        let topology = topology(plan, &self.service, overrides)?;
        (self.slot, self.grace) = (plan.slot, topology.policy.grace);
        self.judge.set_topology(topology);
        self.due = WallTime::from_micros(i64::MIN);
        Some(self)
    }

    fn observe(&mut self, accepted: &AcceptedRows, row: &Measurement, origin: Option<Origin>) {
        let taken = self.judge.observe_from(&accepted.agent, row, accepted.arrived, origin);
        if let Taken::Changed(slot) = taken {
            self.change(slot, accepted.arrived);
        }
    }

    fn switch(&mut self, heard: &HeardSwitch) -> Taken {
        let taken = self.judge.switch(&heard.switch);
        if let Taken::Changed(slot) = taken {
            self.change(slot, heard.heard);
        }
        taken
    }

    /// Something arrived that changes a slot, which may have been judged already.
    fn change(&mut self, slot: i64, arrived: WallTime) {
        let settled = self.slot.start_of(Slot(slot).plus(1)).plus(self.grace);
        if self.asked.is_some_and(|asked| settled <= asked) {
            self.changed.get_or_insert(arrived);
        }
    }

    /// When it should be asked next.
    fn wants(&self) -> WallTime {
        match (self.changed, self.asked) {
            (Some(_), Some(asked)) => self.due.min(asked.plus(self.rest)),
            _ => self.due,
        }
    }

    fn advance(&mut self, now: WallTime) -> Turn {
        let knowable = if self.due <= now { self.due } else { self.changed.unwrap_or(now) };
        let revisions = self.judge.advance(now);
        self.asked = Some(now);
        self.due = self.judge.next_wakeup(now);
        self.changed = None;
        Turn { knowable, revisions }
    }
}

/// Each row with its name in transport, where that is known.
fn named(accepted: &AcceptedRows) -> impl Iterator<Item = (&Measurement, Option<Origin>)> {
    let name = |at: usize| accepted.sequences.get(at).map(|&sequence| Origin { boot: accepted.boot, sequence });
    accepted.rows.iter().enumerate().map(move |(at, row)| (row, name(at)))
}

fn topology(plan: &Plan, service: &ServiceId, overrides: &PolicyOverrides) -> Option<Topology> {
    Topology::under(plan, service, &overrides.over(plan.policy_of(service))).ok()
}

impl Bench {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self::under(plan, PolicyOverrides::default())
    }

    /// Judges by other policies than the plan's.
    pub(crate) fn under(plan: &Plan, overrides: PolicyOverrides) -> Self {
        let mut bench = Self { overrides, seats: Vec::new(), routes: HashMap::new() };
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

    /// Goes on under another plan. Judges of services that are gone leave. Answers the services that are new.
    pub(crate) fn set_plan(&mut self, plan: &Plan) -> BTreeSet<ServiceId> {
        let mut old: BTreeMap<ServiceId, Seat> = self.seats.drain(..).map(|s| (s.service.clone(), s)).collect();
        let mut new = BTreeSet::new();
        for service in plan.services.keys() {
            let kept = old.remove(service).and_then(|seat| seat.set_plan(plan, &self.overrides));
            if kept.is_none() {
                new.insert(service.clone());
            }
            self.seats.extend(kept.or_else(|| Seat::new(plan, service, &self.overrides)));
        }
        for service in old.keys() {
            tracing::warn!(%service, "the plan no longer has a service, it is not judged any more");
        }
        self.route(plan);
        new
    }

    fn route(&mut self, plan: &Plan) {
        self.routes.clear();
        for target in plan.targets() {
            let rests = |(_, seat): &(usize, &Seat)| seat.judge.rests_on(&target.id);
            let seats = self.seats.iter().enumerate().filter(rests).map(|(i, _)| i).collect();
            self.routes.insert(target.id, seats);
        }
    }

    /// Hands measurements to the judges whose verdicts rest on them.
    pub(crate) fn rows(&mut self, accepted: &AcceptedRows) {
        for (row, origin) in named(accepted) {
            for &seat in self.routes.get(&row.target).into_iter().flatten() {
                self.seats[seat].observe(accepted, row, origin);
            }
        }
    }

    /// Tells all judges that an agent has delivered everything up to a moment.
    pub(crate) fn frontier(&mut self, agent: &AgentId, through: WallTime) {
        self.seats.iter_mut().for_each(|seat| seat.judge.frontier(agent, through));
    }

    /// Tells the judge of a service that users were moved; absent when there is none.
    pub(crate) fn switch(&mut self, heard: &HeardSwitch) -> Option<Taken> {
        self.seats.iter_mut().find(|seat| seat.service == heard.service).map(|seat| seat.switch(heard))
    }

    /// Makes the judge of a service anew from what is stored, when it is told of a time that it has forgotten.
    pub(crate) fn anew<E>(
        &mut self,
        service: &ServiceId,
        stored: impl Iterator<Item = Result<AcceptedRows, E>>,
        switches: &[HeardSwitch],
        now: WallTime,
    ) -> Result<(), E> {
        let Some(seat) = self.seats.iter_mut().find(|seat| seat.service == *service) else { return Ok(()) };
        let mut judge = seat.judge.anew();
        for accepted in stored {
            let accepted = accepted?;
            for (row, origin) in named(&accepted) {
                if judge.rests_on(&row.target) {
                    judge.observe_from(&accepted.agent, row, accepted.arrived, origin);
                }
            }
        }
        switches.iter().for_each(|heard| _ = judge.switch(&heard.switch));
        judge.take_over(&seat.judge);
        seat.judge = judge;
        seat.changed.get_or_insert(now);
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
        let turn = |seat: &Seat| seat.wants() <= now || seat.asked.is_some_and(|asked| asked > now);
        self.seats.iter().enumerate().filter(|(_, seat)| turn(seat)).map(|(i, _)| i).collect()
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
        self.seats[seat].advance(now)
    }

    /// How long the last answer of a judge took.
    pub(crate) fn took(&mut self, seat: usize, elapsed: Elapsed) {
        self.seats[seat].rest = Millis((elapsed.as_micros() / 100).max(REST_MIN.0));
    }

    /// The next moment at which it is somebody's turn; absent when nobody is judged.
    pub(crate) fn next_turn(&self) -> Option<WallTime> {
        self.seats.iter().map(Seat::wants).min()
    }

    pub(crate) fn timeline(&self, service: &ServiceId, from: WallTime, to: WallTime) -> Option<Timeline> {
        let seat = self.seats.iter().find(|seat| seat.service == *service)?;
        Some(Timeline { segments: seat.judge.timeline(from, to), watermark: seat.judge.watermark() })
    }
}
