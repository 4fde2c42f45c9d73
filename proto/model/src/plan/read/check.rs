//! Does a tree fit the schema, and where does it not?
//!
//! The walk follows the schema that schemars made of the raw structs, so that reader and schema cannot say different things. What does
//! not fit is told with its place and left out; the rest comes back as JSON that the raw structs read without an error.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::path::Path;
use super::shape::{
    has_type, narrow, plain, resolve, scalar_value, schema, tagged, takes_anything, text_value, wanted,
};
use super::tree::{Entry, Kind, Mark, Node, Scalar};
use super::{Mistake, hint};

/// What the check hands on.
pub(super) struct Checked {
    /// The file, without what did not fit.
    pub(super) value: Value,
    /// Where each value stands, by dotted path.
    pub(super) marks: BTreeMap<String, Mark>,
    pub(super) mistakes: Vec<Mistake>,
}

/// Walks a tree along the schema.
pub(super) fn check(root: &Node, mistakes: Vec<Mistake>) -> Checked {
    check_along(schema(), root, mistakes)
}

/// Walks a tree that is only a policy.
pub(super) fn check_policy(root: &Node, mistakes: Vec<Mistake>) -> Checked {
    check_along(schema().pointer("/$defs/Policy").unwrap_or(&Value::Bool(true)), root, mistakes)
}

fn check_along(schema: &Value, root: &Node, mistakes: Vec<Mistake>) -> Checked {
    let mut walk = Walk { marks: BTreeMap::new(), mistakes };
    let value = walk.node(schema, root, &mut Path::root());
    Checked { value: value.unwrap_or_else(|| json!({})), marks: walk.marks, mistakes: walk.mistakes }
}

struct Walk {
    marks: BTreeMap<String, Mark>,
    mistakes: Vec<Mistake>,
}

impl Walk {
    /// The value of a node, `None` when it does not fit, which has been told then.
    fn node(&mut self, schema: &Value, node: &Node, path: &mut Path) -> Option<Value> {
        self.marks.insert(path.as_str().to_owned(), node.mark);
        let (schema, shorthand) = narrow(schema, node);
        match &node.kind {
            Kind::Bad => None,
            _ if takes_anything(schema) => Some(plain(node)),
            Kind::Scalar(scalar) => {
                let value = self.scalar(schema, scalar, node.mark, path)?;
                Some(shorthand.map_or(value.clone(), |key| json!({ key: value })))
            }
            Kind::List(items) => self.list(schema, items, node.mark, path),
            Kind::Map(entries) => self.map(schema, entries, node.mark, path),
            // Nothing after the colon is as good as an empty collection; elsewhere something was forgotten.
            Kind::Null if has_type(schema, "object") => self.map(schema, &[], node.mark, path),
            Kind::Null if has_type(schema, "array") => self.list(schema, &[], node.mark, path),
            Kind::Null => self.tell(path, node.mark, format!("expected {}, found nothing", wanted(schema))),
        }
    }

    fn tell(&mut self, path: &Path, mark: Mark, message: String) -> Option<Value> {
        self.mistakes.push(path.mistake(mark, message));
        None
    }

    fn scalar(&mut self, schema: &Value, scalar: &Scalar, mark: Mark, path: &Path) -> Option<Value> {
        match scalar_value(schema, scalar) {
            Ok(value) => Some(value),
            Err(message) => self.tell(path, mark, message),
        }
    }

    fn list(&mut self, schema: &Value, items: &[Node], mark: Mark, path: &mut Path) -> Option<Value> {
        if !has_type(schema, "array") {
            return self.tell(path, mark, format!("expected {}, found a list", wanted(schema)));
        }
        self.size(schema, items.len(), ["minItems", "maxItems"], "entries", mark, path);
        let item_schema = schema.get("items").unwrap_or(&Value::Bool(true));
        let unique = schema.get("uniqueItems") == Some(&Value::Bool(true));
        let mut list: Vec<Value> = Vec::new();
        let mut seen = BTreeSet::new();
        for (i, item) in items.iter().enumerate() {
            path.within_item(i, |path| {
                let Some(value) = self.node(item_schema, item, path) else { return };
                if unique && !seen.insert(value.to_string()) {
                    self.tell(path, item.mark, format!("{value} stands in the list already"));
                }
                list.push(value);
            });
        }
        Some(Value::Array(list))
    }

