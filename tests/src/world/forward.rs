//! How does one site of the world ask the next?

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// More than any site of the world, or a page of metrics, answers.
const BODY_BYTES_MAX: usize = 4 << 20;

/// Asks `to` for the same path and host over plain HTTP, on a connection of its own.
///
/// # Errors
/// When there is no complete answer within `timeout`.
pub async fn forward(
    to: SocketAddr,
    host: &str,
    path: &str,
    timeout: Duration,
) -> anyhow::Result<Response<Full<Bytes>>> {
    let answer = async {
        let stream = TcpStream::connect(to).await.context("connect upstream")?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::get(path).header(header::HOST, host).body(Empty::<Bytes>::new())?;
        let answer = sender.send_request(request).await?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|e| anyhow::anyhow!(e))?.to_bytes();
        connection.abort();
        let mut forwarded = Response::new(Full::new(body));
        *forwarded.status_mut() = parts.status;
        copy_headers(&parts.headers, forwarded.headers_mut());
        anyhow::Ok(forwarded)
    };
    tokio::time::timeout(timeout, answer).await.context("no answer from upstream in time")?
}

/// What a gateway says when the site behind it does not answer.
pub fn bad_gateway(why: &str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(format!("{why}\n")));
    *answer.status_mut() = StatusCode::BAD_GATEWAY;
    answer
}

/// Only what a reader of the answer needs; hop-by-hop headers stay behind (RFC 9110, section 7.6.1).
fn copy_headers(from: &HeaderMap, to: &mut HeaderMap) {
    for name in ["content-type", "x-served-region", "x-served-zone"] {
        if let Some(value) = from.get(name) {
            to.insert(header::HeaderName::from_static(name), value.clone());
        }
    }
}
