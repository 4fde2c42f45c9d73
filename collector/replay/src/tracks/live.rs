//! What was said about each slot at the time?
//!
//! The judge that the collector runs is driven as the collector drives it: records as they arrive, woken when it asks to
//! be, told how far each agent's records are complete. What it says about a slot when it first judges it goes on record.

use uitwijk_judge::{Cause, Live, Switch, UnknownService};
use uitwijk_model::{AgentId, Measurement, Millis, Plan, ServiceId, SlotLength, WallTime};

use crate::segment::{Cover, ReplaySegment, Track};

/// After so long without any record, and nothing left to say, the rest of the silence is not gone through slot by slot.
const SILENCE: Millis = Millis::from_secs(86_400);

/// One service, live.
#[derive(Debug)]
pub(crate) struct LiveTrack {
    live: Live,
    slot: SlotLength,
    grace: Millis,
    now: Option<WallTime>,
    /// Switches that were not heard of yet, the next one last.
    ahead: Vec<(WallTime, Switch)>,
    cover: Cover,
}

impl LiveTrack {
    pub(crate) fn new(plan: &Plan, service: &ServiceId, policy: String) -> Result<Self, UnknownService> {
        Ok(Self {
            live: Live::new(plan, service)?,
            slot: plan.slot,
            grace: plan.policy_of(service).grace,
            now: None,
            ahead: Vec::new(),
            cover: Cover::new(service.clone(), Track::Live, policy),
        })
    }

    /// Somebody will report a switch at a moment.
    pub(crate) fn will_hear(&mut self, heard: WallTime, switch: Switch) {
        self.ahead.push((heard, switch));
        self.ahead.sort_by_key(|(heard, _)| std::cmp::Reverse(*heard));
    }

    /// Lets time pass up to a moment.
    pub(crate) fn run_until(&mut self, until: WallTime, frontiers: &[(AgentId, Option<WallTime>)]) {
        let mut now = self.now.unwrap_or(until.minus(Millis(1)));
        let begun = now;
        loop {
            let wake = self.live.next_wakeup(now);
            if wake > until || wake <= now {
                break;
            }
            let cause = self.wake(wake, frontiers);
            now = wake;
            let silent = now.micros_since(begun) > micros(SILENCE) && until.micros_since(now) > micros(SILENCE);
            if silent && cause.is_none_or(|c| c == Cause::NoData) {
                now = until.minus(SILENCE);
            }
        }
        self.now = Some(now);
    }

    /// Judges, and notes what is said about the slot that was not judged before.
    fn wake(&mut self, now: WallTime, frontiers: &[(AgentId, Option<WallTime>)]) -> Option<Cause> {
        for (agent, through) in frontiers {
            if let Some(through) = through {
                self.live.frontier(agent, *through);
            }
        }
        while let Some((_, switch)) = self.ahead.pop_if(|(heard, _)| *heard <= now) {
            self.live.switch(&switch);
        }
        self.live.advance(now);
        let judged = self.slot.slot_of(now.minus(self.grace));
        let (from, to) = (self.slot.start_of(judged.plus(-1)), self.slot.start_of(judged));
        let said = self.live.timeline(from, to);
        for segment in &said {
            self.cover.say(segment);
        }
        said.last().map(|s| s.cause)
    }

    pub(crate) fn observe(&mut self, agent: &AgentId, m: &Measurement, arrived: WallTime) {
        self.live.observe(agent, m, arrived);
    }

    /// Lets time pass until everything before the end was judged, and answers what was said.
    pub(crate) fn finish(
        mut self,
        (from, to): (WallTime, WallTime),
        frontiers: &[(AgentId, Option<WallTime>)],
    ) -> Vec<ReplaySegment> {
        self.run_until(to.plus(self.grace), frontiers);
        self.cover.between(from, to)
    }
}

fn micros(m: Millis) -> i64 {
    i64::try_from(m.0.saturating_mul(1000)).unwrap_or(i64::MAX)
}
