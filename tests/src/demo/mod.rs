//! What does a newcomer see in three minutes?
//!
//! ```text
//!   start fleet -> quiet -> turns of the story -> final verdicts of both collectors -> are they the story's?
//! ```
//!
//! The demo only watches: verdicts come over the same gRPC API that any program may use. What it knows of the story it uses
//! to break the world and, at the end, to check the verdict.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use uitwijk_model::{Clock as _, SystemClock};
use uitwijk_proto::v1::fleet_client::FleetClient;
use uitwijk_proto::v1::verdicts_client::VerdictsClient;
use uitwijk_proto::v1::{AgentState, GetVerdictRequest, ListAgentsRequest, Need, Verdict};

pub mod screen;
pub mod story;
pub mod watch;

use crate::fleet::{COLLECTORS, Fleet, FleetOptions};
use screen::{Screen, Tone};
use story::{Outage, QUIET_SLOTS, Story, Turn, When};
use watch::{Newsroom, is_of, is_settled, word};

/// What a newcomer may choose.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// The story.
    pub outage: Outage,
    /// Length of a slot.
    pub slot: Duration,
    /// End the fleet after the verdict instead of leaving it running.
    pub exit: bool,
    /// Where everything of the fleet lies.
    pub dir: PathBuf,
    /// The binary `uitwijk-fleet`.
    pub binary: PathBuf,
}

/// Slots that the final verdict may take after the last turn: the exit stretch, the grace and the watermark.
const FINAL_SLOTS_MAX: u32 = 90;

/// Plays a story; true when both collectors gave its verdict.
///
/// # Errors
/// When the fleet cannot be started or asked.
pub async fn run(options: &DemoOptions) -> anyhow::Result<bool> {
    let screen = Screen::new();
    let mut stage = Stage::open(&screen, options).await?;
    let right = stage.play(options.outage.story()).await?;
    if !options.exit {
        stage.leave_running().await?;
    }
    stage.fleet.stop().await?;
    screen.event("end", Tone::Plain, "every process has stopped in order");
    Ok(right)
}

/// A fleet and its audience.
struct Stage<'a> {
    screen: &'a Screen,
    fleet: Fleet,
    news: Newsroom,
    slot: Duration,
}

impl<'a> Stage<'a> {
    async fn open(screen: &'a Screen, options: &DemoOptions) -> anyhow::Result<Self> {
        crate::fleet::clear_dir(&options.dir)?;
        let fleet_options = FleetOptions {
            dir: options.dir.clone(),
            slot: options.slot,
            binary: options.binary.clone(),
            ..FleetOptions::default()
        };
        screen.event("demo", Tone::Plain, &format!("everything lies under {}", options.dir.display()));
        let mut fleet = Fleet::start_collectors(&fleet_options).await?;
        screen.event(
            "targets",
            Tone::Plain,
            "2 services in 2 regions of 3 zones, a public entry, 1 partner, 3 controls",
        );
        for (name, collector) in &fleet.collectors {
            screen.event("collector", Tone::Plain, &format!("{name} serves gRPC on {}", collector.address));
        }
        fleet.start_agents(&fleet_options).await?;
        screen.event("agents", Tone::Plain, &format!("{} processes started", fleet.agents.len()));
        wait_for_agents(&fleet).await?;
        screen.event("agents", Tone::Good, "6 of 6 connected to both collectors");
        let news = Newsroom::open(fleet.channels("viewer").await?).await?;
        Ok(Self { screen, fleet, news, slot: options.slot })
    }

