//! How are the rows of an hour kept until they are written?
//!
//! In memory, up to a bound, with what all rows of a batch have in common kept once. Texts are compared once and for all: a
//! target and an agent get their place in the order of names before rows are put in order.

use std::collections::HashMap;
use std::hash::Hash;

use uitwijk_model::{AgentId, BootId, Measurement, Sequence, TargetId, Vantage, WallTime};
use uitwijk_proto::columns::Rows;

use super::super::StoredBatch;

/// The batch that a row came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) agent: AgentId,
    pub(super) vantage: Vantage,
    pub(super) boot: BootId,
    pub(super) arrived: WallTime,
}

/// One row, and where to find the rest of it.
#[derive(Debug, Clone)]
struct Entry {
    origin: u32,
    target: u32,
    sequence: Sequence,
    measurement: Measurement,
}

/// A row as it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) origin: &'a Origin,
    pub(super) sequence: Sequence,
    pub(super) measurement: &'a Measurement,
}

/// Rows that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    origins: Vec<Origin>,
    targets: Vec<TargetId>,
    numbers: HashMap<TargetId, u32>,
    entries: Vec<Entry>,
}

impl Sheet {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds the rows of a batch that count and are wanted, and says how many those were.
    pub(super) fn add(&mut self, batch: &StoredBatch, rows: &Rows, wanted: impl Fn(WallTime) -> bool) -> usize {
        let before = self.entries.len();
        let targets: Vec<u32> = rows.targets().iter().map(|target| self.number_of(target)).collect();
        let origin = u32::try_from(self.origins.len()).unwrap_or(u32::MAX);
        for i in batch.mask.ones(rows.len()) {
            let Ok(row) = rows.row(i) else { continue };
            if wanted(row.scheduled) {
                let target = targets[row.target_index as usize];
                let measurement = row.to_measurement_of(self.targets[target as usize].clone());
                self.entries.push(Entry { origin, target, sequence: rows.sequence(i), measurement });
            }
        }
        let added = self.entries.len() - before;
        if added > 0 {
            let (agent, vantage) = (batch.key.agent.clone(), batch.vantage.clone());
            self.origins.push(Origin { agent, vantage, boot: batch.key.boot, arrived: batch.arrived });
        }
        added
    }

    fn number_of(&mut self, target: &str) -> u32 {
        if let Some(&number) = self.numbers.get(target) {
            return number;
        }
        let number = u32::try_from(self.targets.len()).unwrap_or(u32::MAX);
        let id = TargetId::from_wire(target);
        self.targets.push(id.clone());
        self.numbers.insert(id, number);
        number
    }

    /// All rows in order of (service, target, agent, slot, attempt), and by their numbers where those are equal.
    pub(super) fn sorted(&self) -> Vec<Line<'_>> {
        let targets = ranks(self.targets.iter().map(|target| (service_of(target.as_str()), target.as_str())));
        let agents = ranks(self.origins.iter().map(|origin| origin.agent.as_str()));
        let mut order: Vec<u32> = (0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX)).collect();
        order.sort_unstable_by_key(|&i| {
            let (e, m) = (&self.entries[i as usize], &self.entries[i as usize].measurement);
            let origin = &self.origins[e.origin as usize];
            (targets[e.target as usize], agents[e.origin as usize], m.slot, m.attempt, origin.boot, e.sequence)
        });
        order.into_iter().map(|i| self.line(&self.entries[i as usize])).collect()
    }

    fn line<'a>(&'a self, e: &'a Entry) -> Line<'a> {
        Line { origin: &self.origins[e.origin as usize], sequence: e.sequence, measurement: &e.measurement }
    }

    /// Scheduled times of the first and the last row.
    pub(super) fn span(&self) -> Option<(WallTime, WallTime)> {
        let times = || self.entries.iter().map(|e| e.measurement.scheduled);
        Some((times().min()?, times().max()?))
    }

    /// All rows, in the order in which they came.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.entries.iter().map(|e| self.line(e))
    }

    pub(super) fn measurements(&self) -> impl Iterator<Item = &Measurement> {
        self.entries.iter().map(|e| &e.measurement)
    }
}

/// The service of a target, if it is one of a service; see `TargetKind::id`.
pub(super) fn service_of(target: &str) -> Option<&str> {
    target.split_once('/').map(|(service, _)| service)
}

/// The place of each name in the order of names; equal names have equal places.
fn ranks<T: Ord + Hash + Copy>(names: impl Iterator<Item = T>) -> Vec<u32> {
    let names: Vec<T> = names.collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let places: HashMap<T, u32> = sorted.into_iter().zip(0..).collect();
    names.iter().map(|name| places[name]).collect()
}
