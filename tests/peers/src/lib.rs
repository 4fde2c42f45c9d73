//! What would the rules that people use today have said about the same measurements?
//!
//! ```text
//!   records --view.rs--> results, as each track knows them --rules/*.rs--> is this target down?   (one state per target)
//!                                   \--served.rs--> which region serves?         |
//!                                                                         need.rs v  (every 10 s)
//!                                          segments <--crossing.rs-- needed | futile | not needed
//! ```
//!
//! A peer rule only knows whether a target is up or down. So that it can be held against the judge, all of them share one
//! mapping from "down" to need, and the mapping is generous: it knows the other region, the entry, endpoints' weights and
//! announced windows, which most of these products do not. The rules are re-made from public documentation, named in the
//! head of each file; they are neither the products nor tuned against anything here.
//!
//! This crate lives among the tests because nothing that decides may use it: it is only ever compared with.

mod crossing;
mod name;
mod need;
mod rule;
mod rules;
mod served;
mod view;

pub use crossing::{Executed, Segment};
pub use name::{RuleName, UnknownRule};
pub use need::Answer;
pub use view::View;

use uitwijk_model::WallTime;
use uitwijk_replay::Track;

/// What a rule says from one moment to another, in adjacent segments: at each moment from what one track knows by then.
#[must_use]
pub fn judge(view: &View, rule: &RuleName, track: Track, from: WallTime, to: WallTime) -> Vec<Segment> {
    let steps = need::answers(view, rule, view.feed(track), from.as_micros(), to.as_micros());
    crossing::cross(&steps, from, to)
}
