//! What stands where in a YAML file?
//!
//! Every node keeps its place and every scalar its spelling: whether `1.10` is a number or a text is for the schema to
//! say, not for YAML. Documents that would grow when read (aliases of aliases) run into fixed budgets.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use super::Mistake;

/// Deeper nesting than any plan needs.
const DEPTH_MAX: usize = 24;
/// More nodes than fit in the largest file, so that only aliases can reach it.
const NODES_MAX: usize = 4_000_000;
/// Events that aliases may repeat in all.
const ALIAS_EVENTS_MAX: usize = 200_000;

/// A place in the file, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) line: usize,
    pub(super) column: usize,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) mark: Mark,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Null,
    /// Told to be wrong already; nothing more is said of it.
    Bad,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug)]
pub(super) struct Scalar {
    /// As written, without quotes.
    pub(super) text: String,
    /// As YAML reads it.
    pub(super) value: Value,
    /// Without quotes: a number or a truth value may be meant.
    pub(super) plain: bool,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) mark: Mark,
    pub(super) node: Node,
}

/// Parses the one document of a file.
pub(super) fn parse(text: &str) -> Result<Node, Mistake> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: DEPTH_MAX, max_nodes: NODES_MAX, max_events: 2 * NODES_MAX },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: ALIAS_EVENTS_MAX },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Option<Spanned<Unplaced>>>(text, options) {
        Ok(Some(node)) => Ok(place(node, text)),
        Ok(None) => Ok(Node { mark: Mark { line: 1, column: 1 }, kind: Kind::Null }),
        Err(error) => Err(not_yaml(&error)),
    }
}

fn not_yaml(error: &serde_saphyr::Error) -> Mistake {
    use serde_saphyr::Error;
    let mark = error.location().map_or(Mark { line: 1, column: 1 }, |at| mark(&at));
    let error = error.without_snippet();
    let message = match error {
        Error::MultipleDocuments { .. } => "a plan is one YAML document, here a second one begins".to_owned(),
        Error::Budget { .. } => {
            format!("nested too deep or too large: allowed are {DEPTH_MAX} levels and {NODES_MAX} values")
        }
        _ => {
            // The place is told in front already.
            let told = error.to_string();
            let told = told.lines().next().unwrap_or_default();
            format!("not YAML: {}", told.split(" at line ").next().unwrap_or(told))
        }
    };
    Mistake { line: mark.line, column: mark.column, key: String::new(), message }
}

fn mark(at: &Location) -> Mark {
    let from_1 = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).max(1);
    Mark { line: from_1(at.line()), column: from_1(at.column()) }
}

fn place(node: Spanned<Unplaced>, source: &str) -> Node {
    let kind = match node.value {
        Unplaced::Null => Kind::Null,
        Unplaced::Scalar(value) => Kind::Scalar(scalar(value, &node.defined, source)),
        Unplaced::List(items) => Kind::List(items.into_iter().map(|item| place(item, source)).collect()),
        Unplaced::Map(entries) => {
            Kind::Map(entries.into_iter().map(|(key, value)| entry(key, value, source)).collect())
        }
    };
    Node { mark: mark(&node.referenced), kind }
}

fn entry(key: Spanned<Key>, value: Spanned<Unplaced>, source: &str) -> Entry {
    let mark = mark(&key.referenced);
    let mut node = place(value, source);
    // A collection begins at its first entry for YAML, and at its key for people.
    if !matches!(node.kind, Kind::Scalar(_)) {
        node.mark = mark;
    }
    Entry { mark, key: key.value.0, node }
}

fn scalar(value: Value, at: &Location, source: &str) -> Scalar {
    let span = at.span();
    let bytes = span.byte_offset().zip(span.byte_len()).and_then(|(start, len)| {
        let start = usize::try_from(start).ok()?;
        source.get(start..start.checked_add(usize::try_from(len).ok()?)?)
    });
    let plain = bytes.is_none_or(|b| !b.trim_start().starts_with(['"', '\'', '|', '>', '!']));
    let text = match (&value, bytes) {
        (Value::String(text), _) => text.clone(),
        (_, Some(spelling)) if plain => spelling.trim().to_owned(),
        (other, _) => other.to_string(),
    };
    Scalar { text, value, plain }
}

/// A node as the deserializer hands it over.
enum Unplaced {
    Null,
    Scalar(Value),
    List(Vec<Spanned<Unplaced>>),
    Map(Vec<(Spanned<Key>, Spanned<Unplaced>)>),
}

impl<'de> Deserialize<'de> for Unplaced {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNode)
    }
}

struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Unplaced;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Unplaced, E> {
        Ok(Unplaced::Null)
    }

    fn visit_none<E>(self) -> Result<Unplaced, E> {
        Ok(Unplaced::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Unplaced, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Unplaced, E> {
        Ok(Unplaced::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Unplaced, E> {
        Ok(Unplaced::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Unplaced, E> {
        Ok(Unplaced::Scalar(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Unplaced, E> {
        Ok(Unplaced::Scalar(value.to_string().into()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Unplaced, E> {
        Ok(Unplaced::Scalar(value.to_string().into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Unplaced, E> {
        Ok(Unplaced::Scalar(value.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Unplaced, E> {
        Ok(Unplaced::Scalar(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unplaced, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Unplaced::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Unplaced, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Unplaced::Map(map))
    }
}

/// A key in its own spelling: zone `1` is a name.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyKey;
        impl Visitor<'_> for AnyKey {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Key, E> {
                Ok(Key(text.to_owned()))
            }
        }
        deserializer.deserialize_str(AnyKey)
    }
}
