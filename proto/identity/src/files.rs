//! Which files hold the certificate of this process, and what is in them?

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::CredentialsError;

/// No sensible certificate file is larger; it keeps a wrong path such as a device from filling the memory.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;

/// The three PEM files of one end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// Certificates of the authorities whose holders are believed; several while an authority is being replaced.
    pub ca_file: PathBuf,
    /// Own certificate first, then the intermediate ones, if any.
    pub cert_file: PathBuf,
    /// Private key of the first certificate.
    pub key_file: PathBuf,
}

/// What the three files held at one moment.
pub(crate) struct Contents {
    pub(crate) authorities: Vec<u8>,
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl TlsFiles {
    pub(crate) fn read(&self) -> Result<Contents, CredentialsError> {
        Ok(Contents {
            authorities: read_file("tls.ca_file", &self.ca_file)?,
            certificate: read_file("tls.cert_file", &self.cert_file)?,
            key: read_file("tls.key_file", &self.key_file)?,
        })
    }
}

impl Contents {
    /// Tells one set of contents from another, without keeping the key around.
    pub(crate) fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [&self.authorities, &self.certificate, &self.key] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

fn read_file(key: &'static str, path: &Path) -> Result<Vec<u8>, CredentialsError> {
    let unreadable = |source| CredentialsError::Unreadable { key, path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(unreadable)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(CredentialsError::TooLarge { key, path: path.to_owned(), bytes_max: FILE_BYTES_MAX });
    }
    Ok(bytes)
}

/// All certificates in a file; at least one.
pub(crate) fn certificates(
    key: &'static str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| CredentialsError::BadPem { key, path: path.to_owned(), reason: pem_reason(&error) })?;
    match found.is_empty() {
        true => Err(CredentialsError::NoCertificate { key, path: path.to_owned() }),
        false => Ok(found),
    }
}

/// The first private key in a file.
pub(crate) fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, CredentialsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        PemError::NoItemsFound => CredentialsError::NoKey { path: path.to_owned() },
        other => CredentialsError::BadPem { key: "tls.key_file", path: path.to_owned(), reason: pem_reason(&other) },
    })
}

/// The reason without bytes of the file: they may be those of a key.
fn pem_reason(error: &PemError) -> String {
    match error {
        PemError::MissingSectionEnd { .. } => "a BEGIN line has no END line".to_owned(),
        PemError::IllegalSectionStart { .. } => "a BEGIN line is malformed".to_owned(),
        PemError::Base64Decode(_) => "the text between BEGIN and END is not base64".to_owned(),
        other => other.to_string(),
    }
}
