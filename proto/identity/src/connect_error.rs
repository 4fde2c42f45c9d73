//! Why can a collector not be reached, and who has to do something about it?

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error as TlsError};
use uitwijk_model::WallTime;

use crate::name::IdentityError;

/// Why a connection to a collector did not come about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The address of the collector is not one.
    #[error("{url:?} is not the address of a collector: {reason}; write https://HOST:PORT")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The own certificate cannot be used now.
    #[error("{0}")]
    OwnCertificate(String),
    /// The name has no address.
    #[error("cannot find the address of {host}: {reason}")]
    Lookup {
        /// The name.
        host: String,
        /// What the system said.
        reason: String,
    },
    /// Nothing listens there.
    #[error("{addr} refused the connection: is the collector running?")]
    Refused {
        /// Where.
        addr: SocketAddr,
    },
    /// No answer in time.
    #[error("no answer from {addr} within {} ms while {stage}", after.as_millis())]
    Timeout {
        /// Where.
        addr: SocketAddr,
        /// What was going on: `connecting` or `in the TLS handshake`.
        stage: &'static str,
        /// How long it took.
        after: Duration,
    },
    /// The network failed.
    #[error("cannot talk to {addr}: {reason}")]
    Network {
        /// Where.
        addr: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// What answers does not speak TLS.
    #[error("{addr} does not speak TLS: is this the port of a collector?")]
    NotTls {
        /// Where.
        addr: SocketAddr,
    },
    /// The server's certificate has expired.
    #[error("the certificate of {addr} expired{}", date(" at", *not_after))]
    Expired {
        /// Where.
        addr: SocketAddr,
        /// Its last moment, when known.
        not_after: Option<WallTime>,
    },
    /// The server's certificate is not valid yet.
    #[error("the certificate of {addr} is not valid yet{}: is the clock right?", date(", only from", *not_before))]
    NotYetValid {
        /// Where.
        addr: SocketAddr,
        /// Its first moment, when known.
        not_before: Option<WallTime>,
    },
    /// The server's certificate is of an authority that we do not know.
    #[error("the certificate of {addr} is not signed by an authority in tls.ca_file {ca_file}")]
    UnknownAuthority {
        /// Where.
        addr: SocketAddr,
        /// Our file of authorities.
        ca_file: String,
    },
    /// The server's certificate is for another name.
    #[error("the certificate of {addr} is for {}, not for {expected}", listed(presented))]
    WrongName {
        /// Where.
        addr: SocketAddr,
        /// The name that we wanted.
        expected: String,
        /// The names that it has.
        presented: Vec<String>,
    },
    /// The server's certificate is otherwise bad.
    #[error("the certificate of {addr} cannot be used: {reason}")]
    BadCertificate {
        /// Where.
        addr: SocketAddr,
        /// What the library said.
        reason: String,
    },
    /// The server is not a collector.
    #[error("{addr} is not a collector: {found}")]
    NotACollector {
        /// Where.
        addr: SocketAddr,
        /// Who it is, or why we cannot tell.
        found: String,
    },
    /// The server did not take our certificate.
    #[error("{addr} refused our certificate: {reason}")]
    Rejected {
        /// Where.
        addr: SocketAddr,
        /// What its alert means.
        reason: String,
    },
    /// TLS failed otherwise.
    #[error("the TLS handshake with {addr} failed: {reason}")]
    Tls {
        /// Where.
        addr: SocketAddr,
        /// What the library said.
        reason: String,
    },
    /// The connection was made, but gRPC over it failed.
    #[error("{url} does not speak gRPC: {reason}")]
    Protocol {
        /// The address of the collector.
        url: String,
        /// What the library said.
        reason: String,
    },
}

fn date(before: &str, at: Option<WallTime>) -> String {
    at.map(|at| format!("{before} {at}")).unwrap_or_default()
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "no host".to_owned(),
        _ => names.join(", "),
    }
}

