//! Which certificates do the sites of the world show?
//!
//! One private authority, as if it were a public one: agents trust it through the `ca_file` of the plan. It has nothing
//! to do with the authority of the fleet.

use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::dns::SUFFIX;

/// An acceptor for every name of the world, and the authority behind it as PEM.
///
/// # Errors
/// When a key or certificate cannot be made.
pub fn acceptor() -> anyhow::Result<(TlsAcceptor, String)> {
    let ca_key = KeyPair::generate().context("make the key of the world's authority")?;
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    ca.distinguished_name = common_name("Uitwijk demo world");
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(ca, ca_key);

    let key = KeyPair::generate()?;
    let names: Vec<String> = ["", "exchange.", "portal.", "idp.", "ctl-a.", "ctl-b.", "ctl-c."]
        .map(|first| format!("{first}{SUFFIX}"))
        .into_iter()
        // One wildcard stands for one label: regions, zones and services are at different depths.
        .chain(["nl", "ie"].into_iter().flat_map(|region| {
            let zones = (1..=3).map(move |zone| format!("*.z{zone}.{region}.{SUFFIX}"));
            zones.chain([format!("*.{region}.{SUFFIX}")])
        }))
        .collect();
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name = common_name("Uitwijk demo site");
    leaf.use_authority_key_identifier_extension = true;
    let certificate = leaf.signed_by(&key, &issuer)?;

    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((TlsAcceptor::from(Arc::new(config)), ca_pem))
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
