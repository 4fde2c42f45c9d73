//! What was a service judged to be, from the first slot to the last?

use uitwijk_model::{Slot, WallTime};

use crate::episode::{Episode, episodes};
use crate::evidence::Evidence;
use crate::report;
use crate::scan::Scan;
use crate::topology::Topology;
use crate::trace::Run;
use crate::verdict::{Cause, EpisodeId, Execution, Revision, RevisionKind, Segment};

/// The answer to all evidence at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    /// Adjacent, from the first slot with evidence to the horizon.
    pub segments: Vec<Segment>,
    /// One final revision per episode, in order.
    pub episodes: Vec<Revision>,
}

/// Judges all evidence up to a moment. Equal evidence gives equal answers, however it came together.
#[must_use]
pub fn judge(topology: &Topology, evidence: &Evidence, horizon: WallTime) -> Timeline {
    let end = topology.slot.slot_of(horizon).0;
    let Some(start) = evidence.first_slot(i64::MIN / 4).filter(|&first| first < end) else {
        return Timeline { segments: Vec::new(), episodes: Vec::new() };
    };
    let mut scan = Scan::once(topology, start);
    scan.run_to(topology, evidence, end);
    timeline_of(topology, evidence, &scan, horizon)
}

/// What one pass over the evidence says.
pub(crate) fn timeline_of(topology: &Topology, evidence: &Evidence, scan: &Scan, decided: WallTime) -> Timeline {
    let runs = scan.runs(topology, evidence);
    let all = episodes(topology, &runs, &scan.trace.notes, scan.state.next);
    let name = |e: &Episode| (EpisodeId::new(&topology.service, topology.slot.start_of(Slot(e.from))), 1);
    let revision = |e: &Episode| {
        let (id, kind) = (name(e).0, RevisionKind::Final);
        let stamp = report::Stamp { id, number: 1, kind, decided, complete: true, since: None };
        report::revision(topology, e, stamp)
    };
    Timeline {
        segments: segments(topology, &runs, &all, &|e| Some(name(e))),
        episodes: all.iter().map(revision).collect(),
    }
}

/// Runs as segments, with the episodes that they belong to. Healthy neighbours are joined.
pub(crate) fn segments(
    topology: &Topology,
    runs: &[Run],
    all: &[Episode],
    name: &dyn Fn(&Episode) -> Option<(EpisodeId, u32)>,
) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for run in runs.iter().filter(|r| r.to > r.from) {
        let at = all.partition_point(|e| e.to <= run.from);
        let episode = all.get(at).filter(|e| e.from <= run.from && run.to <= e.to && run.tells());
        let named = episode.and_then(name);
        let segment = Segment {
            from: topology.slot.start_of(Slot(run.from)),
            to: topology.slot.start_of(Slot(run.to)),
            need: run.cause.need(),
            cause: run.cause,
            execution: episode.map_or(Execution::None, |e| e.execution),
            revision: named.as_ref().map_or(0, |(_, number)| *number),
            episode: named.map(|(id, _)| id),
            served_region: topology.regions.get(run.active).cloned(),
        };
        match segments.last_mut() {
            Some(last) if joins(last, &segment) => last.to = segment.to,
            _ => segments.push(segment),
        }
    }
    segments
}

fn joins(last: &Segment, next: &Segment) -> bool {
    let same = |s: &Segment| (s.cause, s.execution, s.episode.clone(), s.served_region.clone());
    debug_assert!(last.to == next.from || next.cause == Cause::Healthy || last.to <= next.from);
    same(last) == same(next) && last.to == next.from
}
