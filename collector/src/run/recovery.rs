//! What does the judge know after a restart?
//!
//! Everything it knew before: the measurements of the horizon, how far each agent had delivered, the switches that were reported, and
//! what was published.

use uitwijk_model::{Millis, WallTime};
use uitwijk_telemetry::Health;

use super::StartError;
use super::ground::Ground;
use crate::backup::layout::Origin;
use crate::judging::{self, Recovering};
use crate::shadow::Feed;
use crate::switches;

/// Puts back what the judge knew before the restart. Reads the disk for as long as that takes.
pub(super) async fn recover(ground: Ground, health: Health, shadows: Feed) -> Result<(Ground, Recovering), StartError> {
    let work = move || {
        let recovering = put_back(&ground, health, shadows)?;
        Ok((ground, recovering))
    };
    blocking(work).await
}

/// Does what reads the disk away from the network's threads; a panic in it goes on here.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// Batches that are read ahead of the judge.
const AHEAD_MAX: usize = 64;

/// Reads in another thread, so that reading the disk and judging take a core each; ends with the first failure.
fn ahead<T: Send, E>(all: impl Iterator<Item = T> + Send, mut each: impl FnMut(T) -> Result<(), E>) -> Result<(), E> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(AHEAD_MAX);
    std::thread::scope(|scope| {
        // Whoever does not take any more wants no more to be read.
        scope.spawn(move || all.map(|one| sender.send(one)).find(Result::is_err));
        receiver.into_iter().try_for_each(&mut each)
    })
}

fn put_back(ground: &Ground, health: Health, shadows: Feed) -> Result<Recovering, StartError> {
    let plan = ground.plans.current().plan.clone();
    let origin = Origin::of(&ground.config.data_dir)?;
    let since = since(origin.as_ref(), ground.clock.wall(), judging::reach(&plan));
    let started = ground.clock.elapsed();
    let mut recovering = Recovering::begin(judging::Setup {
        collector: ground.name.clone(),
        plan,
        log: ground.log.clone(),
        clock: ground.clock.clone(),
        since,
        catch_up_max: ground.config.judging.catch_up_max,
        memory_bytes_max: ground.config.judging.memory_bytes_max,
        metrics: ground.metrics.judging.clone(),
        health,
        store: Some(ground.store.clone()),
        shadows: Some(shadows),
    })?;
    // Before the measurements: those may be so many that the oldest are judged while newer ones are put back.
    let switches = switches::done(&ground.log, None, since)?;
    switches.iter().for_each(|heard| recovering.put_back_switch(heard));
    let mut rows = 0;
    ahead(ground.store.samples(since), |samples| {
        let samples = samples?;
        rows += samples.rows.len();
        recovering.put_back(&samples);
        Ok::<(), StartError>(())
    })?;
    for (agent, through) in ground.store.small()?.frontiers {
        recovering.put_back_frontier(&agent, through);
    }
    let elapsed_ms = ground.clock.elapsed().since(started).as_millis();
    tracing::info!(rows, switches = switches.len(), elapsed_ms, %since, "the judge knows again what it knew before");
    Ok(recovering)
}

/// From when on the judge looks. What came in by a catch-up was never judged here, so it looks back to where that began, until all of
/// it is settled.
fn since(origin: Option<&Origin>, now: WallTime, reach: Millis) -> WallTime {
    let usual = now.minus(reach);
    let Some(origin) = origin else { return usual };
    let taken = WallTime::from_micros(origin.taken_us);
    match origin.caught_up_us.map(WallTime::from_micros) {
        Some(caught_up) if caught_up >= usual => usual.min(taken.minus(reach)),
        Some(_) => usual,
        None => {
            tracing::warn!(
                taken = origin.taken,
                "the data directory was restored from a backup and has not caught up: \
                measurements since then are missing until `uitwijk-collector catch-up` was run"
            );
            usual
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_catch_up_all_that_came_in_is_judged_until_it_is_settled() {
        let at = |seconds: i64| WallTime::from_micros(seconds * 1_000_000);
        let origin = |taken: i64, caught_up: Option<i64>| Origin {
            collector: "col-nl".to_owned(),
            taken: at(taken).to_string(),
            taken_us: at(taken).as_micros(),
            caught_up_us: caught_up.map(|seconds| at(seconds).as_micros()),
        };
        let since = |origin: Option<&Origin>, now| since(origin, at(now), Millis::from_secs(100));
        assert_eq!(since(None, 1000), at(900));
        assert_eq!(since(Some(&origin(500, None)), 1000), at(900));
        assert_eq!(since(Some(&origin(500, Some(990))), 1000), at(400));
        assert_eq!(since(Some(&origin(500, Some(990))), 1090), at(400));
        assert_eq!(since(Some(&origin(500, Some(990))), 1091), at(991), "settled");
        assert_eq!(since(Some(&origin(950, Some(990))), 1000), at(850));
    }
}
