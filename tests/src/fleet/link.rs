//! How does the network between an agent and a collector become unkind?
//!
//! A [`Link`] is a TCP forwarder in user space: the agent is told the link's address instead of the collector's. It can refuse,
//! swallow (both directions or one, without closing anything: a half-open connection), trickle, cut what is open, tear it in the
//! middle of a frame, or pass. When the collector comes back elsewhere, the link is led there.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Bytes that a trickle lets through at a time, and how often.
const TRICKLE: (usize, Duration) = (256, Duration::from_millis(20));

/// What a link does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Weather {
    /// Passes everything.
    #[default]
    Fair,
    /// Closes what is open and every new connection at once.
    Cut,
    /// Keeps connections open, passes nothing in either direction.
    Silent,
    /// Passes what the agent sends, holds what the collector answers.
    DeafAgent,
    /// Passes what the collector sends, holds what the agent sends.
    DeafCollector,
    /// Passes everything, about 12 kB a second in each direction.
    Trickle,
}

/// A TCP forwarder with weather.
pub struct Link {
    address: SocketAddr,
    line: Arc<Line>,
    _stop: DropGuard,
}

/// What all connections of a link look at.
struct Line {
    to: watch::Sender<SocketAddr>,
    weather: watch::Sender<Weather>,
    /// Counts up with every order to tear.
    tears: watch::Sender<u64>,
    /// Counts up with every order to hang up.
    hang_ups: watch::Sender<u64>,
    /// Counts up with every connection that was carried.
    carried: watch::Sender<u64>,
}

impl Link {
    /// Forwards a free port on loopback to `to`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(to: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (to, weather) = (watch::Sender::new(to), watch::Sender::new(Weather::Fair));
        let [tears, hang_ups, carried] = [0, 0, 0].map(watch::Sender::new);
        let line = Arc::new(Line { to, weather, tears, hang_ups, carried });
        let cancel = CancellationToken::new();
        tokio::spawn(cancel.clone().run_until_cancelled_owned(accept(listener, line.clone(), cancel.clone())));
        Ok(Self { address, line, _stop: cancel.drop_guard() })
    }

    /// Where the agent connects.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather for open and new connections.
    pub fn set(&self, weather: Weather) {
        self.line.weather.send_replace(weather);
    }

    /// Leads new connections elsewhere.
    pub fn lead_to(&self, to: SocketAddr) {
        self.line.to.send_replace(to);
    }

    /// Resets every open connection after half of what comes next.
    pub fn tear(&self) {
        self.line.tears.send_modify(|tears| *tears += 1);
    }

    /// Ends every open connection; what was held is gone.
    pub fn hang_up(&self) {
        self.line.hang_ups.send_modify(|hang_ups| *hang_ups += 1);
    }

    /// Connections that were carried so far; watch it to wait for the next.
    pub fn carried(&self) -> watch::Receiver<u64> {
        self.line.carried.subscribe()
    }
}

async fn accept(listener: TcpListener, line: Arc<Line>, stop: CancellationToken) {
    loop {
        let Ok((agent, _)) = listener.accept().await else { continue };
        let line = line.clone();
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            // Errors are the ends' to see; the link only passes them on by closing.
            let _ = carry(agent, &line).await;
        }));
    }
}

async fn carry(agent: TcpStream, line: &Line) -> io::Result<()> {
    if *line.weather.borrow() == Weather::Cut {
        return Ok(());
    }
    let to = *line.to.borrow();
    let collector = TcpStream::connect(to).await?;
    for stream in [&agent, &collector] {
        stream.set_nodelay(true)?;
    }
    line.carried.send_modify(|carried| *carried += 1);
    let (from_agent, to_agent) = agent.into_split();
    let (from_collector, to_collector) = collector.into_split();
    let up = pass(from_agent, to_collector, line, &[Weather::Fair, Weather::DeafAgent, Weather::Trickle]);
    let down = pass(from_collector, to_agent, line, &[Weather::Fair, Weather::DeafCollector, Weather::Trickle]);
    let (mut cut, mut hang_ups) = (line.weather.subscribe(), line.hang_ups.subscribe());
    tokio::select! {
        done = up => done,
        done = down => done,
        _ = cut.wait_for(|w| *w == Weather::Cut) => Ok(()),
        _ = hang_ups.changed() => Ok(()),
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, line: &Line, passing: &[Weather]) -> io::Result<()> {
    let (mut weather, tears) = (line.weather.subscribe(), line.tears.subscribe());
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let most = if *weather.borrow() == Weather::Trickle { TRICKLE.0 } else { bytes.len() };
        let len = from.read(&mut bytes[..most]).await?;
        if len == 0 {
            return to.shutdown().await;
        }
        let Ok(weather) = weather.wait_for(|w| passing.contains(w)).await.map(|w| *w) else { return Ok(()) };
        if tears.has_changed().unwrap_or(false) {
            to.write_all(&bytes[..len / 2]).await?;
            return reset(&from, to);
        }
        to.write_all(&bytes[..len]).await?;
        if weather == Weather::Trickle {
            tokio::time::sleep(TRICKLE.1).await;
        }
    }
}

/// Makes both ends hear a reset instead of an end when the connection is dropped.
fn reset(from: &OwnedReadHalf, to: OwnedWriteHalf) -> io::Result<()> {
    for stream in [from.as_ref(), to.as_ref()] {
        SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
    }
    to.forget();
    Err(io::ErrorKind::ConnectionReset.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_link_passes_holds_and_cuts() {
        let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let link = Link::start(echo.local_addr().unwrap()).await.unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = echo.accept().await.unwrap();
            let (mut from, mut to) = stream.split();
            let _ = tokio::io::copy(&mut from, &mut to).await;
        });
        let mut stream = TcpStream::connect(link.address()).await.unwrap();
        let mut one = [0; 1];
        stream.write_all(b"a").await.unwrap();
        stream.read_exact(&mut one).await.unwrap();
        assert_eq!(&one, b"a");

        link.set(Weather::DeafAgent);
        stream.write_all(b"b").await.unwrap();
        let held = tokio::time::timeout(Duration::from_millis(50), stream.read_exact(&mut one)).await;
        assert!(held.is_err(), "the answer is held");
        link.set(Weather::Fair);
        stream.read_exact(&mut one).await.unwrap();
        assert_eq!(&one, b"b");

        link.tear();
        stream.write_all(b"cc").await.unwrap();
        let end = tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut [0; 2])).await;
        assert!(end.expect("it ends").is_err(), "half of it got through, and then nothing");
    }

    #[tokio::test]
    async fn a_link_that_is_cut_ends_what_is_open() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let link = Link::start(server.local_addr().unwrap()).await.unwrap();
        let mut stream = TcpStream::connect(link.address()).await.unwrap();
        let _held = server.accept().await.unwrap();
        let mut one = [0; 1];
        link.set(Weather::Cut);
        let end = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut one)).await.expect("it ends");
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
}
