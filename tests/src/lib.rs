//! How does the whole product behave on one machine, with real processes, sockets, certificates and disks?
//!
//! ```text
//!   world   real HTTPS sites, a DNS server and a public entry that can break on command
//!   fleet   agents and collectors as processes of their own, with certificates and a plan made for the world
//!   load    simulated agents that send as fast as a collector takes it
//!   demo    a story told on the terminal: quiet, outage, recovery, verdict
//! ```
//!
//! The binary `uitwijk-fleet` is agent, collector, command-line tool and demo in one, by its first argument. Tests and the
//! demo so start real processes of the very code that ships, without a second build.

pub mod demo;
pub mod fleet;
pub mod load;
pub mod world;
