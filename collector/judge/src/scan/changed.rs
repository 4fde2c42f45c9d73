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
        self.take(i64::MIN, slot)
    }

    /// The same of those that begin at another slot or later.
    pub(crate) fn take(&mut self, first: i64, before: i64) -> VecDeque<(i64, i64)> {
        let (taken, left): (Vec<_>, Vec<_>) =
            self.stretches.values().partition(|&&(from, _)| (first..before).contains(&from));
        self.stretches.clear();
        left.into_iter().for_each(|(from, to): (i64, i64)| self.add(from, to));
        taken.into()
    }

    /// Where the changes begin that slots from `head` on can feel, or others of these changes, if one is felt for so many
    /// slots; `head` when there are none.
    pub(crate) fn near(&self, head: i64, felt_for: i64) -> i64 {
        self.stretches
            .values()
            .rev()
            .fold(head, |first, &(from, to)| if to >= first.saturating_sub(felt_for) { first.min(from) } else { first })
    }

    /// Nothing that was judged is left.
    pub(crate) fn clear(&mut self) {
        self.stretches.clear();
    }
}
