//! Which certificates do the sites of the world show?
//!
//! One private authority, as if it were a public one: agents trust it through the `ca_file` of the plan. It has nothing
//! to do with the authority of the fleet.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::dns::SUFFIX;

const CA: &str = "world-ca.pem";
const CERT: &str = "world.pem";
const KEY: &str = "world.key";

/// A certificate for every name of the world, its key, and the authority behind it, as PEM.
#[derive(Debug, Clone)]
pub struct SiteCertificate {
    /// The authority that agents must trust.
    pub ca_pem: String,
    /// The certificate of the sites.
    pub cert_pem: String,
    /// Its key.
    pub key_pem: String,
}

impl SiteCertificate {
    /// Makes a new authority and a certificate.
    ///
    /// # Errors
    /// When a key or certificate cannot be made.
    pub fn create() -> anyhow::Result<Self> {
        let ca_key = KeyPair::generate().context("make the key of the world's authority")?;
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        ca.distinguished_name = common_name("Uitwijk demo world");
        let ca_pem = ca.self_signed(&ca_key)?.pem();
        let issuer = Issuer::new(ca, ca_key);

        let key = KeyPair::generate()?;
        let mut leaf = CertificateParams::new(names())?;
        leaf.distinguished_name = common_name("Uitwijk demo site");
        leaf.use_authority_key_identifier_extension = true;
        let cert_pem = leaf.signed_by(&key, &issuer)?.pem();
        Ok(Self { ca_pem, cert_pem, key_pem: key.serialize_pem() })
    }

    /// Reads what [`Self::save`] wrote.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn load(dir: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| {
            let path = dir.join(name);
            fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
        };
        Ok(Self { ca_pem: read(CA)?, cert_pem: read(CERT)?, key_pem: read(KEY)? })
    }

    /// Writes three PEM files.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, dir: &Path) -> anyhow::Result<()> {
        for (name, text) in [(CA, &self.ca_pem), (CERT, &self.cert_pem), (KEY, &self.key_pem)] {
            let path = dir.join(name);
            fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        }
        Ok(())
    }

    /// What the sites show on a connection.
    ///
    /// # Errors
    /// When certificate and key do not fit each other.
    pub fn acceptor(&self) -> anyhow::Result<TlsAcceptor> {
        let chain = vec![CertificateDer::from_pem_slice(self.cert_pem.as_bytes())?];
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Every name of the world; a wildcard stands for one label only.
fn names() -> Vec<String> {
    let zones = |region| (1..=3).map(move |zone| format!("*.z{zone}.{region}.{SUFFIX}"));
    let regions = ["nl", "ie"].into_iter().flat_map(|r| zones(r).chain([format!("*.{r}.{SUFFIX}")]));
    regions.chain([format!("*.{SUFFIX}")]).collect()
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
