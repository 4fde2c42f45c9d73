//! Who hears of what is published?
//!
//! The board holds the latest revision of each open episode and a bounded channel to all watchers. Both change under one
//! lock, so a watcher that joins gets each open episode once and then every later revision, without a gap and without
//! a repeat. A watcher that does not keep up loses its place and is told so; it joins again and is up to date.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use tokio::sync::broadcast;
use uitwijk_judge::EpisodeId;

use super::Published;

/// Revisions that a watcher may be behind.
const BEHIND_MAX: usize = 1024;

/// What is published.
#[derive(Debug)]
pub struct Board {
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    open: BTreeMap<EpisodeId, Arc<Published>>,
    news: broadcast::Sender<Arc<Published>>,
}

/// What a watcher gets.
#[derive(Debug)]
pub struct Watch {
    /// The latest revision of each episode that is open now, by name of the episode.
    pub open: Vec<Arc<Published>>,
    news: broadcast::Receiver<Arc<Published>>,
}

/// Why a watch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// The watcher did not keep up.
    #[error("the watcher fell {0} revisions behind: watch again, which begins with the latest of each open episode")]
    Behind(u64),
    /// The collector stops.
    #[error("the collector stops")]
    Closed,
}

impl Watch {
    /// The next revision.
    ///
    /// # Errors
    /// When the watcher fell behind or the collector stops.
    pub async fn next(&mut self) -> Result<Arc<Published>, WatchError> {
        self.news.recv().await.map_err(|error| match error {
            broadcast::error::RecvError::Lagged(n) => WatchError::Behind(n),
            broadcast::error::RecvError::Closed => WatchError::Closed,
        })
    }
}

impl Board {
    /// A board with what was open at the end of the last run.
    pub(super) fn new(open: BTreeMap<EpisodeId, Arc<Published>>) -> Self {
        let (news, _) = broadcast::channel(BEHIND_MAX);
        Self { state: RwLock::new(State { open, news }) }
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn publish(&self, published: Arc<Published>) {
        let mut state = self.write();
        let episode = published.revision.episode.clone();
        match published.is_open() {
            true => state.open.insert(episode, published.clone()),
            false => state.open.remove(&episode),
        };
        // Nobody listens: that is no failure.
        let _ = state.news.send(published);
    }

    /// Joins.
    #[must_use]
    pub fn watch(&self) -> Watch {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        Watch { open: state.open.values().cloned().collect(), news: state.news.subscribe() }
    }

    /// Number of open episodes by service.
    pub(super) fn open_by_service(&self) -> BTreeMap<String, i64> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let mut counts = BTreeMap::new();
        for published in state.open.values() {
            *counts.entry(published.revision.service.as_str().to_owned()).or_insert(0) += 1;
        }
        counts
    }

    /// Ends every watch; those who join later hear nothing.
    pub(super) fn close(&self) {
        let (news, _) = broadcast::channel(1);
        self.write().news = news;
    }
}
