//! What was measured, exactly once, and how does it outlive a power cut?
//!
//! ```text
//!   committer --Writes (one group)--> HotStore.write     atomic, on disk when it returns
//!   judge, API <--records, pages----- HotStore.scan
//!
//!   batches   key: first scheduled time, agent, boot, sequence      value: the batch as it came, and which rows count
//!   small     ledgers, frontiers, the serial                        written in the same group as the rows they count
//! ```
//!
//! A batch stays as it came: columns in, columns out. What was not fresh in it is masked, not removed. No record spans more
//! than one minute of scheduled time, so a reader of a time range looks no further back than that.
//!
//! The choice left aside is one key per measurement. It answers point reads, which nobody asks for, and costs twenty times
//! the writes.

mod accepted;

pub use accepted::AcceptedRows;
