//! Which plan does the agent run, and how does it remember it?
//!
//! ```text
//!   plan on disk ----> Choice --> the plan that runs --> plan on disk
//!   collectors' offers --^  higher revision wins; among equals the collector named first
//! ```
//!
//! An agent that starts while no collector answers runs the plan it ran before: what it sees in such an hour is what a
//! verdict will need. The file is replaced whole and carries its own hash; one that does not match is moved aside for
//! people to look at, and the agent waits for a collector as a new agent would.

mod choice;
mod file;

pub use choice::{Choice, Offer, OfferError};
pub use file::{MemoryError, PlanMemory};
