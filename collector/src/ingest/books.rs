//! What is settled of each boot of each agent, and how far is an agent complete?
//!
//! An agent says with each heartbeat: when you have everything below sequence 812 of this boot, and everything of earlier
//! boots, you have everything that I scheduled before 08:15:10. Such a claim waits here until the ledgers fulfil it; then the
//! frontier of the agent moves. The judge needs it to know silence from delay.

use std::collections::{BTreeMap, HashMap, VecDeque};

use uitwijk_model::{AgentId, BootId, WallTime};
use uitwijk_proto::v1;

use super::work::Claim;
use crate::store::Ledger;
use crate::store::small::SmallState;

/// Claims of one agent that may wait. A backlog of hours makes many of them; of too many the middle ones go, which moves the
/// frontier in fewer, larger steps.
const CLAIMS_MAX: usize = 64;
/// Boots of one agent that are remembered, the settled ones that were heard of last.
const BOOTS_MAX: usize = 1024;

/// What is known of one agent.
#[derive(Debug, Default)]
pub(super) struct AgentBooks {
    boots: BTreeMap<BootId, Ledger>,
    /// Islands that a ledger had from another collector at the start; the agent may make its own beside them.
    adopted: BTreeMap<BootId, usize>,
    claims: VecDeque<Claim>,
    frontier: Option<WallTime>,
}

impl AgentBooks {
    /// The ledger of a boot, a new one when it was never heard of.
    pub(super) fn ledger(&mut self, boot: BootId) -> &mut Ledger {
        self.boots.entry(boot).or_default()
    }

    /// Islands of a boot that the agent did not make.
    pub(super) fn adopted(&self, boot: BootId) -> usize {
        self.adopted.get(&boot).copied().unwrap_or(0)
    }

    pub(super) fn find(&self, boot: BootId) -> Option<&Ledger> {
        self.boots.get(&boot)
    }

    /// Boots in which something is missing below what has come, and how far they go.
    pub(super) fn with_gaps(&self) -> Vec<(BootId, u64)> {
        let gaps = self.boots.iter().filter(|(_, ledger)| !ledger.has_no_gaps());
        gaps.map(|(boot, ledger)| (*boot, ledger.end_sequence() - 1)).collect()
    }

    /// All ledgers, to be looked over.
    pub(super) fn ledgers_mut(&mut self) -> impl Iterator<Item = (BootId, &mut Ledger)> {
        self.boots.iter_mut().map(|(boot, ledger)| (*boot, ledger))
    }

    /// Keeps a claim until it is fulfilled.
    pub(super) fn claim(&mut self, claim: Claim) {
        // What an earlier boot claimed is part of what the running one claims.
        self.claims.retain(|waiting| waiting.boot == claim.boot);
        if self.claims.len() >= CLAIMS_MAX {
            self.claims.remove(CLAIMS_MAX / 2);
        }
        self.claims.push_back(claim);
    }

    /// Moves the frontier past the claims that are fulfilled by now, and says where to if it moved.
    pub(super) fn advance(&mut self) -> Option<WallTime> {
        let mut reached = None;
        while self.claims.front().is_some_and(|claim| self.fulfils(claim)) {
            reached = reached.max(self.claims.pop_front().map(|claim| claim.through));
        }
        let moved = reached.filter(|through| self.frontier.is_none_or(|frontier| *through > frontier))?;
        self.frontier = Some(moved);
        Some(moved)
    }

    pub(super) const fn frontier(&self) -> Option<WallTime> {
        self.frontier
    }

    fn fulfils(&self, claim: &Claim) -> bool {
        let has = |boot, below| below <= 1 || self.find(boot).is_some_and(|ledger| ledger.next_sequence() >= below);
        has(claim.boot, claim.below) && claim.earlier.iter().all(|&(boot, below)| has(boot, below))
    }

    /// Forgets the boots that were not heard of for longest, when there are too many, and says which.
    pub(super) fn forget(&mut self, keep: BootId) -> Vec<BootId> {
        let excess = self.boots.len().saturating_sub(BOOTS_MAX);
        if excess == 0 {
            return Vec::new();
        }
        let mut by_age: Vec<(WallTime, BootId)> =
            self.boots.iter().filter(|(boot, _)| **boot != keep).map(|(boot, l)| (l.arrived, *boot)).collect();
        by_age.sort_unstable();
        let forgotten: Vec<BootId> = by_age.into_iter().take(excess).map(|(_, boot)| boot).collect();
        forgotten.iter().for_each(|boot| drop(self.boots.remove(boot)));
        forgotten
    }

