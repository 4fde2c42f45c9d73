//! What is new about the episodes, and is it worth a revision?

use uitwijk_model::{Slot, WallTime};

use super::{Ends, Live, PUBLISHED_MAX};
use crate::episode::{Episode, episodes};
use crate::published::{Published, best_match, is_news, open_before, withdrawn};
use crate::report;
use crate::scan::Scan;
use crate::since::{Answer, Since};
use crate::verdict::{Cause, EpisodeId, Execution, Need, Revision, RevisionKind};

/// What is said of an episode now, and of which published one it is the successor.
pub(super) struct Saying {
    at: Option<usize>,
    episode: Episode,
    /// Nothing that may still arrive can change it.
    is_final: bool,
    /// Every slot of it is in.
    is_complete: bool,
}

impl Live {
    /// Publishes what is new about the episodes that slots from one on have a part in.
    pub(super) fn publish(&mut self, now: WallTime, changed_from: i64, ends: Ends) -> Vec<Revision> {
        // Counting through the whole tail is dear and only needed for what is said; in most slots nothing is.
        if !self.has_news(changed_from, ends) {
            return Vec::new();
        }
        let revisions: Vec<Revision> =
            self.sayings(changed_from, ends, true).iter().filter_map(|saying| self.say(saying, now)).collect();
        self.published.sort_by(|a, b| (a.from, &a.id).cmp(&(b.from, &b.id)));
        revisions
    }

    /// Whether there is anything to say that was not published.
    pub(super) fn has_news(&self, changed_from: i64, ends: Ends) -> bool {
        let is_quiet = |scan: &Scan| {
            let open = self.published.iter().any(|p| !p.is_final());
            !open && scan.state.is_quiet() && changed_from + self.topology.reach() >= scan.state.next
        };
        if self.scan.as_ref().is_none_or(is_quiet) {
            return false;
        }
        let before = |saying: &Saying| saying.at.map(|at| &self.published[at]);
        self.sayings(changed_from, ends, false).iter().any(|s| is_news(before(s), &s.episode, s.is_final))
    }

    /// What is said now. Without counts it is the same but for what it rests on.
    fn sayings(&self, changed_from: i64, ends: Ends, counted: bool) -> Vec<Saying> {
        let Some(scan) = &self.scan else { return Vec::new() };
        let open = self.published.iter().filter(|p| !p.is_final()).map(|p| p.from).min();
        let tail = scan.state.tail_start(scan.state.next);
        let since = open.unwrap_or(tail).min(tail).min(changed_from.saturating_sub(self.topology.reach()));
        let runs = scan.runs_since(&self.topology, counted.then_some(&self.evidence), since);
        let all = episodes(&self.topology, &runs, &scan.trace.notes, scan.state.next);
        let since = runs.first().map_or(since, |r| r.from.min(since)).max(scan.state.start);
        let certain = scan.settled_at(ends.settled);
        let grace = self.topology.spans.switch_grace;
        let is_final = |e: &Episode| {
            let crossed = e.need() != Need::Needed || e.execution == Execution::Executed || e.to + grace < certain;
            !e.open && e.to < certain && crossed
        };
        let mut matched = vec![false; self.published.len()];
        let mut sayings = Vec::new();
        for episode in all {
            let at = self.published_of(&matched, &episode);
            if let Some(at) = at {
                matched[at] = true;
            }
            let (is_final, is_complete) = (is_final(&episode), episode.to < ends.complete);
            sayings.push(Saying { at, episode, is_final, is_complete });
        }
        let left = self.published.iter().enumerate().filter(|(at, _)| !matched[*at]);
        let gone =
            left.filter(|(_, p)| p.to > since && p.from >= since && (p.cause != Cause::Healthy || !p.is_final()));
        sayings.extend(gone.map(|(at, p)| Saying {
            at: Some(at),
            episode: withdrawn(&self.topology, p),
            is_final: p.to < certain,
            is_complete: p.to < ends.complete,
        }));
        sayings
    }