impl ConnectError {
    /// Whether trying again later may help without anybody doing something about certificates or configuration.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Lookup { .. } | Self::Refused { .. } | Self::Timeout { .. } | Self::Network { .. })
    }

    pub(crate) fn from_connect(addr: SocketAddr, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused { addr },
            _ => Self::Network { addr, reason: error.to_string() },
        }
    }

    /// The server hung up without a reason.
    pub(crate) fn closed(addr: SocketAddr) -> Self {
        Self::Network { addr, reason: "it closed the connection at once, it may have too many".to_owned() }
    }

    /// Sorts what the TLS library said.
    pub(crate) fn from_tls(addr: SocketAddr, ca_file: &str, error: &io::Error) -> Self {
        let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) else {
            return match error.kind() {
                io::ErrorKind::UnexpectedEof => Self::closed(addr),
                _ => Self::Network { addr, reason: error.to_string() },
            };
        };
        match tls {
            TlsError::InvalidCertificate(error) => Self::from_certificate(addr, ca_file, error),
            TlsError::AlertReceived(alert) => Self::from_alert(addr, *alert),
            TlsError::InvalidMessage(_) => Self::NotTls { addr },
            other => Self::Tls { addr, reason: other.to_string() },
        }
    }

    fn from_certificate(addr: SocketAddr, ca_file: &str, error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired => Self::Expired { addr, not_after: None },
            CertificateError::ExpiredContext { not_after, .. } => {
                Self::Expired { addr, not_after: Some(wall(*not_after)) }
            }
            CertificateError::NotValidYet => Self::NotYetValid { addr, not_before: None },
            CertificateError::NotValidYetContext { not_before, .. } => {
                Self::NotYetValid { addr, not_before: Some(wall(*not_before)) }
            }
            // A bad signature is most often that of another authority by the same name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Self::UnknownAuthority { addr, ca_file: ca_file.to_owned() }
            }
            CertificateError::NotValidForNameContext { expected, presented } => {
                let hosts = presented.iter().filter(|name| !name.contains("://"));
                let names = hosts.map(|name| plain_name(name)).collect();
                Self::WrongName { addr, expected: expected.to_str().into_owned(), presented: names }
            }
            other => Self::BadCertificate { addr, reason: other.to_string() },
        }
    }

    fn from_alert(addr: SocketAddr, alert: AlertDescription) -> Self {
        let reason = match alert {
            AlertDescription::CertificateExpired => "expired or not valid yet by its clock",
            AlertDescription::UnknownCA | AlertDescription::DecryptError => "not signed by an authority that it knows",
            AlertDescription::CertificateRequired => "it wants one and got none",
            AlertDescription::CertificateUnknown => {
                "it names no agent, collector, viewer or operator (a URI of the form uitwijk://...)"
            }
            AlertDescription::UnsupportedCertificate => "it is not made for use by clients",
            AlertDescription::BadCertificate => "malformed",
            AlertDescription::CertificateRevoked => "revoked",
            other => return Self::Tls { addr, reason: format!("it sent the alert {other:?}") },
        };
        Self::Rejected { addr, reason: reason.to_owned() }
    }

    pub(crate) fn not_a_collector(addr: SocketAddr, error: &IdentityError) -> Self {
        Self::NotACollector { addr, found: error.to_string() }
    }
}

/// `DnsName("a")` as the library lists presented names, to `a`.
fn plain_name(name: &str) -> String {
    name.split_once('"').and_then(|(_, rest)| rest.split_once('"')).map_or(name, |(inner, _)| inner).to_owned()
}

fn wall(time: UnixTime) -> WallTime {
    WallTime::from_millis(i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000))
}

/// Finds the connect error inside an error of tonic: a channel that lost its connection makes a new one by itself, and
/// when that fails, the call in hand ends with a status that carries the reason.
#[must_use]
pub fn connect_error_of(error: &(dyn StdError + 'static)) -> Option<ConnectError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<ConnectError>() {
            return Some(found.clone());
        }
        // The `source` of an `io::Error` is that of its inner error, so the inner one has to be asked for.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
