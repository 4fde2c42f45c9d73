//! How do strangers become peers?
//!
//! ```text
//!   listener --accept--> handshakes_max under way? --> TLS, client certificate, identity --> connections_max open? --> tonic
//!                           drop, count                    fail, count by reason                  drop, count
//! ```
//!
//! There are two caps, because a stranger costs nothing to be: connections without a handshake must not take the
//! places of those with one. Each handshake has a time limit and runs in a task of its own, so a slow one delays nobody.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::counters::{HandshakeFailure, ServerCounters};
use crate::credentials::Credentials;
use crate::files::TlsFiles;
use crate::material::Facts;
use crate::peer::PeerInfo;

/// What a server allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// A handshake that takes longer is ended.
    pub handshake_timeout: Duration,
    /// Handshakes under way at a time; further connections are dropped.
    pub handshakes_max: usize,
    /// Established connections at a time; further ones are dropped.
    pub connections_max: usize,
    /// TCP looks after this long whether a silent peer is still there.
    pub tcp_keepalive: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            handshakes_max: 256,
            connections_max: 1024,
            tcp_keepalive: Duration::from_secs(30),
        }
    }
}

/// Peers, as they come; for `serve_with_incoming_shutdown` of tonic. The listener closes when it is dropped.
#[derive(Debug)]
pub struct Incoming {
    peers: mpsc::Receiver<TlsPeerStream>,
}

impl Stream for Incoming {
    type Item = io::Result<TlsPeerStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.peers.poll_recv(cx).map(|peer| peer.map(Ok))
    }
}

/// Accepts connections, and yields those that proved who they are. Needs a tokio runtime.
pub fn incoming(
    listener: TcpListener,
    credentials: Arc<Credentials>,
    limits: ServerLimits,
    counters: Arc<ServerCounters>,
) -> Incoming {
    // One place: who waits here has a permit of its own, so the queue in front is bounded by `handshakes_max`.
    let (sender, peers) = mpsc::channel(1);
    let acceptor = Arc::new(Acceptor {
        credentials,
        limits,
        counters,
        connections: Arc::new(Semaphore::new(limits.connections_max)),
        handshakes: Arc::new(Semaphore::new(limits.handshakes_max)),
    });
    tokio::spawn(acceptor.run(listener, sender));
    Incoming { peers }
}

struct Acceptor {
    credentials: Arc<Credentials>,
    limits: ServerLimits,
    counters: Arc<ServerCounters>,
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
}

impl Acceptor {
    async fn run(self: Arc<Self>, listener: TcpListener, peers: mpsc::Sender<TlsPeerStream>) {
        loop {
            let accepted = tokio::select! {
                () = peers.closed() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((tcp, addr)) => self.take(tcp, addr, &peers),
                Err(error) if is_of_one_connection(&error) => {}
                // Out of file descriptors or memory: the connection stays in the kernel's queue, so a short rest helps.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections, trying again");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn take(self: &Arc<Self>, tcp: TcpStream, addr: SocketAddr, peers: &mpsc::Sender<TlsPeerStream>) {
        self.counters.count_accepted();
        let Ok(handshake) = self.handshakes.clone().try_acquire_owned() else {
            self.counters.count_over_handshakes();
            tracing::debug!(%addr, handshakes_max = self.limits.handshakes_max, "too many handshakes, connection dropped");
            return;
        };
        let (acceptor, peers) = (self.clone(), peers.clone());
        tokio::spawn(async move {
            let stopped = peers.closed();
            tokio::select! {
                () = stopped => {}
                () = acceptor.admit(tcp, addr, &peers) => {}
            }
            drop(handshake);
        });
    }

    async fn admit(&self, tcp: TcpStream, addr: SocketAddr, peers: &mpsc::Sender<TlsPeerStream>) {
        let Some((mut tls, peer)) = self.handshake(tcp, addr).await else { return };
        let Ok(permit) = self.connections.clone().try_acquire_owned() else {
            self.counters.count_over_connections();
            let identity = &peer.identity;
            tracing::warn!(%addr, %identity, connections_max = self.limits.connections_max, "too many connections, this one dropped");
            let _ = tokio::time::timeout(LET_GO_LIMIT, tls.shutdown()).await;
            return;
        };
        self.counters.count_established();
        tracing::debug!(%addr, identity = %peer.identity, "peer connected");
        let place = Place { counters: self.counters.clone(), _permit: permit };
        let _ = peers.send(TlsPeerStream { tls, peer, _place: place }).await;
    }

    async fn handshake(&self, tcp: TcpStream, addr: SocketAddr) -> Option<(TlsStream<TcpStream>, PeerInfo)> {
        let _ = tcp.set_nodelay(true);
        let _ = SockRef::from(&tcp).set_tcp_keepalive(&TcpKeepalive::new().with_time(self.limits.tcp_keepalive));
        let accept = TlsAcceptor::from(self.credentials.server_config()).accept(tcp).into_fallible();
        match tokio::time::timeout(self.limits.handshake_timeout, accept).await {
            Ok(Ok(tls)) => match peer_info(&tls, addr, self.credentials.files()) {
                Some(peer) => Some((tls, peer)),
                None => self.fail(addr, HandshakeFailure::NoIdentity, "no identity in the certificate"),
            },
            Ok(Err((error, tcp))) => {
                let failed = self.fail(addr, HandshakeFailure::of(&error), &error.to_string());
                let _ = tokio::time::timeout(LET_GO_LIMIT, let_go(tcp)).await;
                failed
            }
            Err(_) => self.fail(addr, HandshakeFailure::Timeout, "the handshake took too long"),
        }
    }

    fn fail<T>(&self, addr: SocketAddr, reason: HandshakeFailure, error: &str) -> Option<T> {
        self.counters.count_failed(reason);
        match reason.is_about_certificates() {
            true => tracing::warn!(%addr, reason = reason.label(), error, "peer refused"),
            false => tracing::debug!(%addr, reason = reason.label(), error, "handshake failed"),
        }
        None
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// A refused connection is gone by then, whatever the other side does.
const LET_GO_LIMIT: Duration = Duration::from_secs(1);

/// Closes after the other side had the chance to read the alert: closing with unread bytes resets the connection, and
/// a reset may overtake what was sent.
async fn let_go(mut tcp: TcpStream) {
    let _ = tcp.shutdown().await;
    let mut sink = [0; 4096];
    for _ in 0..16 {
        if !matches!(tcp.read(&mut sink).await, Ok(1..)) {
            return;
        }
    }
}

fn peer_info(tls: &TlsStream<TcpStream>, addr: SocketAddr, files: &TlsFiles) -> Option<PeerInfo> {
    let chain = tls.get_ref().1.peer_certificates()?;
    let facts = Facts::of(&files.cert_file, chain).ok()?;
    Some(PeerInfo {
        identity: facts.identity,
        addr,
        certificate_expires: facts.not_after,
        certificate_fingerprint: facts.fingerprint,
    })
}

/// A connection whose other end has proved who it is.
#[derive(Debug)]
pub struct TlsPeerStream {
    tls: TlsStream<TcpStream>,
    peer: PeerInfo,
    _place: Place,
}

/// One of `connections_max`.
#[derive(Debug)]
struct Place {
    counters: Arc<ServerCounters>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counters.count_closed();
    }
}

impl TlsPeerStream {
    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &PeerInfo {
        &self.peer
    }
}

impl Connected for TlsPeerStream {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.peer.clone()
    }
}

impl AsyncRead for TlsPeerStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_read(cx, buf)
    }
}

impl AsyncWrite for TlsPeerStream {
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
