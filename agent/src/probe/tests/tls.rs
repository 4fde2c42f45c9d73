//! TLS: certificates of every bad kind, and handshakes that do not end well.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uitwijk_model::plan::{ProbeKind, TlsOptions, TlsProbe};
use uitwijk_model::{Measurement, Target};

use super::kit::{
    Issued, Pki, answer, attempt, attempt_in, brief, check, env, forever, get, http, https, https_named, raw, secure,
    secure_web, server_config, show, speak, target, with_headers,
};

const ALL: &str = "up 200 connect tls send processing transfer";

fn handshake(pki: &Pki, address: std::net::SocketAddr) -> Target {
    let probe = TlsProbe { address: address.to_string(), certificate_days_min: None };
    let mut target = target(ProbeKind::Tls(probe));
    target.probe.tls = pki.trusted();
    target
}

fn expiry(measurement: &Measurement) -> String {
    measurement.certificate_expires.map_or("-".to_owned(), |at| at.to_string())
}

/// Probes a server with this certificate, by HTTPS and by handshake only.
async fn check_certificate(pki: &Pki, issued: Issued, fault: &str) -> Measurement {
    let address = secure_web(server_config(issued, &[])).await;
    let expected = if fault.is_empty() { ALL.to_owned() } else { format!("down {fault} - connect tls") };
    check(&https(pki, address), &expected).await;
    let measurement = attempt(&handshake(pki, address)).await;
    let expected = if fault.is_empty() { "up - connect tls".to_owned() } else { expected };
    assert_eq!(show(&measurement), expected);
    measurement
}

#[tokio::test]
async fn a_good_certificate_and_when_it_expires() {
    let pki = Pki::new();
    let measurement = check_certificate(&pki, pki.good(), "").await;
    assert_eq!(expiry(&measurement), "2080-01-01T00:00:00Z");
}

#[tokio::test]
async fn bad_certificates_are_told_apart_and_their_dates_are_kept() {
    let pki = Pki::new();
    let stranger = Pki::named("another authority");
    let measurement = check_certificate(&pki, pki.issue("a.test", 2001, 2002), "tls_certificate_expired").await;
    assert_eq!(expiry(&measurement), "2002-01-01T00:00:00Z");
    let early = check_certificate(&pki, pki.issue("a.test", 2085, 2089), "tls_certificate_not_yet_valid").await;
    assert_eq!(expiry(&early), "2089-01-01T00:00:00Z");
    check_certificate(&pki, pki.issue_for("other.test"), "tls_certificate_name").await;
    check_certificate(&pki, stranger.good(), "tls_certificate_chain").await;
    // An authority that has the name of ours, but not its key.
    check_certificate(&pki, Pki::new().good(), "tls_certificate_invalid").await;
}

#[tokio::test]
async fn the_public_roots_do_not_know_our_authority() {
    let pki = Pki::new();
    let address = secure_web(server_config(pki.good(), &[])).await;
    check(&get(format!("https://{address}/")), "down tls_certificate_chain - connect tls").await;
}

#[tokio::test]
async fn a_name_of_its_own_can_be_asked_for() {
    let pki = Pki::new();
    let address = secure_web(server_config(pki.issue_for("shop.test"), &[])).await;
    check(&https(&pki, address), "down tls_certificate_name - connect tls").await;
    let mut named = https(&pki, address);
    named.probe.tls.server_name = Some("shop.test".to_owned());
    check(&named, ALL).await;
    let local = secure_web(server_config(pki.issue_for("localhost"), &[])).await;
    check(&https_named(&pki, "localhost", local), "up 200 resolve connect tls send processing transfer").await;
}