    /// The ledgers heard of last, for people and programs, the newest last; at most 16.
    pub(super) fn to_messages(&self) -> Vec<v1::Ledger> {
        let mut boots: Vec<_> = self.boots.iter().collect();
        boots.sort_by_key(|(boot, ledger)| (ledger.arrived, **boot));
        boots.iter().skip(boots.len().saturating_sub(16)).map(|(boot, ledger)| ledger.to_message(boot.0)).collect()
    }

    pub(super) fn last_arrival(&self) -> Option<WallTime> {
        self.boots.values().map(|ledger| ledger.arrived).max()
    }
}

/// What is known of all agents.
#[derive(Debug, Default)]
pub(super) struct AllBooks(HashMap<AgentId, AgentBooks>);

impl AllBooks {
    pub(super) fn of(small: &SmallState) -> Self {
        let mut all = Self::default();
        for (agent, boot, ledger) in &small.ledgers {
            let books = all.of_agent(agent);
            books.boots.insert(*boot, ledger.clone());
            if ledger.islands_adopted() > 0 {
                books.adopted.insert(*boot, ledger.islands_adopted());
            }
        }
        for (agent, through) in &small.frontiers {
            all.of_agent(agent).frontier = Some(*through);
        }
        all
    }

    pub(super) fn of_agent(&mut self, agent: &AgentId) -> &mut AgentBooks {
        if !self.0.contains_key(agent) {
            self.0.insert(agent.clone(), AgentBooks::default());
        }
        self.0.entry(agent.clone()).or_default()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&AgentId, &mut AgentBooks)> {
        self.0.iter_mut()
    }

    pub(super) fn find(&self, agent: &AgentId) -> Option<&AgentBooks> {
        self.0.get(agent)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&AgentId, &AgentBooks)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(boot: u64, through: i64, below: u64, earlier: &[(u64, u64)]) -> Claim {
        let earlier = earlier.iter().map(|&(boot, below)| (BootId(boot), below)).collect();
        Claim { boot: BootId(boot), through: WallTime::from_micros(through), below, earlier }
    }

    fn at(us: i64) -> Option<WallTime> {
        Some(WallTime::from_micros(us))
    }

    #[test]
    fn a_frontier_waits_for_the_boot_and_for_those_before_it() {
        let mut books = AgentBooks::default();
        books.claim(claim(2, 100, 1, &[]));
        assert_eq!(books.advance(), at(100), "nothing was measured yet, and nothing is to come");
        books.claim(claim(2, 200, 11, &[(1, 5)]));
        books.ledger(BootId(2)).settle(1..11);
        assert_eq!(books.advance(), None, "boot 1 is not in");
        books.ledger(BootId(1)).settle(1..3);
        books.claim(claim(2, 300, 11, &[]));
        assert_eq!(books.advance(), None, "the claims stand in order");
        books.ledger(BootId(1)).settle(3..5);
        assert_eq!(books.advance(), at(300));
        books.claim(claim(2, 250, 1, &[]));
        assert_eq!(books.advance(), None, "it never goes back");
    }

    #[test]
    fn a_gap_holds_the_frontier() {
        let mut books = AgentBooks::default();
        books.claim(claim(7, 100, 21, &[]));
        books.ledger(BootId(7)).settle(11..21);
        assert_eq!(books.advance(), None);
        books.ledger(BootId(7)).settle(1..11);
        assert_eq!(books.advance(), at(100));
    }

    #[test]
    fn claims_and_boots_do_not_pile_up() {
        let mut books = AgentBooks::default();
        for i in 0..1000 {
            books.claim(claim(1, i, 2, &[]));
        }
        assert_eq!(books.claims.len(), CLAIMS_MAX);
        books.ledger(BootId(1)).settle(1..2);
        assert_eq!(books.advance(), at(999));
        for boot in 1..2000 {
            books.ledger(BootId(boot)).arrived = WallTime::from_micros(i64::try_from(boot).unwrap());
        }
        let forgotten = books.forget(BootId(1));
        assert_eq!((forgotten.len(), forgotten[0], books.boots.len()), (1999 - BOOTS_MAX, BootId(2), BOOTS_MAX));
    }
}
