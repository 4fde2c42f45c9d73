//! How does a measurement get from an agent's stream to the disk and the judge, once?
//!
//! ```text
//!   agent ==stream==> session (one task per stream: identity, limits, decode, check rows)
//!                        |  bounded queue; when it is full the session stops reading and HTTP/2 holds the agent
//!                        v
//!                    committer (one thread owns ledgers and bitmaps: deduplicate, write a group, sync)
//!                        |                      |
//!                        v                      v
//!                 cursors, back to the      JudgeInput: fresh rows, frontiers
//!                 sessions, to the agents
//! ```
//!
//! Nothing is acknowledged and nothing is judged before the sync of its group returned.

mod adopt;
mod aside;
mod board;
mod books;
mod check;
mod committer;
mod dedup;
mod group;
mod judge_input;
mod limits;
mod mailbox;
mod metrics;
mod order;
mod service;
mod sessions;
mod stream;
mod work;

pub use adopt::{Adopted, Adopting};
pub use committer::{CommitterHandle, HEALTH_CONDITION};
pub use judge_input::JudgeInput;
pub use limits::IngestLimits;
pub use metrics::{IngestMetrics, ReasonLabel};
pub use service::{IngestService, OutboundStream, Parts};
pub use stream::Inbound;

#[cfg(test)]
mod tests;
