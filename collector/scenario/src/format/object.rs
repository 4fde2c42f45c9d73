//! How are all mistakes of an object found, and not only the first?
//!
//! An [`Object`] hands out its values one by one and writes down what is wrong with each; at the end it names the keys that
//! nobody asked for. A value that is wrong is replaced by something harmless, because a scenario with mistakes is never used.

use std::cell::RefCell;

use serde_json::{Map, Value};
use uitwijk_model::{IdError, Millis};

/// What is wrong, with the place in the scenario.
pub(super) type Notes = RefCell<Vec<String>>;

/// An object that is being read.
pub(super) struct Object<'a> {
    path: String,
    map: &'a Map<String, Value>,
    asked: RefCell<Vec<&'static str>>,
    notes: &'a Notes,
}

/// A value that is told in a mistake, not at full length.
fn told(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

impl<'a> Object<'a> {
    /// The object at a place; none, with a note, when something else stands there.
    pub(super) fn of(path: &str, value: &'a Value, notes: &'a Notes) -> Option<Self> {
        match value {
            Value::Object(map) => Some(Self { path: path.to_owned(), map, asked: RefCell::new(Vec::new()), notes }),
            other => {
                let place = if path.is_empty() { "the line" } else { path };
                notes.borrow_mut().push(format!("{place} {} is not an object", told(other)));
                None
            }
        }
    }

    /// Where a key stands.
    pub(super) fn place(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn note(&self, text: String) {
        self.notes.borrow_mut().push(text);
    }

    pub(super) fn wrong(&self, key: &str, value: &Value, allowed: &str) {
        self.note(format!("{} {} is not allowed: {allowed}", self.place(key), told(value)));
    }

    /// The value of a key, unless it is absent or null.
    pub(super) fn get(&self, key: &'static str) -> Option<&'a Value> {
        self.asked.borrow_mut().push(key);
        self.map.get(key).filter(|v| !v.is_null())
    }

    pub(super) fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    fn missing(&self, key: &str) {
        self.note(format!("{} is missing", self.place(key)));
    }

    pub(super) fn text(&self, key: &'static str) -> Option<&'a str> {
        let value = self.get(key)?;
        if value.as_str().is_none() {
            self.wrong(key, value, "a text");
        }
        value.as_str()
    }

    pub(super) fn needed_text(&self, key: &'static str) -> &'a str {
        if !self.has(key) {
            self.missing(key);
        }
        self.text(key).unwrap_or("")
    }

    pub(super) fn flag(&self, key: &'static str, otherwise: bool) -> bool {
        let Some(value) = self.get(key) else { return otherwise };
        value.as_bool().unwrap_or_else(|| {
            self.wrong(key, value, "true or false");
            otherwise
        })
    }

    /// A number within bounds.
    pub(super) fn number(&self, key: &'static str, (min, max): (f64, f64), otherwise: f64) -> f64 {
        let Some(value) = self.get(key) else { return otherwise };
        match value.as_f64() {
            Some(n) if (min..=max).contains(&n) => n,
            _ => {
                self.wrong(key, value, &format!("a number from {min} to {max}"));
                otherwise
            }
        }
    }

    /// A share from 0 to 1.
    pub(super) fn share(&self, key: &'static str, otherwise: f64) -> f64 {
        self.number(key, (0.0, 1.0), otherwise)
    }

    /// Seconds, kept to the millisecond.
    pub(super) fn seconds(&self, key: &'static str, otherwise: Millis) -> Millis {
        if !self.has(key) {
            return otherwise;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the bounds just checked")]
        Millis((self.number(key, (0.0, 1e9), 0.0) * 1000.0).round() as u64)
    }

    pub(super) fn needed_seconds(&self, key: &'static str) -> Millis {
        if !self.has(key) {
            self.missing(key);
        }
        self.seconds(key, Millis(0))
    }

    /// A name, made by the constructor of its type.
    pub(super) fn name<T>(&self, key: &'static str, make: impl Fn(&str) -> Result<T, IdError>) -> Option<T> {
        let value = self.get(key)?;
        self.made(key, value, &make)
    }

    /// A list of names, or one name; names may be whole numbers.
    pub(super) fn names<T>(&self, key: &'static str, make: impl Fn(&str) -> Result<T, IdError>) -> Vec<T> {
        match self.get(key) {
            None => Vec::new(),
            Some(Value::Array(list)) => list.iter().filter_map(|v| self.made(key, v, &make)).collect(),
            Some(value) => self.made(key, value, &make).into_iter().collect(),
        }
    }

    fn made<T>(&self, key: &str, value: &Value, make: &impl Fn(&str) -> Result<T, IdError>) -> Option<T> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(n) if n.is_u64() => n.to_string(),
            other => {
                self.wrong(key, other, "a name, or a list of names");
                return None;
            }
        };
        make(&text).map_err(|error| self.note(format!("{}: {error}", self.place(key)))).ok()
    }

    /// Every element of a list, with its place.
    pub(super) fn list(&self, key: &'static str) -> Vec<(String, &'a Value)> {
        match self.get(key) {
            None => Vec::new(),
            Some(Value::Array(list)) => {
                list.iter().enumerate().map(|(i, v)| (format!("{}[{i}]", self.place(key)), v)).collect()
            }
            Some(other) => {
                self.wrong(key, other, "a list");
                Vec::new()
            }
        }
    }

    /// The objects of a list.
    pub(super) fn objects(&self, key: &'static str) -> Vec<Object<'a>> {
        self.list(key).into_iter().filter_map(|(path, value)| Object::of(&path, value, self.notes)).collect()
    }

    /// The object under a key.
    pub(super) fn object(&self, key: &'static str) -> Option<Object<'a>> {
        Object::of(&self.place(key), self.get(key)?, self.notes)
    }

    /// The keys that nobody asked for.
    pub(super) fn unknown(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        self.map.keys().filter(|key| !asked.contains(&key.as_str())).map(|key| self.place(key)).collect()
    }

    /// Notes the keys that nobody asked for.
    pub(super) fn finish(&self) {
        let mut known = self.asked.borrow().clone();
        known.sort_unstable();
        known.dedup();
        for key in self.unknown() {
            self.note(format!("{key} is not known: use {}", known.join(", ")));
        }
    }
}
