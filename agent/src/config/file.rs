//! How does a YAML file become texts under dotted keys?

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::settings::{find, unknown};
use super::{CollectorText, Given, Mistake, Origin, Text};

/// A larger file is not a configuration.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Any YAML, each value with its line.
enum Node {
    Empty,
    Scalar(String),
    List(Vec<Spanned<Node>>),
    Map(BTreeMap<String, Spanned<Node>>),
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
        f.write_str("YAML")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Node, E> {
        Ok(Node::Scalar(v.to_string()))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Node, E> {
        Ok(Node::Scalar(v.to_string()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Node, E> {
        Ok(Node::Scalar(v.to_string()))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Node, E> {
        Ok(Node::Scalar(v.to_string()))
    }

    fn visit_str<E>(self, v: &str) -> Result<Node, E> {
        Ok(Node::Scalar(v.to_owned()))
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

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = access.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, value)) = access.next_entry()? {
            map.insert(key, value);
        }
        Ok(Node::Map(map))
    }
}

/// One file on its way to [`Given`].
struct Reader<'a> {
    path: &'a Path,
    given: &'a mut Given,
    mistakes: &'a mut Vec<Mistake>,
}

/// Reads the file; what is wrong with it is added to `mistakes`.
pub(super) fn read_into(path: &Path, given: &mut Given, mistakes: &mut Vec<Mistake>) {
    let mut reader = Reader { path, given, mistakes };
    let text = match read_text(path) {
        Ok(text) => text,
        Err(message) => return reader.mistake(0, "--config", message),
    };
    match serde_saphyr::from_str::<Spanned<Node>>(&text) {
        Ok(node) => reader.top(node),
        Err(error) => {
            let line = error.location().map_or(0, |l| l.line());
            let message = error.to_string();
            reader.mistake(
                line,
                "file",
                format!("not readable as YAML: {}", message.lines().next().unwrap_or_default()),
            );
        }
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    let describe = |error| format!("cannot read {}: {error}", path.display());
    let size = std::fs::metadata(path).map_err(describe)?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("{} has {size} bytes; a configuration has at most {FILE_BYTES_MAX}", path.display()));
    }
    std::fs::read_to_string(path).map_err(describe)
}

impl Reader<'_> {
    fn origin(&self, line: u64) -> Origin {
        Origin::File(self.path.to_owned(), line)
    }

    fn mistake(&mut self, line: u64, key: &str, message: String) {
        self.mistakes.push(Mistake { origin: self.origin(line), key: key.to_owned(), message });
    }

    fn top(&mut self, node: Spanned<Node>) {
        let line = node.referenced.line();
        match node.value {
            Node::Map(map) => self.map("", map),
            Node::Empty => {}
            Node::Scalar(_) | Node::List(_) => self.mistake(line, "file", "must be a map of keys to values".to_owned()),
        }
    }

    fn map(&mut self, prefix: &str, map: BTreeMap<String, Spanned<Node>>) {
        for (name, node) in map {
            let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            self.entry(&key, node);
        }
    }

    fn entry(&mut self, key: &str, node: Spanned<Node>) {
        let line = node.referenced.line();
        let known = find(key);
        match (node.value, known) {
            (Node::List(list), Some(_)) if key == "collectors" => self.collectors(list),
            (_, Some(_)) if key == "collectors" => {
                self.mistake(line, key, "must be a list of {name, url}".to_owned());
            }
            (Node::Scalar(text), Some(setting)) => {
                let origin = self.origin(line);
                self.given.texts.insert(setting.key, Text { text, origin });
            }
            // An empty value is an unset one.
            (Node::Empty, Some(_)) => {}
            (Node::Map(map), None) if is_section(key) => self.map(key, map),
            (Node::Empty, None) if is_section(key) => {}
            (_, Some(_)) => self.mistake(line, key, "must be a single value".to_owned()),
            (_, None) if is_section(key) => self.mistake(line, key, "must be a map of keys to values".to_owned()),
            (_, None) => self.mistake(line, key, unknown(key, str::to_owned)),
        }
    }

    fn collectors(&mut self, list: Vec<Spanned<Node>>) {
        let mut collectors = Vec::new();
        for (i, item) in list.into_iter().enumerate() {
            let line = item.referenced.line();
            match item.value {
                Node::Map(map) => collectors.extend(self.collector(i, line, map)),
                _ => self.mistake(line, &format!("collectors[{i}]"), "must be a map with name and url".to_owned()),
            }
        }
        self.given.collectors = Some(collectors);
    }

    fn collector(&mut self, i: usize, line: u64, map: BTreeMap<String, Spanned<Node>>) -> Option<CollectorText> {
        let (mut name, mut url) = (None, None);
        for (field, node) in map {
            let key = format!("collectors[{i}].{field}");
            match (field.as_str(), node.value) {
                ("name", Node::Scalar(text)) => name = Some(text),
                ("url", Node::Scalar(text)) => url = Some(text),
                ("name" | "url", _) => self.mistake(node.referenced.line(), &key, "must be a single value".to_owned()),
                _ => self.mistake(node.referenced.line(), &key, "no such key; known are name, url".to_owned()),
            }
        }
        for (field, value) in [("name", &name), ("url", &url)] {
            if value.is_none() {
                self.mistake(line, &format!("collectors[{i}].{field}"), "missing".to_owned());
            }
        }
        Some(CollectorText { name: name?, url: url?, origin: self.origin(line) })
    }
}

/// Whether keys lie below this name.
fn is_section(name: &str) -> bool {
    super::SETTINGS.iter().any(|setting| setting.key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}
