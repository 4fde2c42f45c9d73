//! Does a TLS handshake succeed, and how long is the certificate still valid?
//!
//! In TLS 1.3 our side is done before the server looked at our certificate. So when the server asked for one, the probe
//! says goodbye and listens for a moment, after the clock stopped: an alert that comes then is the server's refusal.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uitwijk_model::plan::TlsProbe;

use super::ProberError;
use super::dial::{Dialed, Dialer};
use super::env::ProberEnv;
use super::failure::Failure;
use super::net::address::{Address, Origin};
use super::tls;
use super::trail::Trail;

/// How long a server may take to object to our certificate.
const OBJECTION_WAIT: Duration = Duration::from_millis(500);

/// A handshake probe, checked and ready.
#[derive(Debug)]
pub(crate) struct TlsTarget {
    origin: Origin,
    /// The certificate must be valid for at least so much longer.
    pub(crate) certificate_days_min: Option<u32>,
}

impl TlsTarget {
    /// Checks what the plan says.
    pub(crate) fn new(probe: &TlsProbe) -> Result<Self, ProberError> {
        let origin = Origin { secure: true, address: super::address_of(&probe.address)? };
        Ok(Self { origin, certificate_days_min: probe.certificate_days_min })
    }

    pub(crate) const fn address(&self) -> &Address {
        &self.origin.address
    }

    /// Makes the handshake.
    pub(crate) async fn fetch(&self, env: &ProberEnv, dialer: &Dialer, trail: &Trail) -> Result<Dialed, Failure> {
        dialer.dial(env, &self.origin, &[], trail).await
    }
}

/// Whether the server objects to our certificate, if it asked for one. Takes a moment, after the clock stopped.
pub(crate) async fn objection(mut dialed: Dialed) -> Result<(), Failure> {
    if !dialed.asked_for_certificate {
        return Ok(());
    }
    let farewell = async {
        dialed.link.shutdown().await?;
        let mut rest = [0; 64];
        while dialed.link.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    match tokio::time::timeout(OBJECTION_WAIT, farewell).await {
        Ok(Err(error)) => match tls::fault::of_io(&error, true) {
            Some(fault) => Err(Failure::down(fault, error.to_string())),
            // Only an alert says something about the certificate; a plain close does not.
            None => Ok(()),
        },
        Ok(Ok(())) | Err(_) => Ok(()),
    }
}
