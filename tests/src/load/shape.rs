//! Which fleet is simulated, and what does one slot of it look like on the wire?
//!
//! Batches are encoded once. What changes from slot to slot is put in when one is sent: the two bases of its times, which
//! stand at the end of the bytes, and the low bits of its durations, which are noise. So a batch costs the generator little more
//! than a copy, and no two are alike, as no two real ones are: what is stored packs as real measurements do.

use std::fmt::Write as _;

use bytes::Bytes;
use uitwijk_model::{
    Elapsed, Measurement, Observer, Outcome, Phases, Region, ServedBy, Slot, SlotLength, TargetId, Vantage, WallTime,
    Zone,
};
use uitwijk_proto::columns;
use uitwijk_proto::v1::{Columns, Compression};

/// Endpoints of one service; each has three targets.
const ENDPOINTS_PER_SERVICE: u32 = 10;
const TARGETS_PER_ENDPOINT: u32 = 3;
/// Columns of durations, by their number in the schema: from the total to the last phase.
const DURATIONS: std::ops::RangeInclusive<u32> = 13..=19;

/// How many of what.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) agents: u32,
    endpoints: u32,
    pub(super) slot: SlotLength,
    /// The rows of one slot, cut into batches.
    batches: Vec<Prepared>,
}

/// Where the targets of a plan are.
#[derive(Debug, Clone)]
pub(super) struct Sites {
    /// Of either region, and the public one; every endpoint has the same.
    pub(super) urls: [String; 3],
    /// What the plan says of all probes.
    pub(super) defaults: String,
}

impl Default for Sites {
    /// Where nothing ever is probed.
    fn default() -> Self {
        let urls = ["nl", "ie", "public"].map(|name| format!("https://{name}.invalid/"));
        Self { urls, defaults: String::new() }
    }
}

/// A batch of slot 0, with room for what changes.
#[derive(Debug)]
struct Prepared {
    count: u32,
    /// When its first and its last row are due, from the begin of the slot.
    first_us: i64,
    last_us: i64,
    /// The columns without the bases of their times.
    bytes: Vec<u8>,
    /// The bits of those bytes that are noise.
    noise: Vec<u64>,
}

impl Shape {
    pub(super) fn new(agents: u32, targets: u32, rows: u32, slot: SlotLength) -> anyhow::Result<Self> {
        anyhow::ensure!((1..=10_000).contains(&agents), "{agents} agents are out of range: 1 to 10000");
        anyhow::ensure!((3..=100_000).contains(&targets), "{targets} targets are out of range: 3 to 100000");
        anyhow::ensure!((1..=4096).contains(&rows), "{rows} rows in a batch are out of range: 1 to 4096");
        let endpoints = targets / TARGETS_PER_ENDPOINT;
        let mut shape = Self { agents, endpoints, slot, batches: Vec::new() };
        shape.batches = shape.one_slot().chunks(rows as usize).map(Prepared::of).collect();
        Ok(shape)
    }

    /// Targets that each agent measures in each slot: those that were asked for, in whole endpoints.
    pub(super) const fn targets(&self) -> u32 {
        self.endpoints * TARGETS_PER_ENDPOINT
    }

    /// Agents times targets.
    pub(super) fn pairs(&self) -> u64 {
        u64::from(self.agents) * u64::from(self.targets())
    }

    /// Measurements per second of all agents.
    pub(super) fn rate(&self) -> f64 {
        self.pairs() as f64 * 1000.0 / self.slot.millis().0 as f64
    }

    /// Batches of one agent in one slot.
    pub(super) const fn batches(&self) -> usize {
        self.batches.len()
    }

    pub(super) fn count(&self, batch: usize) -> u32 {
        self.batches[batch].count
    }

    /// When everything of a batch was measured.
    pub(super) fn due(&self, slot: Slot, batch: usize) -> WallTime {
        WallTime::from_micros(self.slot.start_of(slot).as_micros() + self.batches[batch].last_us)
    }

