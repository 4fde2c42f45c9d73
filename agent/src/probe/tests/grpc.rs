//! gRPC health: every answer that a server can give.

use std::net::SocketAddr;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use uitwijk_model::Target;
use uitwijk_model::plan::{GrpcProbe, ProbeKind};

use super::kit::{Pki, answer, check, raw, secure, server_config, target, web};

fn grpc(url: String, service: &str) -> Target {
    target(ProbeKind::Grpc(GrpcProbe { url, service: service.to_owned() }))
}

/// What the server says to a health check.
#[derive(Clone, Copy)]
struct Says {
    body: &'static [u8],
    status: Option<&'static str>,
    content: &'static str,
}

const SERVING: Says = Says { body: &[0, 0, 0, 0, 2, 8, 1], status: Some("0"), content: "application/grpc" };

async fn speak<S>(stream: S, says: Says)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| async move {
        let path = request.uri().path().to_owned();
        let asked = request.into_body().collect().await.unwrap().to_bytes();
        // `shop` is the service asked for: field 1, four bytes.
        let right = path == "/grpc.health.v1.Health/Check" && asked[..] == *b"\0\0\0\0\x06\x0a\x04shop";
        let says = if right { says } else { Says { status: Some("3"), ..says } };
        let mut frames = vec![Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(says.body)))];
        if let Some(status) = says.status {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", status.parse().unwrap());
            frames.push(Ok(Frame::trailers(trailers)));
        }
        let body = StreamBody::new(futures::stream::iter(frames));
        http::Response::builder().header("content-type", says.content).body(body)
    });
    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

async fn server(says: Says) -> SocketAddr {
    raw(move |stream| speak(stream, says)).await
}

#[tokio::test]
async fn a_health_service_is_believed() {
    for (says, expected) in [
        (SERVING, "up"),
        (Says { body: &[0, 0, 0, 0, 2, 8, 2], ..SERVING }, "down grpc_not_serving"),
        (Says { body: &[0, 0, 0, 0, 0], ..SERVING }, "down grpc_not_serving"),
        (Says { status: Some("5"), ..SERVING }, "down grpc_status"),
        (Says { status: None, ..SERVING }, "down protocol"),
        (Says { body: &[0, 0, 0, 0, 9, 8, 1], ..SERVING }, "down protocol"),
        (Says { body: &[1, 0, 0, 0, 2, 8, 1], ..SERVING }, "down protocol"),
        (Says { body: &[0, 0, 0, 0, 2, 0xff, 0xff], ..SERVING }, "down protocol"),
        (Says { body: b"", ..SERVING }, "down protocol"),
        (Says { content: "text/html", ..SERVING }, "down protocol"),
    ] {
        let address = server(says).await;
        let expected = format!("{expected} 200 connect send processing transfer");
        check(&grpc(format!("http://{address}"), "shop"), &expected).await;
    }
}

#[tokio::test]
async fn a_server_without_health_service() {
    let unimplemented = web(|_| {
        let mut answer = answer(200, "");
        answer.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        answer.headers_mut().insert("grpc-status", "12".parse().unwrap());
        answer
    })
    .await;
    let phases = "200 connect send processing transfer";
    check(&grpc(format!("http://{unimplemented}"), ""), &format!("down grpc_status {phases}")).await;
    let web_server = web(|_| answer(404, "no")).await;
    check(&grpc(format!("http://{web_server}"), ""), "down http_status 404 connect send processing transfer").await;
}

#[tokio::test]
async fn over_tls_the_protocol_is_agreed_on() {
    let pki = Pki::new();
    let address = secure(server_config(pki.good(), &["h2"]), |tls| speak(tls, SERVING)).await;
    let mut probe = grpc(format!("https://{address}"), "shop");
    probe.probe.tls = pki.trusted();
    check(&probe, "up 200 connect tls send processing transfer").await;
    let old = secure(server_config(pki.good(), &[]), |tls| speak(tls, SERVING)).await;
    let mut probe = grpc(format!("https://{old}"), "shop");
    probe.probe.tls = pki.trusted();
    check(&probe, "down protocol - connect tls").await;
}
