//! What would another policy say, right now, of the same measurements?
//!
//! ```text
//!   committer --> real judge (its thread) --> verdict log, board, watchers
//!                     |
//!                     +--Feed (after it has published; never waits)--> shadow thread: one bench per shadow
//!                                                                          |
//!   API (Policies.Compare) <--- Shadows <--- shadow log, a directory of its own
//! ```
//!
//! A shadow never alerts: nothing of it reaches the board, a watcher or a gauge of open episodes. And it never holds up or breaks the real
//! judge. It has a thread, a queue and a log of its own; the real judge hands on what it has judged and published, and does
//! not wait. What the queue does not take is not lost, for it is in the store: the shadows begin anew from there, as they do at a
//! start. Whatever goes wrong here (a panic, a full disk, a log that cannot be opened) is counted, logged and tried again.

mod feed;
mod member;
mod owner;
mod record;
mod shelf;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use uitwijk_model::{Clock, Millis, ServiceId, ShadowName, WallTime};

use crate::metrics::ShadowMetrics;
use crate::plans::Plans;
use crate::policies::{Judged, Stretch};
use crate::store::Store;
use crate::verdict_log::{LogError, VerdictLog};

pub use feed::Feed;
use owner::Owner;
pub use record::{Began, Shadowed, Since};
use shelf::Shelf;

/// Questions that may wait at a time.
const ASKS_MAX: usize = 16;

/// What shadows are started with.
#[derive(Debug)]
pub struct Setup {
    /// Directory of their log; made when a plan has shadows.
    pub dir: PathBuf,
    /// Which policies there are.
    pub plans: Arc<Plans>,
    /// Where the measurements are.
    pub store: Store,
    /// Where the switches are that were reported.
    pub log: Arc<VerdictLog>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How long to wait, at most, for what agents kept while the collector was away.
    pub catch_up_max: Millis,
    /// Bytes that what all of them together keep for agents that are away may take in memory, about.
    pub memory_bytes_max: usize,
    /// What is counted.
    pub metrics: ShadowMetrics,
}

/// Why there is no answer about shadows.
#[derive(Debug, thiserror::Error)]
pub enum ShadowError {
    /// A log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The shadow log could not be opened yet.
    #[error("the shadow log is not open: it is tried again every minute, the log of the collector says why")]
    NotOpen,
    /// What a log holds cannot be read.
    #[error("entry {sequence} of the log cannot be read: {why}")]
    Unreadable {
        /// The entry.
        sequence: u64,
        /// What is wrong.
        why: String,
    },
    /// The peer must act.
    #[error(
        "more than {} episodes touch that stretch of time: ask for a shorter one, or for one service",
        shelf::EPISODES_MAX
    )]
    TooMany,
}

/// A question to the thread.
#[derive(Debug)]
enum Ask {
    Settle(oneshot::Sender<()>),
}

/// The running shadows, for those who ask about them.
#[derive(Debug, Clone)]
pub struct Shadows {
    shelf: Shelf,
    asks: mpsc::Sender<Ask>,
}

/// The end of the thread.
#[derive(Debug)]
pub struct Ended(oneshot::Receiver<()>);

impl Ended {
    /// Waits until the thread has ended and let go of its log.
    pub async fn wait(&mut self) {
        // A thread that ended without telling has ended too.
        let _ = (&mut self.0).await;
    }
}

/// Starts the thread of the shadows. It ends when every feed is gone.
///
/// # Errors
/// When the system gives no thread.
pub fn start(setup: Setup) -> std::io::Result<(Shadows, Feed, Ended)> {
    let (sender, asks) = mpsc::channel(ASKS_MAX);
    let (feed, inputs) = feed::channel(setup.metrics.clone());
    let shelf = Shelf::new(setup.dir.clone());
    let shadows = Shadows { shelf: shelf.clone(), asks: sender };
    let (ended, end) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let owner = Owner::new(setup, shelf);
    let body = move || {
        runtime.block_on(owner.run(inputs, asks));
        let _ = ended.send(());
    };
    std::thread::Builder::new().name("shadow".to_owned()).spawn(body)?;
    Ok((shadows, feed, Ended(end)))
}

impl Shadows {
    /// Since when this collector judges by a shadow as it is now; absent when it has not begun.
    ///
    /// # Errors
    /// When the log fails or is not open.
    pub fn since(&self, shadow: &ShadowName) -> Result<Option<WallTime>, ShadowError> {
        self.shelf.since(shadow)
    }

    /// What a shadow said last of the episodes in a stretch. Reads the disk.
    ///
    /// # Errors
    /// When the log fails or is not open, or there are too many.
    pub fn episodes(
        &self,
        shadow: &ShadowName,
        service: Option<&ServiceId>,
        stretch: Stretch,
    ) -> Result<Vec<Judged>, ShadowError> {
        self.shelf.episodes(shadow, service, stretch)
    }

    /// What the real policy said last of the episodes in a stretch. Reads the disk.
    ///
    /// # Errors
    /// When the log fails, or there are too many.
    pub fn real_episodes(
        &self,
        log: &VerdictLog,
        service: Option<&ServiceId>,
        stretch: Stretch,
    ) -> Result<Vec<Judged>, ShadowError> {
        shelf::real_episodes(log, service, stretch)
    }

    /// The log of the shadows, opened if need be; none when there never were any. Reads the disk.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn log(&self) -> Result<Option<Arc<VerdictLog>>, LogError> {
        if self.shelf.exists() { self.shelf.open().map(Some) } else { Ok(None) }
    }

    /// Waits until everything that was fed before is judged by the clock of now and written.
    pub async fn settle(&self) {
        let (answer, answered) = oneshot::channel();
        if self.asks.send(Ask::Settle(answer)).await.is_ok() {
            let _ = answered.await;
        }
    }
}

#[cfg(test)]
mod tests;
