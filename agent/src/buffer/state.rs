//! What does the buffer write down about itself?
//!
//! Three things, each small: a head, one entry per boot, and now and then both together in a file of their own,
//! so that the books survive when the store does not. They are Protobuf messages that
//! only this file knows; a field is added, never changed, and a change that old readers must not see raises
//! [`super::directory::FORMAT`].

use std::collections::BTreeMap;

use prost::Message;
use uitwijk_model::BootId;

use super::ledger::{Account, Boot, Gap, Ledger, Loss};

/// Where records begin and end, and where each collector is.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Head {
    /// Records below are to be removed.
    #[prost(uint64, tag = "1")]
    pub(super) first_key: u64,
    /// The key of the next record.
    #[prost(uint64, tag = "2")]
    pub(super) next_key: u64,
    /// Bytes of all records, before whatever the store adds.
    #[prost(uint64, tag = "3")]
    pub(super) raw_bytes: u64,
    /// The ordinal of the next boot.
    #[prost(uint64, tag = "4")]
    pub(super) next_ordinal: u64,
    /// The first record that a collector does not have in full.
    #[prost(btree_map = "string, uint64", tag = "5")]
    pub(super) positions: BTreeMap<String, u64>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct BootEntry {
    #[prost(uint64, tag = "1")]
    ordinal: u64,
    #[prost(fixed64, tag = "2")]
    boot: u64,
    #[prost(uint64, tag = "3")]
    next: u64,
    #[prost(uint64, tag = "4")]
    base: u64,
    #[prost(message, repeated, tag = "5")]
    accounts: Vec<AccountEntry>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct AccountEntry {
    #[prost(string, tag = "1")]
    collector: String,
    #[prost(uint64, tag = "2")]
    cursor: u64,
    /// By reason, as `Loss` numbers them from 1.
    #[prost(uint64, repeated, tag = "3")]
    settled: Vec<u64>,
    #[prost(message, repeated, tag = "4")]
    gaps: Vec<GapEntry>,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct GapEntry {
    #[prost(uint64, tag = "1")]
    first: u64,
    #[prost(uint64, tag = "2")]
    count: u64,
    #[prost(uint32, tag = "3")]
    reason: u32,
}

/// Head and boots together: the file `books`.
#[derive(Clone, PartialEq, prost::Message)]
struct BooksFile {
    #[prost(message, optional, tag = "1")]
    head: Option<Head>,
    #[prost(message, repeated, tag = "2")]
    boots: Vec<BootEntry>,
}

fn entry_of(boot: &Boot) -> BootEntry {
    let gap = |gap: &Gap| GapEntry { first: gap.first, count: gap.count(), reason: gap.reason as u32 };
    let account = |(name, account): (&String, &Account)| AccountEntry {
        collector: name.clone(),
        cursor: account.cursor,
        settled: account.settled.to_vec(),
        gaps: account.gaps.iter().map(gap).collect(),
    };
    BootEntry {
        ordinal: boot.ordinal,
        boot: boot.id.0,
        next: boot.next,
        base: boot.base,
        accounts: boot.accounts.iter().map(account).collect(),
    }
}

fn boot_of(entry: BootEntry) -> Option<Boot> {
    let mut accounts = BTreeMap::new();
    for entry in entry.accounts {
        let gap = |gap: &GapEntry| {
            let reason = Loss::from_number(gap.reason)?;
            Some(Gap { first: gap.first, end: gap.first.checked_add(gap.count)?, reason, sent: false })
        };
        let gaps = entry.gaps.iter().map(gap).collect::<Option<Vec<Gap>>>()?;
        let settled = entry.settled.try_into().ok()?;
        let account = Account { cursor: entry.cursor, settled, gaps, offered: entry.cursor };
        accounts.insert(entry.collector, account);
    }
    let sane =
        entry.next >= 1 && entry.base <= entry.next && accounts.values().all(|account| is_sane(account, entry.next));
    let boot = Boot {
        ordinal: entry.ordinal,
        id: BootId(entry.boot),
        next: entry.next,
        base: entry.base,
        accounts,
        dirty: false,
    };
    sane.then_some(boot)
}

/// Whether an account says what it can say of a boot whose next sequence this is.
fn is_sane(account: &Account, next: u64) -> bool {
    let settled = account.settled.iter().try_fold(0u64, |sum, &count| sum.checked_add(count));
    let mut from = account.cursor;
    let in_order = account.gaps.iter().all(|gap| {
        let fits = from <= gap.first && gap.first < gap.end && gap.end <= next;
        from = gap.end;
        fits
    });
    (1..=next).contains(&account.cursor) && settled.is_some_and(|count| count < account.cursor) && in_order
}

/// One boot, as its entry in the store.
pub(super) fn encode_boot(boot: &Boot) -> Vec<u8> {
    entry_of(boot).encode_to_vec()
}

/// The boot of an entry; `None` when it makes no sense.
pub(super) fn decode_boot(bytes: &[u8]) -> Option<Boot> {
    BootEntry::decode(bytes).ok().and_then(boot_of)
}

/// Everything, for the file `books`.
pub(super) fn encode_books(head: &Head, ledger: &Ledger) -> Vec<u8> {
    BooksFile { head: Some(head.clone()), boots: ledger.boots.iter().map(entry_of).collect() }.encode_to_vec()
}

/// Everything, from the file `books`; `None` when it makes no sense.
pub(super) fn decode_books(bytes: &[u8]) -> Option<(Head, Ledger)> {
    let file = BooksFile::decode(bytes).ok()?;
    let boots = file.boots.into_iter().map(boot_of).collect::<Option<Vec<Boot>>>()?;
    Some((file.head?, Ledger { boots }))
}
