//! Is every measurement that was started in the store exactly once, or accounted for, and nothing else there?
//!
//! ```text
//!   a line of the record whose key is not in the store
//!     below the cursor     refused or lost, as many as the ledger counts; one more is missing
//!     above, in the books  the agent still has it
//!     above, at the end    of a start that is over, within the loss bound: it died with the process
//!     otherwise            missing
//!   a row of the store
//!     whose key came before          twice
//!     that no line of its agent has  never started
//! ```

use std::collections::{BTreeMap, BTreeSet};

use uitwijk_model::{AgentId, BootId, Millis, Sequence};
use uitwijk_proto::v1;

use super::begun::{Begun, Line};
use super::{Account, Key, Place};

/// Faults of a kind that are named; all are counted.
pub(super) const LISTED_MAX: usize = 20;

/// What the comparison takes as given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// What was recorded so short before the end of a boot may have died with the process.
    pub unsynced: Millis,
}

impl Default for Bounds {
    /// An agent promises 250 ms; a disk under load needs its time to sync.
    fn default() -> Self {
        Self { unsynced: Millis::from_secs(1) }
    }
}

/// Things of one kind: how many, and the first of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// All.
    pub count: u64,
    /// At most [`LISTED_MAX`].
    pub first: Vec<T>,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { count: 0, first: Vec::new() }
    }
}

impl<T> Listed<T> {
    fn add(&mut self, thing: T) {
        self.count += 1;
        if self.first.len() < LISTED_MAX {
            self.first.push(thing);
        }
    }
}

/// A boot whose ledger counts other rows than the store has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miscount {
    /// The agent.
    pub agent: AgentId,
    /// The boot.
    pub boot: BootId,
    /// Rows stored, by the ledger.
    pub counted: u64,
    /// Rows found.
    pub found: u64,
}

/// What a collector holds, beside what was started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Lines of the records.
    pub lines: u64,
    /// Lines that say nothing; a kill may tear one.
    pub unreadable: u64,
    /// Agents with a record.
    pub agents: u64,
    /// Starts of agents with a record.
    pub boots: u64,
    /// Lines whose row is in the store.
    pub stored: u64,
    /// Lines whose key is in the store by another number: the same turn was measured twice.
    pub duplicate: u64,
    /// Lines that are refused or lost, as the ledger counts.
    pub gone: u64,
    /// Lines that the agent still has.
    pub buffered: u64,
    /// Lines that died with the process.
    pub unsynced: u64,
    /// Rows of agents without a record; nothing can be said of them.
    pub unwatched: u64,
    /// Lines that should be in the store.
    pub missing: Listed<Place>,
    /// Rows whose key is in the store already.
    pub twice: Listed<Place>,
    /// Rows without a line.
    pub never_started: Listed<Place>,
    /// Ledgers that do not fit the rows.
    pub miscounted: Listed<Miscount>,
    /// Numbers that are settled and have no line.
    pub unrecorded: u64,
    /// Numbers with more than one line.
    pub again: u64,
}

impl Comparison {
    /// Nothing is missing, doubled, invented or counted wrongly.
    #[must_use]
    pub const fn balances(&self) -> bool {
        let rows = self.missing.count + self.twice.count + self.never_started.count;
        rows + self.miscounted.count + self.unrecorded + self.again == 0
    }
}

/// Holds what was started against what one collector says and stores.
#[must_use]
pub fn compare(
    begun: &Begun,
    accounts: &[Account],
    rows: impl IntoIterator<Item = Place>,
    bounds: Bounds,
) -> Comparison {
    let mut found = Comparison {
        lines: begun.lines,
        unreadable: begun.unreadable,
        again: begun.again,
        agents: begun.agents().len() as u64,
        boots: begun.boots.len() as u64,
        ..Comparison::default()
    };
    let store = look_at_rows(begun, rows, &mut found);
    let accounts: BTreeMap<(&str, u64), &Account> = accounts.iter().map(|a| ((a.agent.as_str(), a.boot), a)).collect();
    for (boot, lines) in &begun.boots {
        let account = accounts.get(&(boot.0.as_str(), boot.1.0)).copied();
        look_at_boot(boot, lines, account, &store, bounds, &mut found);
    }
    found
}

/// What is in the store.
#[derive(Default)]
struct Store {
    keys: BTreeSet<Key>,
    /// Rows by agent and boot.
    rows: BTreeMap<(AgentId, BootId), u64>,
}

fn look_at_rows(begun: &Begun, rows: impl IntoIterator<Item = Place>, found: &mut Comparison) -> Store {
    let mut store = Store::default();
    for place in rows {
        let boot = (place.key.agent.clone(), place.boot);
        let line = begun.boots.get(&boot).and_then(|lines| lines.get(&place.sequence));
        let known = line.is_some_and(|line| line.key == place.key);
        *store.rows.entry(boot).or_default() += 1;
        if !store.keys.insert(place.key.clone()) {
            found.twice.add(place);
        } else if known {
            found.stored += 1;
        } else if begun.knows(&place.key.agent) {
            found.never_started.add(place);
        } else {
            found.unwatched += 1;
        }
    }
    store
}

fn look_at_boot(
    boot: &(AgentId, BootId),
    lines: &BTreeMap<Sequence, Line>,
    account: Option<&Account>,
    store: &Store,
    bounds: Bounds,
    found: &mut Comparison,
) {
    let nothing = v1::Ledger { next_sequence: 1, end_sequence: 1, ..v1::Ledger::default() };
    let ledger = account.map_or(&nothing, |account| &account.ledger);
    let rows = store.rows.get(boot).copied().unwrap_or(0);
    if rows != ledger.stored {
        let (agent, boot) = boot.clone();
        found.miscounted.add(Miscount { agent, boot, counted: ledger.stored, found: rows });
    }
    let below = lines.range(..ledger.next_sequence).count() as u64;
    found.unrecorded += ledger.next_sequence.saturating_sub(1).saturating_sub(below);

    let last_us = lines.values().map(|line| line.recorded_us).max().unwrap_or(0);
    let bound_us = i64::try_from(bounds.unsynced.0.saturating_mul(1000)).unwrap_or(i64::MAX);
    let (mut present, mut excused) = (0, ledger.refused + ledger.lost);
    for (&sequence, line) in lines {
        if store.keys.contains(&line.key) {
            present += 1;
        } else if sequence < ledger.next_sequence && excused > 0 {
            excused -= 1;
            found.gone += 1;
        } else if sequence >= ledger.next_sequence && account.is_some_and(|account| account.said.is_some()) {
            found.buffered += 1;
        } else if sequence >= ledger.end_sequence && last_us.saturating_sub(line.recorded_us) <= bound_us {
            found.unsynced += 1;
        } else {
            found.missing.add(Place { boot: boot.1, sequence, key: line.key.clone() });
        }
    }
    found.duplicate += u64::saturating_sub(present, rows);
}
