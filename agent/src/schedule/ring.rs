//! Whose turn is it?
//!
//! A [`Ring`] is asked with the time in hand and answers with one step: a turn to take, a turn that was missed, a stretch
//! that is left silent, or how long nothing is due. It reads no clock and starts nothing, so a test can put any time
//! in, a pause of a day or a clock that goes back as well as a second.

use std::sync::Arc;

use uitwijk_model::{AgentId, Elapsed, Millis, Slot, SlotLength, TargetId, Unmeasured, WallTime};

use super::spread::offset_us;

/// A difference between wall time and elapsed time larger than this is a step of the clock, not a correction of its
/// rate or the noise of reading two clocks one after the other.
const STEP_US_MIN: i64 = 200_000;

/// One target's turn in one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Whose turn.
    pub target: TargetId,
    /// In which slot.
    pub slot: Slot,
    /// When it is due.
    pub scheduled: WallTime,
}

/// What the schedule asks for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Begin an attempt.
    Take(Turn),
    /// Write the turn down as unmeasured.
    Miss(Turn, Unmeasured),
    /// This many turns before `until` are too old even to be written down.
    Silent {
        /// Number of turns.
        turns: u64,
        /// The first moment that is not silent.
        until: WallTime,
    },
    /// The clock went back by more than a slot; the schedule goes on from the time it has now.
    WentBack {
        /// When the next turn would have been due.
        expected: WallTime,
    },
    /// Nothing is due before this moment.
    Wait(WallTime),
    /// There are no targets.
    Idle,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    offset_us: i64,
    target: TargetId,
}

/// The targets in the order of their turns, and how far the turns were dealt with.
#[derive(Debug)]
pub struct Ring {
    agent: AgentId,
    slot: SlotLength,
    /// Sorted by offset, then by name.
    places: Arc<[Place]>,
    /// Turns per target that are written down as missed after a pause.
    missed_max: u32,
    /// The next turn: a slot and an index into `places`.
    next: (Slot, usize),
    /// The last reading of both clocks, to tell a pause from a step.
    reading: Option<(WallTime, Elapsed)>,
    /// The time that a step of the clock left out, if the last one went forward.
    stepped: Option<(WallTime, WallTime)>,
}

impl Ring {
    /// A schedule without targets.
    #[must_use]
    pub fn new(agent: AgentId, slot: SlotLength, missed_max: u32) -> Self {
        Self { agent, slot, places: Arc::new([]), missed_max, next: (Slot(0), 0), reading: None, stepped: None }
    }

    /// Replaces the targets. Those that stay keep their places, and no turn is dealt with twice or left out for them;
    /// new ones begin with their next turn.
    pub fn set_targets(&mut self, slot: SlotLength, targets: impl IntoIterator<Item = TargetId>, now: WallTime) {
        // Everything before the next turn was dealt with, but the turns of new targets may lie before it.
        let due = self.due().map(|(at, place)| (at, place.target.clone()));
        let mut places: Vec<_> = targets
            .into_iter()
            .map(|target| Place { offset_us: offset_us(&self.agent, &target, slot), target })
            .collect();
        places.sort_by(|a, b| (a.offset_us, &a.target).cmp(&(b.offset_us, &b.target)));
        places.dedup();
        (self.slot, self.places) = (slot, places.into());
        match due {
            Some((at, target)) if at <= now => self.seek(at, Some(&target)),
            _ => self.seek(WallTime::from_micros(now.as_micros().saturating_add(1)), None),
        }
    }

    /// Moves the cursor to the first turn at or after a moment; at that very moment, from this name on.
    fn seek(&mut self, at: WallTime, from: Option<&TargetId>) {
        let slot = self.slot.slot_of(at);
        let within_us = at.micros_since(self.slot.start_of(slot));
        let before = |p: &Place| p.offset_us < within_us || (p.offset_us == within_us && Some(&p.target) < from);
        let index = self.places.partition_point(before);
        self.next = if index < self.places.len() { (slot, index) } else { (slot.plus(1), 0) };
    }

