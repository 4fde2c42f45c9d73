//! How does a process reach a collector, and what does it hear when it cannot?
//!
//! ```text
//!   url --lookup--> addresses --TCP, one after the other--> TLS, both certificates --> is it a collector?
//!       --> first bytes of the server --> tonic Channel
//! ```
//!
//! The channel waits for the server's first bytes before it calls itself connected. In TLS 1.3 a client has finished
//! before the server has looked at its certificate, so a refusal arrives in place of those bytes; without the wait it
//! would surface in some later call, worded as a broken connection.
//!
//! A lost connection is made anew by the channel, each time with the certificate that is current then.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use uitwijk_model::Elapsed;

use crate::connect_error::{ConnectError, connect_error_of};
use crate::credentials::Credentials;
use crate::name::{Identity, Role};

/// How a client connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// For lookup, TCP and TLS together.
    pub connect_timeout: Duration,
    /// How long the first bytes of the server are waited for once TLS stands. A server that says nothing until it is
    /// spoken to is fine, it only takes this long.
    pub greeting_timeout: Duration,
    /// HTTP/2 pings are sent this often, also when nothing else is going on.
    pub keepalive_interval: Duration,
    /// A ping that is not answered for so long ends the connection.
    pub keepalive_timeout: Duration,
    /// The name that the server's certificate must have, when it is not the host of the URL.
    pub server_name: Option<String>,
    /// Product and version, such as `uitwijk-agent/0.1.0`.
    pub user_agent: String,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            greeting_timeout: Duration::from_secs(2),
            keepalive_interval: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(10),
            server_name: None,
            user_agent: concat!("uitwijk/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Connects to a collector.
///
/// # Errors
/// When the address is not one, nothing answers, or one side does not take the other's certificate.
pub async fn channel(
    url: &str,
    credentials: Arc<Credentials>,
    options: ClientOptions,
) -> Result<Channel, ConnectError> {
    let target = Target::parse(url, options.server_name.as_deref())?;
    let endpoint = endpoint(url, &target, &options)?;
    let connector = Connector { target: Arc::new(target), credentials, options: Arc::new(options) };
    let service = tower::service_fn(move |_: Uri| {
        let connector = connector.clone();
        async move { connector.connect().await.map(TokioIo::new) }
    });
    endpoint.connect_with_connector(service).await.map_err(|error| {
        connect_error_of(&error)
            .unwrap_or_else(|| ConnectError::Protocol { url: url.to_owned(), reason: innermost(&error) })
    })
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().unwrap_or(error).to_string()
}

fn endpoint(url: &str, target: &Target, options: &ClientOptions) -> Result<Endpoint, ConnectError> {
    let bad = |reason: String| ConnectError::Url { url: url.to_owned(), reason };
    let origin: Uri = format!("https://{}", target.authority).parse().map_err(|e| bad(format!("{e}")))?;
    // Dialled as http, since the connector brings the TLS along; what calls carry is the https origin.
    let endpoint = Endpoint::from_shared(format!("http://{}", target.authority))
        .and_then(|endpoint| endpoint.user_agent(options.user_agent.clone()))
        .map_err(|error| bad(innermost(&error)))?;
    Ok(endpoint
        .origin(origin)
        .http2_keep_alive_interval(options.keepalive_interval)
        .keep_alive_timeout(options.keepalive_timeout)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20))
}

/// Where to, and whom to expect there.
#[derive(Debug)]
struct Target {
    authority: String,
    host: String,
    port: u16,
    name: ServerName<'static>,
}

