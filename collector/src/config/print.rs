//! How is a configuration shown?
//!
//! As a file that would give it again, each value with its origin. The standard `OTEL_*` variables, which are not settings
//! but change what the process does, follow as comments; their headers may carry a token and are masked.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Chosen, Setting};

/// The column where origins begin.
const ORIGIN_COLUMN: usize = 44;

pub(super) fn print(chosen: &[(&'static Setting, Option<Chosen>)], env: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut section = "";
    for (setting, choice) in chosen {
        let (parent, leaf) = setting.key.rsplit_once('.').unwrap_or(("", setting.key));
        if parent != section {
            let _ = writeln!(out, "{parent}:");
            section = parent;
        }
        let indent = if parent.is_empty() { "" } else { "  " };
        let line = match choice {
            Some(chosen) => format!("{indent}{leaf}: {}", scalar(&chosen.text)),
            None => format!("{indent}# {leaf}: ({})", setting.form),
        };
        let origin = choice.as_ref().map_or("not set", |chosen| chosen.origin.as_str());
        let _ = writeln!(out, "{line:ORIGIN_COLUMN$} # {origin}");
    }
    for (name, value) in env.iter().filter(|(name, _)| name.starts_with("OTEL_")) {
        let shown = if name.ends_with("_HEADERS") { "(masked)" } else { value.as_str() };
        let _ = writeln!(out, "# {name}={shown}");
    }
    out
}

/// A YAML scalar that reads back as this text.
fn scalar(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || "/._-,=".contains(c);
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
    if begins && text.chars().all(word) { text.to_owned() } else { format!("{text:?}") }
}
