//! Where do the files of the hours lie, and when is one safe there?
//!
//! In a folder, or in a store of objects that speaks S3, through one crate for both. The crate is asynchronous and its callers
//! are threads that may wait, so its work is done by threads of its own. A file in a folder is written beside its place, synced,
//! renamed, and its folder synced; an object is there when the store says so.

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

use super::super::whole::make_folder;
use super::super::{OpenError, StoreError};

/// Paths that one listing hands back; an hour has fewer files.
const LISTED_MAX: usize = 100_000;

/// A place for files. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
}

impl Objects {
    /// A folder, made when it is missing.
    ///
    /// # Errors
    /// When it cannot be made or used.
    pub fn folder(dir: &FilePath) -> Result<Self, StoreError> {
        make_folder(dir).map_err(|e| StoreError::Write(format!("{}: {e}", dir.display())))?;
        let store = LocalFileSystem::new_with_prefix(dir).map_err(|e| StoreError::Read(e.to_string()))?;
        Ok(Self::over(Arc::new(store.with_fsync(true).with_automatic_cleanup(true))))
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
        let builder = object_store::aws::AmazonS3Builder::from_env().with_bucket_name(bucket);
        let store = builder.build().map_err(|e| e.to_string())?;
        Ok(Self::over(Arc::new(object_store::prefix::PrefixStore::new(store, prefix))))
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
        Self { store }
    }

    /// Puts a file there; safe when this returns.
    pub(in crate::store) fn put(&self, path: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let (store, at) = (self.store.clone(), Path::from(path));
        let payload = PutPayload::from(bytes);
        let done = wait(async move { store.put(&at, payload).await.map(drop) });
        done?.map_err(|e| StoreError::Write(format!("{path}: {e}")))
    }

    /// Some bytes of a file.
    pub(in crate::store) fn range(&self, path: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        Ok(self.ranges(path, &[range])?.pop().unwrap_or_default())
    }

    /// Several stretches of bytes of a file; neighbours are fetched together.
    pub(in crate::store) fn ranges(&self, path: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        let (store, at, wanted) = (self.store.clone(), Path::from(path), ranges.to_vec());
        let end = ranges.iter().map(|range| range.end).max().unwrap_or(0);
        let asking = async move {
            let got = store.get_ranges(&at, &wanted).await;
            // A store says in its own way that a file ends before a range begins; how long the file is, it says for certain.
            let is_short = got.is_err() && store.head(&at).await.is_ok_and(|found| found.size < end);
            (got, is_short)
        };
        let (got, is_short) = wait(asking)?;
        if is_short {
            return Err(too_short(path));
        }
        let got = got.map_err(|e| read_error(path, &e))?;
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
        wait(async move { store.get(&at).await?.bytes().await })?.map_err(|e| read_error(path, &e))
    }

    /// Takes a file away; one that is not there is no failure.
    pub(in crate::store) fn delete(&self, path: &str) -> Result<(), StoreError> {
        let (store, at) = (self.store.clone(), Path::from(path));
        match wait(async move { store.delete(&at).await })? {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(StoreError::Write(format!("{path}: {e}"))),
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
        wait(listing)?.map_err(|e| StoreError::Read(format!("{folder}: {e}")))
    }
}

fn too_short(path: &str) -> StoreError {
    StoreError::Damaged(format!("hour's file {path} is shorter than it was written"))
}

/// A file that is gone is damage of the store; whatever else fails may work at the next try.
fn read_error(path: &str, error: &object_store::Error) -> StoreError {
    match error {
        object_store::Error::NotFound { .. } => StoreError::Damaged(format!("hour's file {path} is gone")),
        other => StoreError::Read(format!("{path}: {other}")),
    }
}

/// Does asynchronous work and waits for it, in whatever thread.
fn wait<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, StoreError> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let over = || StoreError::Read("the threads for files of hours cannot be used".to_owned());
    // Nobody hears an answer that comes after the wait was given up.
    runtime()?.spawn(work.map(move |done| drop(sender.send(done))));
    receiver.recv().map_err(|_| over())
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
