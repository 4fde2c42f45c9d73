//! The network between agents and collectors is unkind, in every way that a link knows.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use uitwijk_agent::buffer::{Buffer, BufferOptions};
use uitwijk_model::plan::read::read_plan;
use uitwijk_model::{
    AgentId, BootId, Clock as _, Elapsed, Measurement, Observer, Outcome, Phases, Plan, Slot, SystemClock, Target,
};
use uitwijk_proto::started::Started;
use uitwijk_tests::fleet::link::{Link, Weather};

use super::stage::{PATIENCE, Stage, luck, options, until};
use super::verdicts::equal_finals;

/// Measurements of a slot: what an agent of these fleets starts each time.
const TARGETS: u64 = 16;

/// What happens to the link between one agent and one collector.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// Nothing gets through, and it is told.
    Cut,
    /// Nothing gets through, and nobody is told; then the connection ends.
    HalfOpen,
    /// The agent is not heard; then the connection is torn.
    DeafCollector,
    /// The agent hears no acknowledgement, and after the cut sends what it has none for again.
    DeafAgent,
    /// A few kilobytes a second.
    Trickle,
    /// Resets in the middle of a frame, one after the other.
    Torn,
    /// The address dies for good; the agent is told of a second one.
    SecondAddress,
}

const TROUBLES: [Trouble; 7] = [
    Trouble::Cut,
    Trouble::HalfOpen,
    Trouble::DeafCollector,
    Trouble::DeafAgent,
    Trouble::Trickle,
    Trouble::Torn,
    Trouble::SecondAddress,
];

#[tokio::test(flavor = "multi_thread")]
async fn an_unkind_network_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let mut luck = luck("network");
    let mut troubles = TROUBLES;
    troubles.shuffle(&mut luck);
    println!("network: {troubles:?}");
    let mut stage = Stage::start(options()).await?;
    stage.caught_up().await?;
    stage.measured("nl-1", 10 * TARGETS).await?;
    let mut mended = SystemClock.wall();
    for (turn, trouble) in troubles.into_iter().enumerate() {
        // An outage in the middle, which both collectors must judge alike, though each misses another part of it at first.
        match turn {
            2 => stage.fleet.world.set_region("NL", false)?,
            4 => {
                stage.fleet.world.set_region("NL", true)?;
                mended = SystemClock.wall();
            }
            _ => {}
        }
        let agent = ["nl-1", "ie-1"][luck.random_range(0..2)];
        let collector = ["col-nl", "col-ie"][luck.random_range(0..2)];
        make(&mut stage, trouble, agent, collector, &mut luck).await.map_err(|e| e.context(format!("{trouble:?}")))?;
    }
    equal_finals(&stage, mended).await?;
    let comparisons = stage.balance().await?;
    assert!(comparisons.values().all(|c| c.gone + c.unsynced == 0), "no network is a reason to lose anything");
    stage.end().await
}

async fn make(
    stage: &mut Stage,
    trouble: Trouble,
    agent: &str,
    collector: &str,
    luck: &mut StdRng,
) -> anyhow::Result<()> {
    let a_while = TARGETS * luck.random_range(4..8);
    set(stage, agent, collector, |link| match trouble {
        Trouble::Cut | Trouble::SecondAddress => link.set(Weather::Cut),
        Trouble::HalfOpen => link.set(Weather::Silent),
        Trouble::DeafCollector => link.set(Weather::DeafCollector),
        Trouble::DeafAgent => link.set(Weather::DeafAgent),
        Trouble::Trickle => link.set(Weather::Trickle),
        Trouble::Torn => link.tear(),
    })?;
    match trouble {
        Trouble::Torn => tear(stage, agent, collector).await?,
        Trouble::SecondAddress => second_address(stage, agent, collector).await?,
        _ => stage.measured(agent, a_while).await?,
    }
    set(stage, agent, collector, |link| match trouble {
        Trouble::HalfOpen | Trouble::DeafAgent => {
            link.hang_up();
            link.set(Weather::Fair);
        }
        Trouble::DeafCollector => {
            link.tear();
            link.set(Weather::Fair);
        }
        _ => link.set(Weather::Fair),
    })?;
    stage.measured(agent, TARGETS).await
}

fn set(stage: &mut Stage, agent: &str, collector: &str, change: impl FnOnce(&Link)) -> anyhow::Result<()> {
    change(link(stage, agent, collector)?);
    Ok(())
}

fn link<'a>(stage: &'a mut Stage, agent: &str, collector: &str) -> anyhow::Result<&'a Link> {
    let links = &stage.fleet.agent(agent)?.links;
    links.get(collector).ok_or_else(|| anyhow::anyhow!("no link from {agent} to {collector}"))
}

/// Each connection is torn as soon as it is there.
async fn tear(stage: &mut Stage, agent: &str, collector: &str) -> anyhow::Result<()> {
    for _ in 0..4 {
        let link = link(stage, agent, collector)?;
        let mut carried = link.carried();
        let before = *carried.borrow_and_update();
        until("the agent connects anew", async || Ok((*carried.borrow() > before).then_some(()))).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
        link.tear();
    }
    Ok(())
}

