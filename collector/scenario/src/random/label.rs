//! Which stretches have a label, and how much tolerance?
//!
//! A stretch begins and ends where the answer of any of the nine policies does. Its tolerance is what nobody can know
//! at once: 300 s for a hard fault, 1000 s for a partial or slow one, 420 s when the blame turns, 480 s after an end (the long window
//! and the clear stretch). While clients follow a failover nothing is asked, unless it was quiet before and after.

use uitwijk_judge::{Cause, Execution, Need};
use uitwijk_model::{Millis, Region, ServiceId, WindowKind};

use super::draw::{Drawn, Thing};
use super::policy::{HEALTHY, Numbers, Right, Scene};
use super::truth::{STEP_S, truth};
use crate::format::{Accepted, Expect, Label, Regions, Scenario, ServiceSpec};
use crate::places;

/// A stretch of which less would be judged has no label.
const JUDGED_MIN_S: usize = 60;
/// The nine policies see an onset within so many seconds of each other.
const ONSET_S: usize = 60;
/// The beginning of trouble is known to so many seconds.
const EDGE_S: usize = 20;
/// Its end is seen in a window of a minute, and may be dated back to where it began to clear.
const END_S: usize = 80;

/// One moment: what all policies agree on, and the causes they name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Agreed {
    need: Need,
    cause: Option<Cause>,
    hard: bool,
}

/// Adds the labels.
pub(super) fn labelled(drawn: Drawn) -> Scenario {
    let Drawn { mut scenario, things } = drawn;
    let regions: Vec<Region> = places::regions(&scenario).into_iter().map(|(region, _)| region).collect();
    let each = scenario.services.iter().map(|spec| {
        let agreed = agreed(&scenario, spec, &regions);
        Labels { s: &scenario, things: &things, service: &spec.id, agreed: &agreed }.all()
    });
    scenario.expect = each.flatten().collect();
    scenario
}

/// One label per service: nothing was needed, whatever the observers had.
pub(super) fn all_quiet(drawn: Drawn) -> Scenario {
    let mut scenario = drawn.scenario;
    let label = Label { need: Need::NotNeeded, cause: Cause::Healthy, executed: Execution::None };
    let expect = |spec: &ServiceSpec| Expect {
        from: Millis(0),
        to: scenario.duration,
        tolerance: Millis(0),
        service: Some(spec.id.clone()),
        label,
        accept: vec![Accepted { need: Need::NotNeeded, cause: None, executed: None }],
        live_accept: Vec::new(),
    };
    scenario.expect = scenario.services.iter().map(expect).collect();
    scenario
}

/// Steps from one failover, when all clients have followed, to the next, with the active region.
fn epochs(s: &Scenario, regions: &[Region], end: usize) -> Vec<(usize, usize, usize)> {
    let step = |m: Millis| seconds(m) / STEP_S;
    let index = |r: &Region| regions.iter().position(|x| x == r).unwrap_or(0);
    let mut epochs = vec![(0, end, index(&s.active_region))];
    for f in &s.failovers {
        let (at, after) = (step(f.at).min(end), step(Millis(f.at.0 + f.ttl.0)).min(end));
        if let Some(last) = epochs.last_mut() {
            last.1 = at.max(last.0);
        }
        epochs.push((after, end, index(&f.to)));
    }
    epochs
}

/// What is agreed on at every step; absent where it is gray.
fn agreed(s: &Scenario, spec: &ServiceSpec, regions: &[Region]) -> Vec<Option<Agreed>> {
    let truth = truth(s, spec, regions);
    let end = truth[0].len();
    let mut agreed = vec![None; end];
    for (from, to, active) in epochs(s, regions, end) {
        let other = usize::from(active == 0);
        let one =
            |numbers| Scene { numbers, spec, truth: &truth, active, other, steps: (from, to), cut: to < end }.answers();
        let all: Vec<Vec<Option<Right>>> = Numbers::around().into_iter().map(one).collect();
        for step in from..to {
            let excuse = |r: Right| excused(s, spec, r, step, &regions[active], regions.len());
            let each: Option<Vec<Right>> = all.iter().map(|a| a[step - from].map(&excuse)).collect();
            agreed[step] = each.and_then(|each| unanimous(&each));
        }
    }
    fill(&mut agreed);
    agreed
}

fn unanimous(each: &[Right]) -> Option<Agreed> {
    let first = each.first()?;
    let same = each.iter().all(|r| r.need == first.need);
    let cause = each.iter().all(|r| r.cause == first.cause).then_some(first.cause);
    same.then(|| Agreed { need: first.need, cause, hard: each.iter().all(|r| r.hard) })
}

/// A failover between two quiet stretches is quiet.
fn fill(agreed: &mut [Option<Agreed>]) {
    let quiet = Some(Agreed { need: Need::NotNeeded, cause: Some(Cause::Healthy), hard: false });
    let mut at = 0;
    while at < agreed.len() {
        let gap = agreed[at..].iter().take_while(|a| a.is_none()).count();
        let around = at > 0 && agreed[at - 1] == quiet && agreed.get(at + gap) == Some(&quiet);
        if gap > 0 && gap * STEP_S <= 60 && around {
            agreed[at..at + gap].fill(quiet.clone());
        }
        at += gap.max(1);
    }
}

