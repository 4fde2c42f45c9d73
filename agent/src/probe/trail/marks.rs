//! Which phases did a hop reach, and how long was each?
//!
//! Marks are set as things happen. Phases are what lies between them, and the earliest phase without an end is the one
//! that a deadline cuts off.

use uitwijk_model::{Elapsed, Fault, Phases};

/// An interval that has begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) from: Elapsed,
    pub(super) to: Option<Elapsed>,
}

impl Span {
    pub(super) const fn open(from: Elapsed) -> Self {
        Self { from, to: None }
    }

    fn length(self, cut: Elapsed) -> Elapsed {
        self.to.unwrap_or(cut).since(self.from)
    }
}

/// The marks of one hop.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Marks {
    pub(super) dns: Option<Span>,
    pub(super) connect: Option<Span>,
    pub(super) tls: Option<Span>,
    /// Open as long as request bytes are on their way.
    pub(super) send: Option<Span>,
    /// When we began to wait without having anything to send.
    pub(super) listening: Option<Elapsed>,
    /// A write was refused.
    pub(super) send_failed: bool,
    pub(super) first_byte: Option<Elapsed>,
    pub(super) last_byte: Option<Elapsed>,
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

impl Marks {
    pub(super) const fn step(&mut self, step: Step) -> &mut Option<Span> {
        match step {
            Step::Dns => &mut self.dns,
            Step::Connect => &mut self.connect,
            Step::Tls => &mut self.tls,
        }
    }

    pub(super) fn phases(&self, cut: Elapsed) -> Phases {
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

    pub(super) fn cut_off(&self) -> Fault {
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
