//! When does trouble begin to count, who is to blame while it lasts, and when is it over?
//!
//! The runs that confirm an impact are measured from its onset to its last bad slot, not from the slot in which a window
//! first says so: the floor of the delay is then the agreed duration itself, and an outage that is too short stays so.

use super::{Impact, Lasting, Mode, Pending, State, echo, is_entry};
use crate::blame::Question;
use crate::evidence::Evidence;
use crate::maintenance;
use crate::reading::{Level, Reading, affects};
use crate::share::{good_stretch, share, threshold, well_above, worst_stretch};
use crate::topology::{EndpointIx, Topology};
use crate::trace::{Note, NoteKind, Trace};
use crate::trust::Court;
use crate::verdict::Cause;
use uitwijk_model::Ratio;

impl State {
    pub(super) fn while_calm(&mut self, topology: &Topology, reading: &Reading, slot: i64) -> Option<i64> {
        if reading.level < Level::Slow && reading.clear {
            return None;
        }
        let onset = self.onset(topology, reading, slot);
        let settling = onset < self.settling_until;
        let pending = Pending {
            onset,
            hard: None,
            soft: None,
            lasting_hard: None,
            lasting_soft: None,
            good_from: None,
            notable: false,
            mild: true,
            settling,
        };
        self.mode = Mode::Pending(self.hurt(topology, reading, pending, slot));
        None
    }

    /// Where the trouble that shows now began.
    pub(super) fn onset(&self, topology: &Topology, reading: &Reading, slot: i64) -> i64 {
        let (policy, spans) = (&topology.policy, &topology.spans);
        let (ratio, slots, slow) = match reading.level {
            Level::Hard => (policy.hard_share, spans.hard_window, false),
            Level::Slow => (policy.slow_share, spans.soft_window, true),
            Level::Soft => (policy.soft_share, spans.soft_window, false),
            _ => (policy.soft_share, spans.hard_window, false),
        };
        let since = |bad: &[EndpointIx]| {
            let series = self.newest_first(topology, bad, slow, slots, slot);
            slot + 1 - worst_stretch(series.into_iter(), ratio).max(1)
        };
        // An endpoint that was bad for longer, and carries too little by itself, does not date the others back.
        let mut each: Vec<(i64, EndpointIx)> = reading.bad.iter().map(|&e| (since(&[e]), e)).collect();
        each.sort_unstable();
        let mut bad = Vec::new();
        for (onset, e) in each {
            bad.push(e);
            if affects(topology, &bad) {
                return onset;
            }
        }
        since(&reading.bad)
    }

    /// Follows the runs of a pending impact.
    pub(super) fn hurt(&self, topology: &Topology, reading: &Reading, mut p: Pending, slot: i64) -> Pending {
        let here = self.onset(topology, reading, slot);
        p.hard = (reading.level == Level::Hard).then(|| p.hard.unwrap_or(here));
        p.soft = (reading.level >= Level::Slow).then(|| p.soft.unwrap_or(here));
        let (is_hard, is_soft) = (reading.level == Level::Hard, reading.level >= Level::Soft);
        let hard = reading.near_hard.then_some((p.lasting_hard.take(), is_hard));
        p.lasting_hard = hard.and_then(|(before, begins)| self.lasting(topology, reading, before, begins, here, slot));
        let soft = reading.near_soft.then_some((p.lasting_soft.take(), is_soft));
        p.lasting_soft = soft.and_then(|(before, begins)| self.lasting(topology, reading, before, begins, here, slot));
        p.onset = p.onset.min(p.hard.unwrap_or(p.onset)).min(p.soft.unwrap_or(p.onset));
        let long = (slot - p.onset) * 2 >= topology.spans.hard_window;
        p.notable |= reading.level >= Level::Slow || (long && self.is_burst(topology, reading, slot));
        p.mild &= reading.mild;
        p.good_from = self.good_from(topology, reading, p.good_from, slot);
        p
    }

