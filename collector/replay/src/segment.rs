//! What does a replay say about a stretch of time?

use serde::ser::{Serialize, SerializeStruct, Serializer};
use uitwijk_judge::{Cause, EpisodeId, Execution, Need, Segment};
use uitwijk_model::{ServiceId, WallTime};

/// Which of the two answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Track {
    /// What was published at that time about that time.
    Live,
    /// What is said once everything is in.
    Final,
}

impl Track {
    /// The word as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Final => "final",
        }
    }
}

/// A stretch with one answer. Those of a service and track are adjacent and cover the whole stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplaySegment {
    /// The service.
    pub service: ServiceId,
    /// The track.
    pub track: Track,
    /// First moment.
    pub from: WallTime,
    /// First moment after it.
    pub to: WallTime,
    /// Was a failover needed?
    pub need: Need,
    /// Why?
    pub cause: Cause,
    /// Was it done?
    pub executed: Execution,
    /// The episode that tells more.
    pub episode: Option<EpisodeId>,
    /// The revision of the episode, 0 without one.
    pub revision: u32,
    /// The policy that it was judged by.
    pub policy: String,
}

/// A need as it is written in scenarios and segments.
#[must_use]
pub const fn need_word(need: Need) -> &'static str {
    match need {
        Need::NotNeeded => "NOT_NEEDED",
        Need::Needed => "NEEDED",
        Need::Futile => "FUTILE",
        Need::Inconclusive => "INCONCLUSIVE",
    }
}

impl Serialize for ReplaySegment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_struct("segment", 10)?;
        line.serialize_field("service", self.service.as_str())?;
        line.serialize_field("track", self.track.as_str())?;
        line.serialize_field("from_ms", &self.from.as_millis())?;
        line.serialize_field("to_ms", &self.to.as_millis())?;
        line.serialize_field("need", need_word(self.need))?;
        line.serialize_field("cause", self.cause.label())?;
        line.serialize_field("executed", self.executed.label())?;
        line.serialize_field("episode", &self.episode.as_ref().map(EpisodeId::as_str))?;
        line.serialize_field("revision", &self.revision)?;
        line.serialize_field("policy", &self.policy)?;
        line.end()
    }
}

/// Adjacent segments, put together from what was said piece by piece; what nobody said anything about is no data.
#[derive(Debug)]
pub(crate) struct Cover {
    service: ServiceId,
    track: Track,
    policy: String,
    said: Vec<ReplaySegment>,
}

impl Cover {
    pub(crate) const fn new(service: ServiceId, track: Track, policy: String) -> Self {
        Self { service, track, policy, said: Vec::new() }
    }

    /// Adds what was said about a stretch that lies after all before it; an overlap is cut off.
    pub(crate) fn say(&mut self, s: &Segment) {
        let next = ReplaySegment {
            service: self.service.clone(),
            track: self.track,
            from: self.said.last().map_or(s.from, |last| last.to.max(s.from)),
            to: s.to,
            need: s.need,
            cause: s.cause,
            executed: s.execution,
            episode: s.episode.clone(),
            revision: s.revision,
            policy: self.policy.clone(),
        };
        self.push(next);
    }

    fn push(&mut self, next: ReplaySegment) {
        if next.from >= next.to {
            return;
        }
        match self.said.last_mut() {
            Some(last) if last.to == next.from && same(last, &next) => last.to = next.to,
            _ => self.said.push(next),
        }
    }

    fn unsaid(&self, from: WallTime, to: WallTime) -> ReplaySegment {
        ReplaySegment {
            service: self.service.clone(),
            track: self.track,
            from,
            to,
            need: Need::Inconclusive,
            cause: Cause::NoData,
            executed: Execution::None,
            episode: None,
            revision: 0,
            policy: self.policy.clone(),
        }
    }

    /// What was said from one moment to another, without gaps.
    pub(crate) fn between(self, from: WallTime, to: WallTime) -> Vec<ReplaySegment> {
        let mut whole = Self { said: Vec::new(), ..Self::new(self.service.clone(), self.track, self.policy.clone()) };
        let mut at = from;
        for s in &self.said {
            let (start, end) = (s.from.max(from), s.to.min(to));
            if start < end {
                whole.push(whole.unsaid(at, start));
                whole.push(ReplaySegment { from: start, to: end, ..s.clone() });
                at = end;
            }
        }
        whole.push(whole.unsaid(at, to));
        whole.said
    }
}

fn same(a: &ReplaySegment, b: &ReplaySegment) -> bool {
    (a.need, a.cause, a.executed, a.revision) == (b.need, b.cause, b.executed, b.revision) && a.episode == b.episode
}
