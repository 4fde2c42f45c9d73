//! What happens at the ends: of time, of fleets, of the policy's ranges, of what a judge may be asked to do?
//!
//! Nothing may panic or overflow, and what a judge keeps is bounded by its horizon, not by what it was told.

#![allow(clippy::disallowed_methods, reason = "the number of tries may be set from outside")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "modules of several test binaries")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "a made-up world needs no exact numbers"
)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../laws/courts.rs"]
mod courts;
#[path = "../laws/fleet.rs"]
mod fleet;
#[path = "../laws/world.rs"]
mod world;

mod bounds;
mod fuzz;
mod sizes;
