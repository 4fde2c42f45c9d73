//! How does a YAML file become texts of settings, with their lines?

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::{Mistake, SETTINGS, hint, short};

/// The longest file that is read; a configuration is a page or two.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Texts by key.
pub(super) type Entries = BTreeMap<&'static str, Entry>;

/// A text in a file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The scalar as written.
    pub(super) text: String,
    /// `collector.yaml:3`.
    pub(super) origin: String,
}

/// Reads a file; what is wrong with it goes to `mistakes`.
pub(super) fn read(path: &Path, mistakes: &mut Vec<Mistake>) -> Entries {
    let mut entries = Entries::new();
    match parse(path) {
        Ok(Some(root)) => {
            let mut walk = Walk { path: short(path), entries: &mut entries, mistakes };
            walk.node("", &root.value, root.referenced.line());
        }
        Ok(None) => {}
        Err(message) => {
            mistakes.push(Mistake { origin: String::new(), key: short(path), message });
        }
    }
    entries
}

fn parse(path: &Path) -> Result<Option<Spanned<Node>>, String> {
    let size = std::fs::metadata(path).map_err(|e| format!("cannot read the configuration file: {e}"))?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("{size} bytes are too many for a configuration file: at most {FILE_BYTES_MAX}"));
    }
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read the configuration file: {e}"))?;
    if text.lines().all(|line| line.trim_start().starts_with('#') || line.trim().is_empty()) {
        return Ok(None);
    }
    serde_saphyr::from_str(&text).map(Some).map_err(|e| not_yaml(&e))
}

/// The parser's message without its advice to programmers.
fn not_yaml(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let message = line.split(", set DuplicateKeyPolicy").next().unwrap_or(line);
    format!("not a YAML file: {message}")
}

/// A walk over the tree of a file.
struct Walk<'a> {
    path: String,
    entries: &'a mut Entries,
    mistakes: &'a mut Vec<Mistake>,
}

impl Walk<'_> {
    fn node(&mut self, key: &str, node: &Node, line: u64) {
        let setting = SETTINGS.iter().find(|setting| setting.key == key);
        match (node, setting) {
            (Node::Scalar(text), Some(setting)) => {
                let origin = format!("{}:{line}", self.path);
                self.entries.insert(setting.key, Entry { text: text.clone(), origin });
            }
            (Node::Map(children), None) if key.is_empty() || is_section(key) => self.children(key, children),
            (Node::Empty, None) if key.is_empty() || is_section(key) => {}
            (_, Some(setting)) => self.refuse(key, line, format!("expected one value: {}", setting.form)),
            (_, None) if key.is_empty() || is_section(key) => {
                self.refuse(key, line, "expected keys and values".to_owned());
            }
            (_, None) => self.refuse(key, line, hint::unknown(key, names().iter().map(String::as_str), "key")),
        }
    }

    fn children(&mut self, key: &str, children: &[(Spanned<String>, Node)]) {
        for (name, child) in children {
            let path = if key.is_empty() { name.value.clone() } else { format!("{key}.{}", name.value) };
            self.node(&path, child, name.referenced.line());
        }
    }

    fn refuse(&mut self, key: &str, line: u64, message: String) {
        let key = if key.is_empty() { "the file" } else { key };
        self.mistakes.push(Mistake { origin: format!("{}:{line}", self.path), key: key.to_owned(), message });
    }
}

/// Whether settings stand below this key.
fn is_section(key: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.key.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
}

/// Everything that may stand in a file: settings and the sections they stand in.
fn names() -> Vec<String> {
    let mut names: Vec<String> = SETTINGS.iter().map(|setting| setting.key.to_owned()).collect();
    names.extend(SETTINGS.iter().filter_map(|setting| setting.key.split_once('.')).map(|(section, _)| section.into()));
    names.sort();
    names.dedup();
    names
}

/// A piece of YAML, scalars as text.
#[derive(Debug)]
enum Node {
    Empty,
    Scalar(String),
    List,
    Map(Vec<(Spanned<String>, Node)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keys and values")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Empty)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Empty)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        while items.next_element::<Node>()?.is_some() {}
        Ok(Node::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut children = Vec::new();
        while let Some(entry) = map.next_entry()? {
            children.push(entry);
        }
        Ok(Node::Map(children))
    }
}
