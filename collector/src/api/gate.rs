//! When does the data path end, though the server still answers?
//!
//! The committer ends when nobody can hand it work any more; the judge ends after it, and the watchers of verdicts after
//! the judge, so that they hear the last of it. But the server ends only when its watchers have. So the services do
//! not hold the data path themselves: they hold a gate to it, which the stop closes first.

use std::sync::{Arc, PoisonError, RwLock};

use tonic::{Request, Response, Status, Streaming};
use uitwijk_proto::v1;
use uitwijk_proto::v1::ingest_server::Ingest;

use crate::ingest::{IngestService, OutboundStream};

/// The way of calls to the data path.
#[derive(Debug, Clone)]
pub struct Gate(Arc<RwLock<Option<IngestService>>>);

impl Gate {
    /// A gate that is open.
    #[must_use]
    pub fn to(ingest: IngestService) -> Self {
        Self(Arc::new(RwLock::new(Some(ingest))))
    }

    /// No new call gets through.
    pub fn close(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn pass(&self) -> Result<IngestService, Status> {
        let ingest = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        ingest.ok_or_else(|| Status::unavailable("the collector stops: go to another one, or come again later"))
    }
}

#[tonic::async_trait]
impl Ingest for Gate {
    type StreamStream = OutboundStream;

    async fn stream(&self, request: Request<Streaming<v1::FromAgent>>) -> Result<Response<Self::StreamStream>, Status> {
        self.pass()?.stream(request).await
    }
}
