//! What does a stretch of load cost?

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use uitwijk_model::{Clock as _, Slot, SystemClock, WallTime};

use super::agent::Tally;
use super::cost::{self, Cost};
use super::stage::Stage;
use super::traffic::{Mix, Pace};

/// Between the last agent's welcome and the first batch.
const SETTLE: Duration = Duration::from_secs(5);
/// A run may take so much longer than it was to, before it is given up.
const LONGER_MAX: Duration = Duration::from_secs(600);

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    /// Measurements per second that were due, nothing sent again.
    pub(super) offered: f64,
    /// Measurements, each once, that were acknowledged after their sync.
    pub(super) fresh: u64,
    /// All that were sent, those that were sent again included.
    pub(super) sent: u64,
    /// From the first slot's begin, or the end of the warm-up, to the last acknowledgement.
    pub(super) elapsed: Duration,
    /// How much of that was after the last batch was due.
    pub(super) behind: Duration,
    /// What the collector spent on it.
    pub(super) cost: Cost,
    /// What it held before.
    pub(super) idle: Cost,
    /// What this process spent on it.
    pub(super) generator: Duration,
    /// Slots' worth of services that the judge went through.
    pub(super) judgements: u64,
}

impl Figures {
    pub(super) fn rate(&self) -> f64 {
        self.fresh as f64 / self.elapsed.as_secs_f64()
    }

    pub(super) fn cpu_per_million(&self) -> f64 {
        self.cost.cpu_per_million(self.fresh)
    }

    pub(super) fn cpu_per_million_sent(&self) -> f64 {
        self.cost.cpu_per_million(self.sent)
    }
}

/// Lets all agents of a stage measure and send as it happens.
pub(super) async fn live(stage: &Stage, lasting: Duration, mix: Mix) -> anyhow::Result<Figures> {
    live_warm(stage, Duration::ZERO, lasting, mix).await
}

/// The same, but the figures are of what comes after a while: a collector meets every target of every agent for the first time
/// only once, and makes room for it.
pub(super) async fn live_warm(
    stage: &Stage,
    warm_up: Duration,
    lasting: Duration,
    mix: Mix,
) -> anyhow::Result<Figures> {
    anyhow::ensure!(warm_up.is_zero() || mix == Mix::default(), "what is sent again is not told apart after a while");
    // Whom it takes long to connect does not find slots that are over.
    let connecting = Duration::from_millis(50) * stage.shape.agents;
    let first = stage.slot_in(SETTLE + connecting);
    let agents = stage.connect(Pace::Live(first), mix).await?;
    let begin = stage.shape.slot.start_of(first);
    let warm = WallTime::from_micros(begin.as_micros() + i64::try_from(warm_up.as_micros())?);
    let until = WallTime::from_micros(warm.as_micros() + i64::try_from(lasting.as_micros())?);
    anyhow::ensure!(SystemClock.wall() < begin, "the agents took too long to connect");
    sleep_until(begin).await;
    let offered = stage.shape.rate() * (1.0 + f64::from(mix.late) / 100.0);
    measured(stage, agents, (begin, warm, until), offered).await
}

/// Lets all agents of a stage deliver what they kept of some slots.
pub(super) async fn kept(stage: &Stage, slots: (Slot, Slot)) -> anyhow::Result<Figures> {
    let agents = stage.connect(Pace::Kept(slots.0, slots.1), Mix::default()).await?;
    let now = SystemClock.wall();
    measured(stage, agents, (now, now, now), 0.0).await
}

async fn measured(
    stage: &Stage,
    agents: Vec<super::agent::Agent>,
    (begin, warm, until): (WallTime, WallTime, WallTime),
    offered: f64,
) -> anyhow::Result<Figures> {
    let idle = stage.cost()?;
    let tally = Arc::new(Tally::default());
    let mut streams = JoinSet::new();
    for agent in agents {
        streams.spawn(agent.run(until, tally.clone()));
    }
    let all = async {
        while let Some(ended) = streams.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    };
    let planned = Duration::from_micros(u64::try_from(until.micros_since(begin)).unwrap_or(0));
    let all = async { tokio::time::timeout(planned + LONGER_MAX, all).await? };
    // What was spent before is left out.
    let before = async {
        if warm > begin {
            sleep_until(warm).await;
        }
        Spent::until_now(stage, &tally).await
    };
    let ((), before) = tokio::try_join!(all, before)?;
    let end = SystemClock.wall();
    let now = Spent::until_now(stage, &tally).await?;
    let since = |from: WallTime| Duration::from_micros(u64::try_from(end.micros_since(from)).unwrap_or(0));
    let (elapsed, behind) = (since(warm), since(until));
    let (fresh, sent) = (Tally::get(&tally.fresh), Tally::get(&tally.sent));
    anyhow::ensure!(fresh > 0 && now.acknowledged >= fresh, "not everything was acknowledged");
    let (fresh, sent) = (fresh.saturating_sub(before.acknowledged), sent.saturating_sub(before.acknowledged));
    let (cost, generator) = (now.cost.since(before.cost), now.generator.saturating_sub(before.generator));
    let judgements = now.judgements.saturating_sub(before.judgements);
    Ok(Figures { offered, fresh, sent, elapsed, behind, cost, idle, generator, judgements })
}

/// What there was until a moment.
struct Spent {
    acknowledged: u64,
    cost: Cost,
    generator: Duration,
    judgements: u64,
}

impl Spent {
    async fn until_now(stage: &Stage, tally: &Tally) -> anyhow::Result<Self> {
        let (acknowledged, cost) = (Tally::get(&tally.acknowledged), stage.cost()?);
        let generator = cost::cpu("self")?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, read from a text")]
        let judgements = stage.metric(JUDGED).await? as u64;
        Ok(Self { acknowledged, cost, generator, judgements })
    }
}

const JUDGED: &str = "uitwijk_collector_judge_seconds_count";

async fn sleep_until(at: WallTime) {
    let us = at.micros_since(SystemClock.wall());
    tokio::time::sleep(Duration::from_micros(u64::try_from(us).unwrap_or(0))).await;
}
