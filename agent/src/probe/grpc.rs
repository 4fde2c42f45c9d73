//! Does a gRPC server say that it is serving?
//!
//! One call of `grpc.health.v1.Health/Check` over HTTP/2, made by the same exchange as a request over HTTP, so that its
//! phases mean the same. A channel of tonic would connect out of sight, whenever it likes.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use http_body_util::Full;
use prost::Message as _;
use uitwijk_model::Fault;
use uitwijk_model::plan::GrpcProbe;

use super::ProberError;
use super::dial::Dialer;
use super::env::ProberEnv;
use super::failure::Failure;
use super::http::Response;
use super::http::exchange::{self, Limits};
use super::net::address::{Address, Origin};
use super::trail::Trail;

const CHECK: &str = "/grpc.health.v1.Health/Check";
/// A health answer takes two bytes; one of more than this is none.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const SERVING: i32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// A gRPC probe, checked and ready.
#[derive(Debug)]
pub(crate) struct GrpcTarget {
    origin: Origin,
    uri: Uri,
    request: Bytes,
}

impl GrpcTarget {
    /// Checks what the plan says.
    pub(crate) fn new(probe: &GrpcProbe) -> Result<Self, ProberError> {
        let bad =
            || ProberError { key: "url", found: probe.url.clone(), allowed: "https://host:port or http://host:port" };
        let origin = probe.url.parse().ok().and_then(|uri| Origin::of(&uri)).ok_or_else(bad)?;
        let uri = Uri::builder().scheme(origin.scheme()).authority(origin.authority()).path_and_query(CHECK).build();
        let request = frame(&HealthCheckRequest { service: probe.service.clone() });
        Ok(Self { uri: uri.map_err(|_| bad())?, origin, request })
    }

    pub(crate) const fn address(&self) -> &Address {
        &self.origin.address
    }

    /// Makes the call.
    pub(crate) async fn fetch(
        &self,
        env: &ProberEnv,
        dialer: &Dialer,
        trail: &Trail,
        traceparent: &str,
    ) -> Result<Response, Failure> {
        let dialed = dialer.dial(env, &self.origin, &[b"h2"], trail).await?;
        if self.origin.secure && dialed.link.alpn() != Some(b"h2") {
            return Err(Failure::down(Fault::Protocol, "the server did not agree to HTTP/2"));
        }
        let limits = Limits { body_bytes_max: ANSWER_BYTES_MAX, keep_body: true };
        exchange::exchange(dialed, true, self.message(env, traceparent), limits, trail).await
    }

    fn message(&self, env: &ProberEnv, traceparent: &str) -> http::Request<Full<Bytes>> {
        let mut message = http::Request::new(Full::new(self.request.clone()));
        *message.method_mut() = Method::POST;
        *message.uri_mut() = self.uri.clone();
        let headers = message.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::USER_AGENT, env.user_agent().clone());
        if let Ok(value) = HeaderValue::from_str(traceparent) {
            headers.insert("traceparent", value);
        }
        message
    }
}

/// Checks the answer of the health service.
pub(crate) fn check(response: &Response) -> Result<(), Failure> {
    if response.status != http::StatusCode::OK {
        return Err(Failure::down(Fault::HttpStatus, format!("status {}", response.status)));
    }
    let protocol = |detail: &str| Failure::down(Fault::Protocol, detail);
    if !has_grpc_content(&response.headers) {
        return Err(protocol("the content is not gRPC"));
    }
    // A call that fails at once has its status in the headers, and no trailers.
    let status = response.trailers.get("grpc-status").or_else(|| response.headers.get("grpc-status"));
    let status = status.ok_or_else(|| protocol("there is no grpc-status"))?;
    if status.as_bytes() != b"0" {
        let message = response.trailers.get("grpc-message").or_else(|| response.headers.get("grpc-message"));
        return Err(Failure::down(Fault::GrpcStatus, format!("grpc-status {status:?} {message:?}")));
    }
    let answer = unframe(&response.body).and_then(|bytes| HealthCheckResponse::decode(bytes).ok());
    match answer.ok_or_else(|| protocol("the answer is not a health answer"))?.status {
        SERVING => Ok(()),
        other => Err(Failure::down(Fault::GrpcNotServing, format!("health status {other}"))),
    }
}

fn has_grpc_content(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// A message as gRPC frames it: not compressed (0), its length, itself.
fn frame(message: &HealthCheckRequest) -> Bytes {
    let encoded = message.encode_to_vec();
    let mut bytes = BytesMut::with_capacity(5 + encoded.len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(encoded.len()).unwrap_or(u32::MAX));
    bytes.put_slice(&encoded);
    bytes.freeze()
}

/// The one message of an answer.
fn unframe(body: &[u8]) -> Option<&[u8]> {
    let (head, message) = body.split_first_chunk::<5>()?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    (head[0] == 0 && length as usize == message.len()).then_some(message)
}
