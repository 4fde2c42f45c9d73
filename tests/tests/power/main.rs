//! Is everything that was called safe there after the power went, at any moment?
//!
//! ```text
//!   child process --system calls--> recorder.c --> trace.rs --> disk.rs: the disk after a cut --> open it, hold it against what was said
//! ```
//!
//! The test binary starts itself as a process that works on its disk and says what is safe by now. What it does to the disk is
//! recorded, and the disk is put together as a cut of the power at each sync, and at moments between, may leave it: without
//! what was not synced, with some of it, torn. Then the real code opens it. The next life of the process goes on from such a disk.
//!
//! Chances come from a seed that is printed; `POWER_SEED=n` plays it again. What threads of the process do when is theirs, so
//! what failed is kept. `POWER_CUTS=10000` cuts more often.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod buffer;
mod cuts;
mod disk;
mod log;
mod recorder;
mod store;
mod trace;