    /// Whether the last hard window is worse than a small share of failures or slowness makes it by chance.
    fn is_burst(&self, topology: &Topology, reading: &Reading, slot: i64) -> bool {
        let above = |slow, ratio| {
            let series = self.newest_first(topology, &reading.bad, slow, topology.spans.hard_window, slot);
            let (bad, n) = series.into_iter().fold((0, 0), |(b, n), (bad, all)| (b + bad, n + all));
            well_above(bad / 2, n / 2, ratio)
        };
        above(false, topology.policy.soft_share) || above(true, topology.policy.slow_share)
    }

    /// Goes on counting a run that pauses now and then, or begins one.
    fn lasting(
        &self,
        topology: &Topology,
        reading: &Reading,
        before: Option<Lasting>,
        begins: bool,
        here: i64,
        slot: i64,
    ) -> Option<Lasting> {
        let begin = || begins.then(|| Lasting { from: here, endpoints: reading.bad.clone(), bad: 0, n: 0 });
        let slots = if before.is_some() { 1 } else { slot - here + 1 };
        let mut run = before.or_else(begin)?;
        for (bad, n) in self.newest_first(topology, &run.endpoints, false, slots, slot) {
            (run.bad, run.n) = (run.bad + bad, run.n + n);
        }
        Some(run)
    }

    /// Where a clear stretch began, if this slot is clear.
    pub(super) fn good_from(
        &self,
        topology: &Topology,
        reading: &Reading,
        before: Option<i64>,
        slot: i64,
    ) -> Option<i64> {
        if !reading.clear {
            return None;
        }
        before.or_else(|| {
            let (policy, span) = (&topology.policy, topology.spans.hard_window);
            let failed = self.newest_first(topology, &[], false, span, slot);
            let slow = self.newest_first(topology, &[], true, span, slot);
            let failed = good_stretch(failed.into_iter(), policy.soft_share);
            let slow = good_stretch(slow.into_iter(), policy.slow_share);
            Some(slot + 1 - failed.min(slow).max(1))
        })
    }

    #[expect(clippy::too_many_arguments, reason = "one arm of `judge`, with all that it looks at")]
    pub(super) fn while_pending(
        &mut self,
        topology: &Topology,
        evidence: &Evidence,
        trace: &mut Trace,
        courts: (&Court<'_>, &Court<'_>),
        reading: &Reading,
        pending: Pending,
        slot: i64,
    ) -> Option<i64> {
        let p = self.hurt(topology, reading, pending, slot);
        if let Some(onset) = self.confirmed(topology, reading, &p, slot) {
            trace.notes.push(Note { slot: onset, known: slot, kind: NoteKind::Confirmed { hard: p.hard.is_some() } });
            let cause = self.blame(topology, evidence, courts, reading, onset, slot);
            self.say(topology, courts.0, cause, onset, slot);
            self.mode = Mode::Impact(Impact { onset, cause, turning: None, good_from: None });
            return None;
        }
        let passed = self.passed(topology, reading, p.good_from, slot);
        if let Some(end) = passed.filter(|_| !p.mild) {
            self.well_again(end, slot);
            return Some(end);
        }
        if p.notable && !p.settling {
            let end = p.good_from.unwrap_or(slot + 1);
            self.say(topology, courts.0, Cause::Transient, p.onset, end - 1);
            self.relabel(p.onset, end - 1, |_, label| label.mild = p.mild);
            self.well_so_far(end, slot, p.mild);
        }
        if passed.is_some() {
            // What is left of something mild is looked at for as long as it lasts.
            return None;
        }
        self.mode = Mode::Pending(p);
        None
    }

