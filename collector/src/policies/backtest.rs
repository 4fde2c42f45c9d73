//! What would the stored measurements have been judged to be, under the policy in force and under another?
//!
//! ```text
//!        lead            the stretch that was asked for             tail
//!   |------------|==========================================|-----------|
//!   store, batch by batch --> two benches (in force, other) --> ledgers --> episodes that touch the stretch
//!                             |<-- kept: lag + reach -->|
//! ```
//!
//! Both policies judge anew, by the same code that judges live, so that what they differ in is the policy alone. Measurements are read
//! once, in order of time. What is settled is forgotten as live, so memory does not depend on how long the stretch is: a
//! clock that was wrong moves measurements by an hour at most, and so long what was read is left open. A fleet whose services would not
//! fit into memory together is judged group by group.
//!
//! The choice left aside is to gather all evidence first. A month of one service would fit, a month of a fleet would not.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde_json::json;
use uitwijk_model::{Millis, Plan, Policy, PolicyOverrides, ServiceId, WallTime};

use super::judged::{Judged, Ledger, Stretch};
use crate::judging::bench::Bench;
use crate::store::{Part, RECORD_SPAN, Samples, Store, StoreError};
use crate::switches::HeardSwitch;

/// The longest stretch.
pub const STRETCH_MAX: Millis = Millis::from_secs(31 * 86_400);
/// Event time between two judgements.
const STEP: Millis = Millis::from_secs(900);
/// A measurement may turn out to belong so much earlier or later: a clock is corrected by an hour at most.
const LAG: Millis = Millis(3_600_000 + RECORD_SPAN.0);
/// What the evidence of services that are judged together may take, bytes.
const EVIDENCE_BYTES_MAX: u64 = 256 << 20;
/// Episodes that one policy may have in a stretch.
const EPISODES_MAX: usize = 200_000;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The plan in force.
    pub plan: Arc<Plan>,
    /// What the other policy has laid over it.
    pub overrides: PolicyOverrides,
    /// Only this service; absent means all.
    pub service: Option<ServiceId>,
    /// Switches that were reported.
    pub switches: Vec<HeardSwitch>,
    /// Of which time.
    pub stretch: Stretch,
    /// Nothing after this moment is looked at.
    pub now: WallTime,
}

/// What is answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Episodes under the policy in force, by service and time.
    pub current: Vec<Judged>,
    /// Under the other.
    pub other: Vec<Judged>,
    /// Which time of which service was judged; others were never measured.
    pub judged: BTreeMap<ServiceId, Stretch>,
    /// Measurements read.
    pub measurements: u64,
    /// Batches that were left out for damage.
    pub damaged: u64,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Measurements read.
    pub measurements: u64,
    /// Event time that was reached.
    pub through: WallTime,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The peer must act.
    #[error(
        "a policy makes more than {EPISODES_MAX} episodes in that stretch of time: ask for a shorter one, or for one service"
    )]
    TooMany,
    /// Nobody wants to know any more.
    #[error("the backtest was ended before it was done")]
    Ended,
}

/// Whoever waits is told how far it is, and may end it.
pub type Watcher<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// Judges a stretch of the store under both policies. Reads the disk for as long as that takes.
///
/// # Errors
/// When the store fails, there is too much to tell, or whoever waits has gone.
pub fn run(store: &Store, question: &Question, watcher: &mut Watcher<'_>) -> Result<Outcome, BacktestError> {
    let mut outcome = Outcome::default();
    for group in groups(question) {
        let mut pass = Pass::new(question, &group, outcome.measurements);
        pass.read(store, watcher)?;
        for (episodes, ledger) in [&mut outcome.current, &mut outcome.other].into_iter().zip(&pass.ledgers) {
            episodes.extend(ledger.episodes(question.stretch));
            if episodes.len() > EPISODES_MAX {
                return Err(BacktestError::TooMany);
            }
        }
        outcome.judged.append(&mut pass.judged);
        (outcome.measurements, outcome.damaged) = (pass.measurements, outcome.damaged + pass.damaged);
    }
    Ok(outcome)
}

