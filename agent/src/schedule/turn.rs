//! What is one attempt, and when is there another in the same slot?

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tracing::Instrument as _;
use uitwijk_model::{
    Clock, Measurement, Millis, Observer, Outcome, Phases, SlotLength, TargetId, Unmeasured, WallTime,
};

use super::Turn;

/// A probe keeps to its timeout by itself; one that is stuck for this much longer is given up.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// How a target is probed; the schedule does not know more.
pub trait Attempts: Send + Sync + 'static {
    /// Makes one attempt.
    fn attempt(self: Arc<Self>, turn: Turn, attempt: u8) -> BoxFuture<'static, Measurement>;
    /// Attempts after a failed one within the slot.
    fn retries(&self) -> u8;
    /// The longest an attempt takes.
    fn timeout(&self) -> Millis;
}

/// What there is to do.
#[derive(Clone)]
pub struct Work {
    /// Length of a slot.
    pub slot: SlotLength,
    /// The targets and how to probe each.
    pub targets: Arc<BTreeMap<TargetId, Arc<dyn Attempts>>>,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Work {{ slot: {}, targets: {} }}", self.slot.millis(), self.targets.len())
    }
}

/// How long a retry waits after the failure before it, so that it is not the same blip that is seen twice: a
/// twentieth of a slot, but at least 50 ms and at most 1 s.
pub(super) fn retry_pause(slot: SlotLength) -> Millis {
    Millis((slot.millis().0 / 20).clamp(50, 1000))
}

/// When the next attempt of a turn begins, if there is one: the attempt failed, the plan allows another, and that is
/// sure to end before the next turn of the target, so that a retry never costs a slot its first attempt.
pub(super) fn retry_at(
    now: WallTime,
    slot: SlotLength,
    probe: &dyn Attempts,
    failed: &Measurement,
) -> Option<WallTime> {
    let at = now.plus(retry_pause(slot));
    let next_turn = failed.scheduled.plus(slot.millis());
    let wanted = matches!(failed.outcome, Outcome::Down(_)) && failed.attempt < probe.retries();
    (wanted && at.plus(probe.timeout()) <= next_turn).then_some(at)
}

/// One attempt, in a span of its own whose trace the target is told. It always gives a measurement: a probe that does not end is unmeasured.
pub(super) async fn attempt(
    probe: Arc<dyn Attempts>,
    turn: Turn,
    number: u8,
    clock: Arc<dyn Clock>,
) -> (TargetId, Measurement) {
    let target = turn.target.clone();
    let span = tracing::info_span!(
        "attempt",
        probe.target = %turn.target,
        probe.slot = turn.slot.0,
        probe.attempt = number,
        probe.outcome = tracing::field::Empty,
        probe.reason = tracing::field::Empty,
        probe.total_us = tracing::field::Empty,
        http.response.status_code = tracing::field::Empty,
    );
    let limit = Duration::from(probe.timeout()) + STUCK_AFTER;
    let running = probe.attempt(turn.clone(), number).instrument(span.clone());
    let measurement = match tokio::time::timeout(limit, running).await {
        Ok(measurement) => measurement,
        Err(_) => {
            tracing::error!(target_id = %target, "probe did not end by itself and was given up");
            unmeasured(&turn, number, Unmeasured::Local, clock.wall(), Observer::default())
        }
    };
    note(&span, &measurement);
    (target, measurement)
}

fn note(span: &tracing::Span, measurement: &Measurement) {
    span.record("probe.outcome", measurement.outcome.label());
    span.record("probe.reason", measurement.outcome.reason());
    span.record("probe.total_us", measurement.total.map(uitwijk_model::Elapsed::as_micros));
    span.record("http.response.status_code", measurement.http_status);
}

/// A turn without an attempt that says anything, and why.
pub(crate) fn unmeasured(
    turn: &Turn,
    attempt: u8,
    reason: Unmeasured,
    now: WallTime,
    observer: Observer,
) -> Measurement {
    Measurement {
        target: turn.target.clone(),
        slot: turn.slot,
        attempt,
        scheduled: turn.scheduled,
        started: now,
        outcome: Outcome::Unmeasured(reason),
        total: None,
        phases: Phases::default(),
        http_status: None,
        served: None,
        hops: Vec::new(),
        certificate_expires: None,
        observer,
    }
}
