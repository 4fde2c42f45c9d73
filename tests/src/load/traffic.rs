//! What do simulated agents send?

use std::fmt::Write as _;
use std::sync::Arc;

use uitwijk_model::{
    BootId, Elapsed, Measurement, Millis, Observer, Outcome, Phases, Region, ServedBy, Slot, SlotLength, TargetId,
    WallTime, Zone,
};
use uitwijk_proto::columns;
use uitwijk_proto::v1::{Batch, Books, Columns, Compression, Heartbeat};

/// Endpoints of one service; each has three targets.
const ENDPOINTS_PER_SERVICE: u32 = 10;
const TARGETS_PER_ENDPOINT: u32 = 3;
/// The shortest slot there is: a hundred times the contract's rate from the same number of targets, with every length of time
/// in the policy a hundredth.
const SLOT_MS: u64 = 100;

/// How many of what.
#[derive(Debug)]
pub(super) struct Shape {
    agents: u32,
    endpoints: u32,
    /// The rows of one slot, cut into batches; times of slot 0.
    slot_batches: Vec<Columns>,
    slot: SlotLength,
}

impl Shape {
    pub(super) fn new(agents: u32, targets: u32, rows: u32) -> anyhow::Result<Self> {
        anyhow::ensure!((1..=10_000).contains(&agents), "{agents} agents are out of range: 1 to 10000");
        anyhow::ensure!((1..=8192).contains(&rows), "{rows} rows in a batch are out of range: 1 to 8192");
        let endpoints = targets.div_ceil(TARGETS_PER_ENDPOINT).max(1);
        let slot = SlotLength::new(Millis(SLOT_MS))?;
        let mut shape = Self { agents, endpoints, slot_batches: Vec::new(), slot };
        let measurements = shape.one_slot();
        shape.slot_batches = measurements.chunks(rows as usize).map(columns::encode).collect();
        Ok(shape)
    }

    pub(super) fn agent_name(agent: u32) -> String {
        format!("load-{agent}")
    }

    /// A plan with so many agents and targets; nothing is ever probed at its addresses.
    pub(super) fn plan_yaml(&self) -> String {
        let mut plan = format!("name: load\nrevision: 1\nslot: {}\nregions:\n", self.slot.millis());
        for region in crate::world::REGIONS {
            let _ = writeln!(plan, "  {region}: [1, 2, 3]");
        }
        plan.push_str("agents:\n");
        for agent in 0..self.agents {
            let region = crate::world::REGIONS[agent as usize % 2];
            let zone = crate::world::ZONES[agent as usize / 2 % 3];
            let _ = writeln!(plan, "  {}: {region}/{zone}", Self::agent_name(agent));
        }
        plan.push_str("services:\n");
        for endpoint in 0..self.endpoints {
            if endpoint % ENDPOINTS_PER_SERVICE == 0 {
                let service = endpoint / ENDPOINTS_PER_SERVICE;
                let _ = writeln!(
                    plan,
                    "  s{service}:\n    title: Service {service}\n    class: webservice\n    active_region: NL\n    endpoints:"
                );
            }
            let _ = writeln!(
                plan,
                "      e{endpoint}: {{ probe: {{ http: {{}} }}, regional: {{ NL: \"https://nl.invalid/\", \
                 IE: \"https://ie.invalid/\" }}, global: \"https://public.invalid/\" }}"
            );
        }
        plan.push_str(&crate::fleet::plan::policy_yaml(SLOT_MS));
        plan
    }

    fn one_slot(&self) -> Vec<Measurement> {
        let mut rows = Vec::new();
        for endpoint in 0..self.endpoints {
            let service = endpoint / ENDPOINTS_PER_SERVICE;
            for (place, served) in [("NL", "NL"), ("IE", "IE"), ("public", "NL")] {
                let n = u64::try_from(rows.len()).unwrap_or(0);
                let scheduled = WallTime::from_micros(i64::try_from(n % SLOT_MS * 1000).unwrap_or(0));
                rows.push(Measurement {
                    target: TargetId::from_wire(&format!("s{service}/e{endpoint}@{place}")),
                    slot: Slot(0),
                    attempt: 0,
                    scheduled,
                    started: WallTime::from_micros(scheduled.as_micros() + 150),
                    outcome: Outcome::Up,
                    total: Some(Elapsed::from_micros(90_000 + n * 7919 % 60_000)),
                    phases: phases(n),
                    http_status: Some(200),
                    served: Region::new(served).ok().map(|region| ServedBy { region, zone: Zone::new("1").ok() }),
                    hops: Vec::new(),
                    certificate_expires: None,
                    observer: Observer { controls_seen: 3, ..Observer::default() },
                });
            }
        }
        rows
    }
}

/// Times that differ from row to row as real ones do, so that columns do not shrink to nothing.
fn phases(n: u64) -> Phases {
    let us = |base: u64, spread: u64| Some(Elapsed::from_micros(base + n.wrapping_mul(2_654_435_761) % spread));
    Phases {
        dns: us(4000, 6000),
        connect: us(1500, 900),
        tls: us(6000, 2000),
        send: us(20, 40),
        wait: us(70_000, 50_000),
        transfer: us(2000, 3000),
    }
}

/// What one agent sends, batch after batch.
#[derive(Debug)]
pub(super) struct Traffic {
    shape: Arc<Shape>,
    boot: BootId,
    slot: Slot,
    /// Next of the slot's batches.
    next: usize,
    sequence: u64,
    heartbeat_due: bool,
}

impl Traffic {
    pub(super) fn new(shape: Arc<Shape>, boot: BootId, now: WallTime) -> Self {
        let slot = shape.slot.slot_of(now).plus(1);
        Self { shape, boot, slot, next: 0, sequence: 1, heartbeat_due: false }
    }

    /// When the next batch may go: an attempt cannot be delivered before the slot that it belongs to is over.
    pub(super) fn due(&self) -> WallTime {
        self.shape.slot.start_of(self.slot.plus(1))
    }

    pub(super) fn next_batch(&mut self) -> Batch {
        let mut columns = self.shape.slot_batches[self.next].clone();
        columns.slot_base = self.slot.0;
        columns.scheduled_base_us += self.shape.slot.start_of(self.slot).as_micros();
        let batch = columns::batch(self.boot, self.sequence, &columns, Compression::None);
        self.sequence += u64::from(columns.count);
        self.next += 1;
        if self.next == self.shape.slot_batches.len() {
            self.next = 0;
            self.slot = self.slot.plus(1);
            self.heartbeat_due = true;
        }
        batch
    }

    /// After each slot: nothing of the slots before is still to come.
    pub(super) fn heartbeat(&mut self) -> Option<Heartbeat> {
        let through = self.shape.slot.start_of(self.slot).as_micros();
        std::mem::take(&mut self.heartbeat_due).then(|| Heartbeat {
            sent_us: through,
            books: vec![Books { boot: self.boot.0, started: self.sequence - 1, ..Books::default() }],
            complete_through_us: through,
            complete_sequence: self.sequence,
            ..Heartbeat::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use uitwijk_model::plan::read::read_plan;

    use super::*;

    #[test]
    fn the_plan_knows_every_target_that_is_sent() {
        let shape = Shape::new(6, 31, 500).unwrap();
        let plan = read_plan(&shape.plan_yaml(), &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let known: Vec<_> = plan.targets().into_iter().map(|t| t.id).collect();
        let sent = shape.one_slot();
        assert_eq!(sent.len(), known.len());
        assert!(sent.iter().all(|m| known.contains(&m.target)));
        assert_eq!(plan.agents.len(), 6);
    }
}
