//! What is remembered of each slot that was judged?
//!
//! Enough to see later, without judging it again, whether a slot would have been judged as it was: whose word counted in
//! it, and what the drift of the answers told the rest of the judge.

use std::collections::VecDeque;

use crate::topology::RegionIx;

/// One slot that was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passed {
    /// After it: the first slot whose label may still change, but for what rising answers could date back.
    pub(crate) unsettled: i64,
    /// The first slot that rising answers could date back to.
    pub(crate) rising: Option<i64>,
    /// Since when answers were slower than they used to be.
    pub(crate) slower: Option<i64>,
    /// The region whose answers were compared.
    pub(crate) active: RegionIx,
}

impl Passed {
    /// The first slot whose label may still change.
    fn settled(&self) -> i64 {
        self.rising.map_or(self.unsettled, |rising| rising.min(self.unsettled))
    }
}

/// Slots that were judged one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slots {
    first: i64,
    agents: usize,
    passed: VecDeque<Passed>,
    /// Votes of every agent, in halves, slot by slot.
    votes: VecDeque<u8>,
}

impl Slots {
    pub(crate) const fn new(agents: usize, first: i64) -> Self {
        Self { first, agents, passed: VecDeque::new(), votes: VecDeque::new() }
    }

    /// Begins anew: the slots before this one were not judged one by one.
    pub(crate) fn restart(&mut self, first: i64) {
        *self = self.empty_from(first);
    }

    /// None yet, of the same agents.
    pub(crate) const fn empty_from(&self, first: i64) -> Self {
        Self::new(self.agents, first)
    }

    /// Adds slots that follow, and leaves none there.
    pub(crate) fn append(&mut self, next: &mut Self) {
        self.passed.append(&mut next.passed);
        self.votes.append(&mut next.votes);
        next.first = self.end();
    }

    /// The slot after the last one.
    pub(crate) fn end(&self) -> i64 {
        self.first + i64::try_from(self.passed.len()).unwrap_or(0)
    }

    pub(crate) fn push(&mut self, passed: Passed, votes: impl Iterator<Item = u32>) {
        self.passed.push_back(passed);
        self.votes.extend(votes.map(|votes| u8::try_from(votes).unwrap_or(u8::MAX)));
    }

    fn at(&self, slot: i64) -> Option<usize> {
        usize::try_from(slot.checked_sub(self.first)?).ok()
    }

    /// What is remembered of a slot; the votes are put into a buffer.
    pub(crate) fn get(&self, slot: i64, votes: &mut Vec<u32>) -> Option<Passed> {
        let at = self.at(slot)?;
        let passed = *self.passed.get(at)?;
        votes.clear();
        votes.extend(self.votes.iter().skip(at * self.agents).take(self.agents).map(|&v| u32::from(v)));
        Some(passed)
    }

    /// The first slot whose label may still change after a slot.
    pub(crate) fn settled_after(&self, slot: i64) -> Option<i64> {
        self.passed.get(self.at(slot)?).map(Passed::settled)
    }

    /// Takes out the slots from one on.
    pub(crate) fn split_off(&mut self, slot: i64) -> Self {
        let at = self.at(slot).unwrap_or(0).min(self.passed.len());
        let (passed, votes) = (self.passed.split_off(at), self.votes.split_off(at * self.agents));
        let left = Self { first: self.end(), agents: self.agents, passed, votes };
        self.first = self.first.min(slot);
        left
    }

    /// Forgets the slots before one.
    pub(crate) fn drop_before(&mut self, slot: i64) {
        let old = self.at(slot).unwrap_or(0).min(self.passed.len());
        self.passed.drain(..old);
        self.votes.drain(..old * self.agents);
        self.first += i64::try_from(old).unwrap_or(0);
    }

    /// Bytes that this takes, about.
    pub(crate) fn bytes(&self) -> usize {
        self.passed.len() * size_of::<Passed>() + self.votes.len()
    }
}