    async fn play(&mut self, story: Story) -> anyhow::Result<bool> {
        let seconds = (self.slot * QUIET_SLOTS).as_secs();
        self.screen.event("quiet", Tone::Plain, &format!("{seconds} s of measurements before anything happens"));
        self.news.show(self.screen, self.slot * QUIET_SLOTS, |_| false).await;
        self.tell_stored().await?;

        let outage_us = SystemClock.wall().as_micros();
        for &(when, turns, sentence) in story.steps {
            self.wait(when, &story, outage_us).await;
            for &turn in turns {
                self.apply(turn)?;
            }
            let tone = if sentence.contains("down") || sentence.contains("loses") { Tone::Bad } else { Tone::Good };
            self.screen.event("world", tone, sentence);
        }
        let amid_us = self.amid_us(outage_us);
        let both_settled = |news: &Newsroom| {
            let verdicts = news.covering(story.service, amid_us);
            verdicts.len() == COLLECTORS.len() && verdicts.values().all(|v| is_settled(v) && v.to_us.is_some())
        };
        self.news.show(self.screen, self.slot * FINAL_SLOTS_MAX, both_settled).await;
        self.tell_stored().await?;
        self.conclude(&story, outage_us).await
    }

    async fn wait(&mut self, when: When, story: &Story, outage_us: i64) {
        let amid_us = self.amid_us(outage_us);
        match when {
            When::Slots(n) => self.news.show(self.screen, self.slot * n, |_| false).await,
            When::Verdict(more, at_most) => {
                let published = |news: &Newsroom| {
                    let verdicts = news.covering(story.service, amid_us);
                    verdicts.len() == COLLECTORS.len() && verdicts.values().all(|v| is_of(story, v))
                };
                self.news.show(self.screen, self.slot * at_most, published).await;
                self.news.show(self.screen, self.slot * more, |_| false).await;
            }
        }
    }

    /// A moment at which every outage is well under way: the verdict of the story is the one that covers it.
    fn amid_us(&self, outage_us: i64) -> i64 {
        outage_us.saturating_add(i64::try_from((self.slot * 8).as_micros()).unwrap_or(i64::MAX))
    }

    fn apply(&mut self, turn: Turn) -> anyhow::Result<()> {
        match turn {
            Turn::Region(region, up) => self.fleet.world.set_region(region, up)?,
            Turn::Zone(region, zone, up) => self.fleet.world.set_zone(region, zone, up)?,
            Turn::Partner(up) => self.fleet.world.set_partner(up)?,
            Turn::Public(region) => self.fleet.world.fail_over_to(region),
            Turn::Resolver(agent, answering) => self.fleet.agent(agent)?.resolver.set_answering(answering),
        }
        Ok(())
    }

    /// Prints the evidence of the verdict and whether it is the right one, twice.
    async fn conclude(&mut self, story: &Story, outage_us: i64) -> anyhow::Result<bool> {
        let verdicts = self.news.covering(story.service, self.amid_us(outage_us));
        let mut full = Vec::new();
        for (collector, verdict) in &verdicts {
            let mut client = VerdictsClient::new(self.fleet.channel(collector, "viewer").await?);
            let request = GetVerdictRequest { episode: verdict.episode.clone(), ..GetVerdictRequest::default() };
            let answer = client.get(request).await?.into_inner();
            let first = answer.revisions.iter().find(|v| v.need() == story.need && v.cause() == story.cause);
            if let Some(first) = first {
                self.screen.event("delay", Tone::Plain, &self.delay(collector, first, outage_us));
            }
            full.push(((*collector).to_owned(), answer.verdict.context("the answer has a verdict")?));
        }
        if let Some((_, verdict)) = full.first() {
            self.screen.block(&verdict.explanation);
        }
        let right = full.len() == COLLECTORS.len() && full.iter().all(|(_, v)| is_of(story, v) && is_settled(v));
        let same = full.windows(2).all(|pair| conclusion(&pair[0].1) == conclusion(&pair[1].1));
        for (collector, verdict) in &full {
            self.screen.event("conclusion", Tone::Plain, &format!("{collector}: {}", conclusion(verdict)));
        }
        if story.need != Need::Needed
            && let Some((collector, v)) = self.news.calls_for_a_switch()
        {
            self.screen.event("wrong", Tone::Bad, &format!("{collector} calls for a switch of {}", v.service));
            return Ok(false);
        }
        match (right, same) {
            (true, true) => {
                self.screen.event("same", Tone::Good, "both collectors reached the same verdict, each alone");
            }
            (true, false) => {
                self.screen.event("differs", Tone::Bad, "the collectors agree on the verdict, not on its evidence");
            }
            (false, _) => {
                self.screen.event("wrong", Tone::Bad, &format!("this story must give: {}", expectation(story)));
            }
        }
        Ok(right && same)
    }

