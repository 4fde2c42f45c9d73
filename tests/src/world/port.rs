//! How does a server on a fixed port go away and come back, as a crashed server does?
//!
//! A [`Port`] keeps its number for as long as it lives: a second socket is bound to it and never listens. While the
//! port is closed the kernel so answers a SYN with RST ("connection refused"), and nobody else can take the number, which
//! a closed and later reopened listener could not promise.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// What answers a request.
pub type Handler = Arc<dyn Fn(Request<Incoming>) -> Answer + Send + Sync>;
/// The answer on its way.
pub type Answer = Pin<Box<dyn Future<Output = Response<Full<Bytes>>> + Send>>;

/// Connections that one port serves at a time; more wait in the backlog.
const CONNECTIONS_MAX: usize = 512;
/// A connection that has not finished after so long is dropped.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(30);

/// One HTTP or HTTPS server that can be closed and opened again.
pub struct Port {
    address: SocketAddr,
    /// Bound, never listening; owns the number.
    _keeper: Socket,
    tls: Option<TlsAcceptor>,
    handler: Handler,
    /// Cancelling it ends the listener and every connection.
    running: Mutex<Option<CancellationToken>>,
}

impl Port {
    /// Takes a free port of `ip` and starts to listen.
    ///
    /// # Errors
    /// When no socket can be bound.
    pub fn open(ip: Ipv4Addr, number: u16, tls: Option<TlsAcceptor>, handler: Handler) -> io::Result<Self> {
        let keeper = bound(SocketAddr::from((ip, number)))?;
        let address = keeper.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an IP socket"))?;
        let port = Self { address, _keeper: keeper, tls, handler, running: Mutex::new(None) };
        port.start()?;
        Ok(port)
    }

    /// Where it listens, also while it is closed.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens again. Does nothing when it does already.
    ///
    /// # Errors
    /// When the socket cannot be bound.
    pub fn start(&self) -> io::Result<()> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_some() {
            return Ok(());
        }
        let socket = bound(self.address)?;
        socket.listen(1024)?;
        let listener = TcpListener::from_std(socket.into())?;
        let cancel = CancellationToken::new();
        tokio::spawn(accept(listener, self.tls.clone(), self.handler.clone(), cancel.clone()));
        *running = Some(cancel);
        Ok(())
    }

    /// Refuses connections from now on and drops those that are open.
    pub fn stop(&self) {
        if let Some(cancel) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() {
            cancel.cancel();
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.stop();
    }
}

fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, handler: Handler, cancel: CancellationToken) {
    let slots = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = slots.clone().acquire_owned().await else { return };
        let stream = tokio::select! {
            () = cancel.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Out of descriptors or a connection that died in the backlog: breathe, go on.
                Err(_) => { tokio::time::sleep(Duration::from_millis(10)).await; continue }
            },
        };
        let (tls, handler, cancel) = (tls.clone(), handler.clone(), cancel.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                _ = tokio::time::timeout(CONNECTION_TIME_MAX, serve(stream, tls, handler)) => {}
            }
            drop(permit);
        });
    }
}

/// Serves one connection. Its errors are the client's to see, and are dropped here.
async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, handler: Handler) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, std::convert::Infallible>(answer.await) }
    });
    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    match tls {
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            }
        }
        None => {
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stopped_port_refuses_and_a_started_one_answers_again() {
        let handler: Handler = Arc::new(|_| Box::pin(async { Response::new(Full::from("hello")) }));
        let port = Port::open(Ipv4Addr::LOCALHOST, 0, None, handler).unwrap();
        for _ in 0..3 {
            TcpStream::connect(port.address()).await.expect("an open port accepts");
            port.stop();
            // The listener goes with its task, which the runtime ends soon.
            let refused = async {
                loop {
                    match TcpStream::connect(port.address()).await {
                        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return,
                        _ => tokio::task::yield_now().await,
                    }
                }
            };
            tokio::time::timeout(Duration::from_secs(10), refused).await.expect("it refuses soon");
            port.start().unwrap();
        }
    }
}
