//! Which regular expressions are in use?
//!
//! Targets of one service share their expectations, and a compiled expression takes tens of kilobytes, so equal ones
//! are compiled once. They match bytes, because a body need not be text.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use regex::bytes::{Regex, RegexBuilder};

use super::ProberError;

/// The expressions in use, by their text.
#[derive(Debug, Default)]
pub(crate) struct Patterns(Mutex<HashMap<String, Weak<Regex>>>);

impl Patterns {
    /// The compiled expression; `key` names it in an error.
    pub(crate) fn get(&self, key: &'static str, pattern: &str) -> Result<Arc<Regex>, ProberError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(regex) = known.get(pattern).and_then(Weak::upgrade) {
            return Ok(regex);
        }
        let compiled = RegexBuilder::new(pattern).dfa_size_limit(256 * 1024).build();
        let regex = Arc::new(compiled.map_err(|_| ProberError {
            key,
            found: pattern.to_owned(),
            allowed: "a regular expression of the Rust kind",
        })?);
        known.retain(|_, regex| regex.strong_count() > 0);
        known.insert(pattern.to_owned(), Arc::downgrade(&regex));
        Ok(regex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_expressions_are_compiled_once_and_forgotten_with_their_last_user() {
        let patterns = Patterns::default();
        let one = patterns.get("body", "a+").unwrap();
        assert!(Arc::ptr_eq(&one, &patterns.get("body", "a+").unwrap()));
        drop(one);
        patterns.get("body", "b+").unwrap();
        assert_eq!(patterns.0.lock().unwrap().len(), 1);
        assert_eq!(patterns.get("expect", "(").unwrap_err().key, "expect");
    }
}
