//! Bare ports: banners, replies, and silence.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uitwijk_model::Target;
use uitwijk_model::plan::{ProbeKind, SecretText, TcpProbe};

use super::kit::{Closed, brief, check, forever, raw, target};

fn tcp(address: impl Into<String>, send: Option<&str>, expect: Option<&str>) -> Target {
    target(ProbeKind::Tcp(TcpProbe {
        address: address.into(),
        send: send.map(|text| SecretText::Plain(text.to_owned())),
        expect: expect.map(str::to_owned),
    }))
}

#[tokio::test]
async fn a_port_that_accepts_is_up() {
    let address = raw(|stream| async move {
        forever().await;
        drop(stream);
    })
    .await;
    check(&tcp(address.to_string(), None, None), "up - connect").await;
    check(&tcp(address.to_string(), Some("hello\n"), None), "up - connect send").await;
    check(&tcp(format!("localhost:{}", address.port()), None, None), "up - resolve connect").await;
    let closed = Closed::new();
    check(&tcp(closed.address().to_string(), None, None), "down connect_refused - connect").await;
}

#[tokio::test]
async fn a_banner_and_a_reply_are_matched() {
    let address = raw(|mut stream| async move {
        stream.write_all(b"220 mail").await.unwrap();
        stream.write_all(b".test ready\r\n").await.unwrap();
        let mut line = [0; 5];
        if stream.read_exact(&mut line).await.is_ok() && &line == b"QUIT\n" {
            stream.write_all(b"221 bye\r\n").await.unwrap();
        }
        forever().await;
    })
    .await;
    check(&tcp(address.to_string(), None, Some("^220 .*ready")), "up - connect processing transfer").await;
    check(&tcp(address.to_string(), Some("QUIT\n"), Some("221 bye")), "up - connect send processing transfer").await;
    check(&brief(tcp(address.to_string(), None, Some("^SSH-2"))), "down wrong_reply - connect processing transfer")
        .await;
}

#[tokio::test]
async fn a_reply_that_does_not_come_is_told_with_its_phase() {
    let silent = raw(|stream| async move {
        forever().await;
        drop(stream);
    })
    .await;
    check(&brief(tcp(silent.to_string(), None, Some("x"))), "down wait_timeout - connect processing").await;
    check(&brief(tcp(silent.to_string(), Some("y"), Some("x"))), "down wait_timeout - connect send processing").await;
    let closing = raw(|mut stream| async move {
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    check(&tcp(closing.to_string(), None, Some("x")), "down wait_closed - connect processing").await;
    let short = raw(|mut stream| async move { stream.write_all(b"nope").await.unwrap() }).await;
    check(&tcp(short.to_string(), None, Some("x")), "down wrong_reply - connect processing transfer").await;
    let endless = raw(|mut stream| async move { while stream.write_all(&[b'n'; 4096]).await.is_ok() {} }).await;
    check(&tcp(endless.to_string(), None, Some("x")), "down wrong_reply - connect processing transfer").await;
}
