//! Who was right, how soon, and how often did they change their mind?
//!
//! ```text
//!   scenario, seed --simulate--> stream --arena.rs--> what each rule said, live and finally
//!   labels ---------------------------------------\-> interval.rs: right or not --tally.rs--> one row per rule and track
//! ```
//!
//! The rule, for every labelled interval: the judged part is from `from + tolerance` to `to`. It is right when one of the
//! label, its `accept` and, live, its `live_accept` fits as a whole:
//!
//! - need: at least 95 % of the judged time has it;
//! - cause: most of the judged time that is not healthy has it, and it is healthy when nothing else is left. Stretches of 30 s or
//!   less that are under a tenth of the judged time are not counted;
//! - executed: some segment that overlaps the interval has it. Only in the final track: live, nobody can know what will
//!   still be done.
//!
//! Peer rules know no causes, so of them only need and execution are compared. The judge is scored by the full rule, and
//! a second time as they are (`arena.rs`), so that like stands beside like.

mod arena;
mod interval;
mod tally;
mod workers;

pub use arena::{Contest, Contestant, Wrong, score_world};
pub use interval::{By, Mistake, Said, judged, verdict_on};
pub use tally::{Delays, Tally, wilson};
pub use workers::in_parallel;
