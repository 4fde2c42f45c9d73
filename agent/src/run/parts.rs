//! What is started, on whose behalf, and how does each part end?

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uitwijk_model::{Clock, Millis, PlanVersion, SlotLength};
use uitwijk_proto::v1;
use uitwijk_telemetry::Health;
use uitwijk_telemetry::admin::{self, AdminState};

use super::figures::{Figures, buffer_state};
use super::plans::Plans;
use super::prepare::{self, Me, StartError};
use super::recorder::ToBuffer;
use super::reload;
use super::started::StartedFile;
use super::targets::Compiler;
use crate::buffer::{Buffer, BufferOptions};
use crate::config::{Compression, Config, Sources};
use crate::metrics::AgentMetrics;
use crate::plan_memory::{Choice, PlanMemory};
use crate::schedule::{Complete, Runner, RunnerOptions, Work};
use crate::selfcheck::SelfCheck;
use crate::uplink::{Buffered, HEARTBEAT_EVERY, Uplink, UplinkContext};

/// The certificate files are looked at this often.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(10);
/// News of plans that may wait; each collector has at most one under way.
const NEWS_MAX: usize = 16;
/// A task that was told to end gets this long before it is left behind.
const END_WITHIN: Duration = Duration::from_secs(2);

/// A running agent.
pub(super) struct Agent {
    config: Config,
    sources: Sources,
    me: Me,
    admin: SocketAddr,
    buffer: Buffer,
    health: Health,
    /// One task; a set, because it may be waited for twice.
    schedule: JoinSet<ToBuffer>,
    uplinks: JoinSet<()>,
    urls: Vec<watch::Sender<String>>,
    /// Everything that has no order of its own at the end.
    others: JoinSet<()>,
    stops: Stops,
}

/// The order of the end, as one token per step.
#[derive(Clone, Default)]
struct Stops {
    schedule: CancellationToken,
    drain: CancellationToken,
    uplinks: CancellationToken,
    others: CancellationToken,
}

/// What several parts look at or tell.
struct Common {
    clock: Arc<dyn Clock>,
    metrics: Arc<AgentMetrics>,
    selfcheck: Arc<SelfCheck>,
    health: Health,
    buffer: Buffer,
}

impl Agent {
    /// Starts every part; the agent probes from here on if it remembers a plan.
    pub(super) async fn start(config: Config, sources: Sources, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let me = Me::load(&config, clock.clone())?;
        let listener = prepare::listen(config.admin_listen).await?;
        let bound = |error| StartError::System { what: "tell the admin address", error };
        let admin = listener.local_addr().map_err(bound)?;
        let buffer = open_buffer(&config, clock.clone()).await?;
        tracing::info!(agent = %me.agent, vantage = %me.vantage, boot = %buffer.boot(), %admin, "agent starts");
        if let Err(error) = me.credentials.check_dates() {
            tracing::error!(%error, "collectors will refuse this agent until the certificate is replaced; it probes and waits");
        }
        let common = Common {
            selfcheck: Arc::new(SelfCheck::new(clock.clone())),
            clock,
            metrics: Arc::default(),
            health: Health::waiting_for(["plan", "buffer"]),
            buffer: buffer.clone(),
        };
        common.health.set("buffer", buffer_state(buffer.health()));
        let stops = Stops::default();
        let mut others = JoinSet::new();
        let (plan, work, version) = plans(&config, &me, &common);
        let (runner, complete) = schedule(&config, &me, &common, work);
        let mut schedule = JoinSet::new();
        schedule.spawn(runner.run(stops.schedule.clone()));
        let (news, received) = mpsc::channel(NEWS_MAX);
        others.spawn(plan.run(received));
        let context = uplink_context(&config, &me, &common, complete, version, news, &stops);
        let (uplinks, urls) = uplinks(&config, &buffer, &context);
        let state = AdminState::new(Arc::new(common.metrics.registry()), common.health.clone());
        let stop = stops.others.clone();
        others.spawn(async move {
            // It has no error to give.
            let _ = admin::serve(listener, state, stop).await;
        });
        watchers(&mut others, &config, &me, &common, &stops);
        let health = common.health;
        Ok(Self { config, sources, me, admin, buffer, health, schedule, uplinks, urls, others, stops })
    }

