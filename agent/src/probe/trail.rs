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
use uitwijk_model::{Clock, Elapsed, Fault, Hop, Phases};

use super::failure::Failure;

/// An interval that has begun.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: Elapsed,
    to: Option<Elapsed>,
}

impl Span {
    const fn open(from: Elapsed) -> Self {
        Self { from, to: None }
    }

    fn length(self, cut: Elapsed) -> Elapsed {
        self.to.unwrap_or(cut).since(self.from)
    }
}

/// The marks of one hop.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    dns: Option<Span>,
    connect: Option<Span>,
    tls: Option<Span>,
    /// Open as long as request bytes are on their way.
    send: Option<Span>,
    /// When we began to wait without having anything to send.
    listening: Option<Elapsed>,
    /// A write was refused.
    send_failed: bool,
    first_byte: Option<Elapsed>,
    last_byte: Option<Elapsed>,
}

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

/// A phase whose beginning and end the attempt marks itself; the others are seen on the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// Name lookup.
    Dns,
    /// Connecting.
    Connect,
    /// TLS handshake.
    Tls,
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

impl Marks {
    const fn step(&mut self, step: Step) -> &mut Option<Span> {
        match step {
            Step::Dns => &mut self.dns,
            Step::Connect => &mut self.connect,
            Step::Tls => &mut self.tls,
        }
    }

    fn phases(&self, cut: Elapsed) -> Phases {
        let length = |span: Option<Span>| span.map(|s| s.length(cut));
        // An attempt that was done without a byte of an answer had nothing to wait for.
        let waited = self.first_byte.is_some() || self.last_byte.is_none();
        let wait_from = self.send.and_then(|s| s.to).or(self.listening);
        Phases {
            dns: length(self.dns),
            connect: length(self.connect),
            tls: length(self.tls),
            send: length(self.send),
            wait: wait_from.filter(|_| waited).map(|from| self.first_byte.unwrap_or(cut).since(from)),
            transfer: self.first_byte.map(|from| self.last_byte.unwrap_or(cut).since(from)),
        }
    }

    fn cut_off(&self) -> Fault {
        let open = |span: Option<Span>| span.is_some_and(|s| s.to.is_none());
        if self.first_byte.is_some() {
            Fault::TransferTimeout
        } else if self.listening.is_some() || (self.send.is_some() && !open(self.send)) {
            Fault::WaitTimeout
        } else if self.tls.is_some() && open(self.tls) {
            Fault::TlsTimeout
        } else if open(self.connect) {
            Fault::ConnectTimeout
        } else if self.connect.is_some() {
            Fault::SendTimeout
        } else {
            Fault::DnsTimeout
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use uitwijk_model::WallTime;

    use super::*;

    /// A clock that a test moves by hand.
    #[derive(Debug, Default)]
    struct HandClock(AtomicU64);

    impl Clock for HandClock {
        fn wall(&self) -> WallTime {
            WallTime::default()
        }
        fn elapsed(&self) -> Elapsed {
            Elapsed::from_micros(self.0.load(Ordering::Relaxed))
        }
    }

    type Mark = (u64, fn(&Trail));

    const DNS: Mark = (0, |t| t.enter(Step::Dns));
    const RESOLVED: Mark = (10, |t| t.leave(Step::Dns));
    const CONNECT: Mark = (10, |t| t.enter(Step::Connect));
    const CONNECTED: Mark = (30, |t| t.leave(Step::Connect));
    const TLS: Mark = (30, |t| t.enter(Step::Tls));
    const SECURE: Mark = (60, |t| t.leave(Step::Tls));
    const WRITE: Mark = (70, |t| t.writing(t.now()));
    const SENT: Mark = (75, Trail::sent);
    const RECEIVED: Mark = (175, Trail::received);
    const ANSWERED: Mark = (200, Trail::answered);

    /// Applies the marks, cuts off at 1000, and shows fault, phases and total.
    fn check(marks: &[Mark], expected: &str) {
        let clock = Arc::new(HandClock::default());
        let trail = Trail::new(clock.clone());
        trail.depart();
        for (at, mark) in marks {
            clock.0.store(*at, Ordering::Relaxed);
            mark(&trail);
        }
        clock.0.store(1000, Ordering::Relaxed);
        trail.stop();
        let phases = trail.phases().named().map(|(_, p)| p.map_or("-".to_owned(), |e| e.as_micros().to_string()));
        let shown = format!("{} {} {}", trail.cut_off().outcome.reason(), phases.join(" "), trail.total().as_micros());
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_phase_that_was_cut_off_tells_the_fault_and_later_ones_are_absent() {
        let all = [DNS, RESOLVED, CONNECT, CONNECTED, TLS, SECURE, WRITE, SENT, RECEIVED];
        check(&[], "dns_timeout - - - - - - 1000");
        check(&all[..1], "dns_timeout 1000 - - - - - 1000");
        check(&all[..3], "connect_timeout 10 990 - - - - 1000");
        check(&all[..5], "tls_timeout 10 20 970 - - - 1000");
        check(&all[..7], "send_timeout 10 20 30 930 - - 1000");
        check(&all[..8], "wait_timeout 10 20 30 5 925 - 1000");
        check(&all, "transfer_timeout 10 20 30 5 100 825 1000");
    }

    #[test]
    fn a_complete_attempt_ends_with_its_last_byte() {
        let all = [DNS, RESOLVED, CONNECT, CONNECTED, TLS, SECURE, WRITE, SENT, RECEIVED, ANSWERED];
        check(&all, "transfer_timeout 10 20 30 5 100 25 200");
    }

    #[test]
    fn an_answer_that_overtakes_its_request_ends_the_sending() {
        check(&[WRITE, RECEIVED, (180, |t| t.writing(t.now())), ANSWERED], "transfer_timeout - - - 105 0 25 200");
    }

    #[test]
    fn a_redirect_starts_the_marks_anew_and_keeps_the_total() {
        let marks =
            [DNS, RESOLVED, CONNECT, CONNECTED, (400, |t: &Trail| t.redirected(302)), (400, |t| t.enter(Step::Dns))];
        check(&marks, "dns_timeout 600 - - - - - 1000");
    }
}
