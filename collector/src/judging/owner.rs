//! What does the owner of the judge do, one event after the other?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use uitwijk_judge::{EpisodeId, Revision, RevisionKind, Taken};
use uitwijk_model::{AgentId, Clock, Millis, Plan, ServiceId, WallTime};

use super::bench::Bench;
use super::board::Board;
use super::catch_up::CatchUp;
use super::publisher::{Fresh, Publisher};
use super::{Ask, JudgingError, Published, Setup, reach};
use crate::ingest::JudgeInput;
use crate::metrics::{InputLabel, JudgingMetrics, ServiceLabel, SwitchLabel};
use crate::shadow::Feed;
use crate::store::{Samples, Store};
use crate::switches::{self, HeardSwitch};
use crate::verdict_log::{LogError, VerdictLog};

/// Inputs taken at a time before it is looked whose turn it is.
const INPUTS_AT_A_TIME: usize = 64;

/// The wall clock may step, so no wait is longer than this.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// All state of the judge's shell.
#[derive(Debug)]
pub(super) struct Owner {
    collector: String,
    clock: Arc<dyn Clock>,
    publisher: Publisher,
    metrics: JudgingMetrics,
    bench: Bench,
    /// Present while the judge waits for what agents kept.
    catch_up: Option<CatchUp>,
    /// What could be known before this moment was made up for, not judged live.
    live_since: WallTime,
    /// How far back the plan makes it look.
    reach: Millis,
    /// Where what was forgotten is read again.
    store: Option<Store>,
    shadows: Option<Feed>,
    /// Services whose judges had to let go of something for want of memory, and were told of.
    crowded: BTreeSet<ServiceId>,
    /// What the shadows get when the real judge is done with it; no more than is taken at a time.
    for_shadows: Vec<JudgeInput>,
}

impl Owner {
    /// Reads what was published.
    pub(super) fn begin(setup: Setup) -> Result<Self, JudgingError> {
        let Setup {
            collector,
            plan,
            log,
            clock,
            since,
            catch_up_max,
            memory_bytes_max,
            metrics,
            health,
            store,
            shadows,
        } = setup;
        let now = clock.wall();
        let (published, open) = read_published(&log, since)?;
        let mut bench = Bench::new(&plan, memory_bytes_max);
        // Before any measurement is put back, so that each is known to have come before or after a revision.
        for (service, published) in &published {
            bench.restore(service, published);
        }
        let owner = Self {
            collector,
            publisher: Publisher::new(log, Board::new(open), clock.clone(), metrics.clone(), health),
            metrics,
            bench,
            catch_up: Some(CatchUp::begin(&plan, now, catch_up_max)),
            live_since: now,
            reach: reach(&plan),
            store,
            shadows,
            crowded: BTreeSet::new(),
            for_shadows: Vec::new(),
            clock,
        };
        owner.metrics.catching_up.set(1);
        owner.gauge();
        Ok(owner)
    }

    pub(super) fn board(&self) -> Arc<Board> {
        self.publisher.board.clone()
    }

    pub(super) fn put_back(&mut self, samples: &Samples) {
        self.bench.rows(samples);
    }

    pub(super) fn put_back_switch(&mut self, heard: &HeardSwitch) {
        self.bench.switch(heard);
    }

    pub(super) fn put_back_frontier(&mut self, agent: &AgentId, through: WallTime) {
        self.bench.frontier(agent, through);
    }

    /// Runs until nobody can feed it any more.
    pub(super) async fn run(
        mut self,
        mut inputs: mpsc::Receiver<JudgeInput>,
        mut asks: mpsc::Receiver<Ask>,
    ) -> Result<(), JudgingError> {
        self.shadows.iter().for_each(Feed::begin);
        let result = self.serve(&mut inputs, &mut asks).await;
        if let Err(error) = &result {
            tracing::error!(%error, "the judge cannot go on");
        }
        self.publisher.board.close();
        result
    }

    async fn serve(
        &mut self,
        inputs: &mut mpsc::Receiver<JudgeInput>,
        asks: &mut mpsc::Receiver<Ask>,
    ) -> Result<(), JudgingError> {
        let mut group = Vec::with_capacity(INPUTS_AT_A_TIME);
        loop {
            let mut ask = None;
            tokio::select! {
                // Questions first: there are few of them, and inputs may never pause.
                biased;
                Some(asked) = asks.recv() => ask = Some(asked),
                taken = inputs.recv_many(&mut group, INPUTS_AT_A_TIME) => if taken == 0 {
                    return self.finish();
                },
                () = tokio::time::sleep(self.wait()) => {}
            }
            for input in group.drain(..) {
                self.take(input)?;
            }
            match ask {
                Some(ask) => self.answer(ask, inputs)?,
                None => self.judge()?,
            }
            self.hand_on();
        }
    }

