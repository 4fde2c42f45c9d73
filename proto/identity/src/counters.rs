//! How many connections came, and what became of them?

use std::sync::atomic::{AtomicU64, Ordering};

use rustls::{AlertDescription, CertificateError, Error as TlsError};

/// Why a handshake did not end in a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HandshakeFailure {
    /// It took longer than allowed.
    Timeout,
    /// What came was not TLS.
    NotTls,
    /// The client showed no certificate.
    NoCertificate,
    /// Its certificate has expired.
    Expired,
    /// Its certificate is not valid yet.
    NotYetValid,
    /// Its certificate is of an authority that is not in `tls.ca_file`.
    UnknownAuthority,
    /// Its certificate is good but names nobody.
    NoIdentity,
    /// The client did not take our certificate.
    Refused,
    /// The client went away.
    Closed,
    /// Any other reason.
    Other,
}

impl HandshakeFailure {
    /// All of them, in order of their index.
    pub const ALL: [Self; 10] = [
        Self::Timeout,
        Self::NotTls,
        Self::NoCertificate,
        Self::Expired,
        Self::NotYetValid,
        Self::UnknownAuthority,
        Self::NoIdentity,
        Self::Refused,
        Self::Closed,
        Self::Other,
    ];

    /// The word for it in metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::NotTls => "not_tls",
            Self::NoCertificate => "no_certificate",
            Self::Expired => "certificate_expired",
            Self::NotYetValid => "certificate_not_yet_valid",
            Self::UnknownAuthority => "unknown_authority",
            Self::NoIdentity => "no_identity",
            Self::Refused => "our_certificate_refused",
            Self::Closed => "closed",
            Self::Other => "other",
        }
    }

    /// Whether somebody with a certificate was turned away, which an operator wants to read of, rather than some scanner.
    #[must_use]
    pub const fn is_about_certificates(self) -> bool {
        !matches!(self, Self::Timeout | Self::NotTls | Self::Closed)
    }

    pub(crate) fn of(error: &std::io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
            Some(tls) => Self::of_tls(tls),
            None => Self::Closed,
        }
    }

    fn of_tls(error: &TlsError) -> Self {
        match error {
            TlsError::NoCertificatesPresented => Self::NoCertificate,
            TlsError::InvalidCertificate(error) => match error {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
                CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownAuthority,
                CertificateError::Other(_) => Self::NoIdentity,
                _ => Self::Other,
            },
            TlsError::AlertReceived(AlertDescription::CloseNotify | AlertDescription::UserCanceled) => Self::Closed,
            TlsError::AlertReceived(_) => Self::Refused,
            TlsError::InvalidMessage(_) | TlsError::InappropriateMessage { .. } => Self::NotTls,
            _ => Self::Other,
        }
    }
}

/// Counts of a server, from its start.
#[derive(Debug, Default)]
pub struct ServerCounters {
    accepted: AtomicU64,
    established: AtomicU64,
    closed: AtomicU64,
    over_connections: AtomicU64,
    over_handshakes: AtomicU64,
    failures: [AtomicU64; HandshakeFailure::ALL.len()],
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl ServerCounters {
    /// TCP connections taken from the listener. Each becomes established, dropped or failed.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        read(&self.accepted)
    }

    /// Connections whose handshake ended well.
    #[must_use]
    pub fn established(&self) -> u64 {
        read(&self.established)
    }

    /// Established connections that are open now.
    #[must_use]
    pub fn open(&self) -> u64 {
        read(&self.established).saturating_sub(read(&self.closed))
    }

    /// Connections dropped because `connections_max` were open.
    #[must_use]
    pub fn dropped_over_connections(&self) -> u64 {
        read(&self.over_connections)
    }

    /// Connections dropped because `handshakes_max` were under way.
    #[must_use]
    pub fn dropped_over_handshakes(&self) -> u64 {
        read(&self.over_handshakes)
    }

    /// Handshakes that failed for this reason.
    #[must_use]
    pub fn failed(&self, reason: HandshakeFailure) -> u64 {
        read(&self.failures[reason as usize])
    }

    pub(crate) fn count_accepted(&self) {
        count(&self.accepted);
    }

    pub(crate) fn count_established(&self) {
        count(&self.established);
    }

    pub(crate) fn count_closed(&self) {
        count(&self.closed);
    }

    pub(crate) fn count_over_connections(&self) {
        count(&self.over_connections);
    }

    pub(crate) fn count_over_handshakes(&self) {
        count(&self.over_handshakes);
    }

    pub(crate) fn count_failed(&self, reason: HandshakeFailure) {
        count(&self.failures[reason as usize]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_indexed_in_order() {
        for (i, reason) in HandshakeFailure::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, i);
        }
    }
}
