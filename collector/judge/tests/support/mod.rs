//! What do the tests of the judge share: plans, scenarios, recorded streams, and a small world to make more.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::needless_pass_by_value,
    reason = "a made-up world needs no exact numbers"
)]
#![allow(unreachable_pub, reason = "a module of several test binaries")]
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "tests read fixtures from disk")]

pub mod plans;
pub mod scenario;
pub mod tracks;
pub mod world;

use uitwijk_judge::{Live, Origin};
use uitwijk_model::{AgentId, BootId, Measurement, WallTime};

/// The one start of every agent.
pub const BOOT: BootId = BootId(1);

/// One measurement on its way into the judge.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub agent: AgentId,
    pub sequence: u64,
    pub arrived: WallTime,
    pub measurement: Measurement,
}

/// Feeds deliveries in order of arrival, wakes the judge whenever it asks to, and keeps the agents' frontiers.
pub struct Driver {
    pub live: Live,
    frontiers: std::collections::BTreeMap<AgentId, Frontier>,
    now: WallTime,
}

#[derive(Default)]
struct Frontier {
    next: u64,
    early: std::collections::BTreeMap<u64, WallTime>,
}

impl Driver {
    pub fn new(live: Live, now: WallTime) -> Self {
        Self { live, frontiers: std::collections::BTreeMap::new(), now }
    }

    /// Lets time pass up to a moment; `each` sees the judge after every time it was woken.
    pub fn run_until(&mut self, until: WallTime, each: &mut dyn FnMut(&mut Live, WallTime)) {
        loop {
            let wake = self.live.next_wakeup(self.now);
            if wake > until {
                return;
            }
            self.now = wake;
            each(&mut self.live, wake);
        }
    }

    pub fn deliver(&mut self, d: &Delivery, each: &mut dyn FnMut(&mut Live, WallTime)) {
        self.run_until(d.arrived, each);
        let origin = Some(Origin { boot: BOOT, sequence: d.sequence });
        self.live.observe_from(&d.agent, &d.measurement, d.arrived, origin);
        let f = self.frontiers.entry(d.agent.clone()).or_insert_with(|| Frontier { next: 1, ..Frontier::default() });
        f.early.insert(d.sequence, d.measurement.scheduled);
        let mut through = None;
        while let Some(at) = f.early.remove(&f.next) {
            through = Some(at);
            f.next += 1;
        }
        if let Some(through) = through {
            self.live.frontier(&d.agent, through);
        }
    }
}
