//! What does the thread of the shadows do, one event after the other?

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use uitwijk_judge::Revision;
use uitwijk_model::{Clock, Millis, Plan, Policy, WallTime};

use super::feed::Inputs;
use super::member::Member;
use super::record::{BEGAN, Began, Shadowed};
use super::shelf::Shelf;
use super::{Ask, Setup, ShadowError};
use crate::ingest::JudgeInput;
use crate::judging::CatchUp;
use crate::metrics::{ShadowFailure, ShadowLabel, ShadowMetrics};
use crate::plans::Plans;
use crate::store::Store;
use crate::switches;
use crate::verdict_log::{LogError, Publication, VerdictLog};

/// Inputs taken at a time before it is looked whose turn it is.
const INPUTS_AT_A_TIME: usize = 64;
/// The wall clock may step, so no wait is longer than this.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Between two beginnings from the store.
const BEGIN_EVERY: Millis = Millis::from_secs(60);
/// Between two attempts to write what the disk did not take.
const RETRY: Millis = Millis::from_secs(1);

/// All state of the shadows.
pub(super) struct Owner {
    plans: Arc<Plans>,
    store: Store,
    /// The log of the real judge, for the switches in it.
    real: Arc<VerdictLog>,
    clock: Arc<dyn Clock>,
    shelf: Shelf,
    metrics: ShadowMetrics,
    memory_bytes_max: usize,
    members: Vec<Member>,
    /// When to begin anew from the store; absent while the shadows are up to date.
    begin_at: Option<WallTime>,
    /// Present while what agents kept is waited for, after a start.
    catch_up: Option<CatchUp>,
    /// What the disk did not take, and when to try again. Nothing new is judged meanwhile, so memory stays bounded.
    kept: Option<(Vec<Shadowed>, WallTime)>,
}

impl Owner {
    pub(super) fn new(setup: Setup, shelf: Shelf) -> Self {
        let Setup { plans, store, log: real, clock, catch_up_max, memory_bytes_max, metrics, .. } = setup;
        let now = clock.wall();
        let catch_up = CatchUp::begin(&plans.current().plan, now, catch_up_max);
        Self {
            plans,
            store,
            real,
            shelf,
            metrics,
            memory_bytes_max,
            members: Vec::new(),
            begin_at: None,
            catch_up: Some(catch_up),
            kept: None,
            clock,
        }
    }

    /// Runs until nobody can feed it any more.
    pub(super) async fn run(mut self, mut inputs: Inputs, mut asks: mpsc::Receiver<Ask>) {
        let mut group = Vec::with_capacity(INPUTS_AT_A_TIME);
        loop {
            self.turn(&inputs);
            let mut ask = None;
            tokio::select! {
                taken = inputs.queue.recv_many(&mut group, INPUTS_AT_A_TIME) => if taken == 0 { break },
                Some(asked) = asks.recv() => ask = Some(asked),
                () = tokio::time::sleep(self.wait()) => {}
            }
            self.take(&mut group);
            if let Some(Ask::Settle(answer)) = ask {
                while let Ok(input) = inputs.queue.try_recv() {
                    group.push(input);
                }
                self.take(&mut group);
                self.turn(&inputs);
                // Whoever asked may have gone.
                let _ = answer.send(());
            }
        }
        self.judge();
        self.shelf.close();
    }

    /// Begins anew if something was missed, and asks whose turn it is.
    pub(super) fn turn(&mut self, inputs: &Inputs) {
        let now = self.clock.wall();
        if inputs.begun() {
            self.begin_at = Some(now);
        }
        if inputs.missed() {
            self.fail(ShadowFailure::Behind, "the shadows fell behind and begin anew from the store");
            self.begin_at.get_or_insert(now.plus(BEGIN_EVERY));
        }
        if self.begin_at.is_some_and(|at| at <= now) {
            self.begin(inputs);
        }
        self.judge();
    }