    /// The published episode that an episode goes on from, if that is not taken.
    pub(super) fn published_of(&self, taken: &[bool], e: &Episode) -> Option<usize> {
        let found = best_match(&self.published, taken, e);
        found.or_else(|| self.begins_with(e).then(|| open_before(&self.published, taken, e)).flatten())
    }

    /// Whether an episode begins where this pass does: evidence from before it is gone. It may be seen one window late.
    fn begins_with(&self, e: &Episode) -> bool {
        let scanned = self.scan.as_ref().map_or(i64::MIN, |s| s.state.start);
        e.from <= scanned.saturating_add(self.topology.spans.hard_window)
    }

    /// Publishes what is new about an episode, if anything is.
    fn say(&mut self, saying: &Saying, now: WallTime) -> Option<Revision> {
        let Saying { at, episode: e, is_final: settled, is_complete: complete } = saying;
        let (at, settled, complete) = (*at, *settled, *complete);
        let before = at.map(|at| &self.published[at]);
        if !is_news(before, e, settled) {
            return None;
        }
        let was_final = before.is_some_and(Published::is_final);
        let kind = match (was_final, settled) {
            (true, _) => RevisionKind::Revised,
            (false, true) => RevisionKind::Final,
            (false, false) => RevisionKind::Provisional,
        };
        let start = self.topology.slot.start_of(Slot(e.from));
        let id = before.map_or_else(|| self.fresh_id(start), |p| p.id.clone());
        let number = before.map_or(1, |p| p.number + 1);
        // What was seen of the start before this pass still holds.
        let scanned = self.scan.as_ref().map_or(i64::MIN, |s| s.state.start);
        let mut told = e.clone();
        if let Some(p) = before.filter(|p| p.from < scanned && self.begins_with(e)) {
            told.from = p.from;
        }
        let since = before.map(|p| self.since(p, e));
        let stamp = report::Stamp { id: id.clone(), number, kind, decided: now, complete, since };
        let revision = report::revision(&self.topology, &told, stamp);
        let entry = Published {
            id,
            number,
            from: told.from,
            to: e.to,
            open: e.open,
            cause: e.cause,
            execution: e.execution,
            last: kind,
            decided: now,
            judged_to: self.judged_to(),
        };
        match at {
            Some(at) => self.published[at] = entry,
            None => self.published.push(entry),
        }
        Some(revision)
    }

    /// What came in since a revision, as far as it is in the reach of its episode.
    fn since(&self, p: &Published, e: &Episode) -> Since {
        let lead_in = self.topology.spans.soft_window.saturating_add(self.topology.spans.trust_hold);
        let from = p.from.min(e.from).saturating_sub(lead_in);
        let to = p.to.max(e.to).saturating_add(self.topology.reach());
        let ((arrivals, arrivals_more), (cells, cells_more)) =
            self.journal.since(&self.topology, p.decided, (from, to));
        let judged_to = self.judged_to();
        Since {
            decided: p.decided,
            before: Answer { need: p.cause.need(), cause: p.cause, execution: p.execution },
            judged_from: Slot(p.judged_to.min(judged_to)),
            judged_to: Slot(judged_to),
            arrivals,
            arrivals_more,
            cells,
            cells_more,
        }
    }

    /// A name that no episode has yet: a second one that was first seen to start at the same moment gets a number.
    fn fresh_id(&self, start: WallTime) -> EpisodeId {
        let plain = EpisodeId::new(&self.topology.service, start);
        let taken = |id: &EpisodeId| self.published.iter().any(|p| p.id == *id);
        let mut id = plain.clone();
        for n in 2..=PUBLISHED_MAX + 2 {
            if !taken(&id) {
                break;
            }
            id = EpisodeId(format!("{plain}/{n}"));
        }
        id
    }
}
