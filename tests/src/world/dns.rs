//! Who answers names in the world?
//!
//! Each agent has a resolver of its own, so that a story can take the network of one vantage away: with its resolver gone,
//! everything that the agent probes by name fails for it, the controls included, and for nobody else.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::UdpSocket;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The suffix of all names of the world.
pub const SUFFIX: &str = "uitwijk.test";

const TYPE_A: [u8; 2] = [0, 1];
const CLASS_IN: [u8; 2] = [0, 1];
const NO_ERROR: u8 = 0;
const NAME_ERROR: u8 = 3;

/// A DNS server that answers every name under [`SUFFIX`] with one address.
pub struct Resolver {
    address: SocketAddr,
    answering: Arc<AtomicBool>,
    _stop: DropGuard,
}

impl Resolver {
    /// Starts to answer on a free port of `listen`; names lead to `to`.
    ///
    /// # Errors
    /// When the socket cannot be bound.
    pub async fn start(listen: SocketAddr, to: Ipv4Addr) -> io::Result<Self> {
        let socket = UdpSocket::bind(listen).await?;
        let address = socket.local_addr()?;
        let answering = Arc::new(AtomicBool::new(true));
        let cancel = CancellationToken::new();
        tokio::spawn(cancel.clone().run_until_cancelled_owned(answer_all(socket, to, answering.clone())));
        Ok(Self { address, answering, _stop: cancel.drop_guard() })
    }

    /// Where to ask.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers, or swallows every query from now on.
    pub fn set_answering(&self, on: bool) {
        self.answering.store(on, Ordering::Relaxed);
    }
}

async fn answer_all(socket: UdpSocket, to: Ipv4Addr, answering: Arc<AtomicBool>) {
    let mut query = [0; 512];
    loop {
        let Ok((len, from)) = socket.recv_from(&mut query).await else { continue };
        if !answering.load(Ordering::Relaxed) {
            continue;
        }
        if let Some(reply) = reply_to(&query[..len], to) {
            let _ = socket.send_to(&reply, from).await;
        }
    }
}

/// The reply to a query with one question (RFC 1035, section 4.1), or nothing when it is not one.
fn reply_to(query: &[u8], to: Ipv4Addr) -> Option<Vec<u8>> {
    let (header, rest) = query.split_at_checked(12)?;
    if header[2] & 0x80 != 0 || header[4..6] != [0, 1] {
        return None;
    }
    let (name, name_len) = question_name(rest)?;
    let kind = rest.get(name_len..name_len + 2)?;
    let question = rest.get(..name_len + 4)?;
    let known = name == SUFFIX || name.ends_with(&format!(".{SUFFIX}"));
    let answers = u8::from(known && kind == TYPE_A);
    let code = if known { NO_ERROR } else { NAME_ERROR };

    let mut reply = Vec::with_capacity(64);
    reply.extend_from_slice(&header[..2]);
    // A response, recursion wished for and available.
    reply.extend_from_slice(&[0x81, 0x80 | code]);
    reply.extend_from_slice(&[0, 1, 0, answers, 0, 0, 0, 0]);
    reply.extend_from_slice(question);
    if answers == 1 {
        // The name is a pointer to the question; one second to live, so that nothing is cached for long.
        reply.extend_from_slice(&[0xc0, 12]);
        reply.extend_from_slice(&TYPE_A);
        reply.extend_from_slice(&CLASS_IN);
        reply.extend_from_slice(&[0, 0, 0, 1, 0, 4]);
        reply.extend_from_slice(&to.octets());
    }
    Some(reply)
}

/// The name in lower case and how many bytes it takes.
fn question_name(bytes: &[u8]) -> Option<(String, usize)> {
    let mut labels: Vec<String> = Vec::new();
    let mut at = 0;
    loop {
        let len = usize::from(*bytes.get(at)?);
        at += 1;
        match len {
            0 => return Some((labels.join("."), at)),
            1..=63 => {
                let label = bytes.get(at..at + len)?;
                labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
                at += len;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, kind: u8) -> Vec<u8> {
        let mut q = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            q.push(u8::try_from(label.len()).unwrap());
            q.extend_from_slice(label.as_bytes());
        }
        q.extend_from_slice(&[0, 0, kind, 0, 1]);
        q
    }

    #[test]
    fn names_of_the_world_have_an_address_and_others_do_not() {
        let reply = |name, kind| reply_to(&query(name, kind), Ipv4Addr::LOCALHOST).unwrap();
        let a = reply("Exchange.NL.uitwijk.test", 1);
        assert_eq!((a[3] & 0xf, a[7]), (NO_ERROR, 1));
        assert!(a.ends_with(&[127, 0, 0, 1]));
        let aaaa = reply("exchange.nl.uitwijk.test", 28);
        assert_eq!((aaaa[3] & 0xf, aaaa[7]), (NO_ERROR, 0));
        let other = reply("example.org", 1);
        assert_eq!((other[3] & 0xf, other[7]), (NAME_ERROR, 0));
    }

    #[test]
    fn a_broken_query_gets_no_reply() {
        let whole = query("a.uitwijk.test", 1);
        for len in 0..whole.len() {
            assert_eq!(reply_to(&whole[..len], Ipv4Addr::LOCALHOST), None, "{len}");
        }
    }
}