    /// The columns of a batch in a slot.
    pub(super) fn columns(&self, slot: Slot, batch: usize, noise: &mut Noise) -> Bytes {
        let prepared = &self.batches[batch];
        let mut bytes = Vec::with_capacity(prepared.bytes.len() + 32);
        let words = prepared.bytes.chunks(8).zip(&prepared.noise);
        for (chunk, mask) in words {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            let word = u64::from_le_bytes(word) ^ (noise.bits() & mask);
            bytes.extend_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
        let scheduled_base_us = self.slot.start_of(slot).as_micros() + prepared.first_us;
        let bases = Columns { slot_base: slot.0, scheduled_base_us, ..Columns::default() };
        bytes.extend_from_slice(&columns::to_bytes(&bases, Compression::None));
        bytes.into()
    }

    pub(super) fn agent_name(agent: u32) -> String {
        format!("load-{agent}")
    }

    pub(super) fn vantage(agent: u32) -> anyhow::Result<Vantage> {
        let region = crate::world::REGIONS[agent as usize % 2];
        let zone = crate::world::ZONES[agent as usize / 2 % 3];
        Ok(Vantage { region: Region::new(region)?, zone: Zone::new(zone)? })
    }

    /// A plan with so many agents and targets.
    pub(super) fn plan_yaml(&self, sites: &Sites) -> anyhow::Result<String> {
        let mut plan = format!("name: load\nrevision: 1\nslot: {}\n{}regions:\n", self.slot.millis(), sites.defaults);
        for region in crate::world::REGIONS {
            let _ = writeln!(plan, "  {region}: [1, 2, 3]");
        }
        plan.push_str("agents:\n");
        for agent in 0..self.agents {
            let _ = writeln!(plan, "  {}: {}", Self::agent_name(agent), Self::vantage(agent)?);
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
            let [nl, ie, public] = &sites.urls;
            let _ = writeln!(
                plan,
                "      e{endpoint}: {{ probe: {{ http: {{}} }}, regional: {{ NL: \"{nl}\", IE: \"{ie}\" }}, global: \"{public}\" }}"
            );
        }
        plan.push_str(&crate::fleet::plan::policy_yaml(self.slot.millis().0));
        Ok(plan)
    }

    /// What one agent measures in slot 0, spread over it.
    pub(super) fn one_slot(&self) -> Vec<Measurement> {
        let (slot_us, targets) = (self.slot.millis().0 * 1000, u64::from(self.targets()));
        let places = [("NL", "NL"), ("IE", "IE"), ("public", "NL")];
        let all = (0..self.endpoints).flat_map(|endpoint| places.map(|(place, served)| (endpoint, place, served)));
        (0u64..)
            .zip(all)
            .map(|(n, (endpoint, place, served))| row(n, n * slot_us / targets, endpoint, place, served))
            .collect()
    }
}

fn row(n: u64, after_us: u64, endpoint: u32, place: &str, served: &str) -> Measurement {
    let service = endpoint / ENDPOINTS_PER_SERVICE;
    let scheduled = WallTime::from_micros(after_us.cast_signed());
    Measurement {
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
    }
}

/// Times that differ from row to row as real ones do.
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

impl Prepared {
    fn of(rows: &[Measurement]) -> Self {
        let mut columns = columns::encode(rows);
        let first_us = std::mem::take(&mut columns.scheduled_base_us);
        let last_us = rows.last().map_or(0, |row| row.scheduled.as_micros());
        let bytes = columns::to_bytes(&columns, Compression::None).to_vec();
        let noise = noisy_bits(&bytes);
        Self { count: columns.count, first_us, last_us, bytes, noise }
    }
}

/// The low seven bits of every byte of a duration but its last: they can be anything and the number stays as long as it is.
fn noisy_bits(bytes: &[u8]) -> Vec<u64> {
    let mut mask = vec![0u8; bytes.len().next_multiple_of(8)];
    let mut at = 0;
    while at < bytes.len() {
        let tag = varint(bytes, &mut at);
        let length = if tag & 7 == 2 { varint(bytes, &mut at) } else { 0 };
        let end = at + usize::try_from(length).unwrap_or(usize::MAX);
        if tag & 7 == 0 {
            varint(bytes, &mut at);
        } else if DURATIONS.contains(&u32::try_from(tag >> 3).unwrap_or(0)) {
            (at..end).filter(|&i| bytes[i] & 0x80 != 0).for_each(|i| mask[i] = 0x7f);
        }
        at = at.max(end);
    }
    mask.as_chunks().0.iter().map(|&word| u64::from_le_bytes(word)).collect()
}

fn varint(bytes: &[u8], at: &mut usize) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let Some(&byte) = bytes.get(*at) else { break };
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

/// A stream of bits that look random, the same from the same seed (xorshift).
#[derive(Debug)]
pub(super) struct Noise(u64);

impl Noise {
    pub(super) const fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) const fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use uitwijk_model::Millis;
    use uitwijk_model::plan::read::read_plan;
    use uitwijk_proto::columns::{Limits, Rows};
    use uitwijk_proto::v1::Batch;

    use super::*;

    fn shape(targets: u32, rows: u32) -> Shape {
        Shape::new(6, targets, rows, SlotLength::new(Millis(100)).unwrap()).unwrap()
    }

    #[test]
    fn the_plan_knows_every_target_that_is_sent() {
        let shape = shape(31, 500);
        let plan = read_plan(&shape.plan_yaml(&Sites::default()).unwrap(), &|_| None)
            .unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let known: Vec<_> = plan.targets().into_iter().map(|t| t.id).collect();
        let sent = shape.one_slot();
        assert_eq!((sent.len(), sent.len()), (known.len(), 30));
        assert!(sent.iter().all(|m| known.contains(&m.target)));
        assert_eq!(plan.agents.len(), 6);
    }

    #[test]
    fn a_batch_reads_back_in_its_slot_and_only_its_durations_are_noise() {
        let shape = shape(60, 25);
        let (slot, rows) = (Slot(17_724_384_000), shape.one_slot());
        let mut noise = Noise::of(3);
        let mut differ = 0;
        for batch in 0..shape.batches() {
            let (count, columns) = (shape.count(batch), shape.columns(slot, batch, &mut noise));
            let sent = Batch { boot: 1, first_sequence: 1, count, columns, ..Batch::default() };
            let read = Rows::from_batch(&sent, &Limits::default()).unwrap();
            for (row, was) in read.iter().zip(&rows[batch * 25..]) {
                let row = row.unwrap();
                let at = shape.slot.start_of(slot).as_micros() + was.scheduled.as_micros();
                assert_eq!((row.target, row.slot, row.scheduled.as_micros()), (was.target.as_str(), slot, at));
                assert_eq!(row.started.as_micros(), at + 150);
                assert_eq!((row.outcome, row.phases.send), (was.outcome, was.phases.send));
                assert_eq!(shape.slot.slot_of(row.scheduled), slot);
                differ += usize::from(row.total != was.total);
            }
            assert!(shape.due(slot, batch) < shape.slot.start_of(slot.plus(1)));
        }
        assert!(differ > 50, "{differ} of 60 totals differ");
    }
}
