//! How do measurements reach a collector, again and again, whatever happens on the way?
//!
//! ```text
//!   buffer --backlog.rs--> session.rs (window) --stream.rs--> collector
//!      ^                                                         |
//!      +-------- cursors, after the collector's sync ------------+     one task per collector (task.rs)
//!   plan.rs: Fleet.WatchPlan on the same connection -----------> the task that chooses the plan
//! ```
//!
//! Each configured collector has an uplink of its own with its own cursor, so one that is away holds up nobody. An uplink
//! never gives up: it tries again after a random pause within a bound that doubles (backoff.rs), and logs when its
//! state changes rather than at every try (status.rs). Sending a batch twice changes nothing at the collector, so after a
//! break an uplink simply starts over at the cursors of the `Welcome`.

mod backlog;
mod backoff;
mod buffered;
mod dial;
mod heartbeat;
mod plan;
mod session;
mod status;
mod stream;
mod task;

pub use backlog::{Backlog, BatchLimits, Piece};
pub use buffered::Buffered;
pub use dial::{Dial, Dialing};
pub use plan::PlanNews;
pub use stream::HEARTBEAT_EVERY;
pub use task::{Uplink, UplinkContext};