    /// How long it took until the verdict of the story was first said.
    fn delay(&self, collector: &str, first: &Verdict, outage_us: i64) -> String {
        let micros = u64::try_from(first.decided_us - outage_us).unwrap_or(0);
        let slots = Duration::from_micros(micros).as_secs_f64() / self.slot.as_secs_f64();
        let beyond = first.publish_delay_ms.map_or_else(String::new, |ms| format!(", {ms} ms after it could be said"));
        format!("{collector}: first said {slots:.0} slots after the outage began{beyond}")
    }

    async fn tell_stored(&self) -> anyhow::Result<()> {
        for name in self.fleet.collectors.keys() {
            let agents = list_agents(&self.fleet, name).await?;
            let ledgers = || agents.iter().flat_map(|a| &a.ledgers);
            let stored: u64 = ledgers().map(|l| l.stored).sum();
            let refused: u64 = ledgers().map(|l| l.refused).sum();
            let lost: u64 = ledgers().map(|l| l.lost).sum();
            let text = format!("{name}: {stored} measurements on disk, {refused} refused, {lost} lost");
            self.screen.event("stored", Tone::Plain, &text);
        }
        Ok(())
    }

    async fn leave_running(&mut self) -> anyhow::Result<()> {
        let shortcut = self.fleet.write_shortcut(COLLECTORS[0].0)?;
        let s = shortcut.display();
        self.screen.block(&format!(
            "The fleet keeps running; Ctrl-C ends it. Look further, from another terminal:\n\n  \
             {s} verdicts list\n  {s} agents\n  {s} timeline exchange\n  {s} measurements --service exchange --limit 20\n  \
             {s} explain EPISODE"
        ));
        let mut stop = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let ended = async {
            tokio::select! {
                result = tokio::signal::ctrl_c() => result.context("wait for Ctrl-C"),
                _ = stop.recv() => Ok(()),
            }
        };
        tokio::pin!(ended);
        loop {
            tokio::select! {
                result = &mut ended => return result,
                () = self.news.show(self.screen, Duration::from_secs(3600), |_| false) => {}
            }
        }
    }
}

/// What two collectors must agree on.
fn conclusion(v: &Verdict) -> String {
    format!(
        "{}, {}, {}, evidence {}",
        word(v.need().as_str_name(), "NEED_"),
        word(v.cause().as_str_name(), "CAUSE_"),
        word(v.execution().as_str_name(), "EXECUTION_"),
        v.evidence_hash.get(..12).unwrap_or(&v.evidence_hash),
    )
}

fn expectation(story: &Story) -> String {
    format!(
        "{}, {}, {}",
        word(story.need.as_str_name(), "NEED_"),
        word(story.cause.as_str_name(), "CAUSE_"),
        word(story.execution.as_str_name(), "EXECUTION_"),
    )
}

async fn list_agents(fleet: &Fleet, collector: &str) -> anyhow::Result<Vec<AgentState>> {
    let mut client = FleetClient::new(fleet.channel(collector, "viewer").await?);
    Ok(client.list_agents(ListAgentsRequest {}).await.context("list agents")?.into_inner().agents)
}

/// Waits until every agent has a stream to every collector.
async fn wait_for_agents(fleet: &Fleet) -> anyhow::Result<()> {
    let all = async {
        for name in fleet.collectors.keys() {
            loop {
                let agents = list_agents(fleet, name).await?;
                if agents.iter().filter(|a| a.connected).count() == fleet.agents.len() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        anyhow::Ok(())
    };
    let message = "not every agent connected within 30 s; the logs of the fleet say why";
    tokio::time::timeout(Duration::from_secs(30), all).await.context(message)?
}
