//! How is a connection to a target made?
//!
//! Lookup, connection and handshake in this order, each phase marked. Every probe but the DNS one begins here.

use std::net::SocketAddr;

use uitwijk_model::Fault;
use uitwijk_model::plan::{ConnectOptions, Probe};

use super::env::ProberEnv;
use super::failure::Failure;
use super::net::address::{Address, Host, Origin};
use super::net::connect::connect;
use super::net::link::Link;
use super::tls::{self, configs::TlsFiles};
use super::trail::{Step, Trail};

/// How a target's connections are made.
#[derive(Debug)]
pub(crate) struct Dialer {
    options: ConnectOptions,
    files: TlsFiles,
    /// The name to ask for instead of the host's.
    server_name: Option<String>,
    /// The host that the plan named: only it gets our certificate and the chosen name.
    home: Option<Address>,
}

/// A connection that is ready for use.
pub(crate) struct Dialed {
    /// The connection.
    pub(crate) link: Link,
    /// The server asked for a certificate of ours.
    pub(crate) asked_for_certificate: bool,
}

impl Dialer {
    /// As the plan says, for the address that it names.
    pub(crate) fn new(probe: &Probe, home: Option<Address>) -> Self {
        let files = TlsFiles::of(&probe.tls);
        Self { options: probe.connect.clone(), files, server_name: probe.tls.server_name.clone(), home }
    }

    /// Connects, with TLS when the origin says so.
    pub(crate) async fn dial(
        &self,
        env: &ProberEnv,
        origin: &Origin,
        alpn: &[&[u8]],
        trail: &Trail,
    ) -> Result<Dialed, Failure> {
        if !origin.secure {
            let tcp = self.connect(env, &origin.address, trail).await?;
            return Ok(Dialed { link: Link::Plain(tcp), asked_for_certificate: false });
        }
        let at_home = self.home.as_ref() == Some(&origin.address);
        let chosen = self.server_name.as_deref().filter(|_| at_home);
        let name = tls::server_name(&origin.address.host, chosen).ok_or_else(|| {
            Failure::down(Fault::TlsCertificateName, format!("{} cannot be verified", origin.address.host))
        })?;
        // Files are read before the clock of the handshake runs.
        let files = if at_home { self.files.clone() } else { self.files.for_strangers() };
        let material = env.tls().get(&files)?;
        let tcp = self.connect(env, &origin.address, trail).await?;
        let secured = tls::handshake(tcp, name, &material, alpn, trail).await?;
        Ok(Dialed { link: Link::Secure(secured.stream), asked_for_certificate: secured.asked_for_certificate })
    }

    /// Connects without TLS.
    pub(crate) async fn connect(
        &self,
        env: &ProberEnv,
        address: &Address,
        trail: &Trail,
    ) -> Result<tokio::net::TcpStream, Failure> {
        trail.depart();
        let ips = match &address.host {
            Host::Ip(ip) => vec![*ip],
            Host::Name(name) => {
                trail.enter(Step::Dns);
                let found = env.resolvers().addresses(name, self.options.family, self.options.resolver).await;
                trail.leave(Step::Dns);
                found?
            }
        };
        let addresses: Vec<SocketAddr> = ips.into_iter().map(|ip| SocketAddr::new(ip, address.port)).collect();
        connect(&addresses, trail).await
    }
}
