//! How does a revision reach the disk first and everybody after?
//!
//! A disk that is full, or gone for a while, delays verdicts and loses none: what it does not take is kept, nothing new is
//! judged meanwhile, so memory stays bounded, and the log is opened again every second until it takes it.

use std::sync::Arc;
use std::time::Duration;

use uitwijk_model::{Clock, Millis, WallTime};
use uitwijk_telemetry::Health;

use super::board::Board;
use super::{JudgingError, Published};
use crate::metrics::{JudgingMetrics, VerdictLabels};
use crate::verdict_log::{LogError, VerdictLog};

/// Between two attempts to write what the disk did not take.
const RETRY: Millis = Millis(1000);

/// Under this name the readiness tells whether verdicts can be published.
const HEALTH_CONDITION: &str = "verdict_log";

/// A revision that nobody has heard of, and when it could be known.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) knowable: WallTime,
    pub(super) published: Published,
}

/// Revisions that the disk did not take, and when to try again.
#[derive(Debug)]
struct Kept {
    fresh: Vec<Fresh>,
    again: WallTime,
}

/// Publishes what the judges say.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) log: Arc<VerdictLog>,
    pub(super) board: Arc<Board>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: JudgingMetrics,
    pub(super) health: Health,
    /// What the disk did not take yet.
    kept: Option<Kept>,
}

impl Publisher {
    pub(super) fn new(
        log: Arc<VerdictLog>,
        board: Board,
        clock: Arc<dyn Clock>,
        metrics: JudgingMetrics,
        health: Health,
    ) -> Self {
        Self { log, board: Arc::new(board), clock, metrics, health, kept: None }
    }

    /// When it wants to try again; absent while the way is free.
    pub(super) fn again(&self) -> Option<WallTime> {
        self.kept.as_ref().map(|kept| kept.again)
    }

    /// Tries again now, whatever was said before.
    pub(super) fn hurry(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.again = WallTime::from_micros(i64::MIN);
        }
    }

    /// To the disk, then to everybody. What the disk does not take is kept, and tried again.
    pub(super) fn publish(&mut self, fresh: Vec<Fresh>) -> Result<(), JudgingError> {
        if fresh.is_empty() {
            return Ok(());
        }
        match write(&self.log, self.clock.wall(), &fresh) {
            Ok(written) => self.tell(fresh, &written),
            Err(error) if error.is_of_the_disk() => self.keep(fresh, &error),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn tell(&mut self, fresh: Vec<Fresh>, written: &[bool]) {
        let refused = written.iter().filter(|written| !**written).count();
        self.metrics.log_failures.inc_by(refused as u64);
        for (Fresh { knowable, published }, _) in fresh.into_iter().zip(written).filter(|(_, written)| **written) {
            self.count(knowable, &published);
            self.board.publish(Arc::new(published));
        }
        self.health.set(HEALTH_CONDITION, Ok(()));
    }

    fn keep(&mut self, fresh: Vec<Fresh>, error: &LogError) {
        tracing::error!(%error, revisions = fresh.len(), "revisions cannot be published, trying again");
        self.metrics.log_failures.inc();
        self.health.set(HEALTH_CONDITION, Err(error.to_string()));
        self.kept = Some(Kept { fresh, again: self.clock.wall().plus(RETRY) });
    }

    /// Tries again to publish what the disk did not take; whether the way is free.
    pub(super) fn publish_kept(&mut self, now: WallTime) -> Result<bool, JudgingError> {
        let Some(kept) = self.kept.take_if(|kept| kept.again <= now) else { return Ok(self.kept.is_none()) };
        if let Err(error) = self.log.reopen() {
            self.keep(kept.fresh, &error);
            return Ok(false);
        }
        // A write that failed may have reached the disk all the same, and then it is published.
        let (there, fresh): (Vec<_>, Vec<_>) = kept.fresh.into_iter().partition(|fresh| is_written(&self.log, fresh));
        let written = vec![true; there.len()];
        self.tell(there, &written);
        self.publish(fresh)?;
        Ok(self.kept.is_none())
    }

    fn count(&self, knowable: WallTime, published: &Published) {
        let revision = &published.revision;
        let (sequence, head) = self.log.head();
        let (need, cause, kind) = (revision.need.label(), revision.cause.label(), revision.kind.label());
        tracing::info!(
            episode = %revision.episode, revision = revision.revision, kind, need, cause,
            execution = revision.execution.label(), entry = sequence, %head, "a verdict was published"
        );
        self.metrics.verdicts.get_or_create(&VerdictLabels { need, cause, kind }).inc();
        self.metrics.log_entries.set(i64::try_from(sequence).unwrap_or(i64::MAX));
        if published.publish_delay_ms.is_some() {
            let us = self.clock.wall().micros_since(knowable).max(0);
            self.metrics.publish_delay_seconds.observe(Duration::from_micros(us.unsigned_abs()).as_secs_f64());
        }
    }
}

/// Writes and syncs, and answers which were written. One revision that does not follow the last is a mistake of ours; it is
/// told, and must not keep the others from being published.
fn write(log: &VerdictLog, now: WallTime, fresh: &[Fresh]) -> Result<Vec<bool>, LogError> {
    let publications: Vec<_> = fresh.iter().map(|fresh| fresh.published.publication()).collect();
    match log.append(now, &publications) {
        Ok(_) => return Ok(vec![true; fresh.len()]),
        Err(LogError::Order { .. }) => {}
        Err(error) => return Err(error),
    }
    let alone = |publication| match log.append(now, std::slice::from_ref(publication)) {
        Ok(_) => Ok(true),
        Err(error @ LogError::Order { .. }) => {
            tracing::error!(%error, "a revision was not published");
            Ok(false)
        }
        Err(error) => Err(error),
    };
    publications.iter().map(alone).collect()
}

fn is_written(log: &VerdictLog, fresh: &Fresh) -> bool {
    let wanted = fresh.published.publication();
    let found = log.get(&wanted.episode, Some(wanted.revision));
    found.ok().flatten().is_some_and(|entry| entry.body == wanted.body)
}
