//! What happened to a fleet, and what would an expert have said about it?
//!
//! ```text
//!   scenarios (JSON lines) --format--> Scenario --plan.rs--> Plan     who watches what
//!                                           \------world---> stream   what the watchers would have delivered
//! ```
//!
//! A scenario is ground truth: the judge never sees it, only the stream. The world that plays one is deterministic: the
//! same scenario and the same seed give the same bytes on every machine.

pub mod format;
mod places;
pub mod plan;
pub mod random;
pub mod score;
pub mod world;

pub use format::{Found, Mistake, Mistakes, Scenario, find, read_file, read_text};
pub use plan::plan;
pub use world::simulate;