impl Target {
    fn parse(url: &str, server_name: Option<&str>) -> Result<Self, ConnectError> {
        let bad = |reason: &str| ConnectError::Url { url: url.chars().take(200).collect(), reason: reason.to_owned() };
        let uri: Uri = url.parse().map_err(|_| bad("not a URL"))?;
        if uri.scheme_str() != Some("https") {
            return Err(bad("connections are always encrypted"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(bad("it has a path or a query"));
        }
        let authority = uri.authority().ok_or_else(|| bad("no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("it has a user name, but the certificate says who you are"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().ok_or_else(|| bad("no port"))?;
        let name = ServerName::try_from(server_name.unwrap_or(&host).to_owned())
            .map_err(|_| bad("the host is neither a name nor an address"))?;
        Ok(Self { authority: authority.to_string(), host, port, name })
    }
}

#[derive(Debug, Clone)]
struct Connector {
    target: Arc<Target>,
    credentials: Arc<Credentials>,
    options: Arc<ClientOptions>,
}

impl Connector {
    async fn connect(&self) -> Result<Greeted, ConnectError> {
        // An expired certificate would be refused over there with fewer words.
        self.credentials.check_dates().map_err(|error| ConnectError::OwnCertificate(error.to_string()))?;
        let started = self.credentials.clock().elapsed();
        let addresses = self.lookup().await?;
        let mut last = None;
        for (i, &addr) in addresses.iter().enumerate() {
            let left = self.left(started);
            let share = left / u32::try_from(addresses.len() - i).unwrap_or(1);
            match tcp(addr, share).await {
                Ok(tcp) => return self.tls(tcp, addr, self.left(started)).await,
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| self.no_address("it has none")))
    }

    fn left(&self, started: Elapsed) -> Duration {
        let spent = Duration::from(self.credentials.clock().elapsed().since(started));
        self.options.connect_timeout.saturating_sub(spent)
    }

    fn no_address(&self, reason: &str) -> ConnectError {
        ConnectError::Lookup { host: self.target.host.clone(), reason: reason.to_owned() }
    }

    async fn lookup(&self) -> Result<Vec<SocketAddr>, ConnectError> {
        let lookup = tokio::net::lookup_host((self.target.host.as_str(), self.target.port));
        match tokio::time::timeout(self.options.connect_timeout, lookup).await {
            Ok(Ok(addresses)) => Ok(addresses.collect()),
            Ok(Err(error)) => Err(self.no_address(&error.to_string())),
            Err(_) => Err(self.no_address("no answer in time")),
        }
    }

    async fn tls(&self, tcp: TcpStream, addr: SocketAddr, limit: Duration) -> Result<Greeted, ConnectError> {
        let ca_file = self.credentials.files().ca_file.display().to_string();
        let connect = TlsConnector::from(self.credentials.client_config()).connect(self.target.name.clone(), tcp);
        let mut tls = tokio::time::timeout(limit, connect)
            .await
            .map_err(|_| ConnectError::Timeout { addr, stage: "in the TLS handshake", after: limit })?
            .map_err(|error| ConnectError::from_tls(addr, &ca_file, &error))?;
        expect_collector(&tls, addr)?;
        let mut greeting = Vec::with_capacity(64);
        match tokio::time::timeout(self.options.greeting_timeout, tls.read_buf(&mut greeting)).await {
            Ok(Ok(0)) => Err(ConnectError::closed(addr)),
            Ok(Err(error)) => Err(ConnectError::from_tls(addr, &ca_file, &error)),
            Ok(Ok(_)) | Err(_) => Ok(Greeted { greeting, read: 0, tls }),
        }
    }
}

async fn tcp(addr: SocketAddr, limit: Duration) -> Result<TcpStream, ConnectError> {
    let tcp = tokio::time::timeout(limit, TcpStream::connect(addr))
        .await
        .map_err(|_| ConnectError::Timeout { addr, stage: "connecting", after: limit })?
        .map_err(|error| ConnectError::from_connect(addr, &error))?;
    let _ = tcp.set_nodelay(true);
    let _ = SockRef::from(&tcp).set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_secs(30)));
    Ok(tcp)
}

/// Agents hold certificates of the same authority; none of them may play the collector.
fn expect_collector(tls: &TlsStream<TcpStream>, addr: SocketAddr) -> Result<(), ConnectError> {
    let certificate = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let Some(certificate) = certificate else {
        return Err(ConnectError::NotACollector { addr, found: "it showed no certificate".to_owned() });
    };
    match Identity::from_certificate(certificate) {
        Ok(Identity { role: Role::Collector(_), .. }) => Ok(()),
        Ok(other) => Err(ConnectError::NotACollector { addr, found: format!("it is {other}") }),
        Err(error) => Err(ConnectError::not_a_collector(addr, &error)),
    }
}

/// A connection of which the first bytes are read already.
#[derive(Debug)]
struct Greeted {
    greeting: Vec<u8>,
    /// How much of the greeting was handed on.
    read: usize,
    tls: TlsStream<TcpStream>,
}

impl AsyncRead for Greeted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(rest) = this.greeting.get(this.read..).filter(|rest| !rest.is_empty()) {
            let n = rest.len().min(buf.remaining());
            buf.put_slice(&rest[..n]);
            this.read += n;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.tls).poll_read(cx, buf)
    }
}

impl AsyncWrite for Greeted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write_vectored(cx, bufs)
    }
}
