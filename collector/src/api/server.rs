//! How do all services share one port, and what does one peer get of it?
//!
//! ```text
//!   TCP -> TLS, identity (uitwijk-identity) -> HTTP/2 limits -> access table -> Ingest | Fleet | Verdicts | Measurements
//!                                                                               | Labels | Policies | Switches | Backups
//!                                                                               | grpc.health.v1 | reflection
//! ```

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use uitwijk_identity::Incoming;
use uitwijk_proto::DESCRIPTORS;

use super::AccessLayer;
use crate::config::Limits;
use crate::metrics::ApiMetrics;

/// A peer that does not answer a ping is gone.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// What one stream and one connection may send before we read it.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// Bytes of the headers of a call.
const HEADERS_BYTES_MAX: u32 = 16 << 10;
/// Streams that a peer opened and cancelled before we looked; more end the connection.
const RESETS_MAX: usize = 64;

/// What `grpc.health.v1` knows by name; the empty name is the whole server.
const SERVICES: [&str; 9] = [
    "",
    "uitwijk.v1.Ingest",
    "uitwijk.v1.Fleet",
    "uitwijk.v1.Verdicts",
    "uitwijk.v1.Measurements",
    "uitwijk.v1.Labels",
    "uitwijk.v1.Policies",
    "uitwijk.v1.Switches",
    "uitwijk.v1.Backups",
];

/// The answers to health checks by gRPC.
#[derive(Debug, Clone)]
pub struct GrpcHealth(HealthReporter);

impl GrpcHealth {
    /// Not serving yet.
    pub async fn not_serving() -> Self {
        let health = Self(HealthReporter::new());
        health.set(ServingStatus::NotServing).await;
        health
    }

    async fn set(&self, status: ServingStatus) {
        for service in SERVICES {
            self.0.set_service_status(service, status).await;
        }
    }

    /// From now on calls are answered.
    pub async fn serving(&self) {
        self.set(ServingStatus::Serving).await;
    }

    /// From now on they are not; every watch of the health is told and ended.
    pub async fn stop(&mut self) {
        self.set(ServingStatus::NotServing).await;
        for service in SERVICES {
            self.0.clear_service_status(service).await;
        }
    }
}

/// Adds health and reflection to the services.
///
/// # Panics
/// When the descriptors in the tree are not descriptors, which a test of the schema would have told.
#[must_use]
pub fn with_standard_services(routes: Routes, health: &GrpcHealth) -> Routes {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("the descriptors are made from the schema");
    let health = tonic_health::server::HealthService::from_health_reporter(health.0.clone());
    routes.add_service(tonic_health::pb::health_server::HealthServer::new(health)).add_service(reflection)
}

/// Serves until `stop`, then until every open call has ended.
///
/// # Errors
/// When the transport fails as a whole; a broken connection is not that.
pub async fn serve(
    incoming: Incoming,
    routes: Routes,
    limits: &Limits,
    metrics: Arc<ApiMetrics>,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    Server::builder()
        .timeout(limits.call_timeout.into())
        .max_concurrent_streams(limits.streams_per_connection_max)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_max_header_list_size(HEADERS_BYTES_MAX)
        .http2_max_pending_accept_reset_streams(Some(RESETS_MAX))
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .trace_fn(|request| tracing::info_span!("call", method = request.uri().path()))
        .layer(AccessLayer::new(metrics))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stop)
        .await
}
