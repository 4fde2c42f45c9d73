//! Where do certificates for trials and tests come from?
//!
//! From a private authority in two files. For a real fleet any authority will do that can put a URI among the subject
//! alternative names; what it must write there is in `name.rs`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use uitwijk_model::{Millis, WallTime};

use crate::files::TlsFiles;
use crate::name::{Identity, Role};

/// Why the authority could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is there already.
    #[error("{} is there already, and would be lost: choose another directory, or move it away", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file does not hold what it should.
    #[error("{}: not {expected}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
        /// What the library said.
        reason: String,
    },
    /// A name cannot stand in a certificate.
    #[error("{name:?} cannot be a name in a certificate: write a host name or an IP address")]
    Name {
        /// The name.
        name: String,
    },
    /// The library failed to make a key or a certificate.
    #[error("cannot make the certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// When a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First moment, to the second.
    pub not_before: WallTime,
    /// Last moment, to the second.
    pub not_after: WallTime,
}

impl Validity {
    /// From five minutes ago, so that a clock that is a little behind takes it at once.
    #[must_use]
    pub fn from_now(now: WallTime, lasting: Millis) -> Self {
        Self { not_before: now.minus(Millis::from_secs(300)), not_after: now.plus(lasting) }
    }
}

/// A private authority.
#[derive(Debug)]
pub struct Authority {
    certificate_pem: String,
    key_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub struct IssuedCertificate {
    /// The certificate.
    pub cert_pem: String,
    /// Its private key.
    pub key_pem: String,
}

impl std::fmt::Debug for IssuedCertificate {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedCertificate").field("cert_pem", &self.cert_pem).finish_non_exhaustive()
    }
}

/// File of the authority's certificate in its directory.
pub const CA_FILE: &str = "ca.pem";
/// File of the authority's key in its directory.
pub const CA_KEY_FILE: &str = "ca-key.pem";