async fn second_address(stage: &mut Stage, agent: &str, collector: &str) -> anyhow::Result<()> {
    stage.measured(agent, TARGETS).await?;
    let second = Link::start(stage.fleet.collector(collector)?.address).await?;
    let file = stage.fleet.config_file(agent);
    let links = &mut stage.fleet.agent(agent)?.links;
    let Some(first) = links.insert(collector.to_owned(), second) else { anyhow::bail!("{agent} had no link") };
    let (old, new) = (first.address().to_string(), links[collector].address().to_string());
    std::fs::write(&file, std::fs::read_to_string(&file)?.replace(&old, &new))?;
    let mut carried = links[collector].carried();
    stage.fleet.agent(agent)?.process.signal(libc::SIGHUP)?;
    until("the agent takes the second address", async || Ok((*carried.borrow_and_update() > 0).then_some(()))).await
}

/// Slots of two hours at the pace of the contract.
const BACKLOG_SLOTS: i64 = 720;

#[tokio::test(flavor = "multi_thread")]
async fn two_hours_of_backlog_return_while_live_data_flows() -> anyhow::Result<()> {
    let mut stage = Stage::start(options()).await?;
    stage.caught_up().await?;
    stage.fleet.agent("nl-1")?.process.stop(PATIENCE).await?;
    let earlier: BTreeSet<BootId> = stage.begun()?.boots.into_keys().map(|(_, boot)| boot).collect();
    let backlog = fill_buffer(&stage, "nl-1").await?;
    let is_new =
        |agent: &AgentId, boot: BootId| agent.as_str() == "nl-1" && boot != backlog.boot && !earlier.contains(&boot);
    // On a slow line the measurements of now do not wait until those of then are through, nor the other way round.
    let slow = ["col-nl", "col-ie"][luck("backlog").random_range(0..2)];
    set(&mut stage, "nl-1", slow, |link| link.set(Weather::Trickle))?;
    let process = &mut stage.fleet.agent("nl-1")?.process;
    process.restart()?;
    process.ready().await?;
    until("the backlog begins to arrive", async || Ok((stage.stored(slow, backlog.boot).await? > 0).then_some(())))
        .await?;
    let (running, so_far) = until("the new start measures", async || {
        let fresh = stage.begun()?.boots.into_iter().find(|((agent, boot), _)| is_new(agent, *boot));
        Ok(fresh.map(|((_, boot), lines)| (boot, lines.len() as u64)))
    })
    .await?;
    until("what was measured since is in", async || Ok((stage.stored(slow, running).await? >= so_far).then_some(())))
        .await?;
    let old = stage.stored(slow, backlog.boot).await?;
    println!("{so_far} of now were in when {old} of {} of the backlog were", backlog.rows);
    anyhow::ensure!(old < backlog.rows, "what is measured now came after the whole backlog");
    until("the backlog is in", async || Ok((stage.stored(slow, backlog.boot).await? == backlog.rows).then_some(())))
        .await?;
    set(&mut stage, "nl-1", slow, |link| link.set(Weather::Fair))?;
    stage.measured("nl-1", 4 * TARGETS).await?;
    let comparisons = stage.balance().await?;
    assert!(comparisons.values().all(|c| c.gone + c.unsynced == 0 && c.stored > backlog.rows));
    stage.end().await
}

struct Backlog {
    boot: BootId,
    rows: u64,
}

/// What an agent would have kept of two hours without collectors, one slot in twenty of this fleet's, and its record.
async fn fill_buffer(stage: &Stage, agent: &str) -> anyhow::Result<Backlog> {
    let clock = Arc::new(SystemClock);
    let now = clock.wall();
    let plan = std::fs::read_to_string(stage.fleet.dir.join("plan.yaml"))?;
    let plan = read_plan(&plan, &|_| None).map_err(|mistakes| anyhow::anyhow!("{mistakes}"))?;
    let dir = stage.fleet.dir.join("data").join(agent).join("buffer");
    let (buffer, _) = Buffer::open(BufferOptions::new(dir, stage.collectors(), clock))?;
    let mut record = File::options().create(true).append(true).open(stage.fleet.record_file(agent))?;
    let (name, mut rows) = (AgentId::new(agent)?, 0);
    for back in (1..=BACKLOG_SLOTS).rev() {
        let slot = plan.slot.slot_of(now).0 - 20 * back;
        let measured: Vec<_> = plan.targets().iter().map(|target| row(target, Slot(slot), &plan)).collect();
        for (sequence, m) in (buffer.next_sequence()..).zip(&measured) {
            record.write_all(Started::of(&name, buffer.boot(), sequence, m, now).to_line()?.as_bytes())?;
        }
        rows += buffer.append(measured).taken;
    }
    anyhow::ensure!(buffer.sync().await, "the backlog is on disk");
    let boot = buffer.boot();
    buffer.close().await;
    Ok(Backlog { boot, rows })
}

fn row(target: &Target, slot: Slot, plan: &Plan) -> Measurement {
    let scheduled = plan.slot.start_of(slot);
    Measurement {
        target: target.id.clone(),
        slot,
        attempt: 0,
        scheduled,
        started: scheduled,
        outcome: Outcome::Up,
        total: Some(Elapsed::from_micros(1000)),
        phases: Phases::default(),
        http_status: Some(200),
        served: None,
        hops: Vec::new(),
        certificate_expires: None,
        observer: Observer::default(),
    }
}
