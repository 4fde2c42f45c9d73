//! How do people and machines look into a running process?
//!
//! Plain HTTP, meant for loopback or a network of its own: `/metrics` (OpenMetrics text), `/-/healthy` (it runs), `/-/ready` (it
//! does what it is there for, or what is missing). Connections are capped and idle heads time out, so that nobody ties up
//! the process through its side door.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::health::Health;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Open connections at a time; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 64;
/// The head of a request must be there by then.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests under way at the stop get this long.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// What there is to see.
#[derive(Debug, Clone)]
pub struct AdminState {
    /// The metrics.
    pub registry: Arc<Registry>,
    /// Conditions for being ready.
    pub health: Health,
    /// Further pages.
    pub extra: Router,
}

impl AdminState {
    /// With no further pages.
    #[must_use]
    pub fn new(registry: Arc<Registry>, health: Health) -> Self {
        Self { registry, health, extra: Router::new() }
    }
}

/// The pages, for [`serve`] or for a server that has other pages too.
pub fn router(state: AdminState) -> Router {
    let AdminState { registry, health, extra } = state;
    Router::new()
        .route("/metrics", get(metrics).with_state(registry))
        .route("/-/ready", get(ready).with_state(health))
        .route("/-/healthy", get(|| async { "healthy\n" }))
        .merge(extra)
}

async fn metrics(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot write the metrics: {error}\n")).into_response()
        }
    }
}

async fn ready(State(health): State<Health>) -> Response {
    let missing = health.missing();
    if missing.is_empty() {
        return "ready\n".into_response();
    }
    let text: String = missing.iter().map(|(name, reason)| format!("{name}: {reason}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

/// Serves the pages until the token is cancelled.
///
/// # Errors
/// None at present; trouble with one connection ends that one.
pub async fn serve(listener: TcpListener, state: AdminState, stop: CancellationToken) -> io::Result<()> {
    let router = router(state);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let tasks = TaskTracker::new();
    while let Some((tcp, place)) = stop.run_until_cancelled(accept(&listener, &places)).await {
        tasks.spawn(connection(tcp, router.clone(), stop.clone(), place));
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
    Ok(())
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so there always is a permit in the end.
    let place = places.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => return (tcp, place),
            Err(error) => {
                tracing::warn!(%error, "cannot accept admin connections, trying again");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn connection(
    tcp: TcpStream,
    router: Router,
    stop: CancellationToken,
    place: Option<OwnedSemaphorePermit>,
) -> impl Future<Output = ()> {
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(tcp), TowerToHyperService::new(router));
    async move {
        let mut serving = std::pin::pin!(serving);
        let ended = tokio::select! {
            ended = &mut serving => ended,
            () = stop.cancelled() => {
                serving.as_mut().graceful_shutdown();
                tokio::time::timeout(STOP_LIMIT, serving).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "admin connection broke");
        }
        drop(place);
    }
}
