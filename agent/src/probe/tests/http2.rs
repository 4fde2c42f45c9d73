//! HTTP/2: agreed on by ALPN, and the phases in it.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uitwijk_model::plan::{HttpVersion, SecretText};
use uitwijk_model::{Target, plan::ProbeKind};

use super::kit::{Pki, answer, attempt, brief, check, forever, http, https, raw, secure, server_config, show, speak};

const ALL: &str = "up 200 connect tls send processing transfer";

fn version(mut target: Target, version: HttpVersion) -> Target {
    if let ProbeKind::Http(probe) = &mut target.probe.kind {
        probe.version = version;
    }
    target
}

/// A server that answers 200 to HTTP/2 and 505 to anything else.
async fn second_version_only(pki: &Pki, alpn: &[&str]) -> std::net::SocketAddr {
    secure(server_config(pki.good(), alpn), |tls| {
        speak(tls, |request| {
            let right = request.version() == http::Version::HTTP_2 && !request.headers().contains_key("host");
            answer(if right { 200 } else { 505 }, "ok")
        })
    })
    .await
}

#[tokio::test]
async fn http2_is_spoken_when_both_can() {
    let pki = Pki::new();
    let both = second_version_only(&pki, &["h2", "http/1.1"]).await;
    check(&https(&pki, both), ALL).await;
    check(&version(https(&pki, both), HttpVersion::Http2), ALL).await;
    let old = "down http_status 505 connect tls send processing transfer";
    check(&version(https(&pki, both), HttpVersion::Http11), old).await;
    let silent = second_version_only(&pki, &[]).await;
    check(&https(&pki, silent), old).await;
    check(&version(https(&pki, silent), HttpVersion::Http2), "down protocol - connect tls").await;
}

#[tokio::test]
async fn the_settings_of_the_server_are_not_its_answer() {
    // The server sends its settings at once and answers only later: that time is waiting.
    let address = raw(|mut stream| async move {
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        stream.read_exact(&mut [0; 24]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(40)).await;
        // HEADERS with END_HEADERS and END_STREAM on stream 1: `:status: 204` from the static table.
        stream.write_all(&[0, 0, 1, 1, 5, 0, 0, 0, 1, 0x89]).await.unwrap();
        forever().await;
    })
    .await;
    let target = version(http(format!("http://{address}/"), |_| {}), HttpVersion::Http2);
    let measurement = attempt(&target).await;
    assert_eq!(show(&measurement), "up 204 connect send processing transfer");
    assert!(measurement.phases.wait.unwrap().as_millis() >= 35, "{measurement:?}");
}

#[tokio::test]
async fn a_stall_or_a_reset_is_told_with_its_phase() {
    let plain = |address| version(http(format!("http://{address}/"), |_| {}), HttpVersion::Http2);
    let silent = raw(|mut stream| async move {
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        forever().await;
    })
    .await;
    check(&brief(plain(silent)), "down wait_timeout - connect send processing").await;
    let closing = raw(|mut stream| async move {
        stream.read_exact(&mut [0; 40]).await.unwrap();
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    check(&plain(closing), "down wait_closed - connect send processing").await;
    let resetting = raw(|mut stream| async move {
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        stream.read_exact(&mut [0; 40]).await.unwrap();
        // RST_STREAM of stream 1, REFUSED_STREAM.
        stream.write_all(&[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7]).await.unwrap();
        forever().await;
    })
    .await;
    check(&plain(resetting), "down wait_closed - connect send processing").await;
    let garbage = raw(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        forever().await;
    })
    .await;
    let measurement = attempt(&plain(garbage)).await;
    assert_eq!(measurement.outcome.reason(), "protocol", "{measurement:?}");
}

#[tokio::test]
async fn a_request_that_the_window_holds_back_is_being_sent() {
    // A server that never opens its window gets 64 KiB of a larger body.
    let address = raw(|mut stream| async move {
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let mut target = http(format!("http://{address}/"), |probe| {
        probe.method = "POST".to_owned();
        probe.body = Some(SecretText::Plain("x".repeat(200_000)));
    });
    target = version(target, HttpVersion::Http2);
    check(&brief(target), "down send_timeout - connect send").await;
}
