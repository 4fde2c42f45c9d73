//! Who may speak for an agent, and which of two?

use uitwijk_identity::Role;
use uitwijk_model::WallTime;
use uitwijk_proto::v1::{self, from_agent};

use super::world::{World, peer};
use crate::testing::{NOW, batch, plan, row, slot_now, vantage};

#[tokio::test]
async fn a_stream_needs_an_agent_of_the_plan_at_its_place() {
    let world = World::new();
    let mut viewer = peer("anna", vantage("NL", "1"));
    viewer.identity.role = Role::Viewer;
    let cases = [
        (peer("nl-9", vantage("NL", "1")), tonic::Code::PermissionDenied),
        (peer("nl-1", vantage("IE", "1")), tonic::Code::PermissionDenied),
        (viewer, tonic::Code::Unauthenticated),
    ];
    let mut texts = Vec::new();
    for (info, code) in cases {
        let Err(status) = world.connect(&info) else { panic!("{} was let in", info.identity) };
        assert_eq!(status.code(), code);
        // The hash changes with every key that plans get.
        texts.push(status.message().replace(world.plans.current().version.as_str(), "VERSION"));
    }
    insta::assert_snapshot!(texts.join("\n"));
}

#[tokio::test]
async fn a_stream_begins_with_one_good_hello() {
    let world = World::new();
    let hello = |version, boot, software: &str| {
        from_agent::Message::Hello(v1::Hello {
            protocol_version: version,
            boot,
            software: software.into(),
            ..v1::Hello::default()
        })
    };
    let heartbeat = from_agent::Message::Heartbeat(v1::Heartbeat::default());
    let stories = [
        vec![heartbeat.clone()],
        vec![hello(2, 5, "later")],
        vec![hello(1, 0, "no boot")],
        vec![hello(1, 5, &"x".repeat(129))],
        vec![hello(1, 5, "twice"), hello(1, 5, "twice")],
    ];
    let mut texts = Vec::new();
    for story in stories {
        let mut agent = world.connect(&peer("nl-1", vantage("NL", "1"))).unwrap();
        for message in story {
            agent.send(message).await;
        }
        let status = agent.error().await;
        texts.push(format!("{:?}: {}", status.code(), status.message()));
    }
    insta::assert_snapshot!(texts.join("\n"));
}

#[tokio::test]
async fn the_welcome_tells_what_is_on_disk() {
    let world = World::new();
    let mut agent = world.agent(5).await;
    agent.batch(batch(5, 1, &[row("control:ctl-0", slot_now(), 0, 1)])).await;
    agent.acknowledged(5, 2).await;
    agent.done().await;
    let mut agent = world.connect(&peer("nl-1", vantage("NL", "1"))).unwrap();
    let buffered = [5, 6].map(|boot| v1::BootRange { boot, first_sequence: 1, next_sequence: 2 }).to_vec();
    let hello = v1::Hello { protocol_version: 1, boot: 7, buffered, ..v1::Hello::default() };
    agent.send(from_agent::Message::Hello(hello)).await;
    let welcome = agent.welcome().await;
    assert_eq!(welcome.cursors, [v1::Cursor { boot: 5, next_sequence: 2 }], "boots 6 and 7 are not known");
    assert_eq!((welcome.collector.as_str(), welcome.batch_rows_max), ("col-nl", 8192));
    assert_eq!(welcome.plan_version, world.plans.current().version.as_str());
}

#[tokio::test]
async fn the_newer_stream_of_one_boot_wins_at_once() {
    let world = World::new();
    let mut old = world.agent(5).await;
    let mut new = world.agent(5).await;
    assert_eq!(old.error().await.code(), tonic::Code::Aborted);
    new.batch(batch(5, 1, &[row("control:ctl-0", slot_now(), 0, 1)])).await;
    new.acknowledged(5, 2).await;
    assert!(world.service.agents()[1].connected);
}

#[tokio::test]
async fn a_twin_is_turned_away_while_the_other_is_alive() {
    let world = World::new();
    let mut first = world.agent(5).await;
    let mut twin = world.connect(&peer("nl-1", vantage("NL", "1"))).unwrap();
    twin.hello(6).await;
    let beats = async {
        loop {
            first.heartbeat(v1::Heartbeat::default()).await;
            first.next().await;
        }
    };
    let status = tokio::select! {
        status = twin.error() => status,
        () = beats => unreachable!("it goes on"),
    };
    assert_eq!(status.code(), tonic::Code::AlreadyExists);
    insta::assert_snapshot!(status.message());
    assert_eq!(world.metrics.identity_conflicts.get(), 1);
    first.batch(batch(5, 1, &[row("control:ctl-0", slot_now(), 0, 1)])).await;
    first.acknowledged(5, 2).await;
}

#[tokio::test]
async fn a_restarted_agent_succeeds_a_silent_stream_and_one_that_ended() {
    let world = World::new();
    let mut silent = world.agent(5).await;
    let restarted = world.agent(6).await;
    assert_eq!(silent.error().await.code(), tonic::Code::Aborted);
    restarted.done().await;
    world.agent(7).await;
    assert_eq!(world.metrics.identity_conflicts.get(), 0);
}

#[tokio::test]
async fn a_stream_ends_when_its_agent_leaves_the_plan_or_its_certificate_expires() {
    let world = World::new();
    let mut agent = world.agent(5).await;
    let mut moved = plan(2, 2);
    moved.agents.insert(crate::testing::agent_id("nl-1"), vantage("IE", "1"));
    world.plans.adopt(moved).unwrap();
    assert_eq!(agent.error().await.code(), tonic::Code::PermissionDenied);

    let mut info = peer("ie-1", vantage("IE", "1"));
    info.certificate_expires = WallTime::from_micros(NOW.as_micros() + 1000);
    let mut agent = world.connect(&info).unwrap();
    agent.hello(1).await;
    let status = agent.error().await;
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
    assert_eq!(status.message(), "the agent's certificate expired at 2026-03-02T08:00:00.001Z: renew it");
}

#[tokio::test]
async fn a_stop_ends_streams_and_drains_what_came_in() {
    let mut world = World::new();
    let mut agent = world.agent(5).await;
    agent.batch(batch(5, 1, &[row("control:ctl-0", slot_now(), 0, 1)])).await;
    agent.acknowledged(5, 2).await;
    world.stopping.cancel();
    assert_eq!(agent.error().await.code(), tonic::Code::Unavailable);
    drop(world.service);
    assert!(world.committer.ended(super::world::PATIENCE).await);
    assert!(world.judge.recv().await.is_some(), "the row");
    assert!(world.judge.recv().await.is_none(), "the judge learns that there is no more");
}
