//! What does an uplink need of the buffer?

use uitwijk_proto::v1;

/// Something to send.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// Measurements.
    Batch(v1::Batch),
    /// Measurements of now, ahead of others that wait; no cursor speaks of them before it speaks of those.
    Ahead(v1::Batch),
    /// The news that some will never come.
    Tombstone(v1::Tombstone),
}

/// How much may go into one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Rows.
    pub rows_max: usize,
    /// Bytes of the encoded columns.
    pub bytes_max: usize,
    /// How to pack them.
    pub compression: v1::Compression,
    /// Pieces in order that are on their way already.
    pub in_flight: usize,
}

/// What waits for one collector.
pub trait Backlog: Send + 'static {
    /// The running boot.
    fn boot(&self) -> u64;

    /// Whether [`Self::held`] names every boot of which anything is left; not so while a disk is away that may hold more.
    fn knows_all(&self) -> bool;

    /// What is held of each boot, oldest first.
    fn held(&self) -> impl Future<Output = Vec<v1::BootRange>> + Send;

    /// The books of each boot that is not settled, the running one last, and the size of the buffer on disk.
    fn books(&self) -> impl Future<Output = (Vec<v1::Books>, u64)> + Send;

    /// Starts over at the cursors.
    fn rewind(&mut self) -> impl Future<Output = ()> + Send;

    /// The next piece, in order but for what goes ahead; waits for one. Dropping the future loses nothing.
    fn next(&mut self, limits: BatchLimits) -> impl Future<Output = Piece> + Send;

    /// The collector has everything of this boot below this sequence; answers with how many rows that is news of.
    fn acknowledge(&mut self, boot: u64, next_sequence: u64) -> impl Future<Output = u64> + Send;
}
