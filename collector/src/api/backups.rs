//! What does the collector hold, all of it, for whoever keeps a copy?
//!
//! A thread reads, a queue of a few pieces waits for the network. One backup at a time; it ends when nobody takes what it reads,
//! when it takes too long, and when it is in the way of something more important.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use uitwijk_model::{Clock, Elapsed};
use uitwijk_proto::v1;
use uitwijk_proto::v1::backup_piece::Piece;

use crate::backup::take::{self, Sources, TakeError};
use crate::metrics::ApiMetrics;

/// Pieces between the disk and the network.
const QUEUE: usize = 4;
/// Whoever takes no piece for so long is gone.
const STALLED_AFTER: Duration = Duration::from_secs(60);
/// How often a wait looks around.
const LOOK: Duration = Duration::from_millis(200);
/// How long a backup may take when nobody says.
const WITHIN: Duration = Duration::from_secs(6 * 3600);
/// The most that may be asked for.
const WITHIN_MAX_S: u64 = 86_400;

/// The service `Backups`.
#[derive(Debug, Clone)]
pub struct BackupsApi {
    sources: Arc<Sources>,
    place: Arc<Semaphore>,
    metrics: ApiMetrics,
    stopping: CancellationToken,
}

impl BackupsApi {
    /// Gives out what is there, until the collector stops.
    #[must_use]
    pub fn new(sources: Sources, metrics: ApiMetrics, stopping: CancellationToken) -> Self {
        Self { sources: Arc::new(sources), place: Arc::new(Semaphore::new(1)), metrics, stopping }
    }
}

#[tonic::async_trait]
impl v1::backups_server::Backups for BackupsApi {
    type TakeStream = BoxStream<'static, Result<v1::BackupPiece, Status>>;

    async fn take(&self, request: Request<v1::TakeBackupRequest>) -> Result<Response<Self::TakeStream>, Status> {
        let request = request.into_inner();
        let sealed = request.sealed_files();
        let within = match request.within_s {
            0 => WITHIN,
            seconds @ 1..=WITHIN_MAX_S => Duration::from_secs(seconds),
            other => {
                return Err(Status::invalid_argument(format!("within_s {other} is out of range: 1 to {WITHIN_MAX_S}")));
            }
        };
        let place = self.place.clone().try_acquire_owned();
        let place = place.map_err(|_| Status::resource_exhausted("another backup is being taken: wait for its end"))?;
        let (queue, pieces) = mpsc::channel(QUEUE);
        let (sources, stopping) = (self.sources.clone(), self.stopping.clone());
        let (clock, handle) = (sources.clock.clone(), Handle::current());
        let (began, metrics) = (clock.elapsed(), self.metrics.clone());
        let giving = Giving { queue, handle, began, clock, within, metrics, stopping };
        tokio::task::spawn_blocking(move || {
            giving.all(&sources, sealed);
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(pieces).boxed()))
    }
}

/// A backup under way.
struct Giving {
    queue: mpsc::Sender<Result<v1::BackupPiece, Status>>,
    handle: Handle,
    clock: Arc<dyn Clock>,
    began: Elapsed,
    within: Duration,
    metrics: ApiMetrics,
    stopping: CancellationToken,
}

impl Giving {
    fn all(&self, sources: &Sources, sealed: v1::SealedFiles) {
        tracing::info!("a backup is being taken");
        let taken = take::take(sources, sealed, &mut |piece, in_the_way| self.give(piece, in_the_way));
        let elapsed_ms = self.clock.elapsed().since(self.began).as_millis();
        match taken {
            Ok(()) => {
                tracing::info!(elapsed_ms, "the backup is taken");
                self.metrics.backups.inc();
                self.metrics.last_backup.set(self.clock.wall().as_micros() / 1_000_000);
            }
            Err(error) => {
                self.metrics.backups_failed.inc();
                let status = status_of(error);
                tracing::warn!(elapsed_ms, reason = status.message(), "the backup ended before its end");
                // Whoever takes nothing need not be told.
                let _ = self.queue.try_send(Err(status));
            }
        }
    }

    /// Waits until the piece is taken, or there is a reason to wait no longer.
    fn give(&self, piece: Piece, in_the_way: &dyn Fn() -> bool) -> Result<(), Status> {
        let waits_since = self.clock.elapsed();
        loop {
            let now = self.clock.elapsed();
            if self.stopping.is_cancelled() {
                return Err(Status::unavailable("the collector stops"));
            }
            if in_the_way() {
                return Err(Status::aborted("the disk failed and the store is opened again: take another backup"));
            }
            if Duration::from(now.since(self.began)) > self.within {
                let within = self.within.as_secs();
                return Err(Status::deadline_exceeded(format!(
                    "it took longer than {within} s, which --within allows"
                )));
            }
            if Duration::from(now.since(waits_since)) > STALLED_AFTER {
                return Err(Status::deadline_exceeded("nobody took the next piece for a minute"));
            }
            match self.handle.block_on(async { tokio::time::timeout(LOOK, self.queue.reserve()).await }) {
                Ok(Ok(place)) => {
                    place.send(Ok(v1::BackupPiece { piece: Some(piece) }));
                    return Ok(());
                }
                Ok(Err(_)) => return Err(Status::cancelled("whoever took the backup is gone")),
                Err(_) => {}
            }
        }
    }
}

fn status_of(error: TakeError) -> Status {
    match error {
        TakeError::Ended(status) => status,
        other => Status::internal(other.to_string()),
    }
}
