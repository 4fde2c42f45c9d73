//! Does a tree fit the schema, and where does it not?
//!
//! The walk follows the schema that schemars made of the raw structs, so that reader and schema cannot say different things. What does
//! not fit is told with its place and left out; the rest comes back as JSON that the raw structs read without an error.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use super::tree::{Entry, Kind, Mark, Node, Scalar};
use super::{Mistake, format, hint};

/// What the check hands on.
pub(super) struct Checked {
    /// The file, without what did not fit.
    pub(super) value: Value,
    /// Where each value stands, by dotted path.
    pub(super) marks: BTreeMap<String, Mark>,
    pub(super) mistakes: Vec<Mistake>,
}

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

/// The schema of the plan file, made once.
pub(super) fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let mut schema = schemars::schema_for!(super::raw::RawPlan).to_value();
        schema["title"] = "Uitwijk plan".into();
        schema
    })
}

/// Walks a tree along the schema.
pub(super) fn check(root: &Node, mistakes: Vec<Mistake>) -> Checked {
    let mut walk = Walk { marks: BTreeMap::new(), mistakes };
    let value = match &root.kind {
        Kind::Null => walk.map(schema(), &[], root.mark, &mut Path::root()),
        _ => walk.node(schema(), root, &mut Path::root()),
    };
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
            _ if takes_anything(schema) => Some(plain(node)),
            Kind::Scalar(scalar) => {
                let value = self.scalar(schema, scalar, node.mark, path)?;
                Some(shorthand.map_or(value.clone(), |key| json!({ key: value })))
            }
            Kind::List(items) => self.list(schema, items, node.mark, path),
            Kind::Map(entries) => self.map(schema, entries, node.mark, path),
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
                    self.value(of_entry, entry, path, &mut map);
                }
            });
        }
        map
    }

    /// Nothing after the colon is as good as no key, where the key may be left out.
    fn value(&mut self, schema: &Value, entry: &Entry, path: &mut Path, map: &mut Map<String, Value>) {
        if !matches!(entry.node.kind, Kind::Null) {
            map.extend(self.node(schema, &entry.node, path).map(|value| (entry.key.clone(), value)));
            return;
        }
        self.marks.insert(path.as_str().to_owned(), entry.mark);
        let schema = resolve(schema);
        if !takes_anything(schema) && !["null", "object", "array"].iter().any(|t| has_type(schema, t)) {
            self.tell(path, entry.mark, format!("expected {}, found nothing", wanted(schema)));
        }
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
            let given = entries.iter().find(|e| e.key == key);
            let empty = given.is_some_and(|e| matches!(e.node.kind, Kind::Null));
            if given.is_none() || (empty && is_collection(schema, key)) {
                let mark = given.map_or(mark, |e| e.mark);
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

/// Follows a reference into the definitions.
fn resolve(of: &Value) -> &Value {
    match of.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#')) {
        Some(pointer) => schema().pointer(pointer).unwrap_or(of),
        None => of,
    }
}

fn alternatives(schema: &Value) -> Option<&Vec<Value>> {
    schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array)
}

/// Follows references, and among alternatives the one of the shape that the node has; with the key that a bare text stands for.
fn narrow<'a>(schema: &'a Value, node: &Node) -> (&'a Value, Option<&'a str>) {
    let map = matches!(node.kind, Kind::Map(_));
    let (mut schema, mut shorthand) = (resolve(schema), None);
    while let Some(options) = schema.get("anyOf").and_then(Value::as_array) {
        shorthand = schema.get("x-shorthand").and_then(Value::as_str).or(shorthand);
        let mut options = options.iter().map(resolve).filter(|o| !is_null(o));
        let first = options.next().unwrap_or(&Value::Null);
        schema = if has_type(first, "object") == map { first } else { options.next().unwrap_or(first) };
    }
    (schema, shorthand.filter(|_| !map))
}

fn takes_anything(schema: &Value) -> bool {
    schema.get("type").is_none() && schema.get("enum").is_none() && alternatives(schema).is_none()
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

fn has_type(schema: &Value, wanted: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(t)) => t == wanted,
        Some(Value::Array(types)) => types.iter().any(|t| t == wanted),
        _ => alternatives(schema).is_some_and(|options| options.iter().any(|o| has_type(resolve(o), wanted))),
    }
}

fn is_collection(schema: &Value, key: &str) -> bool {
    let of_key = resolve(&schema["properties"][key]);
    has_type(of_key, "object") || has_type(of_key, "array")
}

