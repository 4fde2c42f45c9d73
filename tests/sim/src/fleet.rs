//! How is a seed played from beginning to end?

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use uitwijk_identity::{Identity, PeerInfo, Role};
use uitwijk_model::{Clock as _, Vantage, WallTime};

use super::agent::{Agent, SMALL_DISK};
use super::clock::SimClock;
use super::collector::Collector;
use super::link::{Connecting, Dialer, Link, Weather};
use super::trouble::{self, Trouble, What};
use super::world::{Attempt, World};
use super::{Report, oracle};

/// Collectors of a fleet; each region has one.
const COLLECTORS: usize = 2;
/// In peace, everything is delivered within this time.
const DRAINED_WITHIN: Duration = Duration::from_secs(600);
/// No policy of these worlds waits longer for what is late.
const GRACE: Duration = Duration::from_secs(60);
/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A fleet that is being played.
pub(super) struct Fleet {
    pub(super) world: World,
    pub(super) clock: Arc<SimClock>,
    pub(super) agents: Vec<Agent>,
    pub(super) collectors: Vec<Collector>,
    /// By agent, then by collector.
    links: Vec<Vec<Link>>,
    vantages: Vec<Vantage>,
    troubles: Vec<Trouble>,
    active: Vec<What>,
    /// What is still to happen, in order.
    events: VecDeque<(WallTime, Event)>,
}

/// What happens next.
#[derive(Debug, Clone, Copy)]
enum Event {
    Attempt(usize, usize),
    Begins(usize),
    Ends(usize),
}

pub(super) async fn play(seed: u64, dir: &Path) -> anyhow::Result<Report> {
    let world = World::of(seed);
    let troubles = trouble::draw(seed, world.watches.len(), COLLECTORS, world.start, world.end);
    let mut fleet = Fleet::start(seed, world, troubles, dir).await?;
    fleet.play_until(fleet.world.end).await?;
    let broken = fleet.peace().await?;
    fleet.report(seed, broken).await
}

impl Fleet {
    /// All processes run, and nothing has happened yet.
    pub(super) async fn start(seed: u64, world: World, troubles: Vec<Trouble>, dir: &Path) -> anyhow::Result<Self> {
        let clock = SimClock::starting(world.start);
        let collector = |i: usize| {
            Collector::new(format!("collector-{i}"), clock.clone(), dir.join(format!("c{i}")), world.plan.clone())
        };
        let collectors: Vec<Collector> = (0..COLLECTORS).map(collector).collect();
        let names: Vec<String> = collectors.iter().map(|collector| collector.name.clone()).collect();
        // Now and then a buffer that cannot hold a long absence.
        let disk_bytes_max = if seed.is_multiple_of(4) { SMALL_DISK } else { 64 << 20 };
        let (mut agents, mut links) = (Vec::new(), Vec::new());
        for (i, watch) in world.watches.iter().enumerate() {
            let peer = PeerInfo {
                identity: Identity { name: watch.agent.to_string(), role: Role::Agent(watch.vantage.clone()) },
                addr: ([127, 0, 0, 1], 1).into(),
                certificate_expires: WallTime::from_micros(i64::MAX),
                certificate_fingerprint: [u8::try_from(i).unwrap_or(u8::MAX); 32],
            };
            let own: Vec<Link> = collectors.iter().map(|c| Link::new(peer.clone(), c.door.clone())).collect();
            let (dialer, dir) = (Dialer::over(own.clone()), dir.join(format!("a{i}")));
            links.push(own);
            let number = seed << 4 | i as u64;
            agents.push(Agent::new(
                watch.agent.clone(),
                number,
                clock.clone(),
                dir,
                dialer,
                names.clone(),
                disk_bytes_max,
            ));
        }
        let vantages = world.watches.iter().map(|watch| watch.vantage.clone()).collect();
        let events = events(&world, &troubles);
        let mut fleet =
            Self { world, clock, agents, collectors, links, vantages, troubles, active: Vec::new(), events };
        fleet.settle_processes().await?;
        Ok(fleet)
    }

    /// Lets everything happen that happens up to a moment.
    pub(super) async fn play_until(&mut self, moment: WallTime) -> anyhow::Result<()> {
        while let Some(&(at, event)) = self.events.front().filter(|(at, _)| *at <= moment) {
            self.events.pop_front();
            tokio::time::sleep_until(self.clock.instant(at)).await;
            match event {
                Event::Attempt(agent, which) => self.agents[agent].take(&self.world.watches[agent].attempts[which]),
                Event::Begins(which) => self.begin(&self.troubles[which].what.clone()).await?,
                Event::Ends(which) => self.end(&self.troubles[which].what.clone()).await?,
            }
        }
        tokio::time::sleep_until(self.clock.instant(moment)).await;
        Ok(())
    }

    /// What it came to.
    pub(super) async fn report(self, seed: u64, mut broken: Vec<String>) -> anyhow::Result<Report> {
        let found = oracle::ask(&self, &mut broken).await?;
        Ok(Report {
            seed,
            started: self.agents.iter().map(|agent| agent.started.len() as u64).sum(),
            troubles: self.troubles,
            unsynced: found.unsynced,
            expired: found.expired,
            repeated: found.repeated,
            episodes: found.episodes,
            broken,
            digest: found.digest,
        })
    }

    async fn begin(&mut self, what: &What) -> anyhow::Result<()> {
        self.active.push(what.clone());
        match what {
            What::Cut(agent, collector) => self.links[*agent][*collector].reset(false),
            What::Torn(agent, collector) => self.links[*agent][*collector].reset(true),
            _ => {}
        }
        self.settle_links();
        self.settle_clocks();
        self.settle_processes().await
    }

