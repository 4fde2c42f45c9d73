//! Why did an attempt not succeed, and whose fault is it?
//!
//! A [`Failure`] is either the target's ([`Fault`], the attempt is down) or our own (the attempt is unmeasured and says
//! nothing about the target). The detail is for logs and traces; the measurement carries only the code.

use std::io;

use uitwijk_model::{Fault, Outcome, Unmeasured};

/// Why an attempt did not end in a complete right answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What the measurement will say.
    pub(crate) outcome: Outcome,
    /// What a person would want to read besides.
    pub(crate) detail: String,
}

impl Failure {
    /// The target's fault.
    pub(crate) fn down(fault: Fault, detail: impl Into<String>) -> Self {
        Self { outcome: Outcome::Down(fault), detail: detail.into() }
    }

    /// This agent's fault.
    pub(crate) fn local(detail: impl Into<String>) -> Self {
        Self { outcome: Outcome::Unmeasured(Unmeasured::Local), detail: detail.into() }
    }

    /// Ours when the machine could not give a socket, else the target's.
    pub(crate) fn of_io(error: &io::Error, fault: Fault) -> Self {
        if is_local(error) { Self::local(error.to_string()) } else { Self::down(fault, error.to_string()) }
    }

    /// Whether this agent is to blame.
    pub(crate) const fn is_local(&self) -> bool {
        matches!(self.outcome, Outcome::Unmeasured(_))
    }
}

/// Whether an error of a socket says something about this machine and nothing about the target: out of descriptors,
/// buffers or ports, a protocol that is not built in, a packet that our own firewall refused to send.
pub(crate) fn is_local(error: &io::Error) -> bool {
    const LOCAL: [i32; 9] = [
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOBUFS,
        libc::ENOMEM,
        libc::EACCES,
        libc::EPERM,
        libc::EADDRNOTAVAIL,
        libc::EAFNOSUPPORT,
        libc::EPROTONOSUPPORT,
    ];
    error.raw_os_error().is_some_and(|code| LOCAL.contains(&code))
}

/// The fault of a connection that could not be made.
pub(crate) fn connect_fault(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Fault::ConnectRefused,
        io::ErrorKind::TimedOut => Fault::ConnectTimeout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            Fault::ConnectUnreachable
        }
        _ => Fault::ConnectFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_connect_is_ours_or_tells_what_the_target_did() {
        let outcome = |code| {
            let error = io::Error::from_raw_os_error(code);
            Failure::of_io(&error, connect_fault(&error)).outcome
        };
        let local = Outcome::Unmeasured(Unmeasured::Local);
        for (code, expected) in [
            (libc::ECONNREFUSED, Outcome::Down(Fault::ConnectRefused)),
            (libc::ETIMEDOUT, Outcome::Down(Fault::ConnectTimeout)),
            (libc::EHOSTUNREACH, Outcome::Down(Fault::ConnectUnreachable)),
            (libc::ENETUNREACH, Outcome::Down(Fault::ConnectUnreachable)),
            (libc::ECONNRESET, Outcome::Down(Fault::ConnectFailed)),
            (libc::EMFILE, local),
            (libc::ENFILE, local),
            (libc::EADDRNOTAVAIL, local),
            (libc::EAFNOSUPPORT, local),
            (libc::EPERM, local),
        ] {
            assert_eq!(outcome(code), expected, "{}", io::Error::from_raw_os_error(code));
        }
    }
}
