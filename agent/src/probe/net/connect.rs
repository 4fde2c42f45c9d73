//! Which of a target's addresses is connected to?
//!
//! ```text
//!   0 ms    SYN to the first address
//!   250 ms  SYN to the second, unless the first answered (at once when it failed)
//!   500 ms  ...up to ADDRESSES_MAX; the first that is established wins, the others are dropped
//! ```
//!
//! This is the fallback of RFC 8305, so that one dead address or a dead family looks as it looks to users: a little slow.
//! The time that counts is that of the winner, from its own SYN. When none can be reached the failure tells most about
//! the target: a refusal before silence, silence before "no route", and our own trouble only when nothing else is known.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::net::{TcpSocket, TcpStream};
use uitwijk_model::{Elapsed, Fault, Outcome};

use crate::probe::failure::{Failure, connect_fault};
use crate::probe::trail::{Step, Trail};

/// More addresses than this are not tried.
pub(crate) const ADDRESSES_MAX: usize = 4;
const STAGGER: Duration = Duration::from_millis(250);

/// Connects to the first of the addresses that answers, and marks the phase.
pub(crate) async fn connect(addresses: &[SocketAddr], trail: &Trail) -> Result<TcpStream, Failure> {
    trail.enter(Step::Connect);
    let mut waiting = addresses.iter().take(ADDRESSES_MAX).copied();
    let mut running = FuturesUnordered::new();
    let mut failure: Option<Failure> = None;
    let mut next = waiting.next();
    loop {
        if let Some(address) = next.take() {
            running.push(connect_one(address, trail));
        }
        let more = waiting.len() > 0;
        tokio::select! {
            biased;
            ended = running.next() => match ended {
                Some(Ok((tcp, from, peer))) => {
                    trail.connected(from, peer);
                    return Ok(tcp);
                }
                Some(Err(error)) => {
                    failure = Some(more_telling(failure, error));
                    next = waiting.next();
                }
                None => break,
            },
            () = tokio::time::sleep(STAGGER), if more => next = waiting.next(),
        }
        if running.is_empty() && next.is_none() {
            break;
        }
    }
    trail.leave(Step::Connect);
    Err(failure.unwrap_or_else(|| Failure::down(Fault::ConnectFailed, "there is no address to connect to")))
}

async fn connect_one(address: SocketAddr, trail: &Trail) -> Result<(TcpStream, Elapsed, SocketAddr), Failure> {
    let failed = |fault: Fault, error: &io::Error| {
        let mut failure = Failure::of_io(error, fault);
        failure.detail = format!("{address}: {}", failure.detail);
        failure
    };
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(|e| failed(Fault::ConnectFailed, &e))?;
    let from = trail.now();
    let tcp = socket.connect(address).await.map_err(|e| failed(connect_fault(&e), &e))?;
    // Without it the last piece of a request may wait for an acknowledgement, and `send` would not be true.
    tcp.set_nodelay(true).map_err(|e| failed(Fault::ConnectFailed, &e))?;
    Ok((tcp, from, address))
}

fn more_telling(known: Option<Failure>, new: Failure) -> Failure {
    let rank = |failure: &Failure| match failure.outcome {
        Outcome::Down(Fault::ConnectRefused) => 4,
        Outcome::Down(Fault::ConnectTimeout) => 3,
        Outcome::Down(Fault::ConnectFailed) => 2,
        Outcome::Down(_) => 1,
        _ => 0,
    };
    match known {
        Some(known) if rank(&known) >= rank(&new) => known,
        _ => new,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::net::TcpListener;
    use uitwijk_model::SystemClock;

    use super::*;

    /// An address of this machine where nobody listens.
    async fn closed() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }

    #[tokio::test]
    async fn a_refused_address_makes_room_for_the_next_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let trail = Trail::new(Arc::new(SystemClock));
        trail.depart();
        let tcp = connect(&[closed().await, closed().await, good], &trail).await.unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), good);
        assert_eq!(trail.facts().peer, Some(good));
        assert!(trail.total().as_millis() < 250, "no stagger after a refusal");
    }

    #[tokio::test]
    async fn when_all_fail_the_phase_is_there_all_the_same() {
        let trail = Trail::new(Arc::new(SystemClock));
        trail.depart();
        let failure = connect(&[closed().await, closed().await], &trail).await.unwrap_err();
        assert_eq!(failure.outcome, Outcome::Down(Fault::ConnectRefused));
        assert!(trail.phases().connect.is_some());
        assert_eq!(connect(&[], &trail).await.unwrap_err().outcome, Outcome::Down(Fault::ConnectFailed));
    }

    #[tokio::test]
    async fn only_so_many_addresses_are_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut addresses = Vec::new();
        for _ in 0..ADDRESSES_MAX {
            addresses.push(closed().await);
        }
        addresses.push(listener.local_addr().unwrap());
        let trail = Trail::new(Arc::new(SystemClock));
        trail.depart();
        assert!(connect(&addresses, &trail).await.is_err());
    }

    #[test]
    fn our_own_trouble_counts_only_when_nothing_else_is_known() {
        let local = Failure::local("no descriptors");
        let refused = Failure::down(Fault::ConnectRefused, "");
        assert!(more_telling(None, local.clone()).is_local());
        assert_eq!(more_telling(Some(local.clone()), refused.clone()), refused);
        assert_eq!(more_telling(Some(refused.clone()), local), refused);
    }
}
