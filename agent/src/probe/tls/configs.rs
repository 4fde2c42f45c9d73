//! Which TLS configuration belongs to which files?
//!
//! Probes with equal files share one configuration, and all share the public roots, so that five hundred targets cost
//! the memory of one. Files are read again when they change. When the new ones are unusable the last good ones stay in
//! use: a certificate is often replaced a moment before its key, and a half-written pair must not blind the agent.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use uitwijk_model::Clock;
use uitwijk_model::plan::TlsOptions;

use crate::probe::failure::Failure;
use crate::probe::file_stamp::FileStamp;

/// What a handshake needs.
#[derive(Debug, Clone)]
pub(crate) struct Material {
    /// Protocol settings and our certificate.
    pub(crate) config: Arc<ClientConfig>,
    /// Judges the server's certificate.
    pub(crate) verifier: Arc<dyn ServerCertVerifier>,
}

/// The files that tell one configuration from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TlsFiles {
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl TlsFiles {
    /// The files that the plan names.
    pub(crate) fn of(options: &TlsOptions) -> Self {
        Self {
            ca: options.ca_file.clone(),
            cert: options.client_cert_file.clone(),
            key: options.client_key_file.clone(),
        }
    }

    /// The same roots without our certificate, for hosts that the plan did not name.
    pub(crate) fn for_strangers(&self) -> Self {
        Self { ca: self.ca.clone(), cert: None, key: None }
    }

    fn stamps(&self) -> Stamps {
        [&self.ca, &self.cert, &self.key].map(|path| path.as_deref().and_then(FileStamp::of))
    }
}

type Stamps = [Option<FileStamp>; 3];

/// A configuration and the state of the files that it was last tried from.
#[derive(Debug)]
struct Loaded {
    stamps: Stamps,
    material: Result<Material, String>,
}

/// All configurations in use.
#[derive(Debug)]
pub(crate) struct TlsConfigs {
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn Clock>,
    public: OnceLock<Arc<RootCertStore>>,
    loaded: Mutex<HashMap<TlsFiles, Loaded>>,
}

impl TlsConfigs {
    /// Verifies at the time of `clock`.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Self { provider, clock, public: OnceLock::new(), loaded: Mutex::default() }
    }

    /// The configuration for some files as they are now.
    pub(crate) fn get(&self, files: &TlsFiles) -> Result<Material, Failure> {
        let stamps = files.stamps();
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let known = loaded.get(files);
        if let Some(known) = known
            && known.stamps == stamps
        {
            return known.material.clone().map_err(Failure::local);
        }
        let fresh = self.load(files);
        let material = match (fresh, known) {
            (Err(problem), Some(Loaded { material: Ok(last), .. })) => {
                tracing::warn!(%problem, "tls files of a probe changed and are unusable, the last good ones stay");
                Ok(last.clone())
            }
            (fresh, _) => fresh,
        };
        loaded.insert(files.clone(), Loaded { stamps, material: material.clone() });
        material.map_err(Failure::local)
    }

    fn load(&self, files: &TlsFiles) -> Result<Material, String> {
        let roots = match &files.ca {
            Some(path) => Arc::new(roots_of(path)?),
            None => Arc::clone(self.public.get_or_init(|| Arc::new(public_roots()))),
        };
        let verifier: Arc<dyn ServerCertVerifier> =
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&self.provider))
                .build()
                .map_err(|e| format!("roots: {e}"))?;
        let time = Arc::new(ProbeTime(Arc::clone(&self.clock)));
        let builder = ClientConfig::builder_with_details(Arc::clone(&self.provider), time)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier));
        let mut config = match (&files.cert, &files.key) {
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(certificates(cert)?, key_of(key)?)
                .map_err(|e| format!("{} with {}: {e}", cert.display(), key.display()))?,
            _ => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        Ok(Material { config: Arc::new(config), verifier })
    }
}

/// The wall clock of the agent, as rustls wants it.
#[derive(Debug)]
struct ProbeTime(Arc<dyn Clock>);

impl TimeProvider for ProbeTime {
    fn current_time(&self) -> Option<UnixTime> {
        let us = u64::try_from(self.0.wall().as_micros()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_micros(us)))
    }
}

fn public_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

fn roots_of(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for der in certificates(path)? {
        roots.add(der).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let fail = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let pem = std::fs::read(path).map_err(|e| fail(&e))?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|e| fail(&e))?;
    if found.is_empty() { Err(fail(&"no certificate in PEM form in it")) } else { Ok(found) }
}

fn key_of(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path).map_err(|e| format!("{}: {e}", path.display()))
}