/// Plans of services that are judged together, in order of name.
fn groups(question: &Question) -> Vec<Plan> {
    let plan = &question.plan;
    let wanted = |service: &&ServiceId| question.service.as_ref().is_none_or(|wanted| wanted == *service);
    let shared = plan.partners.len() + plan.controls.len();
    let kept = [plan.policy.clone(), question.overrides.over(&plan.policy)].iter().map(reach).max().unwrap_or_default();
    let slots = (kept.0 + LAG.0 + STEP.0) / plan.slot.millis().0.max(1) + 1;
    let mut groups: Vec<(u64, Plan)> = Vec::new();
    for service in plan.services.keys().filter(wanted) {
        let own = plan.services[service].endpoints.values();
        let targets =
            own.map(|e| e.regional.len() + e.zonal.values().map(BTreeMap::len).sum::<usize>() + 1).sum::<usize>();
        let cells = (targets + shared).saturating_mul(plan.agents.len()) as u64;
        let bytes = cells.saturating_mul(slots).saturating_mul(2 * 8);
        match groups.last_mut() {
            Some((taken, group)) if taken.saturating_add(bytes) <= EVIDENCE_BYTES_MAX => {
                *taken += bytes;
                group.services.insert(service.clone(), plan.services[service].clone());
            }
            _ => {
                let services = [(service.clone(), plan.services[service].clone())].into();
                groups.push((bytes, Plan { services, ..Plan::clone(plan) }));
            }
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// How far what is measured can change what was judged.
fn reach(p: &Policy) -> Millis {
    let entry = p.soft_duration.0.max(p.hard_duration.0) + p.soft_window.0.max(p.hard_window.0);
    Millis(entry + p.clear.0 + p.trust_hold.0 + p.switch_grace.0)
}

/// One walk over the store.
struct Pass<'a> {
    plan: &'a Plan,
    /// What is read: the stretch, a lead in which both policies settle, and a tail in which they end what they began.
    read: Stretch,
    benches: [Bench; 2],
    ledgers: [Ledger; 2],
    judged: BTreeMap<ServiceId, Stretch>,
    /// When it is judged next.
    next: WallTime,
    measurements: u64,
    damaged: u64,
}

impl<'a> Pass<'a> {
    fn new(question: &Question, plan: &'a Plan, measurements: u64) -> Self {
        // Everything is there already: nothing is waited for, and an answer is settled by what was read.
        let at_once =
            serde_json::from_value(json!({ "grace": "1ms", "horizon": "31d" })).expect("both are keys of a policy");
        let overrides =
            [PolicyOverrides::default(), question.overrides.clone()].map(|overrides| overrides.and(&at_once));
        let policies = plan.services.keys().flat_map(|s| overrides.iter().map(|o| o.over(plan.policy_of(s))));
        let reach = policies.map(|policy| reach(&policy)).max().unwrap_or_default();
        let stretch = question.stretch;
        let from = stretch.from.minus(reach).minus(LAG);
        let mut benches = overrides.map(|overrides| Bench::under(plan, overrides, usize::MAX));
        // They are few, so all are known from the beginning.
        for heard in question.switches.iter().filter(|heard| heard.switch.at >= from) {
            benches.iter_mut().for_each(|bench| _ = bench.switch(heard));
        }
        let to = stretch.to.plus(reach).plus(LAG).min(question.now);
        Self {
            plan,
            read: Stretch { from, to },
            benches,
            ledgers: [Ledger::default(), Ledger::default()],
            judged: BTreeMap::new(),
            next: from.plus(LAG).plus(STEP),
            measurements,
            damaged: 0,
        }
    }

    fn read(&mut self, store: &Store, watcher: &mut Watcher<'_>) -> Result<(), BacktestError> {
        for part in store.records(self.read.from, self.read.to) {
            let at = part.as_ref().ok().map(Part::mark);
            match part.and_then(|part| part.samples()) {
                Ok(batches) => batches.into_iter().for_each(|rows| self.take(rows)),
                Err(error) => self.damaged += store.note_damage(&error)?,
            }
            if let Some(at) = at.filter(|at| *at >= self.next) {
                self.judge(at.minus(LAG))?;
                self.next = at.plus(STEP);
                let progress = Progress { measurements: self.measurements, through: at };
                if watcher(progress).is_break() {
                    return Err(BacktestError::Ended);
                }
            }
        }
        self.judge(self.read.to)
    }

    fn take(&mut self, mut rows: Samples) {
        rows.rows.retain(|row| self.read.from <= row.scheduled && row.scheduled < self.read.to);
        self.measurements += rows.rows.len() as u64;
        self.benches.iter_mut().for_each(|bench| bench.rows(&rows));
    }

    /// Judges what lies before a moment; everything scheduled before it was read.
    fn judge(&mut self, through: WallTime) -> Result<(), BacktestError> {
        let now = through.plus(Millis(1));
        for (bench, ledger) in self.benches.iter_mut().zip(&mut self.ledgers) {
            self.plan.agents.keys().for_each(|agent| bench.frontier(agent, through));
            for seat in 0..bench.len() {
                bench.advance(seat, now).revisions.iter().for_each(|revision| ledger.take(revision));
            }
            if ledger.len() > EPISODES_MAX {
                return Err(BacktestError::TooMany);
            }
        }
        self.note_begin();
        Ok(())
    }

    /// Notes since when the services are judged that were not before.
    fn note_begin(&mut self) {
        let always = (WallTime::from_micros(i64::MIN), WallTime::from_micros(i64::MAX));
        for service in
            self.plan.services.keys().filter(|service| !self.judged.contains_key(*service)).cloned().collect::<Vec<_>>()
        {
            let timeline = self.benches[0].timeline(&service, always.0, always.1);
            if let Some(first) = timeline.as_ref().and_then(|timeline| timeline.segments.first()) {
                self.judged.insert(service, Stretch { from: first.from, to: self.read.to });
            }
        }
    }
}

#[cfg(test)]
mod tests;
