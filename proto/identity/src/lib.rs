//! Who is on the other end, and may the two of us talk?
//!
//! ```text
//!   ca.pem  cert.pem  key.pem --files.rs, material.rs--> Credentials --+--> server::incoming --> PeerInfo of each request
//!                 ^ watched, the last good set is kept                 +--> client::channel  --> tonic Channel
//!   issue::Authority makes such files for trials and tests
//! ```
//!
//! A name is a URI in the certificate (`uitwijk://agent/NL/1/nl-1`), so who somebody is, where it stands and what it may do
//! come from the authority and never from a message. Both sides show a certificate and both check the other's.
//! Certificates are replaced by replacing the files: new connections use the new ones, open streams stay as they are.
//!
//! The choice left aside is roles by subject name (`CN`) or by a list in the collector's configuration. The first cannot tell a
//! region from a zone; the second would have to be kept the same in every collector.

pub mod client;
mod connect_error;
mod counters;
mod credentials;
mod error;
mod files;
pub mod issue;
mod material;
mod name;
mod peer;
pub mod server;
mod verify;

pub use client::{ClientOptions, channel};
pub use connect_error::{ConnectError, connect_error_of};
pub use counters::{HandshakeFailure, ServerCounters};
pub use credentials::Credentials;
pub use error::CredentialsError;
pub use files::TlsFiles;
pub use issue::{Authority, IssueError, IssuedCertificate, Validity};
pub use name::{Identity, IdentityError, Role};
pub use peer::{PeerInfo, peer_of};
pub use server::{Incoming, ServerLimits, TlsPeerStream};