impl Authority {
    /// Makes a new one; a number is added to its name.
    ///
    /// # Errors
    /// When the library cannot make a key.
    pub fn create(name: &str, validity: Validity) -> Result<Self, IssueError> {
        let key = KeyPair::generate()?;
        let mut params = dated(validity);
        // Two authorities of one name are hard to tell apart for people and programs alike, so the key gives it a number.
        let number: String = params.key_identifier(&key).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        params.distinguished_name.push(DnType::CommonName, format!("{name} {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate_pem = params.self_signed(&key)?.pem();
        let key_pem = key.serialize_pem();
        Ok(Self { certificate_pem, key_pem, issuer: Issuer::new(params, key) })
    }

    /// Reads what [`Self::save`] wrote.
    ///
    /// # Errors
    /// When a file is missing or does not hold what it should.
    pub fn load(directory: &Path) -> Result<Self, IssueError> {
        let (certificate, key_path) = (directory.join(CA_FILE), directory.join(CA_KEY_FILE));
        let certificate_pem = read(&certificate)?;
        let key_pem = read(&key_path)?;
        let content = |path: PathBuf, expected, error: rcgen::Error| IssueError::Content {
            path,
            expected,
            reason: error.to_string(),
        };
        let key = KeyPair::from_pem(&key_pem).map_err(|error| content(key_path, "the key of an authority", error))?;
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key)
            .map_err(|error| content(certificate, "the certificate of an authority", error))?;
        Ok(Self { certificate_pem, key_pem, issuer })
    }

    /// Writes `ca.pem` and `ca-key.pem` (readable by the owner only) to a directory, which is made if need be.
    ///
    /// # Errors
    /// When one of them is there already, or cannot be written.
    pub fn save(&self, directory: &Path) -> Result<(), IssueError> {
        make_directory(directory)?;
        write_new(&directory.join(CA_KEY_FILE), &self.key_pem, 0o600)?;
        write_new(&directory.join(CA_FILE), &self.certificate_pem, 0o644)
    }

    /// The certificate that others must trust.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Makes a certificate for a process or a person. `subject_names` are host names and addresses that a collector
    /// is reached by.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate.
    pub fn issue(
        &self,
        identity: &Identity,
        subject_names: &[String],
        validity: Validity,
    ) -> Result<IssuedCertificate, IssueError> {
        self.issue_uris(&identity.name, &[identity.to_uri()], usages(&identity.role), subject_names, validity)
    }

    /// As [`Self::issue`], with any URIs, to see what becomes of certificates that name nobody or too many.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate.
    pub fn issue_uris(
        &self,
        common_name: &str,
        uris: &[String],
        usages: Vec<ExtendedKeyUsagePurpose>,
        subject_names: &[String],
        validity: Validity,
    ) -> Result<IssuedCertificate, IssueError> {
        let key = KeyPair::generate()?;
        let mut params = dated(validity);
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.subject_alt_names = names(uris, subject_names)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages;
        params.use_authority_key_identifier_extension = true;
        let cert_pem = params.signed_by(&key, &self.issuer)?.pem();
        Ok(IssuedCertificate { cert_pem, key_pem: key.serialize_pem() })
    }
}

impl IssuedCertificate {
    /// Writes `STEM.pem` and `STEM-key.pem` (readable by the owner only) to a directory, and tells where they are.
    /// `ca_file` is that of the authority.
    ///
    /// # Errors
    /// When one of them is there already, or cannot be written.
    pub fn save(&self, directory: &Path, stem: &str, ca_file: &Path) -> Result<TlsFiles, IssueError> {
        make_directory(directory)?;
        let cert_file = directory.join(format!("{stem}.pem"));
        let key_file = directory.join(format!("{stem}-key.pem"));
        write_new(&key_file, &self.key_pem, 0o600)?;
        write_new(&cert_file, &self.cert_pem, 0o644)?;
        Ok(TlsFiles { ca_file: ca_file.to_owned(), cert_file, key_file })
    }
}

/// A collector is a server, and a client when it asks its neighbours; all others are clients only, so that nobody can
/// play a server with the certificate of an agent.
fn usages(role: &Role) -> Vec<ExtendedKeyUsagePurpose> {
    match role {
        Role::Collector(_) => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        Role::Agent(_) | Role::Viewer | Role::Operator => vec![ExtendedKeyUsagePurpose::ClientAuth],
    }
}

fn dated(validity: Validity) -> CertificateParams {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |time: WallTime| {
        // Before 1970 there were no certificates; past 9999 the format ends.
        let seconds = u64::try_from(time.as_millis() / 1000).unwrap_or(0).min(253_402_300_799);
        epoch + std::time::Duration::from_secs(seconds)
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = at(validity.not_before);
    params.not_after = at(validity.not_after);
    params
}

fn names(uris: &[String], subject_names: &[String]) -> Result<Vec<SanType>, IssueError> {
    let bad = |name: &String| IssueError::Name { name: name.clone() };
    let mut names = Vec::new();
    for uri in uris {
        names.push(SanType::URI(uri.as_str().try_into().map_err(|_| bad(uri))?));
    }
    for name in subject_names {
        names.push(match name.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => {
                rustls::pki_types::DnsName::try_from(name.as_str()).map_err(|_| bad(name))?;
                SanType::DnsName(name.as_str().try_into().map_err(|_| bad(name))?)
            }
        });
    }
    Ok(names)
}

fn read(path: &Path) -> Result<String, IssueError> {
    std::fs::read_to_string(path).map_err(|source| IssueError::File { path: path.to_owned(), source })
}

fn make_directory(directory: &Path) -> Result<(), IssueError> {
    std::fs::create_dir_all(directory).map_err(|source| IssueError::File { path: directory.to_owned(), source })
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), IssueError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => IssueError::Exists { path: path.to_owned() },
        _ => IssueError::File { path: path.to_owned(), source },
    };
    let mut file = create_new(path, mode).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}