    /// Whether an impact has held for long enough, and from where. The good slots at its end do not count.
    pub(super) fn confirmed(&self, topology: &Topology, reading: &Reading, p: &Pending, slot: i64) -> Option<i64> {
        let (policy, spans) = (&topology.policy, &topology.spans);
        let good = |ratio, slots, slow| {
            good_stretch(self.newest_first(topology, &reading.bad, slow, slots, slot).into_iter(), ratio)
        };
        let held = |onset: i64, good: i64, span: i64| slot - onset + 1 - good >= span;
        // Windows hold few samples: a fault well above a share falls below it for a window now and then. Such a run counts
        // when as a whole it is above the share by more than chance explains.
        let whole = |run: &Option<Lasting>, ratio: Ratio, window, span| {
            let run = run.as_ref().filter(|r| well_above(r.bad / 2, r.n / 2, ratio))?;
            held(run.from, good(ratio, window, false), span).then_some(run.from)
        };
        let hard = p.hard.filter(|&o| held(o, good(policy.hard_share, spans.hard_window, false), spans.hard_duration));
        let hard = hard.or_else(|| whole(&p.lasting_hard, policy.hard_share, spans.hard_window, spans.hard_duration));
        let soft = || whole(&p.lasting_soft, policy.soft_share, spans.soft_window, spans.soft_duration);
        // Who is slow throughout is not well when failures end.
        let well = || {
            let failing = || good(policy.soft_share, spans.soft_window, false);
            let slow = || good(policy.slow_share, spans.soft_window, true);
            match reading.level {
                Level::Slow => slow(),
                _ if reading.slow => failing().min(slow()),
                _ => failing(),
            }
        };
        hard.or_else(soft).or_else(|| p.soft.filter(|&o| held(o, well(), spans.soft_duration)))
    }

    /// Whether a clear stretch is long enough, and where it began.
    pub(super) fn passed(
        &self,
        topology: &Topology,
        reading: &Reading,
        good_from: Option<i64>,
        slot: i64,
    ) -> Option<i64> {
        let spans = &topology.spans;
        let lasted = |span: i64| good_from.filter(|&from| slot - from + 1 >= span);
        // What goes on below the policy's shares never gets as calm as that; then it takes a whole soft window.
        let long = lasted(spans.clear.max(spans.soft_window)).filter(|_| reading.level < Level::Slow);
        long.or_else(|| lasted(spans.clear).filter(|&from| self.is_calm_since(topology, from, slot)))
    }

    /// Whether a stretch as a whole shows less than half of what the policy minds. Each of its hard windows is clear, but
    /// so few samples are in one that a fault of a tenth seems to pause now and then.
    fn is_calm_since(&self, topology: &Topology, from: i64, slot: i64) -> bool {
        let policy = &topology.policy;
        let less = |slow, ratio: Ratio| {
            let series = self.newest_first(topology, &[], slow, slot - from + 1, slot);
            let (bad, n) = series.into_iter().fold((0, 0), |(b, n), (bad, all)| (b + bad, n + all));
            share(bad, n) < (threshold(ratio) / 2).max(1)
        };
        less(false, policy.soft_share) && less(true, policy.slow_share)
    }

    #[expect(clippy::too_many_arguments, reason = "one arm of `judge`, with all that it looks at")]
    pub(super) fn while_impact(
        &mut self,
        topology: &Topology,
        evidence: &Evidence,
        trace: &mut Trace,
        courts: (&Court<'_>, &Court<'_>),
        reading: &Reading,
        mut impact: Impact,
        slot: i64,
    ) -> Option<i64> {
        impact.good_from = self.good_from(topology, reading, impact.good_from, slot);
        if let Some(end) = self.passed(topology, reading, impact.good_from, slot) {
            trace.notes.push(Note { slot: end, known: slot, kind: NoteKind::Cleared });
            self.well_again(end, slot);
            return Some(end);
        }
        if !reading.clear && reading.level >= Level::Slow {
            let cause = self.blame(topology, evidence, courts, reading, impact.onset, slot);
            self.turn(topology, courts.0, &mut impact, cause, slot);
        }
        // It goes on until the clear stretch is long enough; only then is its end dated back.
        self.say(topology, courts.0, impact.cause, slot, slot);
        self.mode = Mode::Impact(impact);
        None
    }

