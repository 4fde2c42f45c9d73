//! How is a place in a plan named?

use super::Mistake;
use super::tree::Mark;

/// A dotted path from the root of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Path(String);

impl Path {
    pub(super) fn root() -> Self {
        Self::default()
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// A path below this one.
    pub(super) fn join(&self, key: impl std::fmt::Display) -> Self {
        let mut path = self.clone();
        path.push(&key.to_string());
        path
    }

    pub(super) fn item(&self, i: usize) -> Self {
        Self(format!("{}[{i}]", self.0))
    }

    /// Does something one key deeper, without a path of its own for every node.
    pub(super) fn within<T>(&mut self, key: &str, then: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.0.len();
        self.push(key);
        let result = then(self);
        self.0.truncate(length);
        result
    }

    pub(super) fn within_item<T>(&mut self, i: usize, then: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.0.len();
        self.0.push_str(&format!("[{i}]"));
        let result = then(self);
        self.0.truncate(length);
        result
    }

    pub(super) fn mistake(&self, mark: Mark, message: impl Into<String>) -> Mistake {
        Mistake { line: mark.line, column: mark.column, key: self.0.clone(), message: message.into() }
    }

    fn push(&mut self, key: &str) {
        if !self.0.is_empty() {
            self.0.push('.');
        }
        // A key may be any text; a long one is not repeated in full.
        self.0.extend(key.chars().take(80));
    }
}
