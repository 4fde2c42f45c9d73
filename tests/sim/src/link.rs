//! How unkind is the network between one agent and one collector?
//!
//! ```text
//!   agent's end ==pipe==> pump: holds, delays, cuts into pieces, tears ==pipe==> collector's end
//! ```
//!
//! Bytes are never lost or swapped inside a connection, as TCP promises; connections are refused, swallowed, held in one
//! direction or both, slowed down, reset between messages or in the middle of one.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};
use tokio::sync::{mpsc, watch};
use tonic::transport::Endpoint;
use tonic::transport::server::Connected;
use uitwijk_agent::uplink::{Dial, Dialing};
use uitwijk_identity::{ConnectError, PeerInfo};

/// Bytes that fit into a pipe, as into the buffers of a socket.
const PIPE_BYTES: usize = 64 << 10;
/// A connection that nobody answers is given up after so long.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// How a link is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Weather {
    /// New connections: taken, refused at once, or never answered.
    pub(super) connecting: Connecting,
    /// Bytes to the collector wait.
    pub(super) holds_up: bool,
    /// Bytes to the agent wait.
    pub(super) holds_down: bool,
    /// How long a piece is on its way.
    pub(super) delay: Duration,
    /// The largest piece.
    pub(super) piece_bytes: usize,
    /// Rises with each reset of all connections.
    pub(super) resets: u32,
    /// At a reset, some of the bytes under way still arrive.
    pub(super) tears: bool,
}

/// What becomes of a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connecting {
    Taken,
    Refused,
    Swallowed,
}

impl Weather {
    /// A good day.
    pub(super) fn fair() -> Self {
        Self {
            connecting: Connecting::Taken,
            holds_up: false,
            holds_down: false,
            delay: Duration::from_millis(2),
            piece_bytes: PIPE_BYTES,
            resets: 0,
            tears: false,
        }
    }
}

/// Where a collector takes connections; nothing while it is down.
pub(super) type Door = Arc<Mutex<Option<mpsc::Sender<Conn>>>>;

/// The way from one agent to one collector.
#[derive(Debug, Clone)]
pub(super) struct Link {
    weather: Arc<watch::Sender<Weather>>,
    door: Door,
    peer: PeerInfo,
}

impl Link {
    pub(super) fn new(peer: PeerInfo, door: Door) -> Self {
        Self { weather: Arc::new(watch::Sender::new(Weather::fair())), door, peer }
    }

    /// Changes how it is.
    pub(super) fn change(&self, change: impl FnOnce(&mut Weather)) {
        self.weather.send_modify(change);
    }

    /// Ends all connections.
    pub(super) fn reset(&self, tears: bool) {
        self.change(|weather| {
            weather.resets += 1;
            weather.tears = tears;
        });
    }

    /// A good day again; what is connected stays so.
    pub(super) fn heal(&self) {
        self.change(|weather| *weather = Weather { resets: weather.resets, ..Weather::fair() });
    }

    async fn connect(&self) -> io::Result<DuplexStream> {
        let weather = self.weather.subscribe();
        let (connecting, delay) = {
            let now = weather.borrow();
            (now.connecting, now.delay)
        };
        match connecting {
            Connecting::Taken => tokio::time::sleep(delay * 2).await,
            Connecting::Refused => return Err(io::ErrorKind::ConnectionRefused.into()),
            Connecting::Swallowed => {
                tokio::time::sleep(CONNECT_WITHIN).await;
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        let door = self.door.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let door = door.ok_or(io::ErrorKind::ConnectionRefused)?;
        let (near, agent_side) = tokio::io::duplex(PIPE_BYTES);
        let (far, collector_side) = tokio::io::duplex(PIPE_BYTES);
        let conn = Conn { pipe: far, peer: self.peer.clone() };
        door.send(conn).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        tokio::spawn(carry(agent_side, collector_side, weather));
        Ok(near)
    }
}

/// Carries bytes both ways until either end is gone or the link is reset.
async fn carry(agent: DuplexStream, collector: DuplexStream, weather: watch::Receiver<Weather>) {
    let (from_agent, to_agent) = tokio::io::split(agent);
    let (from_collector, to_collector) = tokio::io::split(collector);
    tokio::select! {
        biased;
        () = pump(from_agent, to_collector, weather.clone(), |weather| weather.holds_up) => {}
        () = pump(from_collector, to_agent, weather, |weather| weather.holds_down) => {}
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut weather: watch::Receiver<Weather>,
    holds: fn(&Weather) -> bool,
) {
    let born = weather.borrow().resets;
    let mut bytes = vec![0; PIPE_BYTES];
    loop {
        let most = weather.borrow().piece_bytes.clamp(1, PIPE_BYTES);
        let read = tokio::select! {
            biased;
            _ = weather.wait_for(|now| now.resets != born) => return,
            read = from.read(&mut bytes[..most]) => read,
        };
        let Ok(n @ 1..) = read else { return };
        let delay = weather.borrow().delay;
        let free = async {
            tokio::time::sleep(delay).await;
            let _ = weather.clone().wait_for(|now| !holds(now)).await;
        };
        let mut watched = weather.clone();
        let whole = tokio::select! {
            biased;
            _ = watched.wait_for(|now| now.resets != born) => false,
            () = free => true,
        };
        let tears = weather.borrow().tears;
        let carried = if whole {
            n
        } else if tears {
            n / 2
        } else {
            0
        };
        if to.write_all(&bytes[..carried]).await.is_err() || !whole {
            return;
        }
    }
}

/// The collector's end of a connection, with who is at the other.
#[derive(Debug)]
pub(super) struct Conn {
    pipe: DuplexStream,
    peer: PeerInfo,
}

impl Connected for Conn {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.peer.clone()
    }
}

impl AsyncRead for Conn {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_read(cx, buf)
    }
}

impl AsyncWrite for Conn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

/// How the agent of these links connects: by the number of the collector in the address.
#[derive(Debug)]
pub(super) struct Dialer {
    links: Vec<Link>,
    renewals: watch::Sender<u64>,
}

impl Dialer {
    pub(super) fn over(links: Vec<Link>) -> Self {
        Self { links, renewals: watch::Sender::new(0) }
    }

    /// The address of a collector.
    pub(super) fn url(collector: usize) -> String {
        format!("http://collector-{collector}.sim")
    }
}

impl Dial for Dialer {
    fn dial<'a>(&'a self, url: &'a str) -> Dialing<'a> {
        let link = self.links.iter().enumerate().find(|(i, _)| Self::url(*i) == url).map(|(_, link)| link.clone());
        Box::pin(async move {
            let failed = |reason: String| ConnectError::Protocol { url: url.to_owned(), reason };
            let link = link.ok_or_else(|| failed("no such collector".to_owned()))?;
            let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|e| failed(e.to_string()))?;
            let endpoint = endpoint
                .http2_keep_alive_interval(Duration::from_secs(10))
                .keep_alive_timeout(Duration::from_secs(10))
                .keep_alive_while_idle(true);
            let connect = tower::service_fn(move |_: http::Uri| {
                let link = link.clone();
                async move { link.connect().await.map(TokioIo::new) }
            });
            endpoint.connect_with_connector(connect).await.map_err(|e| failed(e.to_string()))
        })
    }

    fn renewals(&self) -> watch::Receiver<u64> {
        self.renewals.subscribe()
    }
}