    /// The next turn that was not dealt with.
    fn due(&self) -> Option<(WallTime, &Place)> {
        let place = self.places.get(self.next.1)?;
        let start = self.slot.start_of(self.next.0);
        Some((WallTime::from_micros(start.as_micros().saturating_add(place.offset_us)), place))
    }

    /// Every turn before this moment was dealt with.
    #[must_use]
    pub fn through(&self, now: WallTime) -> WallTime {
        self.due().map_or(now, |(at, _)| at.min(now))
    }

    /// A turn that is later than this is missed rather than taken, so that a pause is not followed by a burst: a tenth
    /// of a slot, but at least 100 ms and at most 1 s.
    #[must_use]
    pub fn late_max(&self) -> Millis {
        Millis((self.slot.millis().0 / 10).clamp(100, 1000))
    }

    /// The length of a slot.
    #[must_use]
    pub fn slot(&self) -> SlotLength {
        self.slot
    }

    /// Tells the time; call it once before each round of [`Ring::step`].
    pub fn tell_time(&mut self, wall: WallTime, elapsed: Elapsed) {
        if let Some((last_wall, last_elapsed)) = self.reading {
            let expected = last_wall.plus(Millis(elapsed.since(last_elapsed).as_millis()));
            if wall.micros_since(expected) > STEP_US_MIN {
                self.stepped = Some((expected, wall));
            }
        }
        self.reading = Some((wall, elapsed));
    }

    /// The next thing to do at this moment. Ask again until the answer is `Wait` or `Idle`.
    pub fn step(&mut self, now: WallTime) -> Step {
        let Some((at, place)) = self.due() else { return Step::Idle };
        let late_us = now.micros_since(at);
        if late_us < 0 {
            return self.early(now, at);
        }
        let target = place.target.clone();
        if let Some(silent) = self.skip_too_old(now, at) {
            return silent;
        }
        let turn = Turn { target, slot: self.next.0, scheduled: at };
        self.advance();
        if late_us <= micros(self.late_max()) {
            return Step::Take(turn);
        }
        let stepped_over = self.stepped.is_some_and(|(from, to)| from < at && at <= to);
        Step::Miss(turn, if stepped_over { Unmeasured::ClockStep } else { Unmeasured::Missed })
    }

    /// Nothing is due yet. A turn is never further away than a slot, so if it is, the clock went back; then the schedule
    /// goes on from the new time rather than fall silent until the old one comes again. The slots that come again were
    /// measured under their names already, and collectors count what contradicts those as conflicts.
    fn early(&mut self, now: WallTime, at: WallTime) -> Step {
        if at.micros_since(now) <= micros(self.slot.millis()) {
            return Step::Wait(at);
        }
        self.seek(now, None);
        self.stepped = None;
        Step::WentBack { expected: at }
    }

    fn skip_too_old(&mut self, now: WallTime, at: WallTime) -> Option<Step> {
        let slots = Millis(self.slot.millis().0.saturating_mul(u64::from(self.missed_max)));
        let until = now.minus(slots).minus(self.late_max());
        if at >= until {
            return None;
        }
        let before = self.position();
        self.seek(until, None);
        let turns = u64::try_from(self.position() - before).unwrap_or(0);
        Some(Step::Silent { turns, until })
    }

    /// Turns since the epoch.
    fn position(&self) -> i128 {
        i128::from(self.next.0.0) * self.places.len() as i128 + self.next.1 as i128
    }

    fn advance(&mut self) {
        let (slot, index) = self.next;
        self.next = if index + 1 < self.places.len() { (slot, index + 1) } else { (slot.plus(1), 0) };
    }
}

fn micros(span: Millis) -> i64 {
    i64::try_from(span.0.saturating_mul(1000)).unwrap_or(i64::MAX)
}
