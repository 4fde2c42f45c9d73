//! What does a process tell of itself, and how is it told to stop?
//!
//! ```text
//!   tracing events --logging--> stderr, text or JSON
//!   tracing spans  --traces---> OTLP, only when the OTEL_* variables say so
//!   registry, health --admin--> /metrics  /-/healthy  /-/ready
//!   SIGTERM SIGINT SIGHUP --signals--> the main task
//! ```
//!
//! None of it may slow or stop the work: log lines and spans go through bounded queues that drop and count, and
//! with traces off a span is never made.

pub mod admin;
pub mod context;
mod health;
pub mod logging;
mod losses;
mod process;
pub mod signals;
mod traces;
mod writer;

pub use health::Health;
pub use losses::LossMetrics;
pub use process::ProcessMetrics;
pub use traces::TraceCounts;
