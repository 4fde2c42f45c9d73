//! What does the system ask of the process?

use std::io;

use tokio::signal::unix::{Signal as Unix, SignalKind, signal};

/// One request of the system, or of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Finish and end; with the name of the signal.
    Stop(&'static str),
    /// Read configuration and certificates again.
    Reload,
}

/// The signals that the process listens to: SIGTERM, SIGINT and SIGHUP.
#[derive(Debug)]
pub struct Signals {
    terminate: Unix,
    interrupt: Unix,
    hangup: Unix,
}

impl Signals {
    /// From now on these signals no longer end the process by themselves. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the system has no room for handlers.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one. Signals of one kind that come close together may count as one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Signal::Stop("SIGINT"),
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}