    /// Where `/metrics` is.
    pub(super) fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Reads certificates and settings again.
    pub(super) async fn reload(&mut self) {
        tracing::info!("reloading");
        let (credentials, sources) = (self.me.credentials.clone(), self.sources.clone());
        let read = tokio::task::spawn_blocking(move || {
            reload::certificates(&credentials);
            reload::read(&sources)
        });
        let Ok(Some(new)) = read.await else { return };
        let mut keys = self.config.restart_keys(&new);
        match reload::addresses(&self.config.collectors, &new.collectors) {
            Some(urls) => {
                for (sender, url) in self.urls.iter().zip(urls) {
                    sender.send_if_modified(|old| std::mem::replace(old, url.to_owned()) != url);
                }
                self.config.collectors = new.collectors;
            }
            None => keys.push("collectors"),
        }
        if !keys.is_empty() {
            tracing::warn!(keys = keys.join(", "), "these settings changed and need a restart");
        }
    }

    /// Waits until a part ends that must not end while the agent runs, and names it. An agent that goes on without it would
    /// look alive and measure or deliver nothing.
    pub(super) async fn broken(&mut self) -> &'static str {
        tokio::select! {
            () = ended(&mut self.schedule) => "schedule",
            () = ended(&mut self.uplinks) => "uplink",
            () = ended(&mut self.others) => "plans, admin server or watcher",
            () = self.buffer.broken() => "buffer",
        }
    }

    /// Stops in order.
    pub(super) async fn stop(mut self) {
        self.health.set("running", Err("the agent is stopping".to_owned()));
        self.stops.schedule.cancel();
        while let Some(ended) = self.schedule.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the schedule broke");
            }
        }
        if !self.buffer.sync().await {
            tracing::warn!("the last measurements are not on disk");
        }
        self.stops.drain.cancel();
        let drained = tokio::time::timeout(self.config.stop.drain.into(), join_all(&mut self.uplinks)).await;
        if drained.is_err() {
            tracing::info!("what is not delivered stays in the buffer for the next start");
        }
        self.stops.uplinks.cancel();
        let _ = tokio::time::timeout(END_WITHIN, join_all(&mut self.uplinks)).await;
        self.stops.others.cancel();
        let _ = tokio::time::timeout(END_WITHIN, join_all(&mut self.others)).await;
        self.buffer.close().await;
    }
}

/// Waits until a task of the set ends; forever when there is none.
async fn ended<T: 'static>(tasks: &mut JoinSet<T>) {
    match tasks.join_next().await {
        Some(Err(error)) => tracing::error!(%error, "a task broke"),
        Some(Ok(_)) => {}
        None => std::future::pending().await,
    }
}

async fn join_all(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a task broke");
        }
    }
}

async fn open_buffer(config: &Config, clock: Arc<dyn Clock>) -> Result<Buffer, StartError> {
    let names = config.collectors.iter().map(|collector| collector.name.clone()).collect();
    let mut options = BufferOptions::new(config.data_dir.join("buffer"), names, clock);
    options.disk_bytes_max = config.buffer.disk_bytes_max.0;
    options.ballast_bytes = config.buffer.ballast_bytes.0;
    let opening = tokio::task::spawn_blocking(move || Buffer::open_or_memory(options));
    let broken = |error: tokio::task::JoinError| StartError::System { what: "open the buffer", error: error.into() };
    let (buffer, report) = opening.await.map_err(broken)??;
    if report.rows_kept > 0 {
        tracing::info!(rows = report.rows_kept, "measurements of earlier starts wait for delivery");
    }
    if !report.forgotten.is_empty() {
        let names = report.forgotten.join(", ");
        tracing::warn!(names, "collectors are no longer configured; what waited for them alone is gone");
    }
    Ok(buffer)
}

fn plans(
    config: &Config,
    me: &Me,
    common: &Common,
) -> (Plans, watch::Receiver<Work>, watch::Receiver<Option<PlanVersion>>) {
    let selfcheck = common.selfcheck.clone();
    let observe = Arc::new(move || selfcheck.observer());
    let (work, work_receiver) = watch::channel(no_work());
    let (version, version_receiver) = watch::channel(None);
    let mut plans = Plans {
        agent: me.agent.clone(),
        vantage: me.vantage.clone(),
        memory: PlanMemory::new(&config.data_dir),
        compiler: Compiler::new(common.clock.clone(), observe, config.resolver),
        metrics: common.metrics.clone(),
        selfcheck: common.selfcheck.clone(),
        health: common.health.clone(),
        work,
        version,
        choice: Choice::default(),
        collectors: config.collectors.iter().map(|collector| (collector.name.clone(), None)).collect(),
    };
    plans.start();
    (plans, work_receiver, version_receiver)
}

