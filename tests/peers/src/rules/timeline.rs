//! How does a rule's test read?
//!
//! ```text
//!   "UU D3 ."   what one vantage saw, slot by slot: U up, D down, S slow (7 s), T bad certificate, . nothing; D3 is DDD
//!   "U4 D2"     what the rule said at the end of each slot
//! ```
//!
//! Vantages are a second apart within the slot, in the order of the rows.

use uitwijk_model::AgentId;

use super::start;
use crate::name::RuleName;
use crate::rule::{Seen, secs};

/// The agent whose row has this number.
pub(crate) fn agent(row: usize) -> AgentId {
    AgentId::new(format!("v-{row}")).expect("a name")
}

/// Lets a rule watch one target, and compares what it says.
pub(crate) fn check(rule: &RuleName, seen: &[&str], wanted: &str) {
    let wanted: String = slots(wanted).into_iter().collect();
    assert_eq!(said(rule, seen), wanted, "{rule} on\n{}", seen.join("\n"));
}

/// What a rule says of one target, slot by slot.
pub(crate) fn said(rule: &RuleName, seen: &[&str]) -> String {
    let from = rule.vantage().map_or(0, |id| (0..seen.len()).position(|row| agent(row) == *id).expect("a row"));
    let mut state = start(rule, from);
    let rows: Vec<Vec<char>> = seen.iter().map(|row| slots(row)).collect();
    let mut answer = String::new();
    for slot in 0..rows[0].len() {
        for (vantage, row) in rows.iter().enumerate() {
            let at = secs(10 * slot.cast_signed() as i64 + vantage.cast_signed() as i64);
            if let Some(seen) = result(row[slot], at, vantage) {
                state.take(&seen);
            }
        }
        answer.push(if state.is_down(secs(10 * (slot.cast_signed() as i64 + 1))) { 'D' } else { 'U' });
    }
    answer
}

/// What a letter stands for.
fn result(letter: char, at: i64, vantage: usize) -> Option<Seen> {
    let seen = Seen { at, vantage, failed: matches!(letter, 'D' | 'T'), tls: letter == 'T', total: secs(0) };
    match letter {
        '.' => None,
        'S' => Some(Seen { total: secs(7), ..seen }),
        'U' | 'D' | 'T' => Some(seen),
        other => panic!("{other:?} is no result"),
    }
}

/// Letters with their counts written out.
fn slots(text: &str) -> Vec<char> {
    let mut slots = Vec::new();
    for word in text.split_whitespace() {
        let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
        let times = word[letters.len()..].parse().unwrap_or(1);
        let last = letters.chars().next_back().expect("a letter");
        slots.extend(letters.chars());
        slots.extend(std::iter::repeat_n(last, times - 1));
    }
    slots
}
