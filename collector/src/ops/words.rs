//! Which words stand for the numbers on the wire?
//!
//! Those of the schema, in lower case and without their prefix: `NEED_NOT_NEEDED` is `not_needed`. So a table, a JSON answer and the
//! schema name a thing alike, and a number that this build does not know shows itself as a number.

use uitwijk_proto::v1;

use super::screen::Tone;

fn word(name: Option<&'static str>, prefix: &str, number: i32) -> String {
    match name.and_then(|name| name.strip_prefix(prefix)) {
        Some(rest) => rest.to_ascii_lowercase(),
        None => format!("unknown({number})"),
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $function:ident = $enumeration:ident, $prefix:literal;)+) => {
        $($(#[$doc])*
        pub(crate) fn $function(number: i32) -> String {
            word(v1::$enumeration::try_from(number).ok().map(|known| known.as_str_name()), $prefix, number)
        })+
    };
}

words! {
    /// Was a failover needed?
    need = Need, "NEED_";
    /// Why?
    cause = Cause, "CAUSE_";
    /// Was it done?
    execution = Execution, "EXECUTION_";
    /// How firm is it?
    kind = RevisionKind, "REVISION_KIND_";
    /// What does a cell of the evidence say?
    seen = Seen, "SEEN_";
    /// How did an attempt end?
    outcome = Outcome, "OUTCOME_";
    /// In which way did it fail?
    fault = Fault, "FAULT_";
    /// Why was nothing measured?
    unmeasured = Unmeasured, "UNMEASURED_";
    /// Why was something lost?
    loss = LossReason, "LOSS_REASON_";
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $function:ident = $enumeration:ident, $prefix:literal;)+) => {
        $($(#[$doc])*
        pub(crate) fn $function(word: &str) -> i32 {
            let name = format!("{}{}", $prefix, word.to_ascii_uppercase());
            v1::$enumeration::from_str_name(&name).map_or(0, Into::into)
        })+
    };
}

numbers! {
    /// The number of a need; 0 for a word that is none.
    need_number = Need, "NEED_";
    /// The number of a cause; 0 for a word that is none.
    cause_number = Cause, "CAUSE_";
    /// The number of an execution; 0 for a word that is none.
    execution_number = Execution, "EXECUTION_";
}

/// How a need looks.
pub(crate) fn need_tone(number: i32) -> Tone {
    match v1::Need::try_from(number) {
        Ok(v1::Need::NotNeeded) => Tone::Good,
        Ok(v1::Need::Needed) => Tone::Bad,
        Ok(v1::Need::Futile | v1::Need::Inconclusive) => Tone::Warning,
        _ => Tone::Plain,
    }
}

/// How an execution looks.
pub(crate) fn execution_tone(number: i32) -> Tone {
    match v1::Execution::try_from(number) {
        Ok(v1::Execution::Executed) => Tone::Good,
        Ok(v1::Execution::Missed) => Tone::Bad,
        Ok(v1::Execution::Unnecessary) => Tone::Warning,
        _ => Tone::Quiet,
    }
}

/// How an outcome looks.
pub(crate) fn outcome_tone(number: i32) -> Tone {
    match v1::Outcome::try_from(number) {
        Ok(v1::Outcome::Up) => Tone::Good,
        Ok(v1::Outcome::Slow) => Tone::Warning,
        Ok(v1::Outcome::Down) => Tone::Bad,
        _ => Tone::Quiet,
    }
}

/// A word, or a dash where there is nothing to say.
pub(crate) fn or_dash(text: &str) -> String {
    if text.is_empty() || text == "none" { "-".to_owned() } else { text.to_owned() }
}
