//! What is one line of a stream?
//!
//! A [`Record`] says who measured ([`Watcher`]), what ([`Watched`]), when, and how it ended. Who and what are shared between
//! records: a month of a fleet has millions of records and a few dozen names.
//!
//! `sent_at_ms` is the moment when the attempt had ended and the record went out, by the agent's clock; so the attempt
//! began `total_ms` earlier. A target is probed once per slot; `attempt` (0 unless given) tells retries apart, `boot` the
//! lives of an agent, so that numbers that start again at 1 are not taken for repeats.

use std::sync::Arc;

use uitwijk_model::{
    AgentId, Elapsed, EndpointName, Fault, Measurement, Millis, Observer, Outcome, Phases, Region, ServedBy, ServiceId,
    SlotLength, TargetId, Vantage, WallTime,
};

use crate::words::Word;

/// What kind of target a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// A deployment in one region.
    Regional,
    /// The public name.
    Global,
    /// A partner's diagnostic endpoint.
    Chain,
    /// An independent reference.
    Control,
}

impl RecordKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Regional, Self::Global, Self::Chain, Self::Control];

    /// The word as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Regional => "regional",
            Self::Global => "global",
            Self::Chain => "chain",
            Self::Control => "control",
        }
    }

    /// The kind that is written like this.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == text)
    }
}

/// Who measured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watcher {
    /// The agent.
    pub agent: AgentId,
    /// Where it stands; absent when the line did not say.
    pub vantage: Option<Vantage>,
    /// Which of its lives; absent in streams of agents that had one.
    pub boot: Option<u64>,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watched {
    /// Its kind.
    pub kind: RecordKind,
    /// The service; of a partner's endpoint the service that depends on it.
    pub service: Option<ServiceId>,
    /// The endpoint of the service.
    pub endpoint: Option<EndpointName>,
    /// Its name, such as `exchange/default@NL`.
    pub target: TargetId,
    /// The region that a regional target stands in.
    pub target_region: Option<Region>,
}

/// Where the time went; a phase that was not reached is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PhaseTimes {
    /// Name lookup.
    pub dns: Option<Elapsed>,
    /// Connection.
    pub connect: Option<Elapsed>,
    /// Handshake.
    pub tls: Option<Elapsed>,
    /// Request out, first byte in.
    pub ttfb: Option<Elapsed>,
    /// Rest of the answer.
    pub body: Option<Elapsed>,
}

/// One line of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who measured.
    pub watcher: Arc<Watcher>,
    /// What was measured.
    pub watched: Arc<Watched>,
    /// Number of the record, without gaps per agent (and boot); one that never arrives was never delivered.
    pub sequence: u64,
    /// 0 for the first attempt in a slot.
    pub attempt: u8,
    /// When it was due, agent's clock.
    pub scheduled: WallTime,
    /// When the attempt had ended and the record went out, agent's clock.
    pub sent: WallTime,
    /// When it arrived, collector's clock.
    pub arrived: WallTime,
    /// How it ended.
    pub outcome: Word,
    /// Exactly how, where the word alone would read as another fault.
    pub fault: Option<Fault>,
    /// Status of the answer.
    pub http_status: Option<u16>,
    /// How long it took.
    pub total: Option<Elapsed>,
    /// Where the time went.
    pub phases: PhaseTimes,
    /// Who answered, if the answer told.
    pub served: Option<Arc<ServedBy>>,
    /// Agent's clock minus the collector's, microseconds, as the agent measured it.
    pub clock_offset_us: Option<i64>,
}

impl Record {
    /// How it ended, in our terms.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.fault.map_or_else(|| self.outcome.outcome(), Outcome::Down)
    }

    /// When the attempt began, agent's clock.
    #[must_use]
    pub fn started(&self) -> WallTime {
        let total = i64::try_from(self.total.unwrap_or_default().as_micros()).unwrap_or(i64::MAX);
        WallTime::from_micros(self.sent.as_micros().saturating_sub(total))
    }

    /// The measurement that it tells.
    #[must_use]
    pub fn measurement(&self, slot: SlotLength) -> Measurement {
        let mut m = Measurement {
            target: self.watched.target.clone(),
            slot: slot.slot_of(self.scheduled),
            attempt: 0,
            scheduled: self.scheduled,
            started: self.scheduled,
            outcome: Outcome::Up,
            total: None,
            phases: Phases::default(),
            http_status: None,
            served: None,
            hops: Vec::new(),
            certificate_expires: None,
            observer: Observer::default(),
        };
        self.fill(slot, &mut m);
        let p = &self.phases;
        m.phases = Phases { dns: p.dns, connect: p.connect, tls: p.tls, send: None, wait: p.ttfb, transfer: p.body };
        m
    }

    /// Writes what the judge looks at into a measurement of the same target, without making one.
    pub fn fill(&self, slot: SlotLength, m: &mut Measurement) {
        m.slot = slot.slot_of(self.scheduled);
        m.attempt = self.attempt;
        m.scheduled = self.scheduled;
        m.started = self.started();
        m.outcome = self.outcome();
        m.total = self.total;
        m.http_status = self.http_status;
        m.observer.clock_offset_us = self.clock_offset_us;
        if m.served.as_ref() != self.served.as_deref() {
            m.served = self.served.as_deref().cloned();
        }
    }

    /// The line for a measurement; none for what was not measured, which never votes and has no word. Moments and the total
    /// are whole milliseconds, as in every stream; phases keep their fractions.
    #[must_use]
    pub fn of(
        watcher: &Arc<Watcher>,
        watched: &Arc<Watched>,
        sequence: u64,
        m: &Measurement,
        arrived: WallTime,
    ) -> Option<Self> {
        let word = Word::of(m.outcome)?;
        let fault = match m.outcome {
            Outcome::Down(fault) if word.outcome() != m.outcome => Some(fault),
            _ => None,
        };
        let p = &m.phases;
        let total =
            m.total.map(|t| Elapsed::from_micros((t.as_micros().saturating_add(500) / 1000).saturating_mul(1000)));
        let whole = |at: WallTime| WallTime::from_millis(at.as_millis());
        let ttfb = match (p.send, p.wait) {
            (Some(send), Some(wait)) => Some(Elapsed::from_micros(send.as_micros().saturating_add(wait.as_micros()))),
            (_, wait) => wait,
        };
        Some(Self {
            watcher: Arc::clone(watcher),
            watched: Arc::clone(watched),
            sequence,
            attempt: m.attempt,
            scheduled: whole(m.scheduled),
            sent: whole(m.started).plus(Millis(total.unwrap_or_default().as_millis())),
            arrived: whole(arrived),
            outcome: word,
            fault,
            http_status: m.http_status,
            total,
            phases: PhaseTimes { dns: p.dns, connect: p.connect, tls: p.tls, ttfb, body: p.transfer },
            served: m.served.clone().map(Arc::new),
            clock_offset_us: m.observer.clock_offset_us,
        })
    }
}