/// Nothing to do yet; the length of the slot only matters once there are targets.
fn no_work() -> Work {
    let slot = SlotLength::new(Millis::from_secs(10)).expect("10 s is within the range of slot lengths");
    Work { slot, targets: Arc::default() }
}

fn schedule(
    config: &Config,
    me: &Me,
    common: &Common,
    work: watch::Receiver<Work>,
) -> (Runner<ToBuffer>, watch::Receiver<Complete>) {
    let selfcheck = common.selfcheck.clone();
    let options = RunnerOptions {
        agent: me.agent.clone(),
        in_flight_max: config.in_flight_max,
        missed_slots_max: config.missed_slots_max,
        grace: config.stop.grace.into(),
        clock: common.clock.clone(),
        observer: Arc::new(move || selfcheck.observer()),
        metrics: common.metrics.schedule.clone(),
    };
    let recorder = ToBuffer {
        buffer: common.buffer.clone(),
        metrics: common.metrics.clone(),
        selfcheck: common.selfcheck.clone(),
        started: StartedFile::of(&config.record, &me.agent, common.buffer.boot(), &common.clock, &common.metrics),
    };
    Runner::new(options, work, recorder)
}

fn uplink_context(
    config: &Config,
    me: &Me,
    common: &Common,
    complete: watch::Receiver<Complete>,
    plan_version: watch::Receiver<Option<PlanVersion>>,
    plan_news: mpsc::Sender<(usize, crate::uplink::PlanNews)>,
    stops: &Stops,
) -> UplinkContext {
    UplinkContext {
        dial: Arc::new(me.credentials.clone()),
        clock: common.clock.clone(),
        metrics: common.metrics.clone(),
        compression: match config.compression {
            Compression::None => v1::Compression::None,
            Compression::Zstd => v1::Compression::Zstd,
        },
        complete,
        plan_version,
        plan_news,
        selfcheck: common.selfcheck.clone(),
        drain: stops.drain.clone(),
        stop: stops.uplinks.clone(),
        heartbeat_every: HEARTBEAT_EVERY,
        seed: None,
    }
}

fn uplinks(config: &Config, buffer: &Buffer, context: &UplinkContext) -> (JoinSet<()>, Vec<watch::Sender<String>>) {
    let (mut tasks, mut urls) = (JoinSet::new(), Vec::new());
    for (index, collector) in config.collectors.iter().enumerate() {
        let (url, receiver) = watch::channel(collector.url.clone());
        urls.push(url);
        // The buffer was opened for these very names.
        if let Some(backlog) = Buffered::new(buffer.clone(), &collector.name) {
            tasks.spawn(Uplink::new(context.clone(), index, &collector.name, receiver, backlog).run());
        }
    }
    (tasks, urls)
}

fn watchers(others: &mut JoinSet<()>, config: &Config, me: &Me, common: &Common, stops: &Stops) {
    let figures = Figures {
        buffer: common.buffer.clone(),
        selfcheck: common.selfcheck.clone(),
        credentials: me.credentials.clone(),
        metrics: common.metrics.clone(),
        collectors: config.collectors.iter().map(|collector| common.metrics.collector(&collector.name)).collect(),
        health: common.health.clone(),
    };
    others.spawn(figures.run(stops.others.clone()));
    let (selfcheck, stop) = (common.selfcheck.clone(), stops.others.clone());
    others.spawn(async move { selfcheck.run(stop).await });
    let watcher = me.credentials.spawn_watcher(CERTIFICATES_EVERY, stops.others.clone());
    others.spawn(async move {
        if let Err(error) = watcher.await {
            tracing::error!(%error, "nobody looks at the certificate files any more");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_is_noticed_and_an_empty_set_is_not() {
        let mut none: JoinSet<()> = JoinSet::new();
        let waited = tokio::time::timeout(Duration::from_millis(20), ended(&mut none)).await;
        assert!(waited.is_err(), "nothing can end where there is nothing");
        let mut one = JoinSet::new();
        one.spawn(async { panic!("on purpose") });
        one.spawn(std::future::pending::<()>());
        tokio::time::timeout(Duration::from_secs(5), ended(&mut one)).await.expect("a panic is noticed");
    }
}
