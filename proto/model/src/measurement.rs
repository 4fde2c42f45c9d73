//! What did one attempt find?
//!
//! A [`Measurement`] is one attempt, never a sum: retries are measurements of their own. "Not measured" is a value
//! with a reason beside up, slow and down, so that silence can never be mistaken for health or for failure.
//! Its natural key is (agent, target, slot, attempt); (agent, boot, sequence) names it in transport.

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, BootId, Region, Sequence, TargetId, Vantage, Zone};
use crate::time::{Elapsed, Slot, WallTime};

macro_rules! coded {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal, $label:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[repr(u8)]
        pub enum $name { $($(#[$vdoc])* $variant = $code,)+ }

        impl $name {
            /// Every value, in order of code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The number on the wire and in the store; never changes.
            #[must_use]
            pub const fn code(self) -> u8 {
                self as u8
            }

            /// The value with this number, if there is one.
            #[must_use]
            pub const fn from_code(code: u32) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }

            /// The name in metrics, tables and JSON.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.label())
            }
        }
    };
}

coded! {
    /// Why an attempt is down. The first word is the phase in which it died; the schema
    /// (`measurement.proto`, enum `Fault`) describes each value.
    Fault {
        /// The name does not exist.
        DnsName = 1, "dns_name";
        /// No address of the wanted family.
        DnsNoAddress = 2, "dns_no_address";
        /// The resolver refused or failed.
        DnsServer = 3, "dns_server";
        /// No answer from the resolver in time.
        DnsTimeout = 4, "dns_timeout";
        /// A DNS probe got an unexpected answer.
        DnsAnswer = 5, "dns_answer";
        /// Connection refused.
        ConnectRefused = 10, "connect_refused";
        /// No answer to the SYN in time.
        ConnectTimeout = 11, "connect_timeout";
        /// No route.
        ConnectUnreachable = 12, "connect_unreachable";
        /// Any other failure to connect.
        ConnectFailed = 13, "connect_failed";
        /// Handshake not finished in time.
        TlsTimeout = 20, "tls_timeout";
        /// Handshake failed, not for the certificate.
        TlsHandshake = 21, "tls_handshake";
        /// Certificate expired.
        TlsCertificateExpired = 22, "tls_certificate_expired";
        /// Certificate not valid yet.
        TlsCertificateNotYetValid = 23, "tls_certificate_not_yet_valid";
        /// Certificate for another name.
        TlsCertificateName = 24, "tls_certificate_name";
        /// Chain not trusted.
        TlsCertificateChain = 25, "tls_certificate_chain";
        /// Certificate otherwise unusable.
        TlsCertificateInvalid = 26, "tls_certificate_invalid";
        /// Our client certificate was not taken.
        TlsClientCertificate = 27, "tls_client_certificate";
        /// Request could not be written.
        SendFailed = 30, "send_failed";
        /// Request could not be written in time.
        SendTimeout = 31, "send_timeout";
        /// No first byte in time.
        WaitTimeout = 40, "wait_timeout";
        /// Closed before the first byte.
        WaitClosed = 41, "wait_closed";
        /// Answer did not end in time.
        TransferTimeout = 50, "transfer_timeout";
        /// Closed within the answer.
        TransferClosed = 51, "transfer_closed";
        /// Answer over the limit.
        TransferTooLarge = 52, "transfer_too_large";
        /// Not valid HTTP, gRPC or DNS.
        Protocol = 60, "protocol";
        /// Status not expected.
        HttpStatus = 61, "http_status";
        /// Header not as expected.
        HttpHeader = 62, "http_header";
        /// Body not as expected.
        WrongBody = 63, "wrong_body";
        /// Redirect that cannot be followed, or one too many.
        Redirect = 64, "redirect";
        /// gRPC status other than OK.
        GrpcStatus = 65, "grpc_status";
        /// gRPC health other than SERVING.
        GrpcNotServing = 66, "grpc_not_serving";
        /// Reply of a TCP probe not as expected.
        WrongReply = 67, "wrong_reply";
    }
}