/// What an announced window makes of an answer.
fn excused(s: &Scenario, spec: &ServiceSpec, r: Right, step: usize, active: &Region, regions: usize) -> Right {
    let at = (step * STEP_S * 1000) as u64;
    let covers = |m: &crate::format::Maintenance| {
        let kind =
            m.kind == WindowKind::Agreed || m.kind == WindowKind::Planned && m.notice.is_some_and(|days| days >= 10);
        let open = m.from.0 <= at && at < m.to.0;
        let service = m.scope.services.is_empty() || m.scope.services.contains(&spec.id);
        let whole = match &m.scope.target_region {
            None | Some(Regions::All) => true,
            Some(Regions::These(these)) => these.len() == regions,
        };
        let here = m.scope.target_region.as_ref().is_none_or(|r| r.has(active));
        kind && open && service && if r.need == Need::Needed { here } else { whole }
    };
    let hurt = matches!(r.need, Need::Needed | Need::Futile);
    if hurt && s.maintenance.iter().any(covers) {
        return Right { cause: Cause::Maintenance, need: Need::NotNeeded, ..HEALTHY };
    }
    r
}

/// What is wanted of one stretch.
struct Wanted {
    tolerance: usize,
    causes: Vec<Option<Cause>>,
    executed: Vec<Execution>,
}

struct Labels<'a> {
    s: &'a Scenario,
    things: &'a [Thing],
    service: &'a ServiceId,
    agreed: &'a [Option<Agreed>],
}

