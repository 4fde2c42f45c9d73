//! How is one request sent on a fresh connection, and its response read to the end?
//!
//! Hyper's connection API is used without a client around it: no pool, no retries, no hidden tasks. The connection is
//! driven by the same future that waits for the response, and when that future is dropped at its deadline everything
//! is gone. HTTP/2 wants helper tasks; they belong to a set that is aborted when it is dropped.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::FutureExt as _;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use uitwijk_model::Fault;

use super::Response;
use crate::probe::dial::Dialed;
use crate::probe::failure::Failure;
use crate::probe::net::stamped::Stamped;
use crate::probe::tls;
use crate::probe::trail::Trail;

/// A response head larger than this is refused.
const HEAD_BYTES_MAX: u16 = u16::MAX;

/// How much of a response is read, and whether it is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// A larger body is a failure.
    pub(crate) body_bytes_max: usize,
    /// Somebody wants to look at the body.
    pub(crate) keep_body: bool,
}

/// Sends the message and reads the response.
pub(crate) async fn exchange(
    dialed: Dialed,
    http2: bool,
    message: Request<Full<Bytes>>,
    limits: Limits,
    trail: &Trail,
) -> Result<Response, Failure> {
    let asked = dialed.asked_for_certificate;
    let failed = |error: hyper::Error| failure_of(&error, asked, trail);
    if http2 {
        let io = TokioIo::new(Stamped::http2(dialed.link, trail.clone()));
        let tasks = Tasks::default();
        let _end = EndOfTasks(tasks.clone());
        let (mut sender, connection) = http2::Builder::new(tasks)
            .max_header_list_size(HEAD_BYTES_MAX.into())
            .initial_stream_window_size(1024 * 1024)
            .handshake(io)
            .await
            .map_err(failed)?;
        drive(connection, async move { receive(sender.send_request(message).await, limits, failed, trail).await }).await
    } else {
        let io = TokioIo::new(Stamped::plain(dialed.link, trail.clone()));
        let (mut sender, connection) =
            http1::Builder::new().max_header_size(HEAD_BYTES_MAX.into()).handshake(io).await.map_err(failed)?;
        drive(connection, async move { receive(sender.send_request(message).await, limits, failed, trail).await }).await
    }
}

/// Runs the connection for as long as the exchange takes, and says goodbye.
async fn drive<T>(connection: impl Future, exchange: impl Future<Output = T>) -> T {
    let (mut connection, mut exchange) = (pin!(connection), pin!(exchange));
    let done = tokio::select! {
        biased;
        done = &mut exchange => done,
        // The connection is finished first when the server closes it; the response may still be on its way to us.
        _ = &mut connection => return exchange.await,
    };
    // The exchange took the sender with it, so the connection closes in order at its next turn. It gets one: a server
    // that does not see the end of TLS logs an error, but nobody waits for it.
    let _ = connection.now_or_never();
    done
}

async fn receive(
    response: hyper::Result<http::Response<Incoming>>,
    limits: Limits,
    failed: impl Fn(hyper::Error) -> Failure,
    trail: &Trail,
) -> Result<Response, Failure> {
    let (head, mut incoming) = response.map_err(&failed)?.into_parts();
    trail.note(|facts| facts.http_status = Some(head.status.as_u16()));
    let too_large = |size: u64| {
        let detail = format!("a body of {size} bytes or more, {} are allowed", limits.body_bytes_max);
        Failure::down(Fault::TransferTooLarge, detail)
    };
    let announced = hyper::body::Body::size_hint(&incoming).lower();
    if announced > limits.body_bytes_max as u64 {
        return Err(too_large(announced));
    }
    let mut response =
        Response { status: head.status, headers: head.headers, body: Vec::new(), trailers: HeaderMap::new() };
    let mut size = 0;
    while let Some(frame) = incoming.frame().await {
        match frame.map_err(&failed)?.into_data() {
            Ok(data) => {
                size += data.len();
                if size > limits.body_bytes_max {
                    return Err(too_large(size as u64));
                }
                if limits.keep_body {
                    response.body.extend_from_slice(&data);
                }
            }
            Err(frame) => response.trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    trail.answered();
    Ok(response)
}

/// In which phase an exchange died, and of what.
fn failure_of(error: &hyper::Error, asked: bool, trail: &Trail) -> Failure {
    let fault = if let Some(fault) = tls::fault::of_any(error, asked) {
        // A server of TLS 1.3 looks at our certificate only after the handshake is done on our side.
        if fault == Fault::TlsHandshake { Fault::Protocol } else { fault }
    } else if error.is_parse_too_large() {
        Fault::TransferTooLarge
    } else if error.is_parse() || is_malformed(error) || is_http2_violation(error) {
        Fault::Protocol
    } else if trail.has_received() {
        Fault::TransferClosed
    } else if trail.has_send_failed() {
        Fault::SendFailed
    } else {
        Fault::WaitClosed
    };
    let cause = error.source().map(|e| format!(": {e}")).unwrap_or_default();
    Failure::down(fault, format!("{error}{cause}"))
}

/// Whether a body was not framed as HTTP/1.1 says; hyper reports that as bad data, not as a parse error.
fn is_malformed(error: &hyper::Error) -> bool {
    let io = error.source().and_then(|e| e.downcast_ref::<io::Error>());
    io.is_some_and(|e| matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
}

/// Whether the server broke the rules of HTTP/2, as opposed to closing or resetting.
fn is_http2_violation(error: &hyper::Error) -> bool {
    let h2 = error.source().and_then(|e| e.downcast_ref::<h2::Error>());
    h2.is_some_and(|e| !e.is_io() && !(e.is_remote() && (e.is_reset() || e.is_go_away())))
}

/// The helper tasks of one HTTP/2 connection.
#[derive(Debug, Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, task: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(async move {
            task.await;
        });
    }
}

/// Ends the tasks when the exchange ends, however it does.
struct EndOfTasks(Tasks);

impl Drop for EndOfTasks {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}
