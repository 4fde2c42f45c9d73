//! What can be wrong with the certificate files of this process?
//!
//! All of it is for the operator to mend, so each error names the configuration key and the file.

use std::io;
use std::path::PathBuf;

use uitwijk_model::WallTime;

use crate::name::IdentityError;

/// Why a set of certificate files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file cannot be opened or read.
    #[error("{key} {}: cannot read it: {source}", path.display())]
    Unreadable {
        /// Configuration key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is too large to be one of certificates.
    #[error("{key} {}: larger than {bytes_max} bytes, so not a PEM file of certificates or a key", path.display())]
    TooLarge {
        /// Configuration key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The limit.
        bytes_max: u64,
    },
    /// A file is not well-formed PEM.
    #[error("{key} {}: not well-formed PEM: {reason}", path.display())]
    BadPem {
        /// Configuration key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file holds no certificate.
    #[error("{key} {}: no certificate in it, expected PEM with `BEGIN CERTIFICATE`", path.display())]
    NoCertificate {
        /// Configuration key.
        key: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The key file holds no key.
    #[error("tls.key_file {}: no private key in it, expected PEM with `BEGIN PRIVATE KEY`", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The key is of a kind that cannot be used.
    #[error("tls.key_file {}: this key cannot be used: {reason} (use ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits and more)", path.display())]
    BadKey {
        /// The file.
        path: PathBuf,
        /// What the library said.
        reason: String,
    },
    /// The key belongs to another certificate.
    #[error("tls.key_file {}: this key does not belong to the certificate in tls.cert_file {}", key_path.display(), path.display())]
    KeyMismatch {
        /// The certificate file.
        path: PathBuf,
        /// The key file.
        key_path: PathBuf,
    },
    /// A certificate cannot be used.
    #[error("{key} {}: certificate {number} in it cannot be used: {reason}", path.display())]
    BadCertificate {
        /// Configuration key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Which certificate of the file, from 1.
        number: usize,
        /// What is wrong.
        reason: String,
    },
    /// The certificate does not name us.
    #[error("tls.cert_file {}: {source}", path.display())]
    Identity {
        /// The certificate file.
        path: PathBuf,
        /// What is wrong.
        source: IdentityError,
    },
    /// The certificate has expired.
    #[error("tls.cert_file {}: the certificate of {name} expired at {not_after}, and it is {now} now: put a new one in place", path.display())]
    Expired {
        /// The certificate file.
        path: PathBuf,
        /// Whom it names.
        name: String,
        /// Its last moment.
        not_after: WallTime,
        /// The time here.
        now: WallTime,
    },
    /// The certificate is not valid yet.
    #[error("tls.cert_file {}: the certificate of {name} is valid from {not_before}, and it is {now} now: check the clock, or put another in place", path.display())]
    NotYetValid {
        /// The certificate file.
        path: PathBuf,
        /// Whom it names.
        name: String,
        /// Its first moment.
        not_before: WallTime,
        /// The time here.
        now: WallTime,
    },
    /// The library refused the whole.
    #[error("the certificate files make no usable TLS configuration: {0}")]
    Tls(rustls::Error),
}
