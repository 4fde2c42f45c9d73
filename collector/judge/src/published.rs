//! What was published last about an episode, and is there anything new to say about it?

use uitwijk_model::WallTime;

use crate::episode::Episode;
use crate::topology::Topology;
use crate::verdict::{Cause, EpisodeId, Execution, RevisionKind};

/// What was published last about an episode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) id: EpisodeId,
    pub(crate) number: u32,
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) open: bool,
    pub(crate) cause: Cause,
    pub(crate) execution: Execution,
    pub(crate) last: RevisionKind,
    pub(crate) decided: WallTime,
    /// The first slot that was not judged then.
    pub(crate) judged_to: i64,
}

impl Published {
    pub(crate) fn is_final(&self) -> bool {
        self.last != RevisionKind::Provisional
    }

    /// Whether an episode tells something else than was published.
    pub(crate) fn differs(&self, e: &Episode) -> bool {
        (self.cause, self.execution, self.open) != (e.cause, e.execution, e.open)
    }
}

/// Whether an episode says something that was not published. Bounds alone are news once the answer was final.
pub(crate) fn is_news(before: Option<&Published>, e: &Episode, settled: bool) -> bool {
    let Some(p) = before else { return true };
    let moved = (p.from, p.to) != (e.from.min(p.from), e.to);
    if p.is_final() { settled && (p.differs(e) || moved) } else { settled || p.differs(e) }
}

/// The published episode that an episode goes on from: it overlaps, and its start is nearest; of equals the first.
pub(crate) fn best_match(published: &[Published], taken: &[bool], e: &Episode) -> Option<usize> {
    let overlaps = |p: &Published| p.from < e.to && e.from < p.to.max(p.from + 1);
    let free = published.iter().enumerate().filter(|(at, p)| taken.get(*at) == Some(&false) && overlaps(p));
    free.min_by_key(|(at, p)| ((p.from - e.from).abs(), *at)).map(|(at, _)| at)
}

/// The published episode that an episode goes on from when evidence begins with it: the newest that had no end when what was seen
/// before was let go.
pub(crate) fn open_before(published: &[Published], taken: &[bool], e: &Episode) -> Option<usize> {
    let free = published.iter().enumerate().filter(|(at, _)| taken.get(*at) == Some(&false));
    free.filter(|(_, p)| p.open && !p.is_final() && p.to <= e.from).max_by_key(|(_, p)| p.from).map(|(at, _)| at)
}

/// What is left of an episode that turned out not to be one.
pub(crate) fn withdrawn(topology: &Topology, p: &Published) -> Episode {
    Episode {
        from: p.from,
        to: p.to,
        open: false,
        cause: Cause::Healthy,
        execution: Execution::None,
        active: topology.active,
        zone: None,
        switch: None,
        reports: Vec::new(),
        confirmed: None,
        causes: vec![(p.from, Cause::Healthy)],
        counts: Vec::new(),
        doubts: Vec::new(),
        clocks: Vec::new(),
        sum_before: 0,
        sum: 0,
    }
}