    async fn end(&mut self, what: &What) -> anyhow::Result<()> {
        if let Some(at) = self.active.iter().position(|active| active == what) {
            self.active.remove(at);
        }
        if let What::Torn(agent, collector) = what {
            self.links[*agent][*collector].reset(true);
        }
        self.settle_links();
        self.settle_clocks();
        self.settle_processes().await
    }

    /// Sets every clock as the last of the active troubles has it.
    fn settle_clocks(&self) {
        for (i, agent) in self.agents.iter().enumerate() {
            let off = self.active.iter().rev().find_map(|what| match what {
                What::ClockOff(of, ms) if *of == i => Some(*ms),
                _ => None,
            });
            agent.clock.set(off.unwrap_or(0) * 1000);
        }
    }

    /// Makes every link what the active troubles make of it.
    fn settle_links(&self) {
        for (agent, links) in self.links.iter().enumerate() {
            for (collector, link) in links.iter().enumerate() {
                let here = (agent, collector);
                link.heal();
                for what in &self.active {
                    link.change(|weather| worsen(weather, what, here));
                }
            }
        }
    }

    /// Kills and starts processes as the active troubles will have it.
    async fn settle_processes(&mut self) -> anyhow::Result<()> {
        let regions: Vec<_> = self.world.plan.regions.keys().cloned().collect();
        let gone = |region: &uitwijk_model::Region| {
            self.active.iter().any(|what| matches!(what, What::RegionGone(c) if regions.get(*c) == Some(region)))
        };
        let (active, vantages) = (&self.active, &self.vantages);
        for i in 0..self.collectors.len() {
            let down = active.contains(&What::CollectorKilled(i)) || regions.get(i).is_some_and(&gone);
            if down && self.collectors[i].is_running() {
                self.collectors[i].kill().await;
                self.links.iter().for_each(|links| links[i].reset(false));
            } else if !down && !self.collectors[i].is_running() {
                self.collectors[i].start()?;
            }
        }
        for (i, (agent, vantage)) in self.agents.iter_mut().zip(vantages).enumerate() {
            let down = active.contains(&What::AgentKilled(i)) || gone(&vantage.region);
            if down && agent.is_running() {
                agent.kill().await;
                self.links[i].iter().for_each(|link| link.reset(true));
            } else if !down && !agent.is_running() {
                agent.start()?;
            }
        }
        Ok(())
    }

    /// Everything is well again, for as long as it takes to deliver and to judge; answers who does not.
    pub(super) async fn peace(&mut self) -> anyhow::Result<Vec<String>> {
        self.active.clear();
        self.settle_links();
        self.settle_clocks();
        self.settle_processes().await?;
        let until = tokio::time::Instant::now() + DRAINED_WITHIN;
        while tokio::time::Instant::now() < until {
            tokio::time::sleep(LOOK_EVERY).await;
            // Nothing is scheduled any more.
            self.agents.iter_mut().for_each(|agent| agent.complete(self.clock.wall()));
            if self.agents.iter().all(|agent| agent.backlog() == 0) && self.is_complete().await {
                // What has just come in is judged when the grace of its slot is over.
                tokio::time::sleep(GRACE).await;
                return Ok(Vec::new());
            }
        }
        let stuck = self.agents.iter().filter(|agent| agent.backlog() > 0);
        let stuck: Vec<String> = stuck.map(|agent| format!("{} ({})", agent.name, agent.backlog())).collect();
        Ok(vec![format!("after {DRAINED_WITHIN:?} of peace not all is delivered and complete: {}", stuck.join(" "))])
    }

    /// Every collector knows that all of the world is in.
    async fn is_complete(&self) -> bool {
        for collector in &self.collectors {
            let Some(judging) = collector.judging() else { return false };
            for service in self.world.plan.services.keys() {
                let timeline = judging.timeline(service.clone(), self.world.start, self.world.end).await;
                if timeline.and_then(|timeline| timeline.watermark).is_none_or(|through| through < self.world.end) {
                    return false;
                }
            }
        }
        self.clock.wall() > self.world.end
    }
}

fn events(world: &World, troubles: &[Trouble]) -> VecDeque<(WallTime, Event)> {
    let mut events = Vec::new();
    for (agent, watch) in world.watches.iter().enumerate() {
        let of = |(which, attempt): (usize, &Attempt)| (attempt.ends, Event::Attempt(agent, which));
        events.extend(watch.attempts.iter().enumerate().map(of));
    }
    for (which, trouble) in troubles.iter().enumerate() {
        events.push((trouble.from, Event::Begins(which)));
        events.push((trouble.to, Event::Ends(which)));
    }
    events.retain(|(at, _)| *at <= world.end);
    events.sort_by_key(|(at, _)| *at);
    events.into()
}

/// What a trouble makes of the link between an agent and a collector.
fn worsen(weather: &mut Weather, what: &What, here: (usize, usize)) {
    match *what {
        What::Cut(a, c) if (a, c) == here => weather.connecting = Connecting::Refused,
        What::HalfOpen(a, c) if (a, c) == here => {
            weather.connecting = Connecting::Swallowed;
            (weather.holds_up, weather.holds_down) = (true, true);
        }
        What::HeldUp(a, c) if (a, c) == here => weather.holds_up = true,
        What::HeldDown(a, c) if (a, c) == here => weather.holds_down = true,
        What::Trickle(a, c) if (a, c) == here => {
            weather.delay = Duration::from_millis(150);
            weather.piece_bytes = 900;
        }
        What::Torn(a, c) if (a, c) == here => {
            weather.delay = Duration::from_millis(700);
            weather.piece_bytes = 3000;
        }
        _ => {}
    }
}
