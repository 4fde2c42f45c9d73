//! Was a failover needed, would it have helped, and did it happen?
//!
//! A verdict is a function of evidence, topology and policy. There is no clock, file, socket, task, hash order or
//! floating point in here; time is handed in, shares are compared as whole numbers, and every tie is specified.

mod between;
mod blame;
mod calm;
mod cell;
mod change;
mod chunks;
mod clock;
mod episode;
pub mod evidence;
pub mod explain;
mod facts;
mod journal;
pub mod live;
mod logarithm;
mod maintenance;
mod names;
mod published;
mod reading;
mod report;
mod sample;
mod scan;
mod serving;
mod share;
pub mod since;
mod state;
pub mod timeline;
pub mod topology;
mod trace;
mod trust;
pub mod verdict;
mod words;

pub use evidence::{Evidence, Numbered, Place, Sample, Switch, Taken};
pub use explain::{Language, explain};
pub use live::Live;
pub use since::{Answer, Arrivals, CellChange, Origin, Seen, SequenceRange, Since};
pub use timeline::{Timeline, judge};
pub use topology::{AgentIx, TargetIx, Topology, UnknownService};
pub use verdict::{
    Cause, EpisodeId, Execution, Finding, Need, Observation, Rejected, Revision, RevisionKind, Segment, WouldChange,
};
