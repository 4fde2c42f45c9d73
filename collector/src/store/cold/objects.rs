//! Where do the files of the hours lie, and when is one safe there?
//!
//! In a folder, or in a store of objects that speaks S3, through one crate for both. The crate is asynchronous and its callers
//! are threads that may wait, so its work is done by threads of its own. A file in a folder is written beside its place, synced,
//! renamed, and its folder synced; an object is there when the store says so.
//!
//! A store that does not answer is asked again for seconds, not for minutes: whoever waits for an hour has another turn, and somebody may
//! wait for them. Nobody waits any more when the collector stops.

use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::{Arc, OnceLock, mpsc};

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::super::whole::make_folder;
use super::super::{OpenError, StoreError};
use super::copies::Copies;

/// Paths that one listing hands back; an hour has fewer files.
const LISTED_MAX: usize = 100_000;

/// A place for files. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    /// As an operator names it.
    place: Arc<str>,
    /// Reached over a network, so an answer may take long.
    is_far: bool,
    /// Of a bucket: what lies on this disk as well.
    copies: Option<Arc<Copies>>,
    /// Nobody waits for it any more.
    ending: CancellationToken,
}

impl Objects {
    /// A folder, made when it is missing.
    ///
    /// # Errors
    /// When it cannot be made or used.
    pub fn folder(dir: &FilePath) -> Result<Self, StoreError> {
        make_folder(dir).map_err(|e| StoreError::Write(format!("{}: {e}", dir.display())))?;
        let store = LocalFileSystem::new_with_prefix(dir).map_err(|e| StoreError::Read(e.to_string()))?;
        Ok(Self::called(&dir.display().to_string(), Arc::new(store.with_fsync(true).with_automatic_cleanup(true))))
    }

    /// The place that a setting names.
    ///
    /// # Errors
    /// When it cannot be used, or this build does not know its kind.
    pub fn at(url: &str) -> Result<Self, OpenError> {
        let unusable = |reason: String| OpenError::Cold { reason: format!("{url}: {reason}") };
        match url.strip_prefix("file://") {
            Some(dir) => Self::folder(FilePath::new(dir)).map_err(|e| unusable(e.to_string())),
            None => Self::bucket(url).map_err(unusable),
        }
    }

    /// Credentials, region and endpoint come from the environment, in the variables that every tool for S3 reads.
    #[cfg(feature = "s3")]
    fn bucket(url: &str) -> Result<Self, String> {
        // Fails when another part of the process chose already: the same one, there is no other.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let rest = url.strip_prefix("s3://").ok_or("only file:// and s3:// are known")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let builder = object_store::aws::AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_retry(tries())
            // Files go one by one, and not every store knows how to take several away at once.
            .with_disable_bulk_delete(true);
        let store = builder.build().map_err(|e| e.to_string())?;
        Ok(Self::called(url, Arc::new(object_store::prefix::PrefixStore::new(store, prefix))))
    }

    #[cfg(not(feature = "s3"))]
    fn bucket(_url: &str) -> Result<Self, String> {
        Err("this build keeps sealed hours in folders only: build it with the feature s3, or name a file:// place"
            .to_owned())
    }

    /// In memory, for tests.
    #[must_use]
    pub fn memory() -> Self {
        Self::over(Arc::new(InMemory::new()))
    }

    /// Any store of objects.
    #[must_use]
    pub fn over(store: Arc<dyn ObjectStore>) -> Self {
        Self::called("memory", store)
    }

    fn called(place: &str, store: Arc<dyn ObjectStore>) -> Self {
        let is_far = place.starts_with("s3:");
        Self { store, place: place.into(), is_far, copies: None, ending: CancellationToken::new() }
    }

    /// A store of objects that counts as far away.
    #[cfg(test)]
    pub(crate) fn far(store: Arc<dyn ObjectStore>) -> Self {
        Self { is_far: true, ..Self::over(store) }
    }

    /// Whether files have to be asked for over a network.
    pub(super) const fn is_far(&self) -> bool {
        self.is_far
    }

    /// Whether a file lies on this disk as well.
    pub(super) fn has_copy(&self, path: &str) -> bool {
        self.copies.as_ref().is_some_and(|copies| copies.has(path))
    }

    /// Keeps copies of the newest files in a folder, so many bytes at most, and reads those in their place. What lies in a folder
    /// needs none.
    #[must_use]
    pub fn with_copies(self, dir: &FilePath, bytes_max: u64) -> Self {
        let copies = self.is_far.then(|| Arc::new(Copies::new(dir, &self.place, bytes_max)));
        Self { copies, ..self }
    }

    /// From now on everything fails, and what is waited for fails at once: the collector stops.
    pub(in crate::store) fn end(&self) {
        self.ending.cancel();
    }

    /// Puts a file there; safe when this returns.
    pub(in crate::store) fn put(&self, path: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let (store, at) = (self.store.clone(), Path::from(path));
        let bytes = Bytes::from(bytes);
        let payload = PutPayload::from(bytes.clone());
        let done = self.wait(async move { store.put(&at, payload).await.map(drop) });
        if let (Some(copies), Ok(Ok(()))) = (&self.copies, &done) {
            copies.keep(path, &bytes);
        }
        done?.map_err(|e| StoreError::Write(self.why(path, &e)))
    }

