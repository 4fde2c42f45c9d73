//! What does the judge know after a restart?
//!
//! Everything it knew before: the measurements of the horizon, how far each agent had delivered, the switches that were reported, and
//! what was published.

use uitwijk_telemetry::Health;

use super::StartError;
use super::ground::Ground;
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

fn put_back(ground: &Ground, health: Health, shadows: Feed) -> Result<Recovering, StartError> {
    let plan = ground.plans.current().plan.clone();
    let since = ground.clock.wall().minus(judging::reach(&plan));
    let started = ground.clock.elapsed();
    let mut recovering = Recovering::begin(judging::Setup {
        collector: ground.name.clone(),
        plan,
        log: ground.log.clone(),
        clock: ground.clock.clone(),
        catch_up_max: ground.config.judging.catch_up_max,
        metrics: ground.metrics.judging.clone(),
        health,
        store: Some(ground.store.clone()),
        shadows: Some(shadows),
    })?;
    let mut rows = 0;
    for accepted in ground.store.recover(since) {
        let accepted = accepted?;
        rows += accepted.rows.len();
        recovering.put_back(&accepted);
    }
    let switches = switches::done(&ground.log, None, since)?;
    switches.iter().for_each(|heard| recovering.put_back_switch(heard));
    for (agent, through) in ground.store.small()?.frontiers {
        recovering.put_back_frontier(&agent, through);
    }
    let elapsed_ms = ground.clock.elapsed().since(started).as_millis();
    tracing::info!(rows, switches = switches.len(), elapsed_ms, %since, "the judge knows again what it knew before");
    Ok(recovering)
}