impl Labels<'_> {
    fn all(&self) -> Vec<Expect> {
        let need = |a: &Option<Agreed>| a.as_ref().map(|a| a.need);
        let (mut labels, mut from) = (Vec::new(), 0);
        for run in self.agreed.chunk_by(|a, b| need(a) == need(b)) {
            let to = from + run.len();
            if let Some(need) = need(&run[0]) {
                labels.extend(self.label(need, run, from, to));
            }
            from = to;
        }
        labels
    }

    fn label(&self, need: Need, run: &[Option<Agreed>], from: usize, to: usize) -> Option<Expect> {
        let mut b = to * STEP_S;
        if to < self.agreed.len() {
            b = b.saturating_sub(if need == Need::NotNeeded { EDGE_S } else { END_S });
        }
        let (before, gap) = self.before(from);
        let since = (from - self.hurt_since(from)) * STEP_S;
        let tolerance = tolerance(need, run, before, since);
        let a = (from - gap) * STEP_S;
        if b < a + tolerance + JUDGED_MIN_S {
            return None;
        }
        let wanted =
            Wanted { tolerance, causes: self.causes(need, run, a, b), executed: self.executed(need, run, a, b) };
        Some(self.expect(need, (a, b), &wanted))
    }

    /// Since when, without a quiet moment or a failover, users may have been hurt.
    fn hurt_since(&self, step: usize) -> usize {
        let since = self.agreed[..step].iter().rposition(is_quiet).map_or(0, |i| i + 1);
        let switched = self.s.failovers.iter().map(|f| seconds(Millis(f.at.0 + f.ttl.0)) / STEP_S);
        switched.filter(|at| *at <= step).fold(since, usize::max)
    }

    /// Seconds of the stretch around another in which users may have been hurt.
    fn hurt_around(&self, a: usize, b: usize) -> (usize, usize) {
        let (a, b) = (a / STEP_S, (b / STEP_S).min(self.agreed.len()));
        let since = self.agreed[..a].iter().rposition(is_quiet).map_or(0, |i| i + 1);
        let until = self.agreed[b..].iter().position(is_quiet).map_or(self.agreed.len(), |i| b + i);
        (since * STEP_S, until * STEP_S)
    }

    /// What was agreed on before a step, if anything was, and the steps between. The policies see an onset a few seconds
    /// apart; that is no gray stretch.
    fn before(&self, from: usize) -> (Option<Option<&Agreed>>, usize) {
        if from == 0 {
            return (None, 0);
        }
        let gap = self.agreed[..from].iter().rev().take(ONSET_S / STEP_S).take_while(|a| a.is_none()).count();
        match from.checked_sub(gap + 1).and_then(|i| self.agreed[i].as_ref()) {
            Some(last) => (Some(Some(last)), gap),
            None => (Some(None), 0),
        }
    }

    fn expect(&self, need: Need, (a, b): (usize, usize), wanted: &Wanted) -> Expect {
        let moment = |s: usize| Millis::from_secs(s as u64);
        let fallback = match need {
            Need::Needed => Cause::RegionDown,
            Need::Futile => Cause::GlobalFault,
            _ => Cause::Healthy,
        };
        let label = Label { need, cause: wanted.causes[0].unwrap_or(fallback), executed: wanted.executed[0] };
        let accepted = |cause: &Option<Cause>| {
            let cause = *cause;
            wanted.executed.iter().map(move |executed| Accepted { need, cause, executed: Some(*executed) })
        };
        Expect {
            from: moment(a),
            to: moment(b),
            tolerance: moment(wanted.tolerance),
            service: Some(self.service.clone()),
            label,
            accept: wanted.causes.iter().flat_map(accepted).skip(usize::from(wanted.causes[0].is_some())).collect(),
            live_accept: Vec::new(),
        }
    }

    /// The causes that are right, the first one best; an absent one stands for any.
    fn causes(&self, need: Need, run: &[Option<Agreed>], a: usize, b: usize) -> Vec<Option<Cause>> {
        let any = vec![None];
        let first = run[0].as_ref().and_then(|x| x.cause);
        let one = run.iter().all(|x| x.as_ref().and_then(|x| x.cause) == first);
        if need != Need::NotNeeded {
            // A name that does not resolve may be told as such.
            let named = matches!(first, Some(Cause::RegionDegraded | Cause::RegionSlow))
                || run.iter().flatten().all(|x| x.hard);
            let alone = self.around(a, b, 0).count() == 1;
            return match first {
                Some(Cause::FrontDoor | Cause::GlobalFault) if one => any_of_futile(first),
                Some(_) if one && named && alone && need == Need::Needed => vec![first],
                _ => any,
            };
        }
        if !one || first != Some(Cause::Healthy) {
            return any;
        }
        let mut around = self.around(a, b, 600);
        match (around.next(), around.next()) {
            (None, _) => vec![Some(Cause::Healthy)],
            (Some(thing), None) if !self.s.failovers.is_empty() || overlap(thing, a, b) < 500 => any,
            (Some(thing), None) => thing.told.map_or(any, |cause| vec![Some(cause)]),
            _ => any,
        }
    }

    /// Things that touch the stretch, or ended so many seconds before it.
    fn around(&self, a: usize, b: usize, before: u64) -> impl Iterator<Item = &Thing> {
        let (a, b) = ((a as u64 * 1000).saturating_sub(before * 1000), b as u64 * 1000);
        let mine = |t: &&Thing| t.service.as_ref().is_none_or(|s| s == self.service);
        self.things.iter().filter(mine).filter(move |t| t.from.0 < b && a < t.to.0)
    }

    /// Whether it was done, the first answer best.
    fn executed(&self, need: Need, run: &[Option<Agreed>], a: usize, b: usize) -> Vec<Execution> {
        let (since, until) = if need == Need::NotNeeded { (a, b) } else { self.hurt_around(a, b) };
        let at = self.s.failovers.iter().map(|f| seconds(f.at));
        let near: Vec<usize> = at.filter(|&at| at + 300 >= since && at <= until + 180).collect();
        let announced = |at: usize| self.s.maintenance.iter().any(|m| seconds(m.from) <= at && at < seconds(m.to));
        let early = if run.iter().flatten().all(|x| x.hard) { 260 } else { 960 };
        match (need, near.as_slice()) {
            (Need::Needed, []) => vec![Execution::Missed],
            (_, []) => vec![Execution::None],
            (Need::Needed, [one]) if *one >= a + early && *one <= b + END_S => vec![Execution::Executed],
            (Need::Needed, _) => vec![Execution::Executed, Execution::Missed, Execution::Unnecessary],
            (Need::NotNeeded, [one]) if *one >= a + 600 && *one + 300 <= b && !announced(*one) => {
                vec![Execution::Unnecessary]
            }
            _ => vec![Execution::None, Execution::Unnecessary, Execution::Executed],
        }
    }
}

/// A fault of both regions, of the entry and of resolution look alike in parts; any of them, the expected one first.
fn any_of_futile(first: Option<Cause>) -> Vec<Option<Cause>> {
    vec![first, Some(Cause::DnsGlobal)]
}

/// Seconds of a stretch in which a thing goes on.
fn overlap(t: &Thing, a: usize, b: usize) -> u64 {
    (t.to.0 / 1000).min(b as u64).saturating_sub((t.from.0 / 1000).max(a as u64))
}

fn tolerance(need: Need, run: &[Option<Agreed>], before: Option<Option<&Agreed>>, since: usize) -> usize {
    let hard = run.iter().flatten().take(40).all(|x| x.hard);
    match (need, before) {
        (_, None) => 0,
        (Need::NotNeeded, Some(_)) => 480,
        (_, Some(Some(last))) if last.need == Need::NotNeeded && hard => 300,
        (_, Some(Some(last))) if last.need != Need::NotNeeded && hard => 420,
        _ => 1000_usize.saturating_sub(since).max(420),
    }
}

fn is_quiet(a: &Option<Agreed>) -> bool {
    a.as_ref().is_some_and(|a| a.need == Need::NotNeeded)
}

fn seconds(m: Millis) -> usize {
    usize::try_from(m.0 / 1000).unwrap_or(usize::MAX)
}
