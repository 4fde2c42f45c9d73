//! Which labels can still change, and what becomes of those that cannot?

use super::{Mode, State};
use crate::evidence::{Cell, Evidence};
use crate::maintenance;
use crate::topology::Topology;
use crate::trace::{Label, Run, Trace, farthest};
use crate::trust::Doubt;
use crate::verdict::Cause;

impl State {
    pub(super) fn push_label(&mut self, topology: &Topology, raw: &[Doubt], weights: &[u32], slot: i64, row: &[Cell]) {
        let active = self.serving.active;
        let window = maintenance::quiet(topology, slot, active);
        let zone = self.serving.zone_out(active).map(|(zone, _)| zone);
        self.tail.push_back(Label {
            calm: self.calm.0,
            impact: None,
            mild: false,
            unknown: None,
            window,
            switched: false,
            active,
            zone,
        });
        for (v, doubt) in raw.iter().enumerate() {
            let held = weights[v] == 0 && matches!(doubt, Doubt::None | Doubt::Suspect);
            self.doubts.push_back(if held { Doubt::Held } else { *doubt } as u8);
        }
        let before = self.sums.back().copied().unwrap_or(0);
        self.sums.push_back(before.wrapping_add(row_hash(slot, row)));
        let keep = topology.reach().saturating_add(topology.spans.soft_window).saturating_add(2);
        while self.sums.len() > usize::try_from(keep).unwrap_or(usize::MAX) {
            self.sums.pop_front();
        }
    }

    /// Moves labels that can no longer change into runs.
    pub(super) fn settle(&mut self, topology: &Topology, evidence: &Evidence, trace: &mut Trace, row: &mut Vec<Cell>) {
        let reach = usize::try_from(topology.reach()).unwrap_or(usize::MAX);
        while self.tail.len() > reach {
            let slot = self.tail_start(self.next);
            let Some(label) = self.tail.pop_front() else { return };
            let mut run = match self.run.take() {
                Some(run) if run.continues(&label) => run,
                old => {
                    trace.runs.extend(old);
                    Run::new(Some(topology), slot, &label, self.sum_before(topology, slot))
                }
            };
            self.extend(Some(evidence), &mut run, slot, 0, row);
            self.doubts.drain(..topology.agents.len());
            self.run = Some(run);
        }
    }

    /// Adds a slot of the tail, the `at`th, to a run.
    pub(super) fn extend(&self, evidence: Option<&Evidence>, run: &mut Run, slot: i64, at: usize, row: &mut Vec<Cell>) {
        if let Some(evidence) = evidence.filter(|_| run.tells()) {
            let agents = run.doubts.len();
            let row = evidence.read(slot, row);
            run.tally(row, self.doubts.iter().copied().skip(at * agents).take(agents));
            if evidence.any_clock_off() {
                let clocks: Vec<i64> = (0..agents).map(|v| evidence.clock_seconds(v, slot)).collect();
                farthest(&mut run.clocks, &clocks);
            }
        }
        (run.to, run.sum) = (slot + 1, self.sum_at(slot));
    }

    /// All runs from the settled one that is still open to the last slot that was judged; without evidence nothing is
    /// counted in them.
    pub(crate) fn open_runs(&self, topology: &Topology, evidence: Option<&Evidence>) -> Vec<Run> {
        let settled = self.run.iter();
        let mut runs: Vec<Run> = match evidence {
            Some(_) => settled.cloned().collect(),
            None => settled.map(Run::bare).collect(),
        };
        let counting = evidence.map(|_| topology);
        let (start, mut row) = (self.tail_start(self.next), Vec::new());
        for (at, (slot, label)) in (start..).zip(&self.tail).enumerate() {
            if !runs.last().is_some_and(|r| r.continues(label)) {
                runs.push(Run::new(counting, slot, label, self.sum_before(topology, slot)));
            }
            if let Some(run) = runs.last_mut() {
                self.extend(evidence, run, slot, at, &mut row);
            }
        }
        runs
    }

    /// Whether nothing is known of any window, and the whole tail says so: more of the same changes nothing.
    pub(crate) fn is_void(&self, topology: &Topology) -> bool {
        let (reach, sums) = (topology.reach(), topology.reach() + topology.spans.soft_window + 2);
        let full = |len: usize, of: i64| i64::try_from(len).unwrap_or(i64::MAX) >= of;
        let empty = |l: &Label| l.unknown == Some(Cause::NoData) && !l.switched && !l.window;
        self.unknown_since.is_some()
            && full(self.tail.len(), reach)
            && full(self.sums.len(), sums)
            && self.sums.front() == self.sums.back()
            && self.soft.iter().all(|c| c.n == 0)
            && matches!(self.mode, Mode::Calm)
            && self.tail.iter().all(empty)
    }

