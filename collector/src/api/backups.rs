//! What does the collector hold, all of it, for whoever keeps a copy?
//!
//! A thread reads, a queue of a few pieces waits for the network. One backup at a time; it ends when nobody takes what it reads,
//! when it takes too long, and when it is in the way of something more important.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
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
/// How often it is looked whether the last pieces were taken.
const REST: Duration = Duration::from_millis(20);
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
        let taken = Arc::new(AtomicU64::new(0));
        let (sources, stopping) = (self.sources.clone(), self.stopping.clone());
        let (clock, handle) = (sources.clock.clone(), Handle::current());
        let (began, metrics) = (clock.elapsed(), self.metrics.clone());
        let giving = Giving {
            queue,
            taken: taken.clone(),
            given: Cell::new(0),
            handle,
            began,
            clock,
            within,
            metrics,
            stopping,
        };
        tokio::task::spawn_blocking(move || giving.all(&sources, sealed, place));
        let count = move |_: &Result<v1::BackupPiece, Status>| {
            taken.fetch_add(1, Ordering::AcqRel);
        };
        Ok(Response::new(ReceiverStream::new(pieces).inspect(count).boxed()))
    }
}

/// A backup under way.
struct Giving {
    queue: mpsc::Sender<Result<v1::BackupPiece, Status>>,
    /// Pieces that the network took from the queue.
    taken: Arc<AtomicU64>,
    given: Cell<u64>,
    handle: Handle,
    clock: Arc<dyn Clock>,
    began: Elapsed,
    within: Duration,
    metrics: ApiMetrics,
    stopping: CancellationToken,
}

impl Giving {
    fn all(&self, sources: &Sources, sealed: v1::SealedFiles, place: OwnedSemaphorePermit) {
        tracing::info!("a backup is being taken");
        let given = take::take(sources, sealed, &mut |piece, in_the_way| self.give(piece, in_the_way));
        // The next may begin: nothing is read any more.
        drop(place);
        let taken = given.and_then(|()| Ok(self.taken()?));
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

    /// Waits until the last pieces are taken.
    fn taken(&self) -> Result<(), Status> {
        let waits_since = self.clock.elapsed();
        loop {
            let gone = self.queue.is_closed();
            if self.taken.load(Ordering::Acquire) == self.given.get() {
                return Ok(());
            }
            if gone {
                return Err(gone_away());
            }
            self.patience(waits_since)?;
            std::thread::sleep(REST);
        }
    }

    /// Tells why to wait no longer.
    fn patience(&self, waits_since: Elapsed) -> Result<(), Status> {
        let now = self.clock.elapsed();
        if self.stopping.is_cancelled() {
            return Err(Status::unavailable("the collector stops"));
        }
        if Duration::from(now.since(self.began)) > self.within {
            let within = self.within.as_secs();
            return Err(Status::deadline_exceeded(format!("it took longer than {within} s, which --within allows")));
        }
        if Duration::from(now.since(waits_since)) > STALLED_AFTER {
            return Err(Status::deadline_exceeded("nobody took the next piece for a minute"));
        }
        Ok(())
    }

    /// Waits until there is room for the piece, or there is a reason to wait no longer.
    fn give(&self, piece: Piece, in_the_way: &dyn Fn() -> bool) -> Result<(), Status> {
        let waits_since = self.clock.elapsed();
        loop {
            self.patience(waits_since)?;
            if in_the_way() {
                return Err(Status::aborted("the disk failed and the store is opened again: take another backup"));
            }
            match self.handle.block_on(async { tokio::time::timeout(LOOK, self.queue.reserve()).await }) {
                Ok(Ok(place)) => {
                    place.send(Ok(v1::BackupPiece { piece: Some(piece) }));
                    self.given.set(self.given.get() + 1);
                    return Ok(());
                }
                Ok(Err(_)) => return Err(gone_away()),
                Err(_) => {}
            }
        }
    }
}

fn gone_away() -> Status {
    Status::cancelled("whoever took the backup is gone")
}

fn status_of(error: TakeError) -> Status {
    match error {
        TakeError::Ended(status) => status,
        other => Status::internal(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use uitwijk_model::Millis;

    use super::*;
    use crate::plans::Plans;
    use crate::shadow;
    use crate::store::{MemoryStore, Store};
    use crate::testing::{NOW, TestClock, plan};
    use crate::verdict_log::VerdictLog;

    async fn begin(api: &BackupsApi) -> BoxStream<'static, Result<v1::BackupPiece, Status>> {
        use v1::backups_server::Backups as _;
        api.take(Request::new(v1::TakeBackupRequest::default())).await.unwrap().into_inner()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_backup_counts_when_its_last_piece_was_taken_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let (clock, plans) = (TestClock::at(NOW), Arc::new(Plans::fixed(plan(1, 1))));
        let store = Store::over(Arc::new(MemoryStore::default()));
        let log = Arc::new(VerdictLog::open(&dir.path().join("verdicts")).unwrap());
        let setup = shadow::Setup {
            dir: dir.path().join("shadows"),
            plans: plans.clone(),
            store: store.clone(),
            log: log.clone(),
            clock: clock.clone(),
            catch_up_max: Millis(0),
            memory_bytes_max: usize::MAX,
            metrics: Default::default(),
        };
        let (shadows, _feed, _ended) = shadow::start(setup).unwrap();
        let sources = Sources { collector: "col-nl".to_owned(), store, log, shadows, plans, clock, cold_url: None };
        let metrics = ApiMetrics::default();
        let api = BackupsApi::new(sources, metrics.clone(), CancellationToken::new());
        let came = async |backups| {
            for _ in 0..1000 {
                if metrics.backups.get() == backups {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            false
        };

        let pieces = begin(&api).await.count().await;
        assert!(pieces > QUEUE && came(1).await && metrics.last_backup.get() == NOW.as_micros() / 1_000_000);
        metrics.last_backup.set(0);
        let mut slow = begin(&api).await;
        for _ in 0..pieces - QUEUE + 1 {
            slow.next().await.unwrap().unwrap();
        }
        // All of it was read, and nobody has the end.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!((metrics.backups.get(), metrics.last_backup.get()), (1, 0));
        while let Some(piece) = slow.next().await {
            piece.unwrap();
        }
        assert!(came(2).await && metrics.last_backup.get() > 0);

        // Whoever goes away before the end has no backup.
        let mut gone = begin(&api).await;
        for _ in 0..pieces - QUEUE + 1 {
            gone.next().await.unwrap().unwrap();
        }
        drop(gone);
        for _ in 0..1000 {
            if metrics.backups_failed.get() > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!((metrics.backups.get(), metrics.backups_failed.get()), (2, 1));
    }
}
