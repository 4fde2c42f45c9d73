//! How is a verdict told to a person who was woken up for it?

use crate::verdict::Revision;

/// The languages that a verdict can be told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Dutch.
    Dutch,
}

/// Tells a verdict in lines of at most 80 columns.
#[must_use]
pub fn explain(r: &Revision, language: Language) -> String {
    let mut text = format!("{}: {} ({})\n", r.episode, r.need, r.cause);
    for finding in &r.findings {
        text.push_str(match language {
            Language::English => &finding.text,
            Language::Dutch => &finding.text_nl,
        });
        text.push('\n');
    }
    text
}