    /// Goes on as if every slot up to one, or to the next window, were as void as those of the tail.
    pub(crate) fn skip_to(&mut self, topology: &Topology, slot: i64) {
        let edges = topology.windows.iter().flat_map(|w| [w.from, w.to]).filter(|&edge| edge >= self.next);
        let slot = edges.min().unwrap_or(slot).min(slot);
        let reach = i64::try_from(self.tail.len()).unwrap_or(0);
        if slot <= self.next + reach {
            return;
        }
        let skipped = u32::try_from(slot - self.next).unwrap_or(u32::MAX);
        self.next = slot;
        if let Some(run) = &mut self.run {
            run.to = slot - reach;
            for doubts in &mut run.doubts {
                let silent = &mut doubts[Doubt::Silent as usize];
                *silent = silent.saturating_add(skipped);
            }
        }
    }

    /// Whether anything but quiet time is in what may still change.
    pub(crate) fn is_quiet(&self) -> bool {
        let healthy = |l: &Label| matches!(l.answer(), (Cause::Healthy, _) | (_, true)) && !l.switched;
        matches!(self.mode, Mode::Calm) && self.run.as_ref().is_none_or(|r| !r.tells()) && self.tail.iter().all(healthy)
    }

    /// The first slot whose label may still change by what comes next, but for what [`Self::rising_since`] tells. A switch
    /// or a run of trouble that shows later is dated back at most to the first slot of its window that hints at it.
    pub(crate) fn unsettled_from(&self, topology: &Topology) -> i64 {
        let spans = &topology.spans;
        let open = match &self.mode {
            Mode::Calm => self.next,
            // A clear stretch that goes on from before its onset is dated back with it.
            Mode::Pending(p) => p.good_from.map_or(p.onset, |good| good.min(p.onset)),
            Mode::Impact(i) => i.good_from.or(i.turning.map(|(_, since)| since)).unwrap_or(self.next),
        };
        let watched = self.watched.as_ref().map_or(self.next, |w| w.onset);
        let unknown = self.unknown_since.unwrap_or(self.next);
        let turning = self.turning.map_or(self.next, |(_, since)| since);
        let missing = self.heard.iter().map(|last| last + 1).filter(|&since| self.next - since < spans.soft_window);
        let zone = if self.calm.0 == Cause::ZoneAbsorbed { None } else { self.serving.zone_missing() };
        let window = self.next - spans.hard_window;
        let zone = zone.unwrap_or(self.next);
        let reported = self.reported.as_ref().map_or(self.next, |r| r.slot - spans.soft_window);
        let hints = [open, watched, unknown, turning, zone, self.first_hint(topology), window, reported];
        hints.into_iter().chain(missing).min().unwrap_or(window)
    }

    /// The first slot that answers which get slower could be dated back to.
    pub(crate) fn rising_since(&self, topology: &Topology) -> Option<i64> {
        self.drift.rising_since(topology, self.next)
    }

    /// Since when answers are slower than they used to be.
    pub(crate) const fn slower_since(&self) -> Option<i64> {
        self.drift.since
    }

    /// The first slot of the open windows in which users were hurt at all.
    pub(super) fn first_hint(&self, topology: &Topology) -> i64 {
        let endpoints = topology.endpoints.len().max(1);
        let rows = self.pooled.len() / endpoints;
        let slot = |i: usize| self.next - i64::try_from(rows - i / endpoints).unwrap_or(0);
        self.pooled.first_hurt(|i| slot(i) >= self.entry_since).map_or(self.next, slot)
    }

    pub(super) fn sum_at(&self, slot: i64) -> u128 {
        let back = usize::try_from(self.next - 1 - slot).unwrap_or(usize::MAX);
        self.sums.len().checked_sub(back.saturating_add(1)).and_then(|i| self.sums.get(i)).copied().unwrap_or(0)
    }

    pub(super) fn sum_before(&self, topology: &Topology, slot: i64) -> u128 {
        self.sum_at(slot - topology.spans.soft_window - 1)
    }
}

/// A hash of one row that tells slots, places and contents apart; the sum over rows names a stretch of evidence.
fn row_hash(slot: i64, row: &[Cell]) -> u128 {
    if row.iter().all(|&c| c == Cell::EMPTY) {
        return 0;
    }
    let mix = |h: u64, x: u64| (h ^ x).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let seed = slot.cast_unsigned();
    let (mut a, mut b) = (mix(0xcbf2_9ce4_8422_2325, seed), mix(0x6c62_272e_07bb_0142, seed.rotate_left(17)));
    for cell in row {
        let bits = cell.bits();
        (a, b) = (mix(a, bits), mix(b, bits.rotate_left(23).wrapping_add(a)));
    }
    u128::from(mix(a, seed)) << 64 | u128::from(mix(b, !seed))
}
