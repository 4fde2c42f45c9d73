//! Six agents, one collector and the time between them, which is moved by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use tonic::transport::Channel;
use uitwijk_collector::run::Collector;
use uitwijk_identity::Identity;
use uitwijk_model::{Clock as _, Measurement, Millis, SlotLength, SystemClock, WallTime};

use super::agent::{FakeAgent, Seen, attempt};
use super::{HandClock, Home, agent};

const AGENTS: [&str; 6] = ["nl-1", "nl-2", "nl-3", "ie-1", "ie-2", "ie-3"];
const TARGETS: [&str; 6] = [
    "exchange/default@NL",
    "exchange/default@IE",
    "exchange/default@public",
    "control:ctl-a",
    "control:ctl-b",
    "control:ctl-c",
];

/// A fleet in a world: what a target does so many seconds after the start.
pub struct Fleet {
    pub home: Home,
    pub clock: Arc<HandClock>,
    pub start: WallTime,
    /// Settings of its collector, from the next start on.
    pub settings: Vec<(&'static str, String)>,
    collector: Option<Collector>,
    agents: BTreeMap<&'static str, FakeAgent>,
    world: fn(&str, u64) -> Seen<'static>,
}

impl Fleet {
    /// Begins at a slot a little in the past, when all certificates are good.
    pub async fn begin(plan: &str, world: fn(&str, u64) -> Seen<'static>) -> Self {
        Self::begin_with(plan, world, Vec::new()).await
    }

    /// The same, with settings.
    pub async fn begin_with(
        plan: &str,
        world: fn(&str, u64) -> Seen<'static>,
        settings: Vec<(&'static str, String)>,
    ) -> Self {
        let slot = slot();
        let start = slot.start_of(slot.slot_of(SystemClock.wall()));
        let (home, clock) = (Home::new(), HandClock::at(start));
        std::fs::write(home.path("plan.yaml"), plan).unwrap();
        let mut fleet = Self { home, clock, start, settings, collector: None, agents: BTreeMap::new(), world };
        fleet.connect().await;
        fleet
    }

    pub async fn connect(&mut self) {
        let settings: Vec<_> = self.settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let collector = self.home.try_start(&settings, self.clock.clone()).await.unwrap();
        // Shadows begin after the real judge.
        collector.judging().settle().await;
        collector.shadows().settle().await;
        for (boot, name) in (1..).zip(AGENTS) {
            let channel = self.home.channel(&collector, &agent(name)).await;
            let next = self.agents.get(name).map_or(1, FakeAgent::next_sequence);
            self.agents.insert(name, FakeAgent::connect(channel, boot, next).await.unwrap());
        }
        self.collector = Some(collector);
    }

    pub async fn stop(&mut self) {
        self.collector.take().unwrap().stop("test").await.unwrap();
    }

    pub fn collector(&self) -> &Collector {
        self.collector.as_ref().unwrap()
    }

    pub fn at(&self, seconds: u64) -> WallTime {
        self.start.plus(Millis::from_secs(seconds))
    }

    pub fn us(&self, seconds: u64) -> i64 {
        self.at(seconds).as_micros()
    }

    pub async fn as_(&self, who: &Identity) -> Channel {
        self.home.channel(self.collector(), who).await
    }

    /// Every agent delivers every slot from one moment to another.
    pub async fn run(&mut self, from: u64, to: u64) {
        for seconds in (from..to).step_by(10) {
            let (scheduled, over) = (self.at(seconds), self.at(seconds + 10));
            self.clock.advance_to(over);
            let rows: Vec<_> = TARGETS.iter().map(|target| self.seen(target, scheduled, seconds)).collect();
            let deliveries = self.agents.values_mut().map(|agent| async {
                agent.deliver(&rows).await.unwrap();
                agent.heartbeat(over).await.unwrap();
            });
            join_all(deliveries).await;
            self.settle().await;
        }
    }

    /// Waits until everything that was said is judged.
    pub async fn settle(&self) {
        self.collector().judging().settle().await;
        self.collector().shadows().settle().await;
    }

    fn seen(&self, target: &str, scheduled: WallTime, seconds: u64) -> Measurement {
        attempt(target, slot(), scheduled, (self.world)(target, seconds))
    }
}

fn slot() -> SlotLength {
    SlotLength::new(Millis::from_secs(10)).unwrap()
}
