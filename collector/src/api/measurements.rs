//! Which measurements are stored?

use std::sync::Arc;

use tonic::{Request, Response, Status};
use uitwijk_model::{AgentId, Clock, IdError, Region, ServiceId, WallTime, Zone};
use uitwijk_proto::{columns, v1};

use super::ask;
use crate::store::{Filter, PAGE_SIZE_MAX, QueryError, Store, StoreError};

/// Questions answered at a time; each reads the disk and holds a page in memory.
const QUESTIONS_MAX: usize = 8;

/// Measurements on a page when nobody says how many, and at most.
#[expect(clippy::cast_possible_truncation, reason = "a constant of the store, far below the limit")]
const PAGE: ask::PageSize = ask::PageSize { default: 1000, max: PAGE_SIZE_MAX as u32 };

/// The service `Measurements`.
#[derive(Debug, Clone)]
pub struct MeasurementsApi {
    store: Store,
    clock: Arc<dyn Clock>,
    places: Arc<tokio::sync::Semaphore>,
}

impl MeasurementsApi {
    /// Answers from a store.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, places: Arc::new(tokio::sync::Semaphore::new(QUESTIONS_MAX)) }
    }
}

#[tonic::async_trait]
impl v1::measurements_server::Measurements for MeasurementsApi {
    async fn query(&self, request: Request<v1::QueryRequest>) -> Result<Response<v1::QueryResponse>, Status> {
        let request = request.into_inner();
        let size = PAGE.of(request.page_size)?;
        let filter = filter(&request).map_err(|e| Status::invalid_argument(e.to_string()))?;
        let from = WallTime::from_micros(request.from_us);
        let to = if request.to_us == 0 { self.clock.wall() } else { WallTime::from_micros(request.to_us) };
        // Who waits here is bounded by the streams of its connection; the semaphore is never closed.
        let place = self.places.clone().acquire_owned().await.map_err(|e| Status::internal(e.to_string()))?;
        let store = self.store.clone();
        let page = ask::blocking(move || {
            let _place = place;
            store.query(&filter, from, to, &request.page_token, size)
        })
        .await?;
        let measurements = page.rows.iter().map(|row| columns::to_message(&row.record, row.stored)).collect();
        let next_page_token = page.next_page_token.unwrap_or_default();
        Ok(Response::new(v1::QueryResponse { measurements, next_page_token, damaged_records: page.damaged }))
    }
}

fn filter(request: &v1::QueryRequest) -> Result<Filter, IdError> {
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    Ok(Filter {
        service: some(&request.service).map(ServiceId::new).transpose()?,
        target: some(&request.target),
        vantage_region: some(&request.vantage_region).map(Region::new).transpose()?,
        vantage_zone: some(&request.vantage_zone).map(Zone::new).transpose()?,
        agent: some(&request.agent).map(AgentId::new).transpose()?,
    })
}

impl ask::Failure for QueryError {
    fn status(&self) -> Status {
        match self {
            Self::Token { .. } => Status::invalid_argument(self.to_string()),
            // As while the place of sealed hours does not answer: asked again, it may.
            Self::Store(StoreError::Read(_)) => Status::unavailable(self.to_string()),
            Self::Store(_) => Status::internal(self.to_string()),
        }
    }
}
