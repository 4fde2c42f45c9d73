//! Do the three files make a usable whole, and who are we by them?

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::server::NoServerSessionStorage;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, InconsistentKeys, RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use uitwijk_model::{Clock, WallTime};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::error::CredentialsError;
use crate::files::{Contents, TlsFiles, certificates, private_key};
use crate::name::Identity;
use crate::verify::{ClockTime, NamedClientVerifier};

/// HTTP/2, the only protocol spoken over these connections.
const ALPN: &[u8] = b"h2";

/// One checked set of files, and the TLS configurations made from it.
#[derive(Debug)]
pub(crate) struct Material {
    /// Hash of the files' contents.
    pub(crate) hash: [u8; 32],
    pub(crate) identity: Identity,
    pub(crate) not_before: WallTime,
    pub(crate) not_after: WallTime,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
}

impl Material {
    /// Checks everything but the dates; see [`Self::check_dates`].
    pub(crate) fn new(files: &TlsFiles, contents: &Contents, clock: &Arc<dyn Clock>) -> Result<Self, CredentialsError> {
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::new(authorities(&files.ca_file, &contents.authorities)?);
        let key = Arc::new(certified_key(files, contents, &provider)?);
        let facts = Facts::of(&files.cert_file, &key.cert)?;
        warn_of_foreign_certificate(files, &roots, &key, &provider, clock);
        Ok(Self {
            hash: contents.hash(),
            server: server_config(&roots, &key, &provider, clock)?,
            client: client_config(&roots, &key, &provider, clock)?,
            identity: facts.identity,
            not_before: facts.not_before,
            not_after: facts.not_after,
            fingerprint: facts.fingerprint,
        })
    }

    /// Whether the own certificate is good at a moment.
    pub(crate) fn check_dates(&self, files: &TlsFiles, now: WallTime) -> Result<(), CredentialsError> {
        let (path, name) = (files.cert_file.clone(), self.identity.to_uri());
        // X.509 dates are whole seconds, and the last one still counts.
        if now.as_micros().div_euclid(1_000_000) > self.not_after.as_micros().div_euclid(1_000_000) {
            return Err(CredentialsError::Expired { path, name, not_after: self.not_after, now });
        }
        if now < self.not_before {
            return Err(CredentialsError::NotYetValid { path, name, not_before: self.not_before, now });
        }
        Ok(())
    }
}

/// What a certificate says, as far as we use it.
pub(crate) struct Facts {
    pub(crate) identity: Identity,
    pub(crate) not_before: WallTime,
    pub(crate) not_after: WallTime,
    pub(crate) fingerprint: [u8; 32],
}

impl Facts {
    pub(crate) fn of(path: &Path, chain: &[CertificateDer<'_>]) -> Result<Self, CredentialsError> {
        let bad = |reason: String| CredentialsError::BadCertificate {
            key: "tls.cert_file",
            path: path.to_owned(),
            number: 1,
            reason,
        };
        let der = chain.first().ok_or_else(|| bad("it is not there".to_owned()))?;
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| bad(error.to_string()))?;
        let identity = Identity::from_parsed(&parsed)
            .map_err(|source| CredentialsError::Identity { path: path.to_owned(), source })?;
        Ok(Self {
            identity,
            not_before: seconds(parsed.validity().not_before.timestamp()),
            not_after: seconds(parsed.validity().not_after.timestamp()),
            fingerprint: Sha256::digest(der).into(),
        })
    }
}

fn seconds(unix: i64) -> WallTime {
    WallTime::from_millis(unix.saturating_mul(1000))
}

fn authorities(path: &Path, pem: &[u8]) -> Result<RootCertStore, CredentialsError> {
    let mut roots = RootCertStore::empty();
    for (i, der) in certificates("tls.ca_file", path, pem)?.into_iter().enumerate() {
        roots.add(der).map_err(|error| CredentialsError::BadCertificate {
            key: "tls.ca_file",
            path: path.to_owned(),
            number: i + 1,
            reason: plain(&error),
        })?;
    }
    Ok(roots)
}

fn certified_key(
    files: &TlsFiles,
    contents: &Contents,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, CredentialsError> {
    let chain = certificates("tls.cert_file", &files.cert_file, &contents.certificate)?;
    let key = private_key(&files.key_file, &contents.key)?;
    let signing = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| CredentialsError::BadKey { path: files.key_file.clone(), reason: error.to_string() })?;
    let certified = CertifiedKey::new(chain, signing);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(CredentialsError::KeyMismatch { path: files.cert_file.clone(), key_path: files.key_file.clone() })
        }
        Err(error) => Err(CredentialsError::BadCertificate {
            key: "tls.cert_file",
            path: files.cert_file.clone(),
            number: 1,
            reason: plain(&error),
        }),
    }
}

/// What the TLS library says, without its guess that a certificate is that of a peer.
fn plain(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::BadEncoding) => "not an X.509 certificate".to_owned(),
        rustls::Error::InvalidCertificate(reason) => reason.to_string(),
        rustls::Error::General(reason) => reason.clone(),
        other => other.to_string(),
    }
}

fn server_config(
    roots: &Arc<RootCertStore>,
    key: &Arc<CertifiedKey>,
    provider: &Arc<CryptoProvider>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<ServerConfig>, CredentialsError> {
    let verifier = NamedClientVerifier::new(roots.clone(), provider.clone())
        .map_err(|error| CredentialsError::Tls(rustls::Error::General(error.to_string())))?;
    let mut config = ServerConfig::builder_with_details(provider.clone(), Arc::new(ClockTime(clock.clone())))
        .with_safe_default_protocol_versions()
        .map_err(CredentialsError::Tls)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key.clone())));
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session skips the check of the client's certificate, so an expired one, or one of an authority that
    // was taken out, would live on. Connections here are long; a full handshake for each costs nothing.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn client_config(
    roots: &Arc<RootCertStore>,
    key: &Arc<CertifiedKey>,
    provider: &Arc<CryptoProvider>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<ClientConfig>, CredentialsError> {
    let mut config = ClientConfig::builder_with_details(provider.clone(), Arc::new(ClockTime(clock.clone())))
        .with_safe_default_protocol_versions()
        .map_err(CredentialsError::Tls)?
        .with_root_certificates(roots.clone())
        .with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key.clone())));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Two authorities, one for each side, are possible; one `ca_file` that does not know the own certificate is more often
/// a mix-up, so it is worth a warning here, before the other side refuses it without many words.
fn warn_of_foreign_certificate(
    files: &TlsFiles,
    roots: &Arc<RootCertStore>,
    key: &CertifiedKey,
    provider: &Arc<CryptoProvider>,
    clock: &Arc<dyn Clock>,
) {
    use rustls::server::danger::ClientCertVerifier as _;
    use rustls::time_provider::TimeProvider as _;
    let (Ok(verifier), Some(now)) =
        (NamedClientVerifier::new(roots.clone(), provider.clone()), ClockTime(clock.clone()).current_time())
    else {
        return;
    };
    let Some((first, rest)) = key.cert.split_first() else { return };
    if let Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) =
        verifier.verify_client_cert(first, rest, now)
    {
        tracing::warn!(
            cert_file = %files.cert_file.display(),
            ca_file = %files.ca_file.display(),
            "the own certificate is not signed by an authority of the ca file"
        );
    }
}
