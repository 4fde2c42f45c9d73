//! How are the agents?

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use uitwijk_model::{AgentId, Plan, Vantage, WallTime};
use uitwijk_proto::v1;

use super::books::AllBooks;

/// Books of one agent that are shown.
const BOOKS_MAX: usize = 16;

/// What was last heard of every agent.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<BTreeMap<AgentId, Heard>>);

#[derive(Debug, Default)]
struct Heard {
    /// From its certificate; absent when only the store remembers it.
    vantage: Option<Vantage>,
    streams: u32,
    last_contact: Option<WallTime>,
    software: String,
    plan_version: String,
    heartbeat: v1::Heartbeat,
    ledgers: Vec<v1::Ledger>,
}

impl Board {
    /// What the store remembers.
    pub(super) fn of(books: &AllBooks) -> Self {
        let heard = |books: &super::books::AgentBooks| Heard {
            last_contact: books.last_arrival(),
            ledgers: books.to_messages(),
            ..Heard::default()
        };
        Self(Mutex::new(books.iter().map(|(agent, books)| (agent.clone(), heard(books))).collect()))
    }

    /// A stream of an agent began.
    pub(super) fn connected(&self, agent: &AgentId, vantage: &Vantage, hello: &v1::Hello, now: WallTime) {
        let mut heard = self.lock();
        let heard = heard.entry(agent.clone()).or_default();
        heard.streams += 1;
        heard.vantage = Some(vantage.clone());
        heard.last_contact = Some(now);
        heard.software.clone_from(&hello.software);
        heard.plan_version.clone_from(&hello.plan_version);
    }

    /// A stream of an agent ended.
    pub(super) fn disconnected(&self, agent: &AgentId) {
        if let Some(heard) = self.lock().get_mut(agent) {
            heard.streams = heard.streams.saturating_sub(1);
        }
    }

    /// A message came.
    pub(super) fn contact(&self, agent: &AgentId, now: WallTime) {
        if let Some(heard) = self.lock().get_mut(agent) {
            heard.last_contact = Some(now);
        }
    }

    /// An agent told of itself.
    pub(super) fn heartbeat(&self, agent: &AgentId, heartbeat: &v1::Heartbeat, now: WallTime) {
        if let Some(heard) = self.lock().get_mut(agent) {
            heard.last_contact = Some(now);
            heard.plan_version.clone_from(&heartbeat.plan_version);
            heard.heartbeat = heartbeat.clone();
            let excess = heard.heartbeat.books.len().saturating_sub(BOOKS_MAX);
            heard.heartbeat.books.drain(..excess);
        }
    }

    /// A group with rows of the agent is on disk.
    pub(super) fn ledgers(&self, agent: &AgentId, ledgers: Vec<v1::Ledger>) {
        self.lock().entry(agent.clone()).or_default().ledgers = ledgers;
    }

    /// Every agent of the plan and every agent heard of, by name.
    pub(super) fn states(&self, plan: &Plan) -> Vec<v1::AgentState> {
        let heard = self.lock();
        let none = Heard::default();
        let mut names: Vec<&AgentId> = plan.agents.keys().chain(heard.keys()).collect();
        names.sort_unstable();
        names.dedup();
        names.iter().map(|agent| state(agent, plan.agents.get(*agent), heard.get(*agent).unwrap_or(&none))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AgentId, Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn state(agent: &AgentId, planned: Option<&Vantage>, heard: &Heard) -> v1::AgentState {
    let vantage = heard.vantage.as_ref().or(planned);
    let place = |name: fn(&Vantage) -> &str| vantage.map(name).unwrap_or_default().to_owned();
    v1::AgentState {
        agent: agent.to_string(),
        region: place(|v| v.region.as_str()),
        zone: place(|v| v.zone.as_str()),
        enrolled: planned.is_some(),
        connected: heard.streams > 0,
        last_contact_us: heard.last_contact.map(WallTime::as_micros),
        clock_offset_us: heard.heartbeat.clock_offset_us,
        backlog: heard.heartbeat.backlog,
        buffer_bytes: heard.heartbeat.buffer_bytes,
        software: heard.software.clone(),
        plan_version: heard.plan_version.clone(),
        books: heard.heartbeat.books.clone(),
        ledgers: heard.ledgers.clone(),
    }
}