    fn map(&mut self, schema: &Value, entries: &[Entry], mark: Mark, path: &mut Path) -> Option<Value> {
        if let Some(options) = tagged(schema) {
            return self.tagged(&options, entries, mark, path);
        }
        if !has_type(schema, "object") {
            return self.tell(path, mark, format!("expected {}, found a map", wanted(schema)));
        }
        self.size(schema, entries.len(), ["minProperties", "maxProperties"], "entries", mark, path);
        self.missing(schema, entries, mark, path);
        let empty = Map::new();
        let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        Some(Value::Object(self.entries(schema, known, entries, path)))
    }

    fn entries(
        &mut self,
        schema: &Value,
        known: &Map<String, Value>,
        entries: &[Entry],
        path: &mut Path,
    ) -> Map<String, Value> {
        let others = schema.get("additionalProperties").filter(|s| **s != Value::Bool(false));
        let mut map = Map::new();
        let mut seen = BTreeSet::new();
        for entry in entries {
            path.within(&entry.key, |path| {
                if !seen.insert(entry.key.as_str()) {
                    self.tell(path, entry.mark, "stands here a second time".to_owned());
                    return;
                }
                let of_entry = known.get(&entry.key).or(others);
                let Some(of_entry) = of_entry else { return self.unknown(known, entry, path) };
                if self.name(schema, entry, path) {
                    map.extend(self.node(of_entry, &entry.node, path).map(|value| (entry.key.clone(), value)));
                }
            });
        }
        map
    }

    fn name(&mut self, schema: &Value, entry: &Entry, path: &Path) -> bool {
        let Some(names) = schema.get("propertyNames") else { return true };
        match text_value(resolve(names), &entry.key) {
            Ok(_) => true,
            Err(message) => self.tell(path, entry.mark, message).is_some(),
        }
    }

    fn unknown(&mut self, known: &Map<String, Value>, entry: &Entry, path: &Path) {
        let known = known.keys().map(String::as_str);
        let message = match hint::closest(&entry.key, known.clone()) {
            Some(meant) => format!("unknown key, did you mean {meant}?"),
            None => format!("unknown key, known are {}", known.collect::<Vec<_>>().join(", ")),
        };
        self.tell(path, entry.mark, message);
    }

    fn missing(&mut self, schema: &Value, entries: &[Entry], mark: Mark, path: &mut Path) {
        for key in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !entries.iter().any(|e| e.key == key) {
                path.within(key, |path| self.tell(path, mark, "is missing".to_owned()));
            }
        }
    }

    fn size(&mut self, schema: &Value, found: usize, keys: [&str; 2], what: &str, mark: Mark, path: &Path) {
        let bound = |key| schema.get(key).and_then(Value::as_u64);
        let (min, max) = (bound(keys[0]).unwrap_or(0), bound(keys[1]).unwrap_or(u64::MAX));
        let found = found as u64;
        if found < min || found > max {
            let allowed = if max == u64::MAX { format!("at least {min}") } else { format!("{min} to {max}") };
            self.tell(path, mark, format!("has {found} {what}, allowed are {allowed}"));
        }
    }

    /// One key out of several, whose value belongs to it.
    fn tagged(
        &mut self,
        options: &Map<String, Value>,
        entries: &[Entry],
        mark: Mark,
        path: &mut Path,
    ) -> Option<Value> {
        if entries.len() != 1 {
            let known: Vec<_> = options.keys().map(String::as_str).collect();
            return self.tell(
                path,
                mark,
                format!("has {} keys, expected exactly one of {}", entries.len(), known.join(", ")),
            );
        }
        let map = self.entries(&json!({ "additionalProperties": false }), options, entries, path);
        (!map.is_empty()).then_some(Value::Object(map))
    }
}
