//! Which turns are running, and may one more begin?

use std::collections::{BTreeMap, BTreeSet};

use uitwijk_model::{Slot, TargetId, Unmeasured, WallTime};

/// A turn that is running: an attempt is, or a retry waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flight {
    /// Its slot.
    pub slot: Slot,
    /// When it was due.
    pub scheduled: WallTime,
    /// The attempt that runs or waits.
    pub attempt: u8,
}

/// The running turns, at most one per target and at most so many in all.
#[derive(Debug)]
pub struct Flights {
    running: BTreeMap<TargetId, Flight>,
    /// The due times of the running turns, to know the oldest.
    due: BTreeSet<(WallTime, TargetId)>,
    max: usize,
}

impl Flights {
    /// None running, at most `max` at one moment.
    #[must_use]
    pub fn new(max: u32) -> Self {
        Self { running: BTreeMap::new(), due: BTreeSet::new(), max: max as usize }
    }

    /// Begins a turn.
    ///
    /// # Errors
    /// `Overrun` when the turn before it is still running, `Overload` when there are too many in all.
    pub fn begin(&mut self, target: &TargetId, flight: Flight) -> Result<(), Unmeasured> {
        if self.running.contains_key(target) {
            return Err(Unmeasured::Overrun);
        }
        if self.running.len() >= self.max {
            return Err(Unmeasured::Overload);
        }
        self.due.insert((flight.scheduled, target.clone()));
        self.running.insert(target.clone(), flight);
        Ok(())
    }

    /// Ends a turn; `None` when it was not running.
    pub fn end(&mut self, target: &TargetId) -> Option<Flight> {
        let flight = self.running.remove(target)?;
        self.due.remove(&(flight.scheduled, target.clone()));
        Some(flight)
    }

    /// The running turn of a target.
    pub fn get_mut(&mut self, target: &TargetId) -> Option<&mut Flight> {
        self.running.get_mut(target)
    }

    /// When the oldest running turn was due.
    #[must_use]
    pub fn oldest(&self) -> Option<WallTime> {
        self.due.first().map(|(at, _)| *at)
    }

    /// How many are running.
    #[must_use]
    pub fn len(&self) -> usize {
        self.running.len()
    }

    /// Whether none is running.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }
}
