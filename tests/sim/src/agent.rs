//! What is an agent in a simulation?
//!
//! The buffer and the uplinks that ship, on a directory of its own. Instead of a schedule and probes, attempts of the world
//! are handed to it as they end, and it gives them the times that its own clock shows.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uitwijk_agent::buffer::{Buffer, BufferOptions};
use uitwijk_agent::metrics::AgentMetrics;
use uitwijk_agent::schedule::Complete;
use uitwijk_agent::selfcheck::SelfCheck;
use uitwijk_agent::uplink::{Buffered, Uplink, UplinkContext};
use uitwijk_model::{AgentId, BootId, Clock, Measurement, Sequence, Slot, SlotLength, TargetId, WallTime};
use uitwijk_proto::v1;
use uitwijk_scenario::plan::ROUND;

use super::clock::{AgentClock, SimClock};
use super::link::Dialer;
use super::world::Attempt;

/// What an agent began, as a witness beside it writes it down.
#[derive(Debug, Clone)]
pub(super) struct Started {
    pub(super) boot: BootId,
    pub(super) sequence: Sequence,
    pub(super) measurement: Measurement,
    /// By the right clock. It may not be on disk yet at a kill within this time.
    pub(super) at: WallTime,
}

/// How long a measurement waits for its group commit. Longer than in an agent, so that a kill finds something in it.
pub(super) const COMMIT_EVERY: Duration = Duration::from_secs(2);

/// A buffer that cannot hold a long absence of a collector.
pub(super) const SMALL_DISK: u64 = 60 << 10;

/// One agent.
pub(super) struct Agent {
    pub(super) name: AgentId,
    seed: u64,
    right: Arc<SimClock>,
    pub(super) clock: Arc<AgentClock>,
    dir: PathBuf,
    dialer: Arc<Dialer>,
    collectors: Vec<String>,
    disk_bytes_max: u64,
    boots: u64,
    running: Option<Running>,
    /// Everything it began, over all its boots.
    pub(super) started: Vec<Started>,
    /// When which boot was killed.
    pub(super) kills: Vec<(BootId, WallTime)>,
    /// By the right clock.
    complete: WallTime,
}

struct Running {
    buffer: Buffer,
    selfcheck: Arc<SelfCheck>,
    /// The last turn of each target, and how far the clock was ahead then.
    turns: BTreeMap<TargetId, (Slot, i64)>,
    complete: watch::Sender<Complete>,
    tasks: JoinSet<()>,
    /// What the uplinks look at as long as they run.
    _plan: watch::Sender<Option<uitwijk_model::PlanVersion>>,
    _urls: Vec<watch::Sender<String>>,
}

impl Agent {
    pub(super) fn new(
        name: AgentId,
        seed: u64,
        right: Arc<SimClock>,
        dir: PathBuf,
        dialer: Dialer,
        collectors: Vec<String>,
        disk_bytes_max: u64,
    ) -> Self {
        let dialer = Arc::new(dialer);
        let (complete, clock) = (right.wall(), AgentClock::new(right.clone()));
        let (started, kills) = (Vec::new(), Vec::new());
        let (boots, running) = (0, None);
        Self {
            name,
            seed,
            right,
            clock,
            dir,
            dialer,
            collectors,
            disk_bytes_max,
            boots,
            running,
            started,
            kills,
            complete,
        }
    }

    /// Its buffer is too small for a long absence of a collector.
    pub(super) const fn may_expire(&self) -> bool {
        self.disk_bytes_max <= SMALL_DISK
    }

