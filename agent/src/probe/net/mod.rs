//! How does a name become a connection whose bytes are timed?
//!
//! ```text
//!   address.rs "host:port" -> resolve.rs (hosts.rs, hickory) -> connect.rs (staggered) -> link.rs -> stamped.rs (frames.rs)
//! ```

pub(crate) mod address;
pub(crate) mod connect;
mod frames;
pub(crate) mod hosts;
pub(crate) mod link;
pub(crate) mod resolve;
pub(crate) mod stamped;
