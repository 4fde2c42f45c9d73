//! How does a run end, and what does a script learn from it?

use std::io;

use tonic::{Code, Status};
use uitwijk_identity::{ConnectError, connect_error_of};

/// Done.
pub(crate) const OK: u8 = 0;
/// The answer is no.
pub(crate) const NO: u8 = 1;
/// Arguments or files that cannot be used.
pub(crate) const USAGE: u8 = 2;
/// The collector cannot be reached.
pub(crate) const UNREACHABLE: u8 = 3;
/// The collector does not allow it, or a certificate was refused.
pub(crate) const NOT_ALLOWED: u8 = 4;
/// There is no such thing.
pub(crate) const NOT_FOUND: u8 = 5;
/// The collector failed, or answered something that cannot be used.
pub(crate) const FAILED: u8 = 6;

/// What a run that went well has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
}

impl Answer {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Yes => OK,
            Self::No => NO,
        }
    }
}

/// Why a run did not go well.
#[derive(Debug)]
pub(crate) enum OpsError {
    Usage(String),
    Unreachable(String),
    NotAllowed(String),
    NotFound(String),
    Failed(String),
    /// The answer could not be written.
    Output(io::Error),
}

impl OpsError {
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Unreachable(_) => UNREACHABLE,
            Self::NotAllowed(_) => NOT_ALLOWED,
            Self::NotFound(_) => NOT_FOUND,
            Self::Failed(_) => FAILED,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => OK,
            Self::Output(_) => FAILED,
        }
    }

    /// What to tell; nothing when the reader of a pipe has seen enough.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Usage(text)
            | Self::Unreachable(text)
            | Self::NotAllowed(text)
            | Self::NotFound(text)
            | Self::Failed(text) => Some(text.clone()),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            Self::Output(error) => Some(format!("cannot write the answer: {error}")),
        }
    }

    pub(crate) fn from_connect(url: &str, error: &ConnectError) -> Self {
        let text = format!("cannot reach the collector {url}: {error}");
        match error {
            ConnectError::Url { .. } => Self::Usage(format!("--collector: {error}")),
            ConnectError::OwnCertificate(_) | ConnectError::Rejected { .. } => Self::NotAllowed(text),
            _ => Self::Unreachable(text),
        }
    }

    pub(crate) fn from_status(url: &str, status: &Status) -> Self {
        if let Some(error) = connect_error_of(status) {
            return Self::from_connect(url, &error);
        }
        let said = clean(status.message());
        match status.code() {
            Code::PermissionDenied | Code::Unauthenticated => Self::NotAllowed(format!("not allowed: {said}")),
            Code::NotFound => Self::NotFound(said),
            Code::InvalidArgument | Code::OutOfRange => {
                Self::Usage(format!("the collector does not take that: {said}"))
            }
            Code::DeadlineExceeded => {
                Self::Unreachable(format!("no answer from {url} in time; --timeout allows for more"))
            }
            Code::Cancelled if said.to_ascii_lowercase().contains("timeout") => {
                Self::Unreachable(format!("no answer from {url} in time; --timeout allows for more"))
            }
            Code::Unavailable => Self::Unreachable(format!("the collector {url} went away: {said}")),
            Code::Unimplemented => {
                Self::Failed(format!("the collector {url} does not know this call, it may be older: {said}"))
            }
            code => Self::Failed(format!("the collector {url} failed ({code:?}): {said}")),
        }
    }
}

impl From<io::Error> for OpsError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Text from elsewhere, fit for a terminal: control characters become `?`.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_invisible(c) { '?' } else { c }).collect()
}

/// Characters that turn the direction of text or hide in it.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
