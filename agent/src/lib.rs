//! How does one vantage see the services, and how does what it saw survive until collectors have it?
//!
//! ```text
//!   plan_memory -> schedule -> probe -> buffer (sled) -> uplink, one per collector (gRPC, mTLS)
//!                     ^                    ^                 |
//!                  selfcheck               +---- cursor -----+
//! ```

pub mod buffer;
pub mod cli;
pub mod config;
pub mod metrics;
pub mod plan_memory;
pub mod probe;
pub mod run;
pub mod schedule;
pub mod selfcheck;
pub mod uplink;

/// What this agent calls itself where it connects.
pub const USER_AGENT: &str = concat!("uitwijk-agent/", env!("CARGO_PKG_VERSION"));
