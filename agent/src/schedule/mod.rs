//! When is which target probed?
//!
//! ```text
//!   slot 7            slot 8            slot 9            slots begin at multiples of their length since the epoch
//!   |  a    b     c   |  a    b     c   |  a    b ...     each target has its own place in every slot (spread.rs)
//!                 ^ cursor                                one ring of targets, one cursor that goes around (ring.rs)
//! ```
//!
//! The turn of a target is `slot start + offset`, computed from the slot's number and never from the turn before, so
//! nothing drifts and all agents and collectors name a slot alike. All targets have the same slot length, so their order
//! within a slot never changes: a sorted ring and a cursor do what a heap of timers would, with one task and no
//! allocation per turn. The choice left aside is a task with an interval per target: 500 tasks, 500 timers, and a burst
//! when they all wake from a pause.
//!
//! A turn that cannot be taken becomes an unmeasured measurement with its reason ([`ring`], [`flights`]); after a long
//! pause that is done for the newest `missed_slots_max` slots of each target, and older ones stay silent, which every
//! reader takes for unmeasured as well. The shell that owns all this and runs the attempts is [`runner`].

pub mod flights;
pub mod ring;
pub mod runner;
pub mod spread;
#[cfg(test)]
mod tests;
mod turn;

pub use flights::Flights;
pub use ring::{Ring, Step, Turn};
pub use runner::{Complete, Recorder, Runner, RunnerOptions};
pub(crate) use turn::unmeasured;
pub use turn::{Attempts, Work};
