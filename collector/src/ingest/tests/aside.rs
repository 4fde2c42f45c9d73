//! Who waits for an hour whose files are far away, and who does not?

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::watch;
use uitwijk_model::{Millis, Slot, SlotLength};

use super::world::{Agent, PATIENCE, World, limits, peer};
use crate::ingest::IngestLimits;
use crate::ingest::dedup::{Stretch, range_of};
use crate::store::tests::sealing::{remove_covered, seal_all};
use crate::store::{Goes, MemoryStore, Objects, Store};
use crate::testing::{NOW, batch, row, slot_now, vantage};

/// How the bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bucket {
    Answers,
    Fails,
    /// Says nothing.
    Hangs,
}

/// A bucket that can be sent away.
#[derive(Debug)]
struct Far {
    inner: InMemory,
    bucket: watch::Receiver<Bucket>,
}

impl std::fmt::Display for Far {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("far")
    }
}

impl Far {
    async fn answer(&self) -> Result<()> {
        let state = self.bucket.clone().wait_for(|bucket| *bucket != Bucket::Hangs).await.map(|bucket| *bucket);
        match state {
            Ok(Bucket::Answers) => Ok(()),
            _ => Err(Error::Generic { store: "far", source: "no way there".into() }),
        }
    }
}

#[async_trait]
impl ObjectStore for Far {
    async fn put_opts(&self, at: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(at, payload, opts).await
    }

