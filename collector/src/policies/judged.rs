//! What did one policy say, episode by episode?

use std::collections::BTreeMap;

use uitwijk_judge::{Cause, EpisodeId, Execution, Need, Revision};
use uitwijk_model::{ServiceId, WallTime};

/// A stretch of event time, from (included) to (excluded).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// First moment.
    pub from: WallTime,
    /// First moment after it.
    pub to: WallTime,
}

impl Stretch {
    /// Its length in milliseconds, 0 when it ends before it begins.
    #[must_use]
    pub fn ms(self) -> u64 {
        u64::try_from(self.to.micros_since(self.from)).unwrap_or(0) / 1000
    }

    /// What it has in common with another.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }
    }
}

/// An episode as one policy has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Its name.
    pub episode: EpisodeId,
    /// Its service.
    pub service: ServiceId,
    /// Its start.
    pub from: WallTime,
    /// Its end, absent while it is open.
    pub to: Option<WallTime>,
    /// Was a failover needed?
    pub need: Need,
    /// Why?
    pub cause: Cause,
    /// Was it done?
    pub execution: Execution,
}

impl Judged {
    /// What it covers of a stretch; an open episode goes on to its end.
    #[must_use]
    pub fn within(&self, stretch: Stretch) -> Stretch {
        Stretch { from: self.from, to: self.to.unwrap_or(stretch.to) }.within(stretch)
    }
}

impl From<&Revision> for Judged {
    fn from(r: &Revision) -> Self {
        Self {
            episode: r.episode.clone(),
            service: r.service.clone(),
            from: r.from,
            to: r.to,
            need: r.need,
            cause: r.cause,
            execution: r.execution,
        }
    }
}

/// The latest revision of each episode, as it is known after some revisions.
#[derive(Debug, Clone, Default)]
pub struct Ledger(BTreeMap<EpisodeId, (u32, Judged)>);

impl Ledger {
    /// Takes a revision in; an earlier one than is known changes nothing.
    pub fn take(&mut self, revision: &Revision) {
        let newer = self.0.get(&revision.episode).is_none_or(|(number, _)| *number < revision.revision);
        if newer {
            self.0.insert(revision.episode.clone(), (revision.revision, revision.into()));
        }
    }

    /// How many episodes are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The episodes that are worth a verdict and touch a stretch, by service and time. One that was withdrawn is healthy, and no
    /// switch made it worth telling.
    #[must_use]
    pub fn episodes(&self, stretch: Stretch) -> Vec<Judged> {
        let tells = |j: &&Judged| j.cause != Cause::Healthy || j.execution != Execution::None;
        let touches = |j: &&Judged| j.within(stretch).ms() > 0;
        let mut all: Vec<Judged> = self.0.values().map(|(_, j)| j).filter(tells).filter(touches).cloned().collect();
        all.sort_by(|a, b| (&a.service, a.from, &a.episode).cmp(&(&b.service, b.from, &b.episode)));
        all
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn at(minute: i64) -> WallTime {
        WallTime::from_millis(1_772_438_400_000 + minute * 60_000)
    }

    pub(crate) fn minutes(from: i64, to: i64) -> Stretch {
        Stretch { from: at(from), to: at(to) }
    }

    /// An episode of `exchange`, in minutes; missed when it was needed.
    pub(crate) fn episode(from: i64, to: i64, cause: Cause) -> Judged {
        let service = ServiceId::new("exchange").unwrap();
        let execution = if cause.need() == Need::Needed { Execution::Missed } else { Execution::None };
        let episode = EpisodeId::new(&service, at(from));
        Judged { episode, service, from: at(from), to: Some(at(to)), need: cause.need(), cause, execution }
    }

    #[test]
    fn an_open_episode_goes_on_to_the_end_and_no_stretch_is_negative() {
        let open = Judged { to: None, ..episode(10, 20, Cause::RegionDown) };
        assert_eq!(open.within(minutes(0, 60)), minutes(10, 60));
        assert_eq!(open.within(minutes(0, 5)).ms(), 0);
        assert_eq!(minutes(0, 2).ms(), 120_000);
    }
}
