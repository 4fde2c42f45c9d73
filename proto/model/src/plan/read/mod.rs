//! How does a YAML file become a plan, and how are all its mistakes told at once?
//!
//! ```text
//!   text --tree--> located nodes --env--> values filled in --check--> JSON that fits the schema --build--> Plan
//!            |                      |                         |                                     |
//!            +-- not YAML (one)     +-- variable not set      +-- unknown key, wrong type           +-- names nothing,
//!                                                                 missing key, out of range             contradicts
//! ```
//!
//! The raw structs of `raw.rs` are the one description of the format: schemars makes the schema of them, editors are given it,
//! and `check.rs` walks the tree along it. What does not fit is told and left out, so that the later step sees only what is good
//! and every mistake of every step is told in one run, by line.
//!
//! The choice left aside is to deserialize straight into structs. It is less code, but serde stops at the first mistake and
//! knows no line for the later ones.

use std::fmt;

use super::{Plan, PolicyOverrides};

mod build;
mod build_fleet;
mod build_policy;
mod build_probe;
mod build_window;
mod check;
mod env;
pub(super) mod format;
mod hint;
mod path;
pub(super) mod raw;
pub(super) mod raw_probe;
mod shape;
mod tree;

/// The largest plan file, in bytes.
pub const PLAN_BYTES_MAX: usize = 8 << 20;
/// More mistakes than this are counted, not told.
const MISTAKES_TOLD_MAX: usize = 200;

/// Something wrong in a plan file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The key as a dotted path, such as `services.exchange.objective`; empty for the file as a whole.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "line {}: {}", self.line, self.message),
            key => write!(f, "line {}: {key}: {}", self.line, self.message),
        }
    }
}

/// Everything wrong in a plan file, in order of line; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl Mistakes {
    fn of(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort();
        // A mistake in a default shows in every target that takes it over; it is told once.
        mistakes.dedup();
        Self(mistakes)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, mistake) in self.0.iter().take(MISTAKES_TOLD_MAX).enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            mistake.fmt(f)?;
        }
        match self.0.len().saturating_sub(MISTAKES_TOLD_MAX) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Mistakes {}

/// Reads and checks a plan.
///
/// `${NAME}` and `${NAME:-default}` in values are filled in from `env`; `$${` stands for `${`.
///
/// # Errors
/// All mistakes of the file at once.
pub fn read_plan(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Plan, Mistakes> {
    let (tree, mistakes) = tree_of(text, env)?;
    build::build(check::check(&tree, mistakes)).map_err(Mistakes::of)
}

/// Reads and checks a policy that is to be tried out: the keys of `policy` in a plan, each of which may be left out, laid over the
/// policies of a plan. Variables are filled in as in a plan.
///
/// # Errors
/// All mistakes of the file at once, also those that only show together with the plan.
pub fn read_policy(text: &str, env: &dyn Fn(&str) -> Option<String>, plan: &Plan) -> Result<PolicyOverrides, Mistakes> {
    let (tree, mistakes) = tree_of(text, env)?;
    build::build_policy(check::check_policy(&tree, mistakes), plan).map_err(Mistakes::of)
}

/// The file with its variables filled in, and what was wrong with those.
fn tree_of(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<(tree::Node, Vec<Mistake>), Mistakes> {
    if text.len() > PLAN_BYTES_MAX {
        let message = format!("the file has {} bytes, allowed are {PLAN_BYTES_MAX}", text.len());
        return Err(Mistakes(vec![Mistake { line: 1, column: 1, key: String::new(), message }]));
    }
    let mut tree = tree::parse(text).map_err(|mistake| Mistakes(vec![mistake]))?;
    let mut mistakes = Vec::new();
    env::fill_in(&mut tree, env, &mut mistakes);
    Ok((tree, mistakes))
}

/// JSON Schema of the plan file, for editors.
#[must_use]
pub fn schema() -> serde_json::Value {
    shape::schema().clone()
}

#[cfg(test)]
mod tests;
