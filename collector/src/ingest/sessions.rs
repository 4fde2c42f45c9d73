//! Which stream speaks for an agent, when two want to?
//!
//! ```text
//!   the same boot again     the agent connected anew and its old stream hangs half open: the newer one wins at once
//!   another boot            either the agent was restarted and its old stream hangs, or two processes run with
//!                           one identity. Who is alive speaks (heartbeats): if the old stream says a word, the newcomer is
//!                           turned away; if it is silent for `takeover_after`, the newcomer takes over
//! ```
//!
//! So a restarted agent is never locked out: a process that ended closes its stream at once, and one whose machine is gone is
//! succeeded after a few seconds, in which the newcomer is kept waiting. A boot is a random number of 64 bits, so
//! one that comes again is the same process, whichever certificate it has by now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use uitwijk_model::{AgentId, BootId, Clock, Elapsed, Millis};

use super::metrics::IngestMetrics;
use super::work::Peer;

/// The streams that speak for an agent now.
#[derive(Debug)]
pub(super) struct Sessions {
    live: Mutex<HashMap<AgentId, Live>>,
    clock: Arc<dyn Clock>,
    takeover_after: Millis,
    metrics: IngestMetrics,
}

#[derive(Debug, Clone)]
struct Live {
    boot: BootId,
    certificate: [u8; 32],
    peer: Arc<Peer>,
    /// When it last said something.
    heard: Arc<watch::Sender<Elapsed>>,
    /// Cancelled when it ends, by itself or by a successor.
    ended: CancellationToken,
}

/// The right to speak for an agent, until it is dropped or taken.
#[derive(Debug)]
pub(super) struct Session {
    sessions: Arc<Sessions>,
    live: Live,
}

/// What a newcomer finds.
enum Finding {
    Admitted(Session),
    /// Another process is alive.
    Turned(Status),
    /// Not clear yet; look again after so long, or when something happens there.
    Wait(Box<Live>, Duration),
}

impl Sessions {
    pub(super) fn new(clock: Arc<dyn Clock>, takeover_after: Millis, metrics: IngestMetrics) -> Arc<Self> {
        Arc::new(Self { live: Mutex::default(), clock, takeover_after, metrics })
    }

    /// Waits until it is clear who speaks for the agent.
    ///
    /// # Errors
    /// `ALREADY_EXISTS` when that is another process.
    pub(super) async fn admit(
        self: &Arc<Self>,
        peer: &Arc<Peer>,
        boot: BootId,
        certificate: [u8; 32],
    ) -> Result<Session, Status> {
        let since = self.clock.elapsed();
        loop {
            let (other, patience) = match self.look(peer, boot, certificate, since) {
                Finding::Admitted(session) => return Ok(session),
                Finding::Turned(status) => return Err(status),
                Finding::Wait(other, patience) => (other, patience),
            };
            let mut word = other.heard.subscribe();
            tokio::select! {
                biased;
                () = other.ended.cancelled() => {}
                _ = word.changed() => {}
                () = tokio::time::sleep(patience) => {}
            }
        }
    }

    fn look(self: &Arc<Self>, peer: &Arc<Peer>, boot: BootId, certificate: [u8; 32], since: Elapsed) -> Finding {
        let mut sessions = self.lock();
        let now = self.clock.elapsed();
        let takeover_after = Duration::from(self.takeover_after);
        let silence = |live: &Live| Duration::from(now.since(*live.heard.borrow()));
        match sessions.get(&peer.agent) {
            None => {}
            Some(old) if old.boot == boot => end(old, "replaced: the same agent connected again"),
            Some(old) if silence(old) >= takeover_after => {
                tracing::warn!(agent = %peer.agent, old = %old.boot, new = %boot, "a silent stream was succeeded");
                end(old, "replaced: another process of this agent connected, and this one was silent");
            }
            Some(old) if *old.heard.borrow() > since => {
                self.metrics.identity_conflicts.inc();
                return Finding::Turned(self.turn_away(peer, old, boot, certificate));
            }
            Some(old) => {
                let patience = takeover_after.saturating_sub(silence(old)).max(Duration::from_millis(1));
                return Finding::Wait(Box::new(old.clone()), patience);
            }
        }
        let live = Live {
            boot,
            certificate,
            peer: peer.clone(),
            heard: Arc::new(watch::Sender::new(now)),
            ended: CancellationToken::new(),
        };
        sessions.insert(peer.agent.clone(), live.clone());
        Finding::Admitted(Session { sessions: self.clone(), live })
    }

    fn turn_away(&self, peer: &Peer, old: &Live, boot: BootId, certificate: [u8; 32]) -> Status {
        let same = old.certificate == certificate;
        tracing::error!(agent = %peer.agent, live = %old.boot, newcomer = %boot, same_certificate = same,
            "two agents with one identity");
        Status::already_exists(format!(
            "two agents are called {}: boot {} is connected and alive, this one is boot {boot} with {} certificate; \
             stop one of them, or give it a name and certificate of its own",
            peer.agent,
            old.boot,
            if same { "the same" } else { "another" }
        ))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AgentId, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end(old: &Live, why: &str) {
    old.peer.mailbox.end(Status::aborted(why));
    old.ended.cancel();
}

impl Session {
    /// The agent said something.
    pub(super) fn heard(&self) {
        self.live.heard.send_replace(self.sessions.clock.elapsed());
    }

    /// Waits until another stream took over.
    pub(super) async fn taken(&self) {
        self.live.ended.cancelled().await;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.live.ended.cancel();
        let mut sessions = self.sessions.lock();
        // A successor stands there under the same name.
        if sessions.get(&self.live.peer.agent).is_some_and(|live| Arc::ptr_eq(&live.heard, &self.live.heard)) {
            sessions.remove(&self.live.peer.agent);
        }
    }
}
