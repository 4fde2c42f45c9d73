//! Does a port accept connections, and does it say what it should?
//!
//! Without text to send or a reply to expect, an established connection is the answer. A reply is complete when it
//! matches; one that ends, grows beyond the limit or comes to the deadline without matching is the wrong reply.

use std::sync::Arc;

use regex::bytes::Regex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use uitwijk_model::plan::{SecretText, TcpProbe};
use uitwijk_model::{Fault, Outcome};

use super::ProberError;
use super::dial::Dialer;
use super::env::ProberEnv;
use super::failure::Failure;
use super::net::address::Address;
use super::net::stamped::Stamped;
use super::patterns::Patterns;
use super::secret;
use super::trail::Trail;

const REPLY_BYTES_MAX: usize = 64 * 1024;

/// A probe of a port, checked and ready.
#[derive(Debug)]
pub(crate) struct TcpTarget {
    address: Address,
    send: Option<SecretText>,
    expect: Option<Arc<Regex>>,
}

impl TcpTarget {
    /// Checks what the plan says.
    pub(crate) fn new(probe: &TcpProbe, patterns: &Patterns) -> Result<Self, ProberError> {
        Ok(Self {
            address: super::address_of(&probe.address)?,
            send: probe.send.clone(),
            expect: probe.expect.as_deref().map(|p| patterns.get("expect", p)).transpose()?,
        })
    }

    /// Connects, speaks and listens.
    pub(crate) async fn fetch(&self, env: &ProberEnv, dialer: &Dialer, trail: &Trail) -> Result<(), Failure> {
        let send = self.send.as_ref().map(|text| secret::read("send", text)).transpose()?;
        let tcp = dialer.connect(env, &self.address, trail).await?;
        let mut stream = Stamped::plain(tcp, trail.clone());
        match &send {
            Some(text) => {
                let failed = |e| Failure::of_io(&e, Fault::SendFailed);
                stream.write_all(text.as_bytes()).await.map_err(failed)?;
                stream.flush().await.map_err(failed)?;
            }
            None if self.expect.is_some() => trail.listen(),
            None => {}
        }
        match &self.expect {
            Some(expect) => listen(&mut stream, expect, trail).await,
            None => {
                trail.answered();
                Ok(())
            }
        }
    }

    /// The failure of an attempt that came to its deadline: a reply that began and did not match is the wrong one.
    pub(crate) fn cut_off(&self, failure: Failure) -> Failure {
        match failure.outcome {
            Outcome::Down(Fault::TransferTimeout) => wrong_reply("does not match until the deadline"),
            _ => failure,
        }
    }
}

async fn listen(stream: &mut Stamped<TcpStream>, expect: &Regex, trail: &Trail) -> Result<(), Failure> {
    let mut reply = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let n = match stream.read(&mut piece).await {
            Ok(n) => n,
            Err(e) if reply.is_empty() => return Err(Failure::down(Fault::WaitClosed, e.to_string())),
            Err(e) => return Err(Failure::down(Fault::TransferClosed, e.to_string())),
        };
        if n == 0 && reply.is_empty() {
            return Err(Failure::down(Fault::WaitClosed, "closed before a reply"));
        }
        let room = REPLY_BYTES_MAX - reply.len();
        reply.extend_from_slice(&piece[..n.min(room)]);
        if expect.is_match(&reply) {
            trail.answered();
            return Ok(());
        }
        if n == 0 || reply.len() == REPLY_BYTES_MAX {
            return Err(wrong_reply("ended without a match"));
        }
    }
}

fn wrong_reply(problem: &str) -> Failure {
    Failure::down(Fault::WrongReply, format!("the reply {problem}"))
}