#[tokio::test]
async fn a_certificate_must_last_as_long_as_the_plan_says() {
    let pki = Pki::new();
    let address = secure_web(server_config(pki.good(), &[])).await;
    for (days, web, tls) in
        [(1, "up 200", "up -"), (40_000, "down tls_certificate_expired 200", "down tls_certificate_expired -")]
    {
        let mut https = http(format!("https://{address}/"), |probe| probe.expect.certificate_days_min = Some(days));
        https.probe.tls = pki.trusted();
        check(&https, &format!("{web} connect tls send processing transfer")).await;
        let mut shake = handshake(&pki, address);
        shake.probe.kind = ProbeKind::Tls(TlsProbe { address: address.to_string(), certificate_days_min: Some(days) });
        check(&shake, &format!("{tls} connect tls")).await;
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_end() {
    let pki = Pki::new();
    let silent = raw(|stream| async move {
        forever().await;
        drop(stream);
    })
    .await;
    check(&brief(https(&pki, silent)), "down tls_timeout - connect tls").await;
    check(&brief(handshake(&pki, silent)), "down tls_timeout - connect tls").await;
}

#[tokio::test]
async fn a_handshake_that_fails_for_another_reason() {
    let pki = Pki::new();
    let plain = raw(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        forever().await;
    })
    .await;
    check(&https(&pki, plain), "down tls_handshake - connect tls").await;
    let closing = raw(|mut stream| async move {
        let _ = stream.read(&mut [0; 64]).await;
    })
    .await;
    check(&https(&pki, closing), "down tls_handshake - connect tls").await;
    let other_protocol = secure_web(server_config(pki.good(), &["smtp"])).await;
    check(&https(&pki, other_protocol), "down tls_handshake - connect tls").await;
}

#[tokio::test]
async fn a_server_that_wants_our_certificate() {
    let pki = Pki::new();
    for versions in [&[&rustls::version::TLS13][..], &[&rustls::version::TLS12]] {
        let address = secure_web(pki.demanding(pki.good(), versions)).await;
        let without = attempt(&https(&pki, address)).await;
        assert_eq!(without.outcome.reason(), "tls_client_certificate", "{without:?}");
        let without = attempt(&handshake(&pki, address)).await;
        assert_eq!(show(&without), "down tls_client_certificate - connect tls");
        let ours = pki.issue("agent", 2020, 2080);
        let tls = TlsOptions {
            client_cert_file: Some(ours.chain_file),
            client_key_file: Some(ours.key_file),
            ..pki.trusted()
        };
        let mut with = https(&pki, address);
        with.probe.tls = tls.clone();
        check(&with, ALL).await;
        let mut with = handshake(&pki, address);
        with.probe.tls = tls;
        check(&with, "up - connect tls").await;
    }
}

#[tokio::test]
async fn a_stranger_does_not_get_our_certificate() {
    let pki = Pki::new();
    let demanding = secure_web(pki.demanding(pki.good(), &[&rustls::version::TLS13])).await;
    let to = format!("https://{demanding}/");
    let first = secure(server_config(pki.good(), &[]), move |tls| {
        let to = to.clone();
        speak(tls, move |_| with_headers(302, &[("location", &to)], ""))
    })
    .await;
    let ours = pki.issue("agent", 2020, 2080);
    let mut target = http(format!("https://{first}/"), |probe| probe.redirects_max = 1);
    target.probe.tls =
        TlsOptions { client_cert_file: Some(ours.chain_file), client_key_file: Some(ours.key_file), ..pki.trusted() };
    let measurement = attempt(&target).await;
    assert_eq!(measurement.outcome.reason(), "tls_client_certificate", "{measurement:?}");
}

#[tokio::test]
async fn files_are_read_again_when_they_change() {
    let (pki, other) = (Pki::new(), Pki::named("another authority"));
    let address = secure_web(server_config(pki.good(), &[])).await;
    let env = env();
    let mut target = get(format!("https://{address}/"));
    let ca = pki.file("roots.pem");
    target.probe.tls.ca_file = Some(ca.clone());
    let now = async || show(&attempt_in(&env, &target).await);
    assert_eq!(now().await, "unmeasured local -", "the file is missing");
    std::fs::copy(other.ca_file(), &ca).unwrap();
    assert_eq!(now().await, "down tls_certificate_chain - connect tls");
    std::fs::write(&ca, std::fs::read_to_string(pki.ca_file()).unwrap() + "\n").unwrap();
    assert_eq!(now().await, ALL);
    std::fs::write(&ca, "no certificate").unwrap();
    assert_eq!(now().await, ALL, "the last good roots stay in use");
}

#[tokio::test]
async fn every_handshake_is_a_full_one() {
    let pki = Pki::new();
    let address = secure(server_config(pki.good(), &[]), |tls| {
        let full = matches!(tls.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Full));
        speak(tls, move |_| answer(if full { 200 } else { 500 }, ""))
    })
    .await;
    let env = env();
    for _ in 0..3 {
        assert_eq!(show(&attempt_in(&env, &https(&pki, address)).await), ALL);
    }
}

#[tokio::test]
async fn an_answer_cut_without_goodbye_is_cut() {
    let pki = Pki::new();
    let address = secure(server_config(pki.good(), &[]), |mut tls| async move {
        tls.read_exact(&mut [0; 16]).await.unwrap();
        tls.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").await.unwrap();
        tls.flush().await.unwrap();
        // Dropped without close_notify: nobody can tell whether this was all.
    })
    .await;
    check(&https(&pki, address), "down transfer_closed 200 connect tls send processing transfer").await;
}

#[tokio::test]
async fn a_probe_says_goodbye() {
    let pki = Pki::new();
    let (told, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let address = secure(server_config(pki.good(), &[]), move |mut tls| {
        let told = told.clone();
        async move {
            tls.read_exact(&mut [0; 16]).await.unwrap();
            tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            tls.flush().await.unwrap();
            // Without close_notify this is an error.
            let end = tls.read_to_end(&mut Vec::new()).await;
            told.send(end.is_ok()).unwrap();
        }
    })
    .await;
    check(&https(&pki, address), ALL).await;
    assert_eq!(ends.recv().await, Some(true));
}

#[tokio::test]
async fn a_server_that_keeps_quiet_about_our_certificate_took_it() {
    let pki = Pki::new();
    let address = secure(pki.demanding(pki.good(), &[&rustls::version::TLS13]), |tls| async move {
        forever().await;
        drop(tls);
    })
    .await;
    let ours = pki.issue("agent", 2020, 2080);
    let mut target = brief(handshake(&pki, address));
    target.probe.tls.client_cert_file = Some(ours.chain_file);
    target.probe.tls.client_key_file = Some(ours.key_file);
    check(&target, "up - connect tls").await;
}