    fn wait(&self) -> Duration {
        let now = self.clock.wall();
        let turns = self.members.iter().filter_map(Member::next_turn).min();
        let kept = self.kept.as_ref().map(|(_, again)| *again);
        let next = [self.begin_at, kept.or(turns)].into_iter().flatten().min();
        let us = next.map_or(i64::MAX, |next| next.micros_since(now));
        Duration::from_micros(u64::try_from(us).unwrap_or(0)).min(WAIT_MAX)
    }

    pub(super) fn take(&mut self, group: &mut Vec<JudgeInput>) {
        for input in group.drain(..) {
            match (&input, &mut self.catch_up) {
                (JudgeInput::Plan(_), _) => self.begin_at = Some(self.clock.wall()),
                (JudgeInput::Frontier { agent, through }, Some(catch_up)) => catch_up.frontier(agent, *through),
                _ => {}
            }
            // What waits to begin anew reads the store, where this is too.
            if self.begin_at.is_none() {
                let mut forgotten = false;
                self.each(|member| forgotten |= member.take(&input));
                if forgotten {
                    self.begin_at = Some(self.clock.wall());
                }
            }
        }
    }

    /// Does something with every member; one in which a panic happened leaves until the next beginning.
    pub(super) fn each(&mut self, mut act: impl FnMut(&mut Member)) {
        let mut lost = false;
        self.members.retain_mut(|member| {
            let sound = catch_unwind(AssertUnwindSafe(|| act(member))).is_ok();
            lost |= !sound;
            sound
        });
        if lost {
            self.fail(ShadowFailure::Panic, "a shadow policy ended by a panic and begins anew from the store");
            self.begin_at.get_or_insert(self.clock.wall().plus(BEGIN_EVERY));
        }
    }

    /// Makes the shadows of the plan in force, and gives them what the store has.
    fn begin(&mut self, inputs: &Inputs) {
        let plan = self.plans.current().plan.clone();
        inputs.want(!plan.shadow.is_empty());
        inputs.missed();
        self.members.clear();
        self.begin_at = None;
        // A plan without shadows opens no log, but to note that there are none any more.
        let done = match plan.shadow.is_empty() {
            true if !self.shelf.exists() => Ok(()),
            true => self.end(&plan),
            false => self.fill(&plan, inputs),
        };
        if let Err(error) = done {
            tracing::error!(%error, "the shadow policies cannot be judged by yet");
            self.metrics.fail(ShadowFailure::Log);
            self.members.clear();
            self.begin_at = Some(self.clock.wall().plus(BEGIN_EVERY));
        }
        self.gauge();
    }

    fn end(&mut self, plan: &Plan) -> Result<(), ShadowError> {
        note_begin(&*self.shelf.open()?, plan, self.clock.wall())
    }

    fn fill(&mut self, plan: &Plan, inputs: &Inputs) -> Result<(), ShadowError> {
        let log = self.shelf.open()?;
        let now = self.clock.wall();
        let since = now.minus(reach(plan));
        let said = read(&log, since)?;
        note_begin(&log, plan, now)?;
        let bytes_max = self.memory_bytes_max / plan.shadow.len().max(1);
        for (name, overrides) in &plan.shadow {
            let mut member = Member::new(plan, name.clone(), overrides.clone(), bytes_max);
            let of_it: Vec<Revision> = said.iter().filter(|s| s.shadow == *name).map(|s| s.revision.clone()).collect();
            member.restore(&of_it);
            self.members.push(member);
        }
        for heard in switches::done(&self.real, None, since)? {
            self.each(|member| _ = member.switch(&heard));
        }
        for rows in self.store.samples(since) {
            let Ok(rows) = rows else { break };
            if inputs.queue.is_closed() {
                break;
            }
            self.each(|member| member.rows(&rows));
        }
        let frontiers = self.store.small().map(|small| small.frontiers).unwrap_or_default();
        for (agent, through) in frontiers {
            self.each(|member| member.frontier(&agent, through));
        }
        Ok(())
    }

