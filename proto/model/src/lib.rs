//! What do all parts of Uitwijk talk about, and which values can those things have?
//!
//! ```text
//!   plan (YAML) --read, check--> Plan ---> targets, policy, windows
//!                                            |
//!   probe ---------------------------> Measurement (Outcome, Phases, Observer)
//! ```
//!
//! Everything here is a plain value: no files, no sockets, no tasks. A value of one of these types is
//! a good value, because the only ways to make one check it ("parse at the edge"). The single
//! exception to purity is [`clock::SystemClock`], the one place in the project that reads the clock.
//!
//! The choice left aside is to let the wire types serve as the model. They would save a
//! conversion, but every reader would have to check again what an absent or unknown number means.

pub mod clock;
pub mod id;
pub mod measurement;
pub mod plan;
pub mod time;
pub mod window;

pub use clock::{Clock, SystemClock};
pub use id::{
    AgentId, BootId, ControlId, EndpointName, IdError, PartnerId, PlanVersion, Region, Sequence, ServiceId, ShadowName,
    TargetId, Vantage, Zone,
};
pub use measurement::{Fault, Hop, Measurement, Observer, Outcome, Phases, Record, ServedBy, Unmeasured};
pub use plan::{Plan, Policy, PolicyOverrides, Ratio, Service, ServiceClass, Target, TargetKind};
pub use time::{Elapsed, Millis, Slot, SlotLength, WallTime};
pub use window::{Window, WindowKind, WindowScope};
