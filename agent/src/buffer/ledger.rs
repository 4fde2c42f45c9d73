//! How many measurements of which boot has which collector, and where did the others go?
//!
//! ```text
//!   sequences of one boot, as one collector is concerned
//!   1 ........ cursor ............................. next
//!   | settled  |  gap: expired | buffered | gap: lost | buffered |
//! ```
//!
//! Every sequence below the cursor is settled: delivered, or declared gone and acknowledged so. Above it a sequence
//! lies in a gap (gone, to be told) or is buffered. So `started = delivered + buffered + expired + lost` holds by
//! construction and cannot drift apart, as four counters that are kept by hand would. Pure: no files, no clock.

use std::collections::BTreeMap;

use uitwijk_model::{BootId, Sequence};
use uitwijk_proto::v1;

/// Holes that are remembered per collector and boot; past it new measurements are lost until some are told.
const GAPS_MAX: usize = 256;

/// Why measurements will never be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Loss {
    /// Dropped as the oldest of a full buffer.
    Expired = 1,
    /// The disk could not take them.
    Unwritable = 2,
    /// The disk did not give them back.
    Unreadable = 3,
}

impl Loss {
    /// Every reason, in order of number.
    pub const ALL: [Self; 3] = [Self::Expired, Self::Unwritable, Self::Unreadable];

    /// The reason in the schema.
    #[must_use]
    pub const fn to_wire(self) -> v1::LossReason {
        match self {
            Self::Expired => v1::LossReason::Expired,
            Self::Unwritable => v1::LossReason::Unwritable,
            Self::Unreadable => v1::LossReason::Unreadable,
        }
    }

    /// The name in metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Unwritable => "unwritable",
            Self::Unreadable => "unreadable",
        }
    }

    pub(super) fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|&reason| reason as u32 == number)
    }
}

/// Where the measurements of one boot are, as one collector is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Books {
    /// The boot that made them.
    pub boot: BootId,
    /// Given a sequence.
    pub started: u64,
    /// Acknowledged by the collector.
    pub delivered: u64,
    /// Given a sequence, not acknowledged: on disk or about to be.
    pub buffered: u64,
    /// Dropped as the oldest before the collector had them.
    pub expired: u64,
    /// The disk could not take them.
    pub unwritable: u64,
    /// The disk did not give them back.
    pub unreadable: u64,
}

impl Books {
    /// The accounting identity; false is a fault of this program.
    #[must_use]
    pub const fn balance(&self) -> bool {
        self.started == self.delivered + self.buffered + self.expired + self.unwritable + self.unreadable
    }

    /// As they stand in a heartbeat.
    #[must_use]
    pub fn to_wire(&self) -> v1::Books {
        let lost = [(Loss::Unwritable, self.unwritable), (Loss::Unreadable, self.unreadable)];
        let lost = lost.into_iter().filter(|&(_, count)| count > 0);
        v1::Books {
            boot: self.boot.0,
            started: self.started,
            delivered: self.delivered,
            buffered: self.buffered,
            expired: self.expired,
            lost: lost.map(|(reason, count)| v1::Loss { reason: reason.to_wire().into(), count }).collect(),
        }
    }
}

/// Adjacent sequences that will never be delivered to one collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) first: Sequence,
    /// One past the last.
    pub(super) end: Sequence,
    pub(super) reason: Loss,
    /// The rows were on their way when they were dropped here, so an acknowledgement of them means delivered.
    pub(super) sent: bool,
}

impl Gap {
    pub(super) const fn count(&self) -> u64 {
        self.end - self.first
    }
}

/// What one collector knows of one boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    /// Everything below is settled.
    pub(super) cursor: Sequence,
    /// Of that, not delivered, by reason.
    pub(super) settled: [u64; 3],
    /// Sorted, disjoint, none below the cursor.
    pub(super) gaps: Vec<Gap>,
    /// Everything below was handed to the uplink since it last started over.
    pub(super) offered: Sequence,
}

impl Default for Account {
    fn default() -> Self {
        Self { cursor: 1, settled: [0; 3], gaps: Vec::new(), offered: 1 }
    }
}

impl Account {
    /// The collector settled everything below `to`.
    fn settle(&mut self, to: Sequence) {
        let settled = &mut self.settled;
        self.gaps.retain_mut(|gap| {
            let passed = gap.end.min(to).saturating_sub(gap.first);
            if !gap.sent {
                settled[gap.reason as usize - 1] += passed;
            }
            gap.first += passed;
            gap.first < gap.end
        });
        self.cursor = self.cursor.max(to);
        self.offered = self.offered.max(self.cursor);
    }