    /// Users seem well from a slot on. What the emptying windows seem to tell meanwhile is the same trouble.
    pub(super) fn well_so_far(&mut self, from: i64, now: i64, mild: bool) {
        self.relabel(from, now, |_, label| {
            label.impact = None;
            if echo(label.calm) && !mild {
                label.calm = Cause::Healthy;
            }
        });
    }

    /// Users are well again from a slot on. What still stands now that the windows are empty was no echo.
    pub(super) fn well_again(&mut self, from: i64, now: i64) {
        if matches!(self.calm.0, Cause::MinorDegradation | Cause::EndpointFault) {
            self.calm = (Cause::Healthy, now + 1);
        }
        self.well_so_far(from, now, false);
        let (calm, since) = self.calm;
        if echo(calm) {
            self.relabel(since.max(from), now, |_, label| label.calm = calm);
        }
    }

    /// Blame turns only when the other cause holds for a while, and is then dated back.
    pub(super) fn turn(
        &mut self,
        topology: &Topology,
        court: &Court<'_>,
        impact: &mut Impact,
        cause: Cause,
        slot: i64,
    ) {
        if cause == impact.cause {
            impact.turning = None;
            return;
        }
        let since = impact.turning.filter(|(before, _)| *before == cause).map_or(slot, |(_, since)| since);
        if slot - since + 1 < topology.spans.blame_hold {
            impact.turning = Some((cause, since));
            return;
        }
        (impact.cause, impact.turning) = (cause, None);
        self.say(topology, court, cause, since, slot);
    }

    /// Labels slots with the cause of an impact, or with the announcement that excuses it.
    pub(super) fn say(&mut self, topology: &Topology, hard: &Court<'_>, cause: Cause, from: i64, to: i64) {
        let active = self.serving.active;
        let asked = |bad: &[EndpointIx], users: bool| {
            let question = Question { topology, court: hard, bad, active, moving: false };
            let direct = question.region(active).failed;
            if users { direct.max(question.public().failed) } else { direct }
        };
        let failed = maintenance::Failed { direct: &|some| asked(some, false), at_all: &|some| asked(some, true) };
        let now = self.next;
        let start = self.tail_start(now + 1);
        for slot in from.max(start)..=to {
            let excused = maintenance::excuses(topology, slot, cause, active, &failed);
            let cause = if excused { Cause::Maintenance } else { cause };
            let at = usize::try_from(slot - start).unwrap_or(usize::MAX);
            if let Some(label) = self.tail.get_mut(at).filter(|l| l.active == active) {
                label.impact = Some(cause);
            }
        }
    }

    pub(super) fn blame(
        &self,
        topology: &Topology,
        evidence: &Evidence,
        (hard, soft): (&Court<'_>, &Court<'_>),
        reading: &Reading,
        onset: i64,
        slot: i64,
    ) -> Cause {
        let early = reading.level == Level::Hard && slot - onset < topology.spans.blame_early;
        let court = if early { hard } else { soft };
        let active = self.serving.active;
        let dns = || {
            let from = (slot - topology.spans.hard_window + 1).max(self.start);
            let (mut row, mut failed, mut names) = (Vec::new(), 0u64, 0u64);
            for s in from..=slot {
                evidence.row(s, &mut row);
                for (_, cell) in row.iter().enumerate().filter(|(i, _)| is_entry(topology, *i)) {
                    failed += u64::from(cell.is_failed());
                    names += u64::from(cell.is_dns());
                }
            }
            names * 2 > failed
        };
        let moving = self.serving.speaks_against(topology, active);
        Question { topology, court, bad: &reading.bad, active, moving }.blame(&dns)
    }
}
