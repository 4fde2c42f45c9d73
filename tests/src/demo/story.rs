//! Which outages does the demo play, and which verdict must each give?
//!
//! A story is data: what breaks, when it is mended, and what the two collectors must say of it. Times are in slots, so
//! that a story is the same story at any speed.

use clap::ValueEnum;
use uitwijk_proto::v1::{Cause, Execution, Need};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Outage {
    /// The active region refuses connections, then recovers; nobody switches.
    Region,
    /// The active region refuses connections; the public name is led to the other one.
    Failover,
    /// One zone of the active region goes down; its load balancer takes it out.
    Zone,
    /// The chain partner goes down, for both regions alike.
    Partner,
    /// One agent loses its name service: it sees everything fail, alone.
    Vantage,
    /// Both regions go down.
    Both,
}

/// One turn of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// A region goes down or comes back.
    Region(&'static str, bool),
    /// A zone goes down or comes back.
    Zone(&'static str, &'static str, bool),
    /// The partner goes down or comes back.
    Partner(bool),
    /// The resolver of an agent stops or starts to answer.
    Resolver(&'static str, bool),
    /// The public name is led to a region.
    Public(&'static str),
}

/// When a turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// So many slots after the turn before.
    Slots(u32),
    /// As soon as both collectors published the verdict of the story, and so many slots later;
    /// at the latest after the second number of slots.
    Verdict(u32, u32),
}

/// A step of a story: when, what, and a sentence for the terminal.
pub type Step = (When, &'static [Turn], &'static str);

/// What happens, and what must be said of it.
#[derive(Debug, Clone, Copy)]
pub struct Story {
    /// The service whose verdict counts.
    pub service: &'static str,
    /// Steps in order.
    pub steps: &'static [Step],
    /// The verdict that the story must give.
    pub need: Need,
    /// Its cause.
    pub cause: Cause,
    /// What was done about it.
    pub execution: Execution,
}

/// Slots of quiet before a story begins: enough to fill the longest window of the judge.
pub const QUIET_SLOTS: u32 = 32;

impl Outage {
    /// The story of an outage.
    pub fn story(self) -> Story {
        use Turn::{Partner, Public, Region, Resolver, Zone};
        use When::{Slots, Verdict};
        let (steps, need, cause, execution): (&'static [Step], _, _, _) = match self {
            Self::Region => (
                &[
                    (Slots(0), &[Region("NL", false)], "region NL goes down: connections are refused"),
                    (Verdict(6, 60), &[Region("NL", true)], "region NL recovers"),
                ],
                Need::Needed,
                Cause::RegionDown,
                Execution::Missed,
            ),
            Self::Failover => (
                &[
                    (Slots(0), &[Region("NL", false)], "region NL goes down: connections are refused"),
                    (Slots(24), &[Public("IE")], "the public name is led to IE"),
                    (Slots(24), &[Region("NL", true)], "region NL recovers, as standby"),
                ],
                Need::Needed,
                Cause::RegionDown,
                Execution::Executed,
            ),
            Self::Zone => (
                &[
                    (Slots(0), &[Zone("NL", "2", false)], "zone 2 of region NL goes down"),
                    (Slots(40), &[Zone("NL", "2", true)], "zone 2 of region NL recovers"),
                ],
                Need::NotNeeded,
                Cause::ZoneAbsorbed,
                Execution::None,
            ),
            Self::Partner => (
                &[
                    (Slots(0), &[Partner(false)], "chain partner idp goes down"),
                    (Verdict(6, 60), &[Partner(true)], "chain partner idp recovers"),
                ],
                Need::NotNeeded,
                Cause::ChainPartner,
                Execution::None,
            ),
            Self::Vantage => (
                &[
                    (
                        Slots(0),
                        &[Resolver("ie-2", false)],
                        "agent ie-2 loses its name service and sees everything fail",
                    ),
                    (Slots(40), &[Resolver("ie-2", true)], "agent ie-2 has its name service back"),
                ],
                Need::NotNeeded,
                Cause::VantageFault,
                Execution::None,
            ),
            Self::Both => (
                &[
                    (Slots(0), &[Region("NL", false), Region("IE", false)], "both regions go down"),
                    (Verdict(6, 60), &[Region("NL", true), Region("IE", true)], "both regions recover"),
                ],
                Need::Futile,
                Cause::GlobalFault,
                Execution::None,
            ),
        };
        Story { service: "exchange", steps, need, cause, execution }
    }
}
