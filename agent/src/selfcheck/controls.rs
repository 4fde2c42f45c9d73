//! How many control targets failed in the last round?
//!
//! A round is the latest attempt of each control, as long as it is not older than two slots: with attempts spread over a
//! slot, every healthy control has one that recent. What is older is not known, and not counted as seen.

use std::collections::{BTreeMap, BTreeSet};

use uitwijk_model::{Elapsed, Measurement, SlotLength, TargetId};

const SLOTS: u64 = 2;

/// The latest attempt of each control target.
#[derive(Debug, Default)]
pub(super) struct Controls {
    known: BTreeSet<TargetId>,
    /// Microseconds after which an attempt does not count.
    age_max: u64,
    latest: BTreeMap<TargetId, Latest>,
}

#[derive(Debug, Clone, Copy)]
struct Latest {
    failed: bool,
    at: Elapsed,
}

impl Controls {
    /// These are the controls now; what was seen of others is forgotten.
    pub(super) fn set(&mut self, known: BTreeSet<TargetId>, slot: SlotLength) {
        self.latest.retain(|target, _| known.contains(target));
        self.known = known;
        self.age_max = slot.millis().0 * 1000 * SLOTS;
    }

    /// An attempt ended now. One that says nothing about its target is not seen.
    pub(super) fn saw(&mut self, measurement: &Measurement, now: Elapsed) {
        if measurement.outcome.is_measured() && self.known.contains(&measurement.target) {
            let failed = !measurement.outcome.is_answer();
            self.latest.insert(measurement.target.clone(), Latest { failed, at: now });
        }
    }

    /// How many failed, of how many seen.
    pub(super) fn last_round(&self, now: Elapsed) -> (u16, u16) {
        let recent = || self.latest.values().filter(|latest| now.since(latest.at).as_micros() <= self.age_max);
        let count = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        (count(recent().filter(|latest| latest.failed).count()), count(recent().count()))
    }
}

#[cfg(test)]
mod tests {
    use uitwijk_model::{Fault, Millis, Observer, Outcome, Phases, Slot, Unmeasured, WallTime};

    use super::*;

    fn seen(target: &str, outcome: Outcome) -> Measurement {
        Measurement {
            target: TargetId::from_wire(target),
            slot: Slot(1),
            attempt: 0,
            scheduled: WallTime::default(),
            started: WallTime::default(),
            outcome,
            total: None,
            phases: Phases::default(),
            http_status: None,
            served: None,
            hops: Vec::new(),
            certificate_expires: None,
            observer: Observer::default(),
        }
    }

    fn seconds(s: u64) -> Elapsed {
        Elapsed::from_micros(s * 1_000_000)
    }

    #[test]
    fn a_round_is_the_latest_of_each_control() {
        let down = Outcome::Down(Fault::ConnectRefused);
        let names = ["control:a", "control:b", "control:c"];
        let slot = SlotLength::new(Millis::from_secs(10)).unwrap();
        let mut controls = Controls::default();
        controls.saw(&seen("control:a", down), seconds(0));
        assert_eq!(controls.last_round(seconds(0)), (0, 0), "before a plan nothing is a control");
        controls.set(names.into_iter().map(TargetId::from_wire).collect(), slot);
        controls.saw(&seen("control:a", down), seconds(1));
        controls.saw(&seen("control:b", Outcome::Slow), seconds(2));
        controls.saw(&seen("control:c", Outcome::Unmeasured(Unmeasured::Local)), seconds(3));
        controls.saw(&seen("exchange/default@NL", down), seconds(3));
        assert_eq!(controls.last_round(seconds(3)), (1, 2));
        controls.saw(&seen("control:a", Outcome::Up), seconds(4));
        assert_eq!(controls.last_round(seconds(4)), (0, 2), "a retry that succeeds counts");
        assert_eq!(controls.last_round(seconds(23)), (0, 1), "b is too old to be known");
        assert_eq!(controls.last_round(seconds(60)), (0, 0));
        controls.set(BTreeSet::new(), slot);
        assert_eq!(controls.last_round(seconds(4)), (0, 0), "a control that left the plan is forgotten");
    }
}
