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

mod judge_input;

pub use judge_input::JudgeInput;
