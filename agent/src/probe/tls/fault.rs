//! What was wrong with a handshake?

use std::error::Error as StdError;
use std::io;

use rustls::{AlertDescription, CertificateError, Error};
use uitwijk_model::Fault;

/// The fault behind an error of a TLS stream; none when TLS has nothing to do with it.
///
/// `asked` tells that the server wanted a certificate of ours; then a bare refusal is taken as one of that.
pub(crate) fn of_io(error: &io::Error, asked: bool) -> Option<Fault> {
    let inner = error.get_ref()?;
    inner.downcast_ref::<Error>().map(|error| of_tls(error, asked))
}

/// The same for an error that may have a TLS error among its sources.
pub(crate) fn of_any(error: &(dyn StdError + 'static), asked: bool) -> Option<Fault> {
    let mut source = Some(error);
    while let Some(error) = source {
        let found = error.downcast_ref::<io::Error>().and_then(|e| of_io(e, asked));
        if found.is_some() {
            return found;
        }
        source = error.source();
    }
    None
}

fn of_tls(error: &Error, asked: bool) -> Fault {
    match error {
        Error::InvalidCertificate(problem) => of_certificate(problem),
        Error::NoCertificatesPresented => Fault::TlsCertificateInvalid,
        Error::AlertReceived(alert) if is_about_our_certificate(*alert, asked) => Fault::TlsClientCertificate,
        _ => Fault::TlsHandshake,
    }
}

fn of_certificate(problem: &CertificateError) -> Fault {
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Fault::TlsCertificateExpired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Fault::TlsCertificateNotYetValid,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Fault::TlsCertificateName
        }
        // What rustls has no name for is about the shape of the chain: an authority used as a server, too long a path.
        CertificateError::UnknownIssuer | CertificateError::Other(_) => Fault::TlsCertificateChain,
        _ => Fault::TlsCertificateInvalid,
    }
}

fn is_about_our_certificate(alert: AlertDescription, asked: bool) -> bool {
    match alert {
        AlertDescription::CertificateRequired
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => true,
        AlertDescription::HandshakeFailure => asked,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_rustls_are_told_apart() {
        let certificate = Error::InvalidCertificate;
        for (error, asked, fault) in [
            (certificate(CertificateError::Expired), false, Fault::TlsCertificateExpired),
            (certificate(CertificateError::NotValidYet), false, Fault::TlsCertificateNotYetValid),
            (certificate(CertificateError::NotValidForName), false, Fault::TlsCertificateName),
            (certificate(CertificateError::UnknownIssuer), false, Fault::TlsCertificateChain),
            (certificate(CertificateError::BadSignature), false, Fault::TlsCertificateInvalid),
            (certificate(CertificateError::Revoked), false, Fault::TlsCertificateInvalid),
            (certificate(CertificateError::BadEncoding), false, Fault::TlsCertificateInvalid),
            (Error::AlertReceived(AlertDescription::CertificateRequired), true, Fault::TlsClientCertificate),
            (Error::AlertReceived(AlertDescription::UnknownCA), true, Fault::TlsClientCertificate),
            (Error::AlertReceived(AlertDescription::HandshakeFailure), true, Fault::TlsClientCertificate),
            (Error::AlertReceived(AlertDescription::HandshakeFailure), false, Fault::TlsHandshake),
            (Error::HandshakeNotComplete, false, Fault::TlsHandshake),
        ] {
            let shown = format!("{error:?}");
            let io = io::Error::new(io::ErrorKind::InvalidData, error);
            assert_eq!(of_io(&io, asked), Some(fault), "{shown}");
        }
        assert_eq!(of_io(&io::Error::other("reset"), true), None);
    }
}