    /// How long until it is somebody's turn.
    fn wait(&self) -> Duration {
        let now = self.clock.wall();
        let kept = self.publisher.again();
        let next = self.awaited(now).or(kept).or(self.bench.next_turn()).unwrap_or(WallTime::from_micros(i64::MAX));
        let us = u64::try_from(next.micros_since(now)).unwrap_or(0);
        Duration::from_micros(us).min(WAIT_MAX)
    }

    fn take(&mut self, input: JudgeInput) -> Result<(), JudgingError> {
        let kind = match &input {
            JudgeInput::Rows(rows) => {
                self.bench.rows(rows);
                self.metrics.rows.inc_by(rows.rows.len() as u64);
                "rows"
            }
            JudgeInput::Frontier { agent, through } => {
                self.frontier(agent, *through);
                "frontier"
            }
            JudgeInput::Switch(heard) => {
                self.switch(heard);
                "switch"
            }
            JudgeInput::Plan(plan) => {
                self.set_plan(plan)?;
                "plan"
            }
        };
        self.metrics.inputs.get_or_create(&InputLabel { kind }).inc();
        if self.shadows.as_ref().is_some_and(|feed| feed.is_wanted() || kind == "plan") {
            self.for_shadows.push(input);
        }
        Ok(())
    }

    /// The shadows get what the real judge has judged and published.
    fn hand_on(&mut self) {
        if let Some(feed) = &self.shadows {
            self.for_shadows.drain(..).for_each(|input| feed.offer(input));
        }
    }

    fn frontier(&mut self, agent: &AgentId, through: WallTime) {
        self.bench.frontier(agent, through);
        if let Some(catch_up) = &mut self.catch_up {
            catch_up.frontier(agent, through);
        }
    }

    fn switch(&mut self, heard: &HeardSwitch) {
        let taken = match self.bench.switch(heard) {
            Some(Taken::TooLate) if self.look_back(heard) => "from_store",
            taken => taken_label(taken),
        };
        let HeardSwitch { service, switch, .. } = heard;
        tracing::info!(%service, from = %switch.from, to = %switch.to, at = %switch.at, taken, "the judge heard of a switch");
        self.metrics.switches.get_or_create(&SwitchLabel { taken }).inc();
    }

    /// The judge has forgotten the time of a switch: it is made anew from the store, as at a start. Whether that went well.
    fn look_back(&mut self, heard: &HeardSwitch) -> bool {
        let since = self.clock.wall().minus(self.reach);
        let Some(store) = self.store.as_ref().filter(|_| heard.switch.at >= since) else { return false };
        let log = &self.publisher.log;
        let made = switches::done(log, Some(&heard.service), since).map_err(|e| e.to_string()).and_then(|switches| {
            let stored = store.samples(since);
            self.bench.anew(&heard.service, stored, &switches, heard.heard).map_err(|e| e.to_string())
        });
        if let Err(error) = &made {
            tracing::error!(error, "a switch is not taken in before the next start, for the past cannot be read");
        }
        made.is_ok()
    }

    fn set_plan(&mut self, plan: &Plan) -> Result<(), JudgingError> {
        let new = self.bench.set_plan(plan);
        self.reach = reach(plan);
        if let Some(catch_up) = &mut self.catch_up {
            catch_up.set_plan(plan);
        }
        if !new.is_empty() {
            // A service that comes back has a past; its episodes and their numbers go on.
            let (mut published, _) = read_published(&self.publisher.log, self.clock.wall().minus(reach(plan)))?;
            for service in new {
                self.bench.restore(&service, &published.remove(&service).unwrap_or_default());
            }
        }
        self.gauge();
        Ok(())
    }

    fn answer(&mut self, ask: Ask, inputs: &mut mpsc::Receiver<JudgeInput>) -> Result<(), JudgingError> {
        match ask {
            // Whoever asked may have gone; then nobody is waiting for the answer.
            Ask::Timeline { service, from, to, answer } => {
                let _ = answer.send(self.bench.timeline(&service, from, to));
            }
            Ask::Settle(answer) => {
                while let Ok(input) = inputs.try_recv() {
                    self.take(input)?;
                }
                self.judge()?;
                self.hand_on();
                let _ = answer.send(());
            }
        }
        Ok(())
    }

    /// When the wait for what agents kept ends at the latest; absent when it is over.
    fn awaited(&self, now: WallTime) -> Option<WallTime> {
        let catch_up = self.catch_up.as_ref()?;
        catch_up.waits(now).then(|| catch_up.until())
    }

