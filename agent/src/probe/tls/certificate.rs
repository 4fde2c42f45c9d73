//! When does a presented chain expire?

use rustls::pki_types::CertificateDer;
use uitwijk_model::WallTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// When the first certificate of the chain expires, to the second; certificates that cannot be read do not count.
pub(crate) fn earliest_expiry(chain: &[CertificateDer<'_>]) -> Option<WallTime> {
    chain.iter().filter_map(|der| expiry(der)).min()
}

fn expiry(der: &[u8]) -> Option<WallTime> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let seconds = certificate.validity().not_after.timestamp();
    Some(WallTime::from_micros(seconds.saturating_mul(1_000_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_of_the_chain_counts_and_garbage_does_not() {
        let issue = |year| {
            let mut params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let key = rcgen::KeyPair::generate().unwrap();
            params.self_signed(&key).unwrap().der().clone()
        };
        let chain = [issue(2031), issue(2030), CertificateDer::from(vec![1, 2, 3])];
        assert_eq!(earliest_expiry(&chain).unwrap().to_string(), "2030-01-01T00:00:00Z");
        assert_eq!(earliest_expiry(&chain[2..]), None);
    }
}