    async fn put_multipart_opts(&self, at: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, opts).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.answer().await?;
        self.inner.get_opts(at, options).await
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.answer().await?;
        self.inner.get_ranges(at, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// Three hours ago.
fn old(i: i64) -> i64 {
    slot_now() - 3 * 360 + i
}

/// A collector that was started again, whose sealed hour has ten rows of nl-1, and its bucket.
async fn world(limits: IngestLimits) -> (World, watch::Sender<Bucket>) {
    let (bucket, is) = watch::channel(Bucket::Answers);
    let (hot, far) = (Arc::new(MemoryStore::default()), Arc::new(Far { inner: InMemory::new(), bucket: is }));
    let open = || Store::joined(hot.clone(), Objects::far(far.clone())).unwrap();
    let world = World::over(open(), limits);
    let mut agent = world.agent(5).await;
    let rows: Vec<_> = (0..10).map(|i| row("control:ctl-0", old(i), 0, 1)).collect();
    agent.batch(batch(5, 1, &rows)).await;
    agent.acknowledged(5, 11).await;
    agent.done().await;
    seal_all(&world.store, 7);
    remove_covered(&world.store);
    (World::over(open(), limits), bucket)
}

async fn ie(world: &World) -> Agent {
    let mut agent = world.connect(&peer("ie-1", vantage("IE", "1"))).unwrap();
    agent.hello(9).await;
    agent.welcome().await;
    agent
}

async fn until_aside(world: &World, rows: i64) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while world.metrics.rows_aside.get() != rows {
        assert!(tokio::time::Instant::now() < deadline, "{} are aside", world.metrics.rows_aside.get());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn rows_of_an_hour_that_is_far_away_wait_and_no_others_do() {
    for away in [Bucket::Fails, Bucket::Hangs] {
        let (world, bucket) = world(limits()).await;
        bucket.send_replace(away);
        let mut late = world.agent(6).await;
        // One that is stored already, under another boot, and one that is not.
        late.batch(batch(6, 1, &[row("control:ctl-0", old(3), 0, 1), row("control:ctl-0", old(20), 0, 1)])).await;
        until_aside(&world, 2).await;
        // Of the same agent and of another what is measured now goes on, and is stored.
        late.batch(batch(6, 3, &[row("control:ctl-0", slot_now(), 0, 1)])).await;
        let mut other = ie(&world).await;
        other.batch(batch(9, 1, &[row("control:ctl-0", slot_now(), 0, 1)])).await;
        other.acknowledged(9, 2).await;
        assert!(world.health.is_ready());
        let before = world.metrics.rows_stored.get();
        bucket.send_replace(Bucket::Answers);
        late.acknowledged(6, 4).await;
        assert_eq!(world.metrics.rows_stored.get(), before + 1);
        assert_eq!(world.metrics.rows_duplicate.get(), 1);
        assert_eq!((world.metrics.rows_aside.get(), world.metrics.dedup_loads.get()), (0, 2));
        assert_eq!(world.stored().len(), 13, "{away:?}");
    }
}

#[tokio::test]
async fn a_row_whose_hour_went_while_it_waited_is_too_old() {
    let (world, bucket) = world(limits()).await;
    bucket.send_replace(Bucket::Hangs);
    let mut late = world.agent(6).await;
    // The first is stored already, and what is known of that goes with its hour.
    late.batch(batch(6, 1, &[row("control:ctl-0", old(3), 0, 1), row("control:ctl-0", slot_now(), 0, 1)])).await;
    until_aside(&world, 2).await;
    for sealed in world.store.sealed_hours() {
        world.store.drop_hour(sealed.hour, Goes::Measurements).unwrap();
    }
    bucket.send_replace(Bucket::Answers);
    late.acknowledged(6, 3).await;
    assert_eq!((world.refused("past"), world.metrics.rows_stored.get(), world.stored().len()), (1, 1, 1));
}

#[test]
fn no_stretch_of_slots_is_longer_than_its_bits_or_than_what_is_not_sealed_yet() {
    for millis in [100, 1000, 7000, 10_000, 30_000, 60_000, 600_000, 3_600_000] {
        let length = SlotLength::new(Millis(millis)).unwrap();
        let slot = Slot(NOW.as_micros() / 1000 / i64::try_from(millis).unwrap());
        let stretch = Stretch::of(length, slot);
        let (from, to) = range_of(stretch.id);
        let span = to.micros_since(from) / 1000;
        assert!(span <= 5_120_000 && span / i64::try_from(millis).unwrap() <= 512, "{millis}: {span}");
        let first = Slot(from.as_micros() / 1000 / i64::try_from(millis).unwrap());
        assert!(stretch.covers(length, first) && stretch.covers(length, slot));
        assert!(!stretch.covers(length, Slot(first.0 - 1)), "{millis}");
    }
}

#[tokio::test]
async fn an_agent_that_comes_back_is_answered_once_the_hour_is_there() {
    let (world, bucket) = world(limits()).await;
    bucket.send_replace(Bucket::Hangs);
    for _ in 0..3 {
        let gone = world.agent(6).await;
        gone.batch(batch(6, 1, &[row("control:ctl-0", old(20), 0, 1)])).await;
        until_aside(&world, 1).await;
    }
    let mut late = world.agent(6).await;
    late.batch(batch(6, 1, &[row("control:ctl-0", old(20), 0, 1)])).await;
    bucket.send_replace(Bucket::Answers);
    late.acknowledged(6, 2).await;
    assert_eq!(world.stored().len(), 11);
}

#[tokio::test]
async fn no_more_wait_than_there_is_room_for() {
    // Of four groups of ten rows.
    let (world, bucket) = world(IngestLimits { group_rows_max: 10, ..limits() }).await;
    bucket.send_replace(Bucket::Hangs);
    let mut late = world.agent(6).await;
    for i in 0..5 {
        let rows: Vec<_> = (0..10).map(|n| row("control:ctl-0", old(20 + 10 * i + n), 0, 1)).collect();
        late.batch(batch(6, 1 + 10 * u64::try_from(i).unwrap(), &rows)).await;
    }
    let status = late.error().await;
    assert_eq!(status.code(), tonic::Code::Unavailable);
    insta::assert_snapshot!(
        status.message(),
        @"measurements of an hour whose files cannot be read now: too many wait for it already"
    );
    until_aside(&world, 40).await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_bucket() {
    let (world, bucket) = world(limits()).await;
    bucket.send_replace(Bucket::Hangs);
    let late = world.agent(6).await;
    late.batch(batch(6, 1, &[row("control:ctl-0", old(20), 0, 1)])).await;
    until_aside(&world, 1).await;
    world.stopping.cancel();
    drop((late, world.service));
    assert!(world.committer.ended(PATIENCE).await, "the bucket still hangs: {:?}", *bucket.borrow());
}