    /// Some bytes of a file.
    pub(in crate::store) fn range(&self, path: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        Ok(self.ranges(path, &[range])?.pop().unwrap_or_default())
    }

    /// Several stretches of bytes of a file; neighbours are fetched together.
    pub(in crate::store) fn ranges(&self, path: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        if let Some(all) = self.copies.as_ref().and_then(|copies| copies.ranges(path, ranges)) {
            return Ok(all);
        }
        let (store, at, wanted) = (self.store.clone(), Path::from(path), ranges.to_vec());
        let end = ranges.iter().map(|range| range.end).max().unwrap_or(0);
        let asking = async move {
            let got = store.get_ranges(&at, &wanted).await;
            // A store says in its own way that a file ends before a range begins; how long the file is, it says for certain.
            let is_short = got.is_err() && store.head(&at).await.is_ok_and(|found| found.size < end);
            (got, is_short)
        };
        let (got, is_short) = self.wait(asking)?;
        if is_short {
            return Err(too_short(path));
        }
        let got = got.map_err(|e| self.read_error(path, &e))?;
        let complete = got.len() == ranges.len()
            && got.iter().zip(ranges).all(|(bytes, range)| bytes.len() as u64 == range.end - range.start);
        match complete {
            true => Ok(got),
            false => Err(too_short(path)),
        }
    }

    /// A whole file.
    #[cfg(test)]
    pub(in crate::store) fn get(&self, path: &str) -> Result<Bytes, StoreError> {
        let (store, at) = (self.store.clone(), Path::from(path));
        self.wait(async move { store.get(&at).await?.bytes().await })?.map_err(|e| self.read_error(path, &e))
    }

    /// Takes a file away; one that is not there is no failure.
    pub(in crate::store) fn delete(&self, path: &str) -> Result<(), StoreError> {
        if let Some(copies) = &self.copies {
            copies.forget(path);
        }
        let (store, at) = (self.store.clone(), Path::from(path));
        match self.wait(async move { store.delete(&at).await })? {
            Err(e) if !is_gone(&e) => Err(StoreError::Write(self.why(path, &e))),
            _ => Ok(()),
        }
    }

    /// The files below a folder, in order.
    pub(in crate::store) fn list(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let (store, at) = (self.store.clone(), Path::from(folder));
        let listing = async move {
            let mut paths = Vec::new();
            let mut found = store.list(Some(&at)).take(LISTED_MAX);
            while let Some(object) = found.next().await {
                paths.push(object?.location.to_string());
            }
            paths.sort();
            Ok::<_, object_store::Error>(paths)
        };
        self.wait(listing)?.map_err(|e| StoreError::Read(self.why(folder, &e)))
    }

    /// A file that is gone is damage of the store; whatever else fails may work at the next try.
    fn read_error(&self, path: &str, error: &object_store::Error) -> StoreError {
        match is_gone(error) {
            true => StoreError::Damaged(format!("hour's file {path} is gone")),
            false => StoreError::Read(self.why(path, error)),
        }
    }

    fn why(&self, path: &str, error: &object_store::Error) -> String {
        use object_store::Error::{NotFound, PermissionDenied, Unauthenticated};
        let advice = match error {
            PermissionDenied { .. } | Unauthenticated { .. } if self.place.starts_with("s3:") => {
                ": let AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY be of somebody who may, or change cold.url"
            }
            NotFound { .. } => ": make the bucket, or change cold.url",
            _ => "",
        };
        format!("{}/{path}: {error}{advice}", self.place)
    }

    /// Does asynchronous work and waits for it, in whatever thread.
    fn wait<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T, StoreError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        // Nobody hears an answer that comes after the wait was given up.
        let work = self.ending.clone().run_until_cancelled_owned(work);
        runtime()?.spawn(work.map(move |done| drop(sender.send(done))));
        match receiver.recv() {
            Ok(Some(done)) => Ok(done),
            Ok(None) => Err(StoreError::Read(format!("{}: the collector stops", self.place))),
            Err(_) => Err(StoreError::Read("the threads for files of hours cannot be used".to_owned())),
        }
    }
}

/// How often a store that speaks S3 is asked again. Beside it, a request that nobody answers ends after half a minute, or after
/// `AWS_TIMEOUT`.
#[cfg(feature = "s3")]
fn tries() -> object_store::RetryConfig {
    use std::time::Duration;
    let (init_backoff, max_backoff) = (Duration::from_millis(100), Duration::from_secs(2));
    object_store::RetryConfig {
        backoff: object_store::BackoffConfig { init_backoff, max_backoff, base: 2.0 },
        max_retries: 4,
        retry_timeout: Duration::from_secs(10),
    }
}

/// Whether a file is not there. Without a bucket nobody knows.
fn is_gone(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { source, .. } if !source.to_string().contains("NoSuchBucket"))
}

fn too_short(path: &str) -> StoreError {
    StoreError::Damaged(format!("hour's file {path} is shorter than it was written"))
}

/// Never dropped, so that a store may go away anywhere.
fn runtime() -> Result<&'static Runtime, StoreError> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let make = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let builder = builder.worker_threads(1).max_blocking_threads(8).thread_name("cold-io").enable_all();
        builder.build().map_err(|e| e.to_string())
    };
    RUNTIME.get_or_init(make).as_ref().map_err(|e| StoreError::Read(format!("no threads for files of hours: {e}")))
}