    /// The sequences from `first` to before `end` are gone, as far as the collector does not have them.
    pub(super) fn lose(&mut self, first: Sequence, end: Sequence, reason: Loss) {
        let first = first.max(self.cursor);
        let on_the_way = if reason == Loss::Expired { self.offered.clamp(first, end.max(first)) } else { first };
        self.insert(first, on_the_way, reason, true);
        self.insert(on_the_way, end, reason, false);
    }

    /// Adds what no gap covers yet.
    fn insert(&mut self, first: Sequence, end: Sequence, reason: Loss, sent: bool) {
        let mut pieces = Vec::new();
        let mut from = first;
        for gap in self.gaps.iter().filter(|gap| gap.end > first && gap.first < end) {
            pieces.push((from, gap.first));
            from = gap.end;
        }
        pieces.push((from, end));
        let pieces = pieces.into_iter().filter(|(first, end)| first < end);
        self.gaps.extend(pieces.map(|(first, end)| Gap { first, end, reason, sent }));
        self.tidy();
    }

    fn tidy(&mut self) {
        self.gaps.sort_by_key(|gap| gap.first);
        self.gaps.dedup_by(|next, gap| {
            let joins = gap.end == next.first && gap.reason == next.reason && gap.sent == next.sent;
            if joins {
                gap.end = next.end;
            }
            joins
        });
    }

    /// The uplink starts over at the cursor; what was on its way and is gone here has to be told after all.
    pub(super) fn rewind(&mut self) {
        self.offered = self.cursor;
        for gap in &mut self.gaps {
            gap.sent = false;
        }
        self.tidy();
    }

    /// A tombstone for this gap went out, so its acknowledgement means that it is known, not delivered.
    pub(super) fn told(&mut self, told: Gap) {
        self.offered = self.offered.max(told.end);
        for gap in self.gaps.iter_mut().filter(|gap| gap.end == told.end) {
            gap.sent = false;
        }
        self.tidy();
    }

    /// The gap that holds this sequence, cut to start there.
    pub(super) fn gap_at(&self, sequence: Sequence) -> Option<Gap> {
        let gap = self.gaps.iter().find(|gap| gap.first <= sequence && sequence < gap.end)?;
        Some(Gap { first: sequence, ..*gap })
    }

    /// Where the next gap after this sequence begins.
    pub(super) fn gap_after(&self, sequence: Sequence) -> Option<Sequence> {
        self.gaps.iter().map(|gap| gap.first).find(|&first| first > sequence)
    }

    /// Everything that is not in a gap is lost too: the records are gone, and nobody knows more.
    fn lose_all(&mut self, next: Sequence, reason: Loss) {
        self.rewind();
        self.lose(self.cursor, next, reason);
    }

    fn books(&self, boot: BootId, next: Sequence) -> Books {
        let gone = |reason: Loss| {
            let open = self.gaps.iter().filter(|gap| gap.reason == reason).map(Gap::count).sum::<u64>();
            self.settled[reason as usize - 1] + open
        };
        let open = self.gaps.iter().map(Gap::count).sum::<u64>();
        Books {
            boot,
            started: next - 1,
            delivered: (self.cursor - 1).saturating_sub(self.settled.iter().sum()),
            buffered: (next - self.cursor).saturating_sub(open),
            expired: gone(Loss::Expired),
            unwritable: gone(Loss::Unwritable),
            unreadable: gone(Loss::Unreadable),
        }
    }
}

/// One life of the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Boot {
    /// Counts boots of this buffer; later is larger.
    pub(super) ordinal: u64,
    pub(super) id: BootId,
    /// The sequence that comes next.
    pub(super) next: Sequence,
    /// No record below this sequence is kept any more.
    pub(super) base: Sequence,
    /// Collectors for which it is not settled yet.
    pub(super) accounts: BTreeMap<String, Account>,
    /// Differs from what is on disk.
    pub(super) dirty: bool,
}

impl Boot {
    pub(super) fn new(ordinal: u64, id: BootId, collectors: &[String]) -> Self {
        let accounts = collectors.iter().map(|name| (name.clone(), Account::default())).collect();
        Self { ordinal, id, next: 1, base: 1, accounts, dirty: true }
    }

