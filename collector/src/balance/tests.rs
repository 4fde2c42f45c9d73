//! A lost, a doubled and an invented row are found, and what is accounted for is not called lost.

use uitwijk_proto::started::Started;

use uitwijk_model::Millis;

use super::*;

const AGENT: &str = "nl-1";
const BOOT: u64 = 7;

/// Number n is the measurement of slot n, recorded in second n.
fn started(boot: u64, sequence: u64) -> Started {
    let n = i64::try_from(sequence).unwrap();
    let target = "exchange/default@NL".to_owned();
    let agent = AGENT.to_owned();
    Started { agent, boot, sequence, target, slot: n, attempt: 0, scheduled_us: n, recorded_us: n * 1_000_000 }
}

fn begun(lines: impl IntoIterator<Item = Started>) -> Begun {
    let mut begun = Begun::default();
    lines.into_iter().for_each(|line| begun.take(&line));
    begun
}

fn place(boot: u64, sequence: u64, slot: i64) -> Place {
    let agent = uitwijk_model::AgentId::new(AGENT).unwrap();
    let target = TargetId::from_wire("exchange/default@NL");
    Place { boot: BootId(boot), sequence, key: Key { agent, target, slot: Slot(slot), attempt: 0 } }
}

/// The row of number n, as it should be.
fn row(n: u64) -> Place {
    place(BOOT, n, i64::try_from(n).unwrap())
}

/// Settled up to here.
fn ledger(stored: u64, refused: u64, lost: u64) -> v1::Ledger {
    let settled = stored + refused + lost;
    let next = settled + 1;
    let ledger = v1::Ledger { boot: BOOT, next_sequence: next, end_sequence: next, settled, ..v1::Ledger::default() };
    v1::Ledger { stored, refused, lost, ..ledger }
}

fn account(ledger: v1::Ledger, said: Option<v1::Books>) -> Account {
    Account { agent: AGENT.to_owned(), boot: BOOT, said, ledger }
}

/// Numbers 1 to `lines` were started.
fn checked(lines: u64, account: Account, rows: impl IntoIterator<Item = Place>) -> Comparison {
    let begun = begun((1..=lines).map(|n| started(BOOT, n)));
    compare(&begun, &[account], rows, Bounds::default())
}

/// The faults: missing, twice, never started, miscounted.
fn faults(c: &Comparison) -> [u64; 4] {
    [c.missing.count, c.twice.count, c.never_started.count, c.miscounted.count]
}

#[test]
fn equal_sets_balance() {
    let found = checked(10, account(ledger(10, 0, 0), None), (1..=10).map(row));
    assert!(found.balances(), "{found:?}");
    assert_eq!((found.lines, found.stored, found.agents, found.boots), (10, 10, 1, 1));
}

#[test]
fn a_lost_row_is_named() {
    let found = checked(10, account(ledger(10, 0, 0), None), (1..=10).filter(|n| *n != 4).map(row));
    assert_eq!(faults(&found), [1, 0, 0, 1], "and the ledger counts one that is not there");
    assert_eq!(found.missing.first, [row(4)]);
    assert_eq!((found.miscounted.first[0].counted, found.miscounted.first[0].found), (10, 9));
    let text = found.missing.first[0].to_string();
    assert_eq!(text, "nl-1 0000000000000007 number 4 exchange/default@NL slot 4 attempt 0");
    let quiet = checked(10, account(ledger(9, 0, 0), None), (1..=10).filter(|n| *n != 4).map(row));
    assert_eq!(faults(&quiet)[0], 1, "a ledger that knows of nine excuses none");
}

#[test]
fn a_doubled_row_is_named() {
    let found = checked(10, account(ledger(11, 0, 0), None), (1..=10).chain([4]).map(row));
    assert_eq!((faults(&found), found.twice.first), ([0, 1, 0, 0], vec![row(4)]));
}

#[test]
fn an_invented_row_is_named() {
    let invented = place(BOOT, 4, 99);
    let rows = (1..=10).map(row).chain([invented.clone()]);
    let found = checked(10, account(ledger(11, 0, 0), None), rows);
    assert_eq!((faults(&found), found.never_started.first), ([0, 0, 1, 0], vec![invented]));
    let renamed = checked(10, account(ledger(10, 0, 0), None), (1..=9).map(row).chain([place(8, 1, 10)]));
    assert_eq!(renamed.never_started.count, 1, "another boot is another name: {renamed:?}");
}

