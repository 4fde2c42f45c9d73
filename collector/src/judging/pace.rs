//! When may a judge be asked, and how far may it go back?
//!
//! A judge is asked when a slot and its grace are over, which it names itself, and when something arrives that changes what
//! was judged already. The second kind waits for a rest of two hundred times what the last answers of this kind took, those of
//! all judges together, so that hours of late records cost half a hundredth of the thread and not all of it. A judge whose slot ends
//! meanwhile goes on ahead of what changed long before, and goes back only when it has something to say: that rests on all
//! that it was told. What changed shortly before it must take in at once; then it waits for as long as the last answers took,
//! so that half of the thread is left to take in what comes.

use uitwijk_model::{Elapsed, Millis, WallTime};

/// Shortest wait between two answers about changed slots.
const REST_MIN: Millis = Millis(20);
/// How much longer it is than those answers took.
const REST_FACTOR: u64 = 200;
/// No such wait is longer.
const REST_MAX: Millis = Millis(300_000);

/// How far a judge went back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Back {
    /// Not at all.
    Not,
    /// To what changed shortly before, and to all when it had something to say.
    Near,
    /// To whatever changed.
    All,
}

/// When a judge was and will be asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// When it was last asked; absent before the first time.
    asked: Option<WallTime>,
    /// When it wants to be asked, if nothing changes before.
    due: WallTime,
    /// When something arrived that changes what was judged.
    changed: Option<WallTime>,
}

impl Times {
    pub(super) const NEW: Self = Self { asked: None, due: WallTime::from_micros(i64::MIN), changed: None };

    /// It is to be asked at once.
    pub(super) const fn at_once(self) -> Self {
        Self { due: Self::NEW.due, ..self }
    }

    /// Something arrived that changes a slot, which is settled at a moment and may have been judged already.
    pub(super) fn change(&mut self, settled: WallTime, arrived: WallTime) {
        if self.asked.is_some_and(|asked| settled <= asked) {
            self.changed.get_or_insert(arrived);
        }
    }

    /// Something changes what was judged.
    pub(super) fn changed_now(&mut self, now: WallTime) {
        self.changed.get_or_insert(now);
    }

    /// Since when what it says now could be known.
    pub(super) fn knowable(&self, now: WallTime) -> WallTime {
        if self.due <= now { self.due } else { self.changed.unwrap_or(now) }
    }

    /// It has answered, wants to be asked again, and may have left something that changed for later.
    pub(super) fn answered(&mut self, now: WallTime, due: WallTime, is_behind: bool) {
        *self = Self { asked: Some(now), due, changed: self.changed.filter(|_| is_behind) };
    }

    /// When nothing that changed may wait any longer.
    fn overdue(&self) -> Option<WallTime> {
        self.changed.map(|changed| changed.plus(REST_MAX))
    }
}

/// What going back took since the last rest.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    at_all: Elapsed,
    to_all: Elapsed,
}

/// From when on judges may go back.
#[derive(Debug)]
pub(super) struct Pace {
    /// At the end of a slot, to what changed shortly before.
    at_slots: WallTime,
    /// To whatever changed.
    to_all: WallTime,
    spent: Spent,
}

impl Default for Pace {
    fn default() -> Self {
        let always = WallTime::from_micros(i64::MIN);
        Self { at_slots: always, to_all: always, spent: Spent::default() }
    }
}

impl Pace {
    /// When a judge should be asked next. Nothing waits for longer than the longest rest to be judged again.
    pub(super) fn wants(&self, times: &Times) -> WallTime {
        let Some(overdue) = times.overdue() else { return times.due };
        times.due.max(self.at_slots).min(self.to_all).min(overdue)
    }

    /// Whether it is the turn of a judge.
    pub(super) fn is_turn(&self, times: &Times, now: WallTime) -> bool {
        // A clock that was set back must not silence the judge until it has caught up again.
        self.wants(times) <= now || times.asked.is_some_and(|asked| asked > now)
    }

    /// Whether a judge goes back to whatever changed, in its turn.
    pub(super) fn goes_back(&self, times: &Times, now: WallTime) -> bool {
        self.to_all <= now || times.overdue().is_some_and(|overdue| overdue <= now)
    }

    /// How long an answer took.
    pub(super) fn took(&mut self, back: Back, elapsed: Elapsed) {
        let longer = |sum: Elapsed| Elapsed::from_micros(sum.as_micros() + elapsed.as_micros());
        match back {
            Back::Not => {}
            Back::Near => self.spent.at_all = longer(self.spent.at_all),
            Back::All => {
                self.spent.at_all = longer(self.spent.at_all);
                self.spent.to_all = longer(self.spent.to_all);
            }
        }
    }

    /// Everybody whose turn it was has answered: what changes from now on waits, when what changed before was judged again.
    pub(super) fn rest(&mut self, now: WallTime) {
        let spent = std::mem::take(&mut self.spent);
        if spent.at_all > Elapsed::default() {
            self.at_slots = now.plus(whole_millis(spent.at_all));
        }
        if spent.to_all > Elapsed::default() {
            let rest = Millis((spent.to_all.as_micros() * REST_FACTOR / 1000).clamp(REST_MIN.0, REST_MAX.0));
            self.to_all = now.plus(rest.max(whole_millis(spent.to_all)));
        }
        // A clock that was set back must not put off what was to be later.
        if self.at_slots.max(self.to_all) > now.plus(REST_MAX).plus(REST_MAX) {
            *self = Self::default();
        }
    }
}

const fn whole_millis(span: Elapsed) -> Millis {
    Millis(span.as_micros() / 1000)
}