coded! {
    /// Why there is no measurement; the schema (enum `Unmeasured`) describes each value.
    Unmeasured {
        /// The agent was not running or could not schedule in the slot.
        Missed = 1, "missed";
        /// The attempt before it was still running.
        Overrun = 2, "overrun";
        /// Too many attempts in flight.
        Overload = 3, "overload";
        /// The agent stopped while it ran.
        Stopped = 4, "stopped";
        /// It cannot run on this agent as configured.
        Local = 5, "local";
        /// The wall clock stepped over the slot.
        ClockStep = 6, "clock_step";
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Complete, right, within the objective.
    Up,
    /// Complete and right, over the objective.
    Slow,
    /// No complete right answer.
    Down(Fault),
    /// No attempt that says anything about the target.
    Unmeasured(Unmeasured),
}

impl Outcome {
    /// The two numbers on the wire: outcome and reason.
    #[must_use]
    pub const fn codes(self) -> (u8, u8) {
        match self {
            Self::Up => (1, 0),
            Self::Slow => (2, 0),
            Self::Down(fault) => (3, fault.code()),
            Self::Unmeasured(reason) => (4, reason.code()),
        }
    }

    /// The outcome with these numbers, if there is one.
    #[must_use]
    pub const fn from_codes(outcome: u32, reason: u32) -> Option<Self> {
        match (outcome, reason) {
            (1, 0) => Some(Self::Up),
            (2, 0) => Some(Self::Slow),
            (3, reason) => match Fault::from_code(reason) {
                Some(fault) => Some(Self::Down(fault)),
                None => None,
            },
            (4, reason) => match Unmeasured::from_code(reason) {
                Some(reason) => Some(Self::Unmeasured(reason)),
                None => None,
            },
            _ => None,
        }
    }

    /// `up`, `slow`, `down` or `unmeasured`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Slow => "slow",
            Self::Down(_) => "down",
            Self::Unmeasured(_) => "unmeasured",
        }
    }

    /// The fault or the reason, empty where there is none.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Up | Self::Slow => "",
            Self::Down(fault) => fault.label(),
            Self::Unmeasured(reason) => reason.label(),
        }
    }

    /// A complete right answer, however slow.
    #[must_use]
    pub const fn is_answer(self) -> bool {
        matches!(self, Self::Up | Self::Slow)
    }

    /// Says something about the target.
    #[must_use]
    pub const fn is_measured(self) -> bool {
        !matches!(self, Self::Unmeasured(_))
    }
}

/// Where the time of an attempt went. A phase that was not reached is `None`, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Phases {
    /// Query to usable addresses.
    pub dns: Option<Elapsed>,
    /// SYN of the winning address to established.
    pub connect: Option<Elapsed>,
    /// ClientHello to handshake finished.
    pub tls: Option<Elapsed>,
    /// First to last request byte flushed.
    pub send: Option<Elapsed>,
    /// Request sent to first response byte.
    pub wait: Option<Elapsed>,
    /// First to last byte of the response.
    pub transfer: Option<Elapsed>,
}

impl Phases {
    /// The phases in order, with their names in metrics.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, Option<Elapsed>); 6] {
        [
            ("resolve", self.dns),
            ("connect", self.connect),
            ("tls", self.tls),
            ("send", self.send),
            ("processing", self.wait),
            ("transfer", self.transfer),
        ]
    }
}

/// Who answered, as far as the answer told.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServedBy {
    /// The region that served.
    pub region: Region,
    /// The zone within it.
    pub zone: Option<Zone>,
}

/// One redirect on the way to the final response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hop {
    /// Its status, 300-399.
    pub http_status: u16,
    /// How long it took.
    pub elapsed: Elapsed,
}

/// How well the observer itself was when it measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Observer {
    /// Agent's clock minus the collector's, microseconds, as last measured.
    pub clock_offset_us: Option<i64>,
    /// How late the event loop ran in the second before.
    pub loop_lag: Elapsed,
    /// Control targets that failed in the last round.
    pub controls_failed: u16,
    /// Control targets that were measured in the last round.
    pub controls_seen: u16,
}

/// One attempt of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Measurement {
    /// What was probed.
    pub target: TargetId,
    /// The turn of the schedule.
    pub slot: Slot,
    /// 0 for the first attempt in the slot, 1.. for its retries.
    pub attempt: u8,
    /// When it was due, agent's clock.
    pub scheduled: WallTime,
    /// When it began, agent's clock.
    pub started: WallTime,
    /// How it ended.
    pub outcome: Outcome,
    /// Start of name lookup to the last body byte, or to the cut-off; absent when unmeasured.
    pub total: Option<Elapsed>,
    /// Where the time went.
    pub phases: Phases,
    /// Status of the final response.
    pub http_status: Option<u16>,
    /// Who answered.
    pub served: Option<ServedBy>,
    /// Redirects before the final response, at most 20.
    pub hops: Vec<Hop>,
    /// When the first certificate of the presented chain expires, to the second.
    pub certificate_expires: Option<WallTime>,
    /// How well the observer was.
    pub observer: Observer,
}

/// A measurement with everything that tells it from all others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Who measured.
    pub agent: AgentId,
    /// Where it stands.
    pub vantage: Vantage,
    /// In which of its lives.
    pub boot: BootId,
    /// The number within that life.
    pub sequence: Sequence,
    /// What it found.
    pub measurement: Measurement,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_go_both_ways() {
        let mut all = vec![Outcome::Up, Outcome::Slow];
        all.extend(Fault::ALL.iter().map(|&f| Outcome::Down(f)));
        all.extend(Unmeasured::ALL.iter().map(|&u| Outcome::Unmeasured(u)));
        for outcome in all {
            let (code, reason) = outcome.codes();
            assert_eq!(Outcome::from_codes(u32::from(code), u32::from(reason)), Some(outcome));
        }
        for (code, reason) in [(0, 0), (1, 1), (3, 0), (3, 255), (4, 0), (5, 0)] {
            assert_eq!(Outcome::from_codes(code, reason), None, "{code} {reason}");
        }
    }
}
