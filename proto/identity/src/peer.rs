//! Who sent this request?

use std::net::SocketAddr;

use tonic::{Request, Status};
use uitwijk_model::WallTime;

use crate::name::{Identity, Role};

/// The other end of a connection, from its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its name and role.
    pub identity: Identity,
    /// Its address, for logs only.
    pub addr: SocketAddr,
    /// Last moment of its certificate. A stream that outlives it should be ended.
    pub certificate_expires: WallTime,
    /// SHA-256 of its certificate.
    pub certificate_fingerprint: [u8; 32],
}

impl PeerInfo {
    /// The fingerprint as people compare it: 64 hexadecimal digits.
    #[must_use]
    pub fn fingerprint_hex(&self) -> String {
        self.certificate_fingerprint.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Refuses the call unless the role is among those that `allowed` takes.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` that names the caller, its role and what `needed` says.
    pub fn require(&self, needed: &str, allowed: impl Fn(&Role) -> bool) -> Result<(), Status> {
        if allowed(&self.identity.role) {
            return Ok(());
        }
        let Identity { name, role } = &self.identity;
        Err(Status::permission_denied(format!("{} {name} may not do this: it takes {needed}", role.label())))
    }
}

/// The sender of a request, as [`crate::server::incoming`] found it.
///
/// # Errors
/// `UNAUTHENTICATED` when the request did not come over such a connection.
pub fn peer_of<T>(request: &Request<T>) -> Result<&PeerInfo, Status> {
    request
        .extensions()
        .get::<PeerInfo>()
        .ok_or_else(|| Status::unauthenticated("no client certificate: connect with mutual TLS"))
}
