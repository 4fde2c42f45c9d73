//! How do measurements become verdicts that a stranger can check?
//!
//! ```text
//!   ingest (mTLS, check) -> store (dedup, group commit, sync) -> acknowledgement
//!                              |
//!                              v
//!                           judging (shell of uitwijk-judge) -> verdict_log -> api -> ops (CLI), programs
//!                              |                                        ^
//!                              +-> shadow, policies: what another policy says or would have said
//! ```

pub mod api;
pub mod backup;
pub mod balance;
pub mod cli;
pub mod cold_metrics;
pub mod config;
pub mod ingest;
pub mod judging;
pub mod labels;
pub mod metrics;
pub mod ops;
pub mod plans;
pub mod policies;
pub mod run;
pub mod shadow;
pub mod store;
pub mod switches;
#[cfg(test)]
mod testing;
pub mod verdict_log;