#[test]
fn what_is_refused_or_lost_is_excused_and_no_more_than_that() {
    let most = |n: &u64| !(3..=5).contains(n);
    let found = checked(10, account(ledger(7, 1, 2), None), (1..=10).filter(most).map(row));
    assert_eq!((found.balances(), found.gone), (true, 3));
    let found = checked(10, account(ledger(7, 1, 1), None), (1..=10).filter(most).map(row));
    assert_eq!((faults(&found)[0], found.gone), (1, 2));
}

#[test]
fn what_the_agent_still_has_is_not_missing() {
    let books = v1::Books { boot: BOOT, started: 10, delivered: 6, buffered: 4, ..v1::Books::default() };
    let found = checked(10, account(ledger(6, 0, 0), Some(books)), (1..=6).map(row));
    assert_eq!((found.balances(), found.buffered), (true, 4));
}

#[test]
fn only_the_end_of_a_start_may_die_with_the_process() {
    let bounds = |s| Bounds { unsynced: Millis::from_secs(s) };
    let begun = begun((1..=10).map(|n| started(BOOT, n)));
    let check = |s| compare(&begun, &[account(ledger(7, 0, 0), None)], (1..=7).map(row), bounds(s));
    assert_eq!((check(2).balances(), check(2).unsynced), (true, 3));
    assert_eq!((faults(&check(1))[0], check(1).unsynced), (1, 2), "one was recorded two seconds before the end");
    let hole = v1::Ledger { next_sequence: 8, end_sequence: 11, stored: 9, settled: 9, ..ledger(7, 0, 0) };
    let found = compare(&begun, &[account(hole, None)], (1..=7).chain([9, 10]).map(row), bounds(9));
    assert_eq!(faults(&found)[0], 1, "a hole is no end: {found:?}");
}

#[test]
fn a_turn_that_was_measured_twice_is_stored_once() {
    let mut again = started(BOOT, 11);
    again.slot = 10;
    let begun = begun((1..=10).map(|n| started(BOOT, n)).chain([again]));
    let ledger = v1::Ledger { duplicate: 1, settled: 11, next_sequence: 12, end_sequence: 12, ..ledger(10, 0, 0) };
    let found = compare(&begun, &[account(ledger, None)], (1..=10).map(row), Bounds::default());
    assert_eq!((found.balances(), found.stored, found.duplicate), (true, 10, 1), "{found:?}");
}

#[test]
fn numbers_without_a_line_and_with_two_are_told() {
    let begun = begun([1, 2, 2, 4].map(|n| started(BOOT, n)));
    let found = compare(&begun, &[account(ledger(4, 0, 0), None)], (1..=4).map(row), Bounds::default());
    assert_eq!((found.unrecorded, found.again, found.never_started.count), (1, 1, 1));
}

#[test]
fn agents_without_a_record_are_not_judged() {
    let found = compare(&Begun::default(), &[account(ledger(2, 0, 0), None)], [row(1), row(2)], Bounds::default());
    assert_eq!((found.balances(), found.unwatched), (true, 2));
}

#[test]
fn lists_are_short_and_counts_are_not() {
    let found = checked(1000, account(ledger(0, 0, 0), None), []);
    assert_eq!((found.missing.count, found.missing.first.len(), found.unsynced), (998, 20, 2));
}

#[test]
fn a_record_with_a_torn_line_is_read_on() {
    let line = |n| started(BOOT, n).to_line().unwrap();
    let text = format!("{}{}\n{}", line(1), &line(2)[..30], line(3));
    let mut begun = Begun::default();
    begun.read(text.as_bytes()).unwrap();
    assert_eq!((begun.lines, begun.unreadable), (2, 1));
    let long = format!("{}\n{}", "x".repeat(20_000), line(3));
    begun.read(long.as_bytes()).unwrap();
    assert_eq!(begun.lines, 3, "what is too long is read past");
}

#[test]
fn accounts_add_up_or_say_what_does_not() {
    let books = |started, delivered, buffered| v1::Books { started, delivered, buffered, ..v1::Books::default() };
    let good = account(ledger(7, 1, 2), Some(books(12, 8, 4)));
    assert_eq!(good.trouble(), None);
    let Sums { given, open, .. } = good.sums();
    assert_eq!((given, open), (12, 2), "the ledger knows more by now than the books");
    let cases = [
        account(v1::Ledger { stored: 6, ..ledger(7, 1, 2) }, None),
        account(ledger(7, 1, 2), Some(books(12, 8, 5))),
        account(ledger(7, 1, 2), Some(books(12, 11, 1))),
    ];
    let troubles: Vec<String> = cases.iter().filter_map(Account::trouble).collect();
    insta::assert_snapshot!(troubles.join("\n"), @r"
    the collector counts 9 of 10 settled
    the agent counts 13 of 12 started
    1 were acknowledged and are not known any more
    ");
}
