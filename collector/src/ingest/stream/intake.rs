//! How does a batch get from a stream to the committer?

use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tonic::Status;
use tracing::info_span;
use uitwijk_model::{BootId, WallTime};
use uitwijk_proto::columns::Rows;
use uitwijk_proto::v1;
use uitwijk_telemetry::context::set_parent;

use super::{End, StreamTask};
use crate::ingest::check;
use crate::ingest::service::Shared;
use crate::ingest::work::{IncomingBatch, Permits, Work};

/// Memory of a decoded row that waits, beside the bytes of its columns.
const ROW_BYTES: usize = 184;

impl StreamTask {
    pub(super) async fn batch(&mut self, batch: v1::Batch) -> Result<(), End> {
        check::names_a_range(&batch).map_err(|why| End::invalid(Status::invalid_argument(why)))?;
        let arrived = self.shared.clock.wall();
        self.shared.board.contact(&self.peer.agent, arrived);
        let permits = self.permits(&batch).await?;
        let span = info_span!("batch", agent = %self.peer.agent, rows = batch.count);
        set_parent(&span, &batch.traceparent);
        let checked = span.in_scope(|| self.check(&batch, arrived));
        self.slow_down(batch.count);
        let work = IncomingBatch {
            peer: self.peer.clone(),
            boot: BootId(batch.boot),
            first_sequence: batch.first_sequence,
            count: batch.count,
            columns: batch.columns,
            compression: batch.compression,
            arrived,
            checked,
            span,
            permits,
        };
        self.hand_over(Work::Batch(Box::new(work))).await
    }

    /// Nothing when the batch cannot be decoded: all of it is refused, and the agent may forget it.
    fn check(&mut self, batch: &v1::Batch, arrived: WallTime) -> Option<check::Checked> {
        match Rows::from_batch(batch, &self.shared.limits.columns()) {
            Ok(rows) => {
                let Shared { plans, limits, store, .. } = &*self.shared;
                let times = check::Times::at(arrived, limits, store.dropped_through());
                Some(check::rows(&rows, &mut self.order, plans, &times, arrived))
            }
            Err(error) => {
                tracing::warn!(agent = %self.peer.agent, boot = batch.boot, first_sequence = batch.first_sequence,
                    count = batch.count, %error, "malformed batch refused");
                None
            }
        }
    }

    /// Waits until this batch may be under way.
    async fn permits(&self, batch: &v1::Batch) -> Result<Permits, End> {
        let window = self.window.clone().acquire_owned().await.map_err(|_| End::stopping())?;
        let kib = (batch.count as usize * ROW_BYTES + batch.columns.len()).div_ceil(1024);
        let kib = kib.min((self.shared.limits.queue_bytes_max >> 10).max(1));
        let memory: OwnedSemaphorePermit = (self.shared.memory.clone())
            .acquire_many_owned(u32::try_from(kib).unwrap_or(u32::MAX))
            .await
            .map_err(|_| End::stopping())?;
        Ok(Permits { _window: Some(window), _memory: Some(memory) })
    }

    fn slow_down(&mut self, rows: u32) {
        let rate = self.shared.limits.rows_per_second_max;
        if rate > 0 {
            let cost = Duration::from_secs_f64(f64::from(rows) / f64::from(rate));
            self.next_read = self.next_read.max(Instant::now()) + cost;
        }
    }
}
