//! How often is the disk asked to sync, and what happens while it fails?

use std::time::Duration;

use super::world::{PATIENCE, World};
use crate::ingest::HEALTH_CONDITION;
use crate::ingest::committer::APART;
use crate::store::Failing;
use crate::testing::{batch, row, slot_now};

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn nothing_is_acknowledged_or_judged_before_the_disk_has_it() {
    for failing in [Failing::Before, Failing::After] {
        let mut world = World::new();
        let mut agent = world.agent(5).await;
        world.hot.fail(failing);
        agent.batch(batch(5, 1, &[row("control:ctl-0", slot_now(), 0, 1)])).await;
        until("several attempts", || world.hot.writes() >= 3).await;
        let missing = world.health.missing();
        assert_eq!(missing[0].0, HEALTH_CONDITION);
        assert!(missing[0].1.starts_with("cannot write to the store: "), "{}", missing[0].1);
        assert!(world.judge.try_recv().is_err());
        assert_eq!(world.metrics.store_writable.get(), 0);
        world.hot.fail(Failing::No);
        agent.acknowledged(5, 2).await;
        assert!(world.health.is_ready());
        assert_eq!((world.judged().len(), world.stored().len()), (1, 1), "{failing:?}");
    }
}

#[tokio::test]
async fn a_quick_disk_is_not_asked_for_a_sync_for_each_message() {
    let world = World::new();
    let mut agent = world.agent(5).await;
    let (begun, before) = (std::time::Instant::now(), world.hot.writes());
    for sequence in 1..=40 {
        let at = slot_now() - i64::try_from(sequence).unwrap();
        agent.batch(batch(5, sequence, &[row("control:ctl-0", at, 0, 1)])).await;
        agent.acknowledged(5, sequence + 1).await;
    }
    // One group may have begun just before, and the last need not be over.
    let most = begun.elapsed().as_micros() / APART.as_micros() + 2;
    let asked = world.hot.writes() - before;
    assert!(u128::from(asked) <= most, "{asked} syncs where {most} may be");
    assert_eq!(world.stored().len(), 40);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_disk_that_fails() {
    let world = World::new();
    let agent = world.agent(5).await;
    world.hot.fail(Failing::Before);
    agent.batch(batch(5, 1, &[row("control:ctl-0", slot_now(), 0, 1)])).await;
    until("an attempt", || world.hot.writes() >= 1).await;
    world.stopping.cancel();
    drop(world.service);
    assert!(!world.committer.ended(Duration::from_millis(200)).await);
    assert!(world.judge.is_empty());
}

#[tokio::test]
async fn an_agent_is_held_back_and_not_dropped_while_the_disk_fails() {
    let world = World::new();
    let mut agent = world.agent(5).await;
    world.hot.fail(Failing::Before);
    let sent = async {
        for i in 0..200 {
            agent.batch(batch(5, 1 + i, &[row("control:ctl-0", slot_now() - i.cast_signed(), 0, 1)])).await;
        }
    };
    // The window, the channel of this test and one in the hands of the stream hold far fewer.
    assert!(tokio::time::timeout(Duration::from_millis(300), sent).await.is_err(), "nobody held the agent back");
    world.hot.fail(Failing::No);
    agent.acknowledged(5, 17).await;
}
