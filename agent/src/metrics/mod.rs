//! What does the agent count, and under which names?
//!
//! ```text
//!   probe_*             what the last attempt at each target found, under the names that blackbox_exporter made common
//!                       (board.rs); bounded by the number of targets in the plan
//!   uitwijk_agent_*     how the agent itself is (this file); labels are outcomes, reasons and configured collectors
//! ```
//!
//! Counters live where the event happens and are only read here. Names end in their unit.

mod board;
mod own;
#[cfg(test)]
mod tests;

pub use board::Board;
pub use own::{AgentMetrics, CollectorMetrics, ScheduleMetrics};