/// The keys of an enum of which each variant is a map of one key.
fn tagged(schema: &Value) -> Option<Map<String, Value>> {
    let options = schema.get("oneOf")?.as_array()?;
    let property = |o: &Value| {
        let properties = o.get("properties")?.as_object().filter(|p| p.len() == 1)?;
        properties.iter().next().map(|(k, v)| (k.clone(), v.clone()))
    };
    options.iter().map(property).collect()
}

/// The words of an enum.
fn words(schema: &Value) -> Option<Vec<&str>> {
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return Some(words.iter().filter_map(Value::as_str).collect());
    }
    let mut words = Vec::new();
    for option in schema.get("oneOf")?.as_array()? {
        match option.get("const") {
            Some(word) => words.push(word.as_str()?),
            None => words.extend(option.get("enum")?.as_array()?.iter().filter_map(Value::as_str)),
        }
    }
    Some(words)
}

fn scalar_value(schema: &Value, scalar: &Scalar) -> Result<Value, String> {
    if let Some(words) = words(schema) {
        return word(&words, &scalar.text);
    }
    if has_type(schema, "string") {
        return text_value(schema, &scalar.text);
    }
    if has_type(schema, "integer") {
        return whole_number(schema, scalar);
    }
    match &scalar.value {
        Value::Bool(b) if has_type(schema, "boolean") => Ok(Value::Bool(*b)),
        _ => Err(format!("expected {}, found {}", wanted(schema), quoted(&scalar.text))),
    }
}

fn word(words: &[&str], found: &str) -> Result<Value, String> {
    if words.contains(&found) {
        return Ok(found.into());
    }
    let hint = hint::closest(found, words.iter().copied()).map(|w| format!("; did you mean {w}?")).unwrap_or_default();
    Err(format!("{} is none of {}{hint}", quoted(found), words.join(", ")))
}

fn text_value(schema: &Value, text: &str) -> Result<Value, String> {
    let length = text.chars().count() as u64;
    let bound = |key| schema.get(key).and_then(Value::as_u64);
    let (min, max) = (bound("minLength").unwrap_or(0), bound("maxLength").unwrap_or(65_536));
    if length < min || length > max {
        return Err(format!("has {length} characters, allowed are {min} to {max}"));
    }
    if text.contains('\0') {
        return Err("has a NUL character, which is not allowed".to_owned());
    }
    let parser = schema.get("format").and_then(Value::as_str).and_then(format::parser);
    parser.map_or(Ok(()), |parse| parse(text)).map(|()| text.into())
}

fn whole_number(schema: &Value, scalar: &Scalar) -> Result<Value, String> {
    let bound = |key| schema.get(key).and_then(Value::as_u64);
    let format_max = match schema.get("format").and_then(Value::as_str) {
        Some("uint8") => u64::from(u8::MAX),
        Some("uint16") => u64::from(u16::MAX),
        Some("uint32") => u64::from(u32::MAX),
        _ => i64::MAX.unsigned_abs(),
    };
    let (min, max) = (bound("minimum").unwrap_or(0), bound("maximum").unwrap_or(format_max));
    match scalar.value.as_u64() {
        Some(n) if (min..=max).contains(&n) => Ok(n.into()),
        _ if scalar.value.is_number() => {
            Err(format!("{} is out of range, allowed is a whole number from {min} to {max}", scalar.text))
        }
        _ => Err(format!("expected a whole number from {min} to {max}, found {}", quoted(&scalar.text))),
    }
}

/// What the schema asks for, in words.
fn wanted(schema: &Value) -> String {
    if let Some(words) = words(schema) {
        return format!("one of {}", words.join(", "));
    }
    if let Some(options) = tagged(schema) {
        return format!("a map with one of {}", options.keys().cloned().collect::<Vec<_>>().join(", "));
    }
    let names = [
        ("string", "a text"),
        ("integer", "a whole number"),
        ("boolean", "true or false"),
        ("array", "a list"),
        ("object", "a map"),
    ];
    let wanted: Vec<&str> = names.iter().filter(|(t, _)| has_type(schema, t)).map(|(_, name)| *name).collect();
    if wanted.contains(&"a text") && wanted.contains(&"a whole number") {
        "a text".to_owned()
    } else {
        wanted.join(" or ")
    }
}

fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(80).collect::<String>())
}

/// A node as it stands, where anything may stand.
fn plain(node: &Node) -> Value {
    match &node.kind {
        Kind::Null => Value::Null,
        Kind::Scalar(scalar) => scalar.value.clone(),
        Kind::List(items) => items.iter().map(plain).collect(),
        Kind::Map(entries) => entries.iter().map(|e| (e.key.clone(), plain(&e.node))).collect::<Map<_, _>>().into(),
    }
}
