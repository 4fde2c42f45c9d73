//! What holds in every world, whatever happens in it?
//!
//! Each law is tried over thousands of small worlds with slots of 1 s: 1-4 regions of 1-4 zones, 1-3 endpoints, up to two
//! partners and four controls, any faults of regions, zones, partners, ways, observers, clocks and deliveries. See `runner.rs`
//! for how many, `world.rs` for what happens in them.

#![allow(clippy::disallowed_methods, reason = "the number of worlds may be set from outside")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "modules of one test binary")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "a made-up world needs no exact numbers"
)]

#[path = "../support/mod.rs"]
mod support;

mod arrival;
mod courts;
mod fleet;
mod limits;
mod names;
mod need;
mod runner;
mod world;
