//! How does the network between an agent and a collector become unkind?
//!
//! A [`Link`] is a TCP forwarder in user space: the agent is told the link's address instead of the collector's. It can refuse,
//! swallow (both directions or one, without closing anything: a half-open connection), cut what is open, or pass.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

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
}

/// A TCP forwarder with weather.
pub struct Link {
    address: SocketAddr,
    weather: Arc<watch::Sender<Weather>>,
    _stop: DropGuard,
}

impl Link {
    /// Forwards a free port on loopback to `to`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(to: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let weather = Arc::new(watch::Sender::new(Weather::Fair));
        let cancel = CancellationToken::new();
        tokio::spawn(cancel.clone().run_until_cancelled_owned(accept(listener, to, weather.clone(), cancel.clone())));
        Ok(Self { address, weather, _stop: cancel.drop_guard() })
    }

    /// Where the agent connects.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather for open and new connections.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, weather: Arc<watch::Sender<Weather>>, stop: CancellationToken) {
    loop {
        let Ok((agent, _)) = listener.accept().await else { continue };
        let weather = weather.subscribe();
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            // Errors are the ends' to see; the link only passes them on by closing.
            let _ = carry(agent, to, weather).await;
        }));
    }
}

async fn carry(agent: TcpStream, to: SocketAddr, weather: watch::Receiver<Weather>) -> io::Result<()> {
    if *weather.borrow() == Weather::Cut {
        return Ok(());
    }
    let collector = TcpStream::connect(to).await?;
    for stream in [&agent, &collector] {
        stream.set_nodelay(true)?;
    }
    let (from_agent, to_agent) = agent.into_split();
    let (from_collector, to_collector) = collector.into_split();
    let up = pass(from_agent, to_collector, weather.clone(), &[Weather::Fair, Weather::DeafAgent]);
    let down = pass(from_collector, to_agent, weather.clone(), &[Weather::Fair]);
    let mut cut = weather;
    tokio::select! {
        done = up => done,
        done = down => done,
        _ = cut.wait_for(|w| *w == Weather::Cut) => Ok(()),
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
    passing: &[Weather],
) -> io::Result<()> {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let len = from.read(&mut bytes).await?;
        if len == 0 {
            return to.shutdown().await;
        }
        if weather.wait_for(|w| passing.contains(w)).await.is_err() {
            return Ok(());
        }
        to.write_all(&bytes[..len]).await?;
    }
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

        link.set(Weather::Cut);
        let end = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut one)).await.expect("it ends");
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
}
