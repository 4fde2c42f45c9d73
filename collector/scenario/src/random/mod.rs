//! What may happen to a fleet, and what would be right to say about it?
//!
//! ```text
//!   seed --draw.rs--> faults, failovers, windows --truth.rs--> expected shares of failures, second by second
//!                                                                 \--policy.rs--> needed? by nine policies around ours
//!                                                                                    \--label.rs--> intervals, or gray
//! ```
//!
//! Labels come from the world, not from judging: for every moment the expected share of failing and of slow requests is
//! known for the public name and for each region, without noise, probes or observers. The policy of the scenarios is applied
//! to that, once with its own numbers and eight times with numbers around them (`policy.rs`). Where all nine agree the moment
//! has a label; where they do not it is gray by nature, and nobody is asked about it: rates of 7 to 16 %, shares near half,
//! durations near three or ten minutes, a standby about half as bad as the active region.
//!
//! What is known about a cause is asked for only where one thing happens at a time; elsewhere any cause of the need will do.

mod draw;
mod label;
mod policy;
mod truth;

use crate::format::Scenario;

/// A world with up to three faults and up to two troubles of the observers, labelled.
#[must_use]
pub fn random(seed: u64) -> Scenario {
    label::labelled(draw::world(seed, false))
}

/// A world in which nothing happens to what is watched: noise, and up to three troubles of the observers. One label per
/// service, for all of the time.
#[must_use]
pub fn quiet(seed: u64) -> Scenario {
    label::all_quiet(draw::world(seed, true))
}
