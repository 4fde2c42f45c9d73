//! Which values come from the environment?
//!
//! `${NAME}` is the variable's value, `${NAME:-default}` is the default when it is not set or empty, and `$${` is a plain
//! `${`. Values are filled in after YAML was parsed, so no variable can add keys to a plan.

use serde_json::Value;

use super::Mistake;
use super::path::Path;
use super::tree::{Kind, Node, Scalar};

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Fills in every scalar of a tree.
pub(super) fn fill_in(root: &mut Node, env: Env<'_>, mistakes: &mut Vec<Mistake>) {
    walk(root, &mut Path::root(), env, mistakes);
}

fn walk(node: &mut Node, path: &mut Path, env: Env<'_>, mistakes: &mut Vec<Mistake>) {
    match &mut node.kind {
        Kind::Null | Kind::Bad => {}
        Kind::List(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                path.within_item(i, |path| walk(item, path, env, mistakes));
            }
        }
        Kind::Map(entries) => {
            for entry in entries {
                path.within(&entry.key, |path| walk(&mut entry.node, path, env, mistakes));
            }
        }
        Kind::Scalar(scalar) if scalar.text.contains("${") => match expand(&scalar.text, env) {
            Ok(text) => *scalar = filled_in(text, scalar.plain),
            Err(message) => {
                mistakes.push(path.mistake(node.mark, message));
                node.kind = Kind::Bad;
            }
        },
        Kind::Scalar(_) => {}
    }
}

/// Without quotes, what was filled in may be a number or a truth value.
fn filled_in(text: String, plain: bool) -> Scalar {
    let value = match text.as_str() {
        "true" if plain => Value::Bool(true),
        "false" if plain => Value::Bool(false),
        t if plain => t.parse::<i64>().map_or_else(|_| Value::String(text.clone()), Value::from),
        _ => Value::String(text.clone()),
    };
    Scalar { text, value, plain }
}

fn expand(text: &str, env: Env<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at]);
            out.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let (reference, after) = rest[at + 2..]
            .split_once('}')
            .ok_or_else(|| format!("{:?} has no closing brace", rest[at..].chars().take(40).collect::<String>()))?;
        out.push_str(&look_up(reference, env)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn look_up(reference: &str, env: Env<'_>) -> Result<String, String> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(format!(
            "{name:?} is not the name of a variable: use letters, digits and _; write $${{ for a plain ${{"
        ));
    }
    match (env(name), default) {
        (Some(value), _) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (Some(empty), None) => Ok(empty),
        (None, None) => Err(format!("environment variable {name} is not set; set it, or write ${{{name}:-default}}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("a.example".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_filled_in() {
        for (text, filled) in [
            ("https://${HOST}/x", "https://a.example/x"),
            ("${HOST}${HOST}", "a.examplea.example"),
            ("${NONE:-b}", "b"),
            ("${NONE:-}", ""),
            ("${HOST:-b}", "a.example"),
            ("${EMPTY:-b}", "b"),
            ("${EMPTY}", ""),
            ("$${HOST}", "${HOST}"),
            ("^a$ $5 {}", "^a$ $5 {}"),
        ] {
            assert_eq!(expand(text, &env).as_deref(), Ok(filled), "{text}");
        }
    }

    #[test]
    fn a_reference_that_leads_nowhere_says_so() {
        for (text, message) in [
            ("${NONE}", "environment variable NONE is not set; set it, or write ${NONE:-default}"),
            ("a ${HOST", "\"${HOST\" has no closing brace"),
            ("${}", "\"\" is not the name of a variable: use letters, digits and _; write $${ for a plain ${"),
            ("${1A}", "\"1A\" is not the name of a variable: use letters, digits and _; write $${ for a plain ${"),
        ] {
            assert_eq!(expand(text, &env), Err(message.to_owned()), "{text}");
        }
    }
}