    /// A collector that was not there before: it gets what is kept, and is told what is not.
    fn adopt(&mut self, collector: &str) {
        let mut account = Account::default();
        account.lose(1, self.base, Loss::Expired);
        for gap in self.accounts.values().next().map(|other| other.gaps.clone()).unwrap_or_default() {
            account.lose(gap.first.max(self.base), gap.end, gap.reason);
        }
        self.accounts.insert(collector.to_owned(), account);
        self.dirty = true;
    }
}

/// All boots that are not settled with every collector, oldest first, the running one last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) boots: Vec<Boot>,
}

impl Ledger {
    pub(super) fn boot(&self, id: BootId) -> Option<&Boot> {
        self.boots.iter().find(|boot| boot.id == id)
    }

    pub(super) fn boot_mut(&mut self, id: BootId) -> Option<&mut Boot> {
        self.boots.iter_mut().find(|boot| boot.id == id)
    }

    pub(super) fn account(&self, collector: &str, boot: BootId) -> Option<&Account> {
        self.boot(boot)?.accounts.get(collector)
    }

    pub(super) fn account_mut(&mut self, collector: &str, boot: BootId) -> Option<&mut Account> {
        self.boot_mut(boot)?.accounts.get_mut(collector)
    }

    /// Forgets collectors that are not configured, adopts new ones; returns the two lists of names.
    pub(super) fn configure(&mut self, collectors: &[String]) -> (Vec<String>, Vec<String>) {
        let known = self.boots.iter().flat_map(|boot| boot.accounts.keys().cloned());
        let known: std::collections::BTreeSet<String> = known.collect();
        let forgotten: Vec<String> = known.iter().filter(|name| !collectors.contains(name)).cloned().collect();
        let adopted: Vec<String> = collectors.iter().filter(|name| !known.contains(*name)).cloned().collect();
        for boot in &mut self.boots {
            adopted.iter().for_each(|name| boot.adopt(name));
            boot.dirty |= !forgotten.is_empty();
            boot.accounts.retain(|name, _| !forgotten.contains(name));
        }
        (forgotten, adopted)
    }

    /// Moves a cursor; true when it moved. A claim beyond what was started is cut to it.
    pub(super) fn acknowledge(&mut self, collector: &str, boot: BootId, next: Sequence) -> bool {
        let Some(boot) = self.boot_mut(boot) else { return false };
        let Some(account) = boot.accounts.get_mut(collector) else { return false };
        let to = next.min(boot.next);
        let moved = to > account.cursor;
        if moved {
            account.settle(to);
            boot.dirty = true;
        }
        moved
    }

    /// Declares a range gone, for every collector that does not have it.
    pub(super) fn lose(&mut self, boot: BootId, first: Sequence, end: Sequence, reason: Loss) {
        if let Some(boot) = self.boot_mut(boot) {
            boot.accounts.values_mut().for_each(|account| account.lose(first, end, reason));
            boot.dirty = true;
        }
    }

    /// Declares everything gone that is not settled.
    pub(super) fn lose_everything(&mut self, reason: Loss) {
        for boot in &mut self.boots {
            let next = boot.next;
            boot.accounts.values_mut().for_each(|account| account.lose_all(next, reason));
            boot.base = next;
            boot.dirty = true;
        }
    }

    /// No more holes can be remembered for this boot.
    pub(super) fn is_full_of_holes(&self, boot: BootId) -> bool {
        self.boot(boot).is_some_and(|boot| boot.accounts.values().any(|account| account.gaps.len() >= GAPS_MAX))
    }

    /// This collector needs nothing of the boot below `end`.
    pub(super) fn is_settled(&self, collector: &str, boot: BootId, end: Sequence) -> bool {
        self.account(collector, boot).is_none_or(|account| account.cursor >= end)
    }

    /// Closes what is settled in boots that run no more; returns the ordinals of boots that are forgotten whole.
    pub(super) fn sweep(&mut self, running: BootId) -> Vec<u64> {
        for boot in self.boots.iter_mut().filter(|boot| boot.id != running) {
            let (before, next) = (boot.accounts.len(), boot.next);
            boot.accounts.retain(|_, account| account.cursor < next);
            boot.dirty |= boot.accounts.len() != before;
        }
        let (kept, gone) = self.boots.drain(..).partition(|boot| boot.id == running || !boot.accounts.is_empty());
        self.boots = kept;
        gone.into_iter().map(|boot: Boot| boot.ordinal).collect()
    }

    /// The books of one collector, oldest boot first.
    pub(super) fn books(&self, collector: &str) -> Vec<Books> {
        let of = |boot: &Boot| Some(boot.accounts.get(collector)?.books(boot.id, boot.next));
        self.boots.iter().filter_map(of).collect()
    }
}