    /// Asks every judge whose turn it is, and publishes what is new.
    fn judge(&mut self) -> Result<(), JudgingError> {
        let now = self.clock.wall();
        if self.awaited(now).is_some() {
            return Ok(());
        }
        self.end_catch_up(now);
        // Nothing new is judged while something is kept: a later answer is as good then, and memory stays bounded.
        if !self.publisher.publish_kept(now)? {
            return Ok(());
        }
        let ready = self.bench.ready(now);
        if ready.is_empty() {
            return Ok(());
        }
        let started = self.clock.elapsed();
        let mut fresh = Vec::new();
        for seat in ready {
            self.turn(seat, now, &mut fresh);
        }
        self.bench.rest(self.clock.wall());
        let took = std::time::Duration::from(self.clock.elapsed().since(started));
        self.metrics.judge_seconds.observe(took.as_secs_f64());
        self.publisher.publish(fresh)?;
        self.gauge();
        Ok(())
    }

    /// The last turn. What cannot be published now is found again at the next start.
    fn finish(&mut self) -> Result<(), JudgingError> {
        self.publisher.hurry();
        self.judge()?;
        if self.publisher.again().is_some() { Err(LogError::Closed.into()) } else { Ok(()) }
    }

    fn end_catch_up(&mut self, now: WallTime) {
        let Some(catch_up) = self.catch_up.take() else { return };
        self.live_since = now;
        self.metrics.catching_up.set(0);
        let missing: Vec<&str> = catch_up.missing().map(AgentId::as_str).collect();
        if missing.is_empty() {
            tracing::info!("every agent has delivered what it kept, judging begins");
        } else {
            tracing::warn!(agents = missing.join(" "), "judging begins without agents that have not delivered");
        }
    }

    fn turn(&mut self, seat: usize, now: WallTime, fresh: &mut Vec<Fresh>) {
        let span = tracing::info_span!("judgement", service = %self.bench.service(seat));
        let _entered = span.enter();
        let started = self.clock.elapsed();
        let turn = self.bench.advance(seat, now);
        self.bench.took(&turn, self.clock.elapsed().since(started));
        self.crowded(seat, turn.crowded);
        if turn.revisions.is_empty() {
            return;
        }
        let traceparent = uitwijk_telemetry::context::current_traceparent();
        for revision in turn.revisions {
            let live = revision.kind == RevisionKind::Provisional && turn.knowable >= self.live_since;
            let delay = live.then(|| self.millis_since(turn.knowable));
            let (collector, traceparent) = (self.collector.clone(), traceparent.clone());
            let published = Published { revision, collector, traceparent, publish_delay_ms: delay };
            fresh.push(Fresh { knowable: turn.knowable, published });
        }
    }

    /// Counts what a judge had to let go of, and says it once of each.
    fn crowded(&mut self, seat: usize, times: u64) {
        if times == 0 {
            return;
        }
        self.metrics.crowded.inc_by(times);
        let service = self.bench.service(seat);
        if self.crowded.insert(service.clone()) {
            tracing::warn!(
                %service,
                bytes = self.bench.bytes_waiting(),
                "what is kept for agents that are away takes more than judging.memory_bytes_max, the oldest of it is settled \
                 without them; uitwijk agents tells who is away"
            );
        }
    }

    fn millis_since(&self, earlier: WallTime) -> u64 {
        u64::try_from(self.clock.wall().micros_since(earlier) / 1000).unwrap_or(0)
    }

    /// Shows how many episodes are open, also where there are none.
    fn gauge(&self) {
        self.metrics.bytes.set(i64::try_from(self.bench.bytes_waiting()).unwrap_or(i64::MAX));
        let mut open = self.publisher.board.open_by_service();
        for service in self.bench.services() {
            let service = service.as_str().to_owned();
            let count = open.remove(&service).unwrap_or(0);
            self.metrics.episodes_open.get_or_create(&ServiceLabel { service }).set(count);
        }
    }
}

/// What became of a switch; absent when nobody judges its service any more.
const fn taken_label(taken: Option<Taken>) -> &'static str {
    match taken {
        Some(Taken::Changed { .. }) => "changed",
        Some(Taken::Known) => "known",
        Some(Taken::Foreign) | None => "foreign",
        Some(Taken::TooLate) => "too_late",
    }
}

type ByService = BTreeMap<ServiceId, Vec<Revision>>;
type Open = BTreeMap<EpisodeId, Arc<Published>>;

/// What was published of a stretch of time, oldest first, and the latest revision of each open episode.
fn read_published(log: &VerdictLog, since: WallTime) -> Result<(ByService, Open), JudgingError> {
    let (mut all, mut open) = (ByService::new(), Open::new());
    for entry in log.since(since)? {
        let published = Published::from_entry(&entry)?;
        let revision = published.revision.clone();
        match published.is_open() {
            true => open.insert(revision.episode.clone(), Arc::new(published)),
            false => open.remove(&revision.episode),
        };
        all.entry(revision.service.clone()).or_default().push(revision);
    }
    Ok((all, open))
}
