//! What do streams hand to the committer?

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use uitwijk_model::{AgentId, BootId, Sequence, Vantage, WallTime};
use uitwijk_proto::v1::{self, LossReason};

use super::check::Checked;
use super::dedup::{Chunk, ChunkId, Stretch};
use super::mailbox::Mailbox;

/// The agent at the other end of a stream, from its certificate.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) agent: AgentId,
    pub(super) vantage: Vantage,
    pub(super) mailbox: Mailbox,
}

/// One message to the committer.
#[derive(Debug)]
pub(super) enum Work {
    /// Rows.
    Batch(Box<IncomingBatch>),
    /// A range that will never come.
    Lost(Lost),
    /// A range that was acknowledged by a store that is no more. The welcome tells the cursor.
    Forgotten(Lost),
    /// The boots of which an agent has something left, and no others.
    Held(Held),
    /// What an agent says to be complete.
    Claim(AgentId, Claim),
    /// Which cursors does the collector have of these boots?
    Cursors(AgentId, Vec<BootId>, oneshot::Sender<Vec<v1::Cursor>>),
    /// What is stored of a stretch of slots, read from afar.
    Loaded(ChunkId, Box<Chunk>),
}

/// A batch, decoded and checked by the task of its stream.
#[derive(Debug)]
pub(super) struct IncomingBatch {
    pub(super) peer: Arc<Peer>,
    pub(super) boot: BootId,
    pub(super) first_sequence: Sequence,
    pub(super) count: u32,
    pub(super) columns: Bytes,
    pub(super) compression: i32,
    pub(super) arrived: WallTime,
    /// Absent when it could not be decoded: every row is refused.
    pub(super) checked: Option<Checked>,
    pub(super) span: tracing::Span,
    /// Its share of what the stream, and all streams together, may have under way.
    pub(super) permits: Permits,
}

impl IncomingBatch {
    /// Where the slots of its good rows lie.
    pub(super) fn stretches(&self) -> impl Iterator<Item = &Stretch> {
        self.checked.iter().flat_map(|checked| &checked.stretches)
    }
}

/// Given back when the batch is done.
#[derive(Debug, Default)]
pub(super) struct Permits {
    pub(super) _window: Option<OwnedSemaphorePermit>,
    pub(super) _memory: Option<OwnedSemaphorePermit>,
}

/// A tombstone, or what this collector has forgotten.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) peer: Arc<Peer>,
    pub(super) boot: BootId,
    pub(super) first_sequence: Sequence,
    pub(super) count: u64,
    pub(super) reason: LossReason,
    pub(super) arrived: WallTime,
}

/// What an agent says of its buffer when it connects.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) peer: Arc<Peer>,
    /// All boots with something in it, and the running one.
    pub(super) boots: Vec<BootId>,
    pub(super) arrived: WallTime,
}

/// When everything named here is in, nothing scheduled before `through` is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) boot: BootId,
    pub(super) through: WallTime,
    /// Of the running boot, everything below.
    pub(super) below: Sequence,
    /// Of earlier boots, everything below.
    pub(super) earlier: Vec<(BootId, Sequence)>,
}

impl Work {
    /// Where the slots of rows in it lie that may be stored.
    pub(super) fn stretches(&self) -> impl Iterator<Item = &Stretch> {
        let batch = match self {
            Self::Batch(batch) => Some(batch),
            _ => None,
        };
        batch.into_iter().flat_map(|batch| batch.stretches())
    }

    /// Rows in it, to bound a group.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Batch(batch) => batch.count as usize,
            _ => 1,
        }
    }
}
