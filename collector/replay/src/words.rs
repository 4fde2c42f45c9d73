//! Which words does a stream have for how a probe ended, and which outcomes of ours do they stand for?
//!
//! A stream has eight words, we have more than thirty faults. The word is what the fault looks like from outside; the
//! exact fault is written beside it in the extra key `fault` where the word alone would read as another one.

use uitwijk_model::{Fault, Outcome};

/// How a probe ended, as a stream says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word {
    /// Complete, right, within the objective.
    Ok,
    /// Complete and right, over the objective.
    Slow,
    /// No complete answer in time.
    Timeout,
    /// No connection, or one that broke off before the answer.
    ConnRefused,
    /// No address.
    Dns,
    /// No secure connection.
    Tls,
    /// An answer that says it failed.
    Http5xx,
    /// An answer with wrong content.
    WrongBody,
}

impl Word {
    /// Every word.
    pub const ALL: [Self; 8] =
        [Self::Ok, Self::Slow, Self::Timeout, Self::ConnRefused, Self::Dns, Self::Tls, Self::Http5xx, Self::WrongBody];

    /// The word as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Slow => "slow",
            Self::Timeout => "timeout",
            Self::ConnRefused => "conn_refused",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Http5xx => "http_5xx",
            Self::WrongBody => "wrong_body",
        }
    }

    /// The word that is written like this.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|w| w.as_str() == text)
    }

    /// What the word stands for when nothing else is known.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Ok => Outcome::Up,
            Self::Slow => Outcome::Slow,
            Self::Timeout => Outcome::Down(Fault::WaitTimeout),
            Self::ConnRefused => Outcome::Down(Fault::ConnectRefused),
            Self::Dns => Outcome::Down(Fault::DnsServer),
            Self::Tls => Outcome::Down(Fault::TlsCertificateExpired),
            Self::Http5xx => Outcome::Down(Fault::HttpStatus),
            Self::WrongBody => Outcome::Down(Fault::WrongBody),
        }
    }

    /// The word for an outcome; none for what was not measured.
    #[must_use]
    pub const fn of(outcome: Outcome) -> Option<Self> {
        match outcome {
            Outcome::Up => Some(Self::Ok),
            Outcome::Slow => Some(Self::Slow),
            Outcome::Down(fault) => Some(Self::of_fault(fault)),
            Outcome::Unmeasured(_) => None,
        }
    }

    /// The word for a fault.
    #[must_use]
    pub const fn of_fault(fault: Fault) -> Self {
        match fault {
            Fault::DnsName | Fault::DnsNoAddress | Fault::DnsServer | Fault::DnsTimeout | Fault::DnsAnswer => Self::Dns,
            Fault::ConnectTimeout
            | Fault::TlsTimeout
            | Fault::SendTimeout
            | Fault::WaitTimeout
            | Fault::TransferTimeout => Self::Timeout,
            Fault::ConnectRefused
            | Fault::ConnectUnreachable
            | Fault::ConnectFailed
            | Fault::SendFailed
            | Fault::WaitClosed => Self::ConnRefused,
            Fault::TlsHandshake
            | Fault::TlsCertificateExpired
            | Fault::TlsCertificateNotYetValid
            | Fault::TlsCertificateName
            | Fault::TlsCertificateChain
            | Fault::TlsCertificateInvalid
            | Fault::TlsClientCertificate => Self::Tls,
            Fault::HttpStatus | Fault::GrpcStatus | Fault::GrpcNotServing => Self::Http5xx,
            Fault::TransferClosed
            | Fault::TransferTooLarge
            | Fault::Protocol
            | Fault::HttpHeader
            | Fault::WrongBody
            | Fault::Redirect
            | Fault::WrongReply => Self::WrongBody,
        }
    }
}

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// The fault with this label.
pub(crate) fn fault(label: &str) -> Option<Fault> {
    Fault::ALL.iter().copied().find(|f| f.label() == label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_stands_for_an_outcome_that_is_told_by_it() {
        for word in Word::ALL {
            assert_eq!(Word::of(word.outcome()), Some(word));
            assert_eq!(Word::from_text(word.as_str()), Some(word));
        }
        assert_eq!(Word::from_text("up"), None);
    }

    #[test]
    fn every_fault_has_a_label_to_come_back_by() {
        for &f in Fault::ALL {
            assert_eq!(fault(f.label()), Some(f));
        }
    }

    #[test]
    fn what_was_not_measured_has_no_word() {
        assert_eq!(Word::of(Outcome::Unmeasured(uitwijk_model::Unmeasured::Missed)), None);
    }
}
