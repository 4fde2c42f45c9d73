//! What does the schema ask for at a node?
//!
//! Only what schemars makes of the raw structs is understood here; a test holds the schema to those words.

use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::tree::{Kind, Node, Scalar};
use super::{format, hint};

/// The schema of the plan file, made once.
pub(super) fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let mut schema = schemars::schema_for!(super::raw::RawPlan).to_value();
        schema["title"] = "Uitwijk plan".into();
        schema
    })
}

/// Follows a reference into the definitions.
pub(super) fn resolve(of: &Value) -> &Value {
    match of.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#')) {
        Some(pointer) => schema().pointer(pointer).unwrap_or(of),
        None => of,
    }
}

fn alternatives(schema: &Value) -> Option<&Vec<Value>> {
    schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array)
}

/// Follows references, and among alternatives the one of the shape that the node has; with the key that a bare text stands for.
pub(super) fn narrow<'a>(schema: &'a Value, node: &Node) -> (&'a Value, Option<&'a str>) {
    let map = matches!(node.kind, Kind::Map(_) | Kind::Null);
    let (mut schema, mut shorthand) = (resolve(schema), None);
    while let Some(options) = schema.get("anyOf").and_then(Value::as_array) {
        shorthand = schema.get("x-shorthand").and_then(Value::as_str).or(shorthand);
        let mut options = options.iter().map(resolve).filter(|o| !is_null(o));
        let first = options.next().unwrap_or(&Value::Null);
        schema = if has_type(first, "object") == map { first } else { options.next().unwrap_or(first) };
    }
    (schema, shorthand.filter(|_| !map))
}

pub(super) fn takes_anything(schema: &Value) -> bool {
    schema.get("type").is_none() && schema.get("enum").is_none() && alternatives(schema).is_none()
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

pub(super) fn has_type(schema: &Value, wanted: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(t)) => t == wanted,
        Some(Value::Array(types)) => types.iter().any(|t| t == wanted),
        _ => alternatives(schema).is_some_and(|options| options.iter().any(|o| has_type(resolve(o), wanted))),
    }
}

/// The keys of an enum of which each variant is a map of one key.
pub(super) fn tagged(schema: &Value) -> Option<Map<String, Value>> {
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

pub(super) fn scalar_value(schema: &Value, scalar: &Scalar) -> Result<Value, String> {
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

pub(super) fn text_value(schema: &Value, text: &str) -> Result<Value, String> {
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
pub(super) fn wanted(schema: &Value) -> String {
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
pub(super) fn plain(node: &Node) -> Value {
    match &node.kind {
        Kind::Null | Kind::Bad => Value::Null,
        Kind::Scalar(scalar) => scalar.value.clone(),
        Kind::List(items) => items.iter().map(plain).collect(),
        Kind::Map(entries) => entries.iter().map(|e| (e.key.clone(), plain(&e.node))).collect::<Map<_, _>>().into(),
    }
}
