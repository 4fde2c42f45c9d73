//! Which region serves, and which of its zones?
//!
//! Answers of the public name tell who served them. The majority over a hard window names the active region, if enough
//! of the probes carry an answer at all; the first slot of a new majority is where a failover happened.
//! A zone that fell out shows by its absence: if answers are spread evenly over `Z` zones, `21 * Z` answers in a row
//! without one of them have a chance of one in a thousand million, so no window is needed and silence proves nothing.

use crate::evidence::Cell;
use crate::topology::{RegionIx, Topology};

/// Answers without a zone, per zone of the region, that prove its absence: e^-21 is below 1e-9.
const ABSENCE: u64 = 21;

/// One zone of a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct ZoneSeen {
    /// The last slot that it answered in.
    last: Option<i64>,
    /// Which answer of its region that was.
    at: u64,
}

/// The zones of a region. Answers are numbered, so that an answer changes one zone and not all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Zones {
    answers: u64,
    seen: Vec<ZoneSeen>,
}

impl Zones {
    /// Answers of the other zones since a zone answered last; none for one that never did.
    fn others(&self, zone: &ZoneSeen) -> u64 {
        if zone.last.is_some() { self.answers - zone.at } else { 0 }
    }
}

/// Who served, over the last hard window and ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Serving {
    /// The region that serves.
    pub(crate) active: RegionIx,
    /// Some answer told it.
    pub(crate) told: bool,
    per_region: Vec<u32>,
    probes: u32,
    zones: Vec<Zones>,
}

impl Serving {
    pub(crate) fn new(topology: &Topology) -> Self {
        Self {
            active: topology.active,
            told: false,
            per_region: vec![0; topology.regions.len()],
            probes: 0,
            zones: topology
                .zones
                .iter()
                .map(|z| Zones { answers: 0, seen: vec![ZoneSeen::default(); z.len()] })
                .collect(),
        }
    }

    /// Takes in what was seen in a slot.
    pub(crate) fn add(&mut self, topology: &Topology, slot: i64, row: &[Cell]) {
        for agent in row.chunks(topology.targets.len().max(1)) {
            for ((cell, &entry), &spread) in agent.iter().zip(&topology.entries).zip(&topology.spread) {
                self.probes += u32::from(entry && cell.is_measured());
                let Some((region, zone)) = cell.served().filter(|_| spread) else { continue };
                self.per_region[region] += u32::from(entry);
                if let Some(zone) = zone {
                    let zones = &mut self.zones[region];
                    zones.answers += 1;
                    zones.seen[zone].last = Some(slot);
                }
            }
        }
        // The answers of one slot have no order among each other.
        for zones in &mut self.zones {
            let answers = zones.answers;
            zones.seen.iter_mut().filter(|z| z.last == Some(slot)).for_each(|z| z.at = answers);
        }
    }

    /// Forgets a slot that left the window.
    pub(crate) fn sub(&mut self, topology: &Topology, row: &[Cell]) {
        for agent in row.chunks(topology.targets.len().max(1)) {
            for (cell, _) in agent.iter().zip(&topology.entries).filter(|(_, entry)| **entry) {
                self.probes = self.probes.saturating_sub(u32::from(cell.is_measured()));
                if let Some((region, _)) = cell.served() {
                    self.per_region[region] = self.per_region[region].saturating_sub(1);
                }
            }
        }
    }

    /// Counts the answers of each region from the zone on that was silent longest. Only distances matter; counted like
    /// this, pasts that lead to the same future look the same.
    pub(crate) fn count_anew(&mut self) {
        for zones in &mut self.zones {
            let seen = zones.seen.iter().filter(|z| z.last.is_some());
            let first = seen.map(|z| z.at).min().unwrap_or(zones.answers);
            zones.answers -= first;
            zones.seen.iter_mut().filter(|z| z.last.is_some()).for_each(|z| z.at -= first);
        }
    }

    /// The region that most answers of the window came from, if enough of the probes told.
    pub(crate) fn majority(&self, topology: &Topology) -> Option<RegionIx> {
        let told: u64 = self.per_region.iter().map(|&n| u64::from(n)).sum();
        if told == 0 || !topology.policy.served_share.is_reached_by(told, u64::from(self.probes)) {
            return None;
        }
        (0..self.per_region.len()).find(|&r| u64::from(self.per_region[r]) * 2 > told)
    }

    /// Whether some answers of the window, not just a stray one, came from another region than this one.
    pub(crate) fn speaks_against(&self, topology: &Topology, region: RegionIx) -> bool {
        let others = self.per_region.iter().enumerate().filter(|(r, _)| *r != region).map(|(_, &n)| u64::from(n));
        let others: u64 = others.sum();
        others > 1 && topology.policy.soft_share.is_reached_by(others, u64::from(self.probes))
    }

    /// The first zone of a region that fell out, and the last slot that it answered in.
    pub(crate) fn zone_out(&self, region: RegionIx) -> Option<(usize, i64)> {
        let zones = self.zones.get(region)?;
        let seen = zones.seen.iter().filter(|z| z.last.is_some()).count() as u64;
        let out = |z: &ZoneSeen| seen > 1 && zones.others(z) >= ABSENCE * seen;
        zones.seen.iter().enumerate().find(|(_, z)| out(z)).and_then(|(i, z)| z.last.map(|last| (i, last)))
    }

    /// The first slot since when some zone of the active region may be missing, without proof so far.
    pub(crate) fn zone_missing(&self) -> Option<i64> {
        let zones = self.zones.get(self.active)?;
        let missing = zones.seen.iter().filter(|z| zones.others(z) > 0);
        missing.filter_map(|z| z.last).min().map(|last| last + 1)
    }
}