    pub(super) const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Starts it on what its directory holds.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        self.boots += 1;
        let mut options = BufferOptions::new(&self.dir, self.collectors.clone(), self.clock.clone());
        options.pace = self.right.clone();
        options.boot = Some(BootId(self.seed << 8 | self.boots));
        options.commit_every = COMMIT_EVERY;
        options.disk_bytes_max = self.disk_bytes_max;
        options.ballast_bytes = 0;
        let (buffer, _, owner) = Buffer::open_as_task(options)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(owner);
        let (complete, told) = watch::channel(self.told(&buffer));
        let (plan, plan_version) = watch::channel(None);
        let (plan_news, mut news) = mpsc::channel(16);
        tasks.spawn(async move { while news.recv().await.is_some() {} });
        let selfcheck = Arc::new(SelfCheck::new(self.clock.clone()));
        let context = UplinkContext {
            dial: self.dialer.clone(),
            clock: self.clock.clone(),
            metrics: Arc::new(AgentMetrics::default()),
            compression: v1::Compression::None,
            complete: told,
            plan_version,
            plan_news,
            selfcheck: selfcheck.clone(),
            drain: CancellationToken::new(),
            stop: CancellationToken::new(),
            heartbeat_every: Duration::from_secs(5),
            seed: Some(self.seed << 8 | self.boots),
        };
        let mut urls = Vec::new();
        for (index, name) in self.collectors.iter().enumerate() {
            let (url, address) = watch::channel(Dialer::url(index));
            urls.push(url);
            let backlog = Buffered::new(buffer.clone(), name).expect("the buffer was opened for these names");
            tasks.spawn(Uplink::new(context.clone(), index, name, address, backlog).run());
        }
        let turns = BTreeMap::new();
        self.running = Some(Running { buffer, selfcheck, turns, complete, tasks, _plan: plan, _urls: urls });
        Ok(())
    }

    /// As `kill -9` does: whatever is not on disk is gone.
    pub(super) async fn kill(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        self.kills.push((running.buffer.boot(), self.right.wall()));
        running.tasks.shutdown().await;
    }

    /// An attempt has ended. While the agent is down there are none.
    pub(super) fn take(&mut self, attempt: &Attempt) {
        let Some(running) = &mut self.running else { return };
        self.complete = attempt.complete;
        if let Some(measurement) = running.by_its_clock(&attempt.measurement, &self.clock) {
            let appended = running.buffer.append(vec![measurement.clone()]);
            self.started.push(Started {
                boot: running.buffer.boot(),
                sequence: appended.first_sequence,
                measurement,
                at: self.right.wall(),
            });
        }
        self.tell();
    }

    /// Nothing more is due before this moment.
    pub(super) fn complete(&mut self, through: WallTime) {
        self.complete = self.complete.max(through);
        self.tell();
    }

    fn tell(&self) {
        if let Some(running) = &self.running {
            running.complete.send_replace(self.told(&running.buffer));
        }
    }

    fn told(&self, buffer: &Buffer) -> Complete {
        Complete { through: self.clock.shown(self.complete), next_sequence: buffer.next_sequence() }
    }

    /// What some collector does not have yet.
    pub(super) fn backlog(&self) -> u64 {
        let Some(running) = &self.running else { return 0 };
        self.collectors.iter().map(|collector| running.buffer.backlog(collector)).sum()
    }
}

impl Running {
    /// An attempt as the agent writes it down. After its clock went back by less than a slot, the schedule waits until a
    /// target's next turn comes, and there is none; when it went back by more, slots repeat.
    fn by_its_clock(&mut self, attempt: &Measurement, clock: &AgentClock) -> Option<Measurement> {
        let ahead = clock.ahead(attempt.scheduled);
        let mut own = attempt.clone();
        (own.scheduled, own.started) = (clock.shown(attempt.scheduled), clock.shown(attempt.started));
        own.slot = SlotLength::new(ROUND).expect("as in the plan").slot_of(own.scheduled);
        own.observer.clock_offset_us = self.selfcheck.clock_offset().map(|offset| offset.us);
        let slot_us = i64::try_from(ROUND.0).unwrap_or(i64::MAX).saturating_mul(1000);
        if let Some((slot, before)) = self.turns.get(&own.target)
            && own.slot <= *slot
            && before - ahead <= slot_us
        {
            return None;
        }
        self.turns.insert(own.target.clone(), (own.slot, ahead));
        Some(own)
    }
}
