//! Where did the time of an attempt go, and what was noted along the way?
//!
//! ```text
//!   begin   dns      connect      tls       first..last byte sent   first..last byte received   stop
//!     |------|------------|---------|-------------|------|-----------------|------|--------------|
//!      dns     connect       tls          send      wait       transfer
//! ```
//!
//! A [`Trail`] outlives the future that makes the attempt, so that one that was cut off at its deadline still tells how
//! far it came: the phase in which it died decides the fault, and that phase holds the time until the cut-off. A phase
//! that never began is absent. All marks come from one monotonic clock and their intervals do not overlap, so the
//! phases never add up to more than the total.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::CertificateDer;
use uitwijk_model::{Clock, Elapsed, Hop, Phases};

use super::failure::Failure;

mod marks;

pub(crate) use marks::Step;

use marks::{Marks, Span};

/// What an attempt leaves behind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// Status of the latest response.
    pub(crate) http_status: Option<u16>,
    /// Redirects that were followed.
    pub(crate) hops: Vec<Hop>,
    /// The chain that the latest server presented, trusted or not.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The latest address that was connected to.
    pub(crate) peer: Option<SocketAddr>,
}

#[derive(Debug, Default)]
struct State {
    began: Option<Elapsed>,
    hop_began: Elapsed,
    stopped: Option<Elapsed>,
    marks: Marks,
    facts: Facts,
}

/// The marks and facts of one attempt; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Trail {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

impl Trail {
    /// A trail whose clock does not run yet.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Arc::default() }
    }

    /// Starts the clock; the first call counts. From here on all time is the target's.
    pub(crate) fn depart(&self) {
        let now = self.now();
        let mut state = self.state();
        if state.began.is_none() {
            state.began = Some(now);
            state.hop_began = now;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The monotonic clock of the marks.
    pub(crate) fn now(&self) -> Elapsed {
        self.clock.elapsed()
    }

    /// A phase begins now.
    pub(crate) fn enter(&self, step: Step) {
        let now = self.now();
        *self.state().marks.step(step) = Some(Span::open(now));
    }

    /// A phase ends now.
    pub(crate) fn leave(&self, step: Step) {
        let now = self.now();
        if let Some(span) = self.state().marks.step(step) {
            span.to = Some(now);
        }
    }

    /// The connection that began at `from` was established now, with `peer`.
    pub(crate) fn connected(&self, from: Elapsed, peer: SocketAddr) {
        let now = self.now();
        let mut state = self.state();
        state.marks.connect = Some(Span { from, to: Some(now) });
        state.facts.peer = Some(peer);
    }

    /// Request bytes are handed to the connection at `at`.
    pub(crate) fn writing(&self, at: Elapsed) {
        let marks = &mut self.state().marks;
        if marks.first_byte.is_none() {
            marks.send.get_or_insert(Span::open(at)).to = None;
        }
    }

    /// All bytes of the request have left.
    pub(crate) fn sent(&self) {
        let now = self.now();
        if let Some(send) = &mut self.state().marks.send {
            send.to.get_or_insert(now);
        }
    }

    /// Nothing will be sent; the target speaks first.
    pub(crate) fn listen(&self) {
        let now = self.now();
        self.state().marks.listening = Some(now);
    }

    /// The connection refused bytes of the request.
    pub(crate) fn write_failed(&self) {
        self.state().marks.send_failed = true;
    }

    /// Bytes of the answer came in. An answer that overtakes its request ends the sending.
    pub(crate) fn received(&self) {
        let now = self.now();
        let marks = &mut self.state().marks;
        if marks.first_byte.is_none() {
            marks.first_byte = Some(now);
            if let Some(send) = &mut marks.send {
                send.to.get_or_insert(now);
            }
        }
    }

    /// The last byte of the answer is in, or none was to come.
    pub(crate) fn answered(&self) {
        let now = self.now();
        self.state().marks.last_byte = Some(now);
    }

    /// Whether any byte of an answer came in.
    pub(crate) fn has_received(&self) -> bool {
        self.state().marks.first_byte.is_some()
    }

    /// Whether the request did not leave in full before anything came back.
    pub(crate) fn has_send_failed(&self) -> bool {
        let marks = self.state().marks;
        let unsent = marks.send.is_none_or(|send| send.to.is_none());
        marks.first_byte.is_none() && (marks.send_failed || unsent)
    }

    /// Notes facts.
    pub(crate) fn note(&self, with: impl FnOnce(&mut Facts)) {
        with(&mut self.state().facts);
    }

    /// A redirect will be followed: its time becomes a hop, and the marks start anew.
    pub(crate) fn redirected(&self, http_status: u16) {
        let now = self.now();
        let mut state = self.state();
        let elapsed = now.since(state.hop_began);
        state.facts.hops.push(Hop { http_status, elapsed });
        state.facts.chain.clear();
        state.facts.peer = None;
        state.hop_began = now;
        state.marks = Marks::default();
    }

    /// Stops the clock; the first call counts.
    pub(crate) fn stop(&self) {
        let now = self.now();
        let mut state = self.state();
        let at = state.marks.last_byte.unwrap_or(now);
        state.stopped.get_or_insert(at);
    }

    /// From the start to the stop.
    pub(crate) fn total(&self) -> Elapsed {
        let now = self.now();
        let state = self.state();
        state.began.map_or_else(Elapsed::default, |began| state.stopped.unwrap_or(now).since(began))
    }

    /// Where the time went.
    pub(crate) fn phases(&self) -> Phases {
        let now = self.now();
        let state = self.state();
        state.marks.phases(state.stopped.unwrap_or(now))
    }

    /// What was noted.
    pub(crate) fn facts(&self) -> Facts {
        self.state().facts.clone()
    }

    /// The failure of an attempt whose deadline came now.
    pub(crate) fn cut_off(&self) -> Failure {
        let fault = self.state().marks.cut_off();
        Failure::down(fault, "the deadline of the attempt came")
    }
}

#[cfg(test)]
mod tests;
