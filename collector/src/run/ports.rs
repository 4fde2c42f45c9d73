//! Which ports are ours?
//!
//! Ports are bound at the very start, so that one that is taken is told before a store is opened, but the gRPC port listens
//! only when there is somebody to answer: until then agents are refused at once, and try again or ask another collector.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use super::StartError;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// A port that nobody else gets.
#[derive(Debug)]
pub(super) struct Port {
    socket: TcpSocket,
    address: SocketAddr,
    key: &'static str,
}

impl Port {
    pub(super) fn bind(key: &'static str, address: SocketAddr) -> Result<Self, StartError> {
        let failed = |e: std::io::Error| StartError::Listen { address, why: e.to_string(), key };
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(failed)?;
        // Connections of the process before this one may still be closing.
        socket.set_reuseaddr(true).map_err(failed)?;
        socket.bind(address).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address, key })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn listen(self) -> Result<TcpListener, StartError> {
        let (address, key) = (self.address, self.key);
        self.socket.listen(BACKLOG).map_err(|e| StartError::Listen { address, why: e.to_string(), key })
    }
}
