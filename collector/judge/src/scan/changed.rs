//! Which slots that were judged have changed since?

use std::collections::{BTreeMap, VecDeque};

/// Slots that are told together; that keeps the list short where many change.
const TOGETHER: i64 = 32;

/// Stretches of slots, both ends included, by where they begin.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changed {
    stretches: BTreeMap<i64, (i64, i64)>,
}

impl Changed {
    /// Slots from one to another have changed.
    pub(crate) fn add(&mut self, from: i64, to: i64) {
        let stretch = self.stretches.entry(from.div_euclid(TOGETHER)).or_insert((from, to));
        *stretch = (stretch.0.min(from), stretch.1.max(to));
    }

    /// The first slot that has changed.
    pub(crate) fn first(&self) -> Option<i64> {
        self.stretches.values().next().map(|&(from, _)| from)
    }

    /// Takes out the stretches that begin before a slot, in order of where they begin.
    pub(crate) fn take_before(&mut self, slot: i64) -> VecDeque<(i64, i64)> {
        let (taken, left) = self.stretches.values().partition::<Vec<_>, _>(|(from, _)| *from < slot);
        self.stretches.clear();
        left.into_iter().for_each(|(from, to): (i64, i64)| self.add(from, to));
        taken.into()
    }

    /// The same, but only those that slots from `head` on can feel, if a change is felt for so many slots: what lies far
    /// enough behind the first of those that are taken stays.
    pub(crate) fn take_near(&mut self, head: i64, felt_for: i64, slot: i64) -> VecDeque<(i64, i64)> {
        let mut first = head;
        for &(from, to) in self.stretches.values().rev() {
            if to >= first.saturating_sub(felt_for) {
                first = first.min(from);
            }
        }
        let (taken, left): (Vec<_>, Vec<_>) =
            self.stretches.values().partition(|&&(from, _)| (first..slot).contains(&from));
        self.stretches.clear();
        left.into_iter().for_each(|(from, to): (i64, i64)| self.add(from, to));
        taken.into()
    }

    /// Nothing that was judged is left.
    pub(crate) fn clear(&mut self) {
        self.stretches.clear();
    }
}