    /// Asks every judge whose turn it is, and writes what is new.
    fn judge(&mut self) {
        let now = self.clock.wall();
        if self.catch_up.take_if(|catch_up| !catch_up.waits(now)).is_none() && self.catch_up.is_some() {
            return;
        }
        let mut fresh = match self.kept.take() {
            Some((fresh, again)) if again <= now => {
                // The disk failed before; the log has to be opened again to know what it holds.
                let reopened = self.shelf.open().and_then(|log| log.reopen());
                if reopened.is_err() {
                    self.kept = Some((fresh, now.plus(RETRY)));
                    return;
                }
                fresh
            }
            kept @ Some(_) => {
                self.kept = kept;
                return;
            }
            None => Vec::new(),
        };
        let clock = self.clock.clone();
        self.each(|member| fresh.extend(member.judge(now, &*clock)));
        if fresh.is_empty() {
            return;
        }
        self.write(fresh, now);
        self.gauge();
    }

    fn write(&mut self, fresh: Vec<Shadowed>, now: WallTime) {
        let written = self.shelf.open().and_then(|log| append(&log, now, &fresh));
        match written {
            Ok(written) => {
                for shadowed in &fresh {
                    let shadow = shadowed.shadow.to_string();
                    self.metrics.revisions.get_or_create(&ShadowLabel { shadow }).inc();
                }
                for _ in written..fresh.len() {
                    self.metrics.fail(ShadowFailure::Log);
                }
            }
            Err(error) => {
                tracing::error!(%error, revisions = fresh.len(), "what shadow policies said cannot be written, trying again");
                self.metrics.fail(ShadowFailure::Log);
                self.kept = Some((fresh, now.plus(RETRY)));
            }
        }
    }

    fn fail(&self, failure: ShadowFailure, text: &'static str) {
        tracing::error!(reason = text, "shadow policies are in trouble");
        self.metrics.fail(failure);
    }

    /// Shows what each shadow takes.
    fn gauge(&self) {
        self.metrics.bytes.clear();
        for member in &self.members {
            let bytes = i64::try_from(member.bytes()).unwrap_or(i64::MAX);
            self.metrics.bytes.get_or_create(&ShadowLabel { shadow: member.shadow.to_string() }).set(bytes);
        }
    }
}

/// How far back measurements are needed.
fn reach(plan: &Plan) -> Millis {
    let of = |p: &Policy| p.horizon.0 + p.soft_window.0 + p.soft_duration.0.max(p.hard_duration.0) + p.clear.0;
    let policies = plan.shadow.values().flat_map(|over| plan.services.keys().map(|s| over.over(plan.policy_of(s))));
    Millis(policies.map(|policy| of(&policy)).max().unwrap_or(0))
}

/// What shadows said of a stretch of time, oldest first.
fn read(log: &VerdictLog, since: WallTime) -> Result<Vec<Shadowed>, ShadowError> {
    let mut said = Vec::new();
    for entry in log.since(since)? {
        said.extend(Shadowed::from_entry(&entry)?);
    }
    Ok(said)
}

/// Writes which shadows are judged by from now on, and since when, if that changed.
fn note_begin(log: &VerdictLog, plan: &Plan, now: WallTime) -> Result<(), ShadowError> {
    let last = log.get(BEGAN, None)?;
    let before = last.as_ref().map(Began::from_entry).transpose()?.unwrap_or_default();
    let after = before.after(plan, now);
    if after != before {
        log.append(now, &[after.publication(last.map_or(1, |last| last.revision + 1), now)])?;
    }
    Ok(())
}

/// Writes and syncs; answers how many were taken. One that does not follow the last, or is there already, must not keep the others from
/// being written.
fn append(log: &VerdictLog, now: WallTime, fresh: &[Shadowed]) -> Result<usize, LogError> {
    let publications: Vec<Publication> = fresh.iter().map(Shadowed::publication).collect();
    match log.append(now, &publications) {
        Ok(_) => return Ok(publications.len()),
        Err(LogError::Order { .. }) => {}
        Err(error) => return Err(error),
    }
    let mut taken = 0;
    for publication in &publications {
        match log.append(now, std::slice::from_ref(publication)) {
            Ok(_) => taken += 1,
            Err(error @ LogError::Order { .. }) => tracing::error!(%error, "a revision of a shadow was not written"),
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}
