//! How is one attempt made, and what does it find?
//!
//! ```text
//!   Target --compile--> Prober --attempt(slot, n)--> Measurement
//!                         |
//!      dial.rs: name -> connection -> TLS     http/  tcp.rs  handshake.rs  grpc.rs  dns.rs: speak and listen
//!                         |
//!      trail.rs: marks and facts  -- deadline or end, clock stops -->  expect.rs, served.rs: look at the answer
//! ```
//!
//! One attempt is one measurement: a retry is an attempt of its own, and nothing is averaged, remembered or resumed
//! between two. Every attempt uses a fresh connection and a real name lookup. Everything that costs time but is not the
//! target's (compiling patterns, reading secrets, checking the answer) happens before the clock starts or after it
//! stopped.
//!
//! The choice left aside is a common HTTP client. It would bring pooling, redirects and timeouts for free, and would
//! hide the very moments that are to be measured.

mod dial;
mod dns;
mod env;
mod expect;
mod failure;
mod file_stamp;
mod grpc;
mod handshake;
mod http;
mod net;
mod patterns;
mod prober;
mod secret;
mod served;
mod tcp;
mod tls;
mod traceparent;
mod trail;

#[cfg(test)]
mod tests;

pub use env::ProberEnv;
pub use prober::Prober;

use net::address::Address;

/// Something in a target that cannot be probed. Plans are checked when they are read, so that this names a plan of a
/// newer collector or a mistake of ours rather than an operator's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} {found:?} cannot be probed: write {allowed}")]
pub struct ProberError {
    /// The key within the probe.
    pub key: &'static str,
    /// The value there.
    pub found: String,
    /// What is allowed.
    pub allowed: &'static str,
}

fn address_of(text: &str) -> Result<Address, ProberError> {
    Address::parse(text).ok_or_else(|| ProberError { key: "address", found: text.to_owned(), allowed: "host:port" })
}
