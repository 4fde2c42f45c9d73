//! With which roots and which certificate of ours is a handshake made, and what did the server present?
//!
//! ```text
//!   TlsOptions --configs.rs--> ClientConfig, one per distinct set of files, read again when they change
//!                                   | cloned per attempt (a few pointers)
//!                                   v
//!                              witness.rs: keeps the chain, trusted or not --> earliest expiry
//!   rustls error --fault.rs--> Fault
//! ```
//!
//! Every handshake is full: sessions are not resumed, because a resumed one would hide a certificate that expired since.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use uitwijk_model::Fault;

use super::failure::Failure;
use super::net::address::Host;
use super::trail::{Step, Trail};

pub(crate) mod certificate;
pub(crate) mod configs;
pub(crate) mod fault;
mod witness;

use configs::Material;
use witness::Witness;

/// A finished handshake.
pub(crate) struct Secured {
    /// The connection.
    pub(crate) stream: Box<TlsStream<TcpStream>>,
    /// The server asked for a certificate of ours.
    pub(crate) asked_for_certificate: bool,
}

/// The name to ask for and verify: the plan's own, else the host.
pub(crate) fn server_name(host: &Host, chosen: Option<&str>) -> Option<ServerName<'static>> {
    match (chosen, host) {
        (Some(name), _) => ServerName::try_from(name.to_owned()).ok(),
        (None, Host::Ip(ip)) => Some(ServerName::from(IpAddr::clone(ip))),
        (None, Host::Name(name)) => ServerName::try_from(name.trim_end_matches('.').to_owned()).ok(),
    }
}

/// Makes a full handshake and marks the phase.
pub(crate) async fn handshake(
    tcp: TcpStream,
    name: ServerName<'static>,
    material: &Material,
    alpn: &[&[u8]],
    trail: &Trail,
) -> Result<Secured, Failure> {
    let witness = Arc::new(Witness::new(material, trail.clone()));
    let mut config = (*material.config).clone();
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    config.client_auth_cert_resolver = witness.clone();
    config.dangerous().set_certificate_verifier(witness.clone());
    let connector = TlsConnector::from(Arc::new(config));
    trail.enter(Step::Tls);
    let stream = connector.connect(name, tcp).await;
    trail.leave(Step::Tls);
    let asked_for_certificate = witness.was_asked();
    match stream {
        Ok(stream) => Ok(Secured { stream: Box::new(stream), asked_for_certificate }),
        Err(error) => {
            let fault = fault::of_io(&error, asked_for_certificate).unwrap_or(Fault::TlsHandshake);
            Err(Failure::of_io(&error, fault))
        }
    }
}
