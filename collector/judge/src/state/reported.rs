//! Somebody says that traffic was moved: is it so?
//!
//! ```text
//!   reported      |<- clients follow ->|<- still another region answers? ->|
//!   slot          at              at + grace                        at + 2 grace: what was reported is refuted
//! ```
//!
//! A report is believed at once, because the answers take a minute to tell. They are asked after the grace: when they
//! then tell another region throughout for as long again, the report is taken back, as if it had never been made, and
//! that is told. Where no answer tells anything the report stands.

use super::{Mode, State};
use crate::evidence::Evidence;
use crate::topology::{RegionIx, Topology};
use crate::trace::{Note, NoteKind, Trace};

/// A report that the answers have not confirmed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reported {
    /// Its slot.
    pub(super) slot: i64,
    to: RegionIx,
    /// Since when, after the grace, the answers tell another region.
    against: Option<(RegionIx, i64)>,
    /// Where the windows of what users see began before it.
    before: i64,
}

impl State {
    /// The region that is believed to serve because somebody said so, when that is still open.
    pub(super) fn reported_to(
        &mut self,
        topology: &Topology,
        evidence: &Evidence,
        trace: &mut Trace,
        told: Option<RegionIx>,
        slot: i64,
    ) -> Option<RegionIx> {
        if let Some((from, to)) = evidence.switch_in(slot) {
            trace.notes.push(Note { slot, known: slot, kind: NoteKind::Reported { from, to } });
            let before = self.entry_since;
            self.reported = (to != self.serving.active).then_some(Reported { slot, to, against: None, before });
        }
        let mut report = self.reported.take()?;
        let grace = topology.spans.switch_grace;
        if told == Some(report.to) || slot - report.slot >= grace.saturating_mul(3) {
            return Some(report.to);
        }
        report.against = match (told.filter(|_| slot - report.slot >= grace), report.against) {
            (Some(region), Some((before, since))) if region == before => Some((region, since)),
            (region, _) => region.map(|region| (region, slot)),
        };
        if let Some((region, _)) = report.against.filter(|(_, since)| slot - since + 1 > grace) {
            self.refute(topology, evidence, trace, &report, region, slot);
            return None;
        }
        let to = report.to;
        self.reported = Some(report);
        Some(to)
    }

    /// Goes on as if the report had not been made.
    fn refute(
        &mut self,
        topology: &Topology,
        evidence: &Evidence,
        trace: &mut Trace,
        report: &Reported,
        told: RegionIx,
        slot: i64,
    ) {
        trace.notes.push(Note { slot: report.slot, known: slot, kind: NoteKind::Refuted { told } });
        self.serving.active = told;
        (self.settling_until, self.abandoned, self.watched, self.mode) = (report.slot, None, None, Mode::Calm);
        self.relabel(report.slot, slot, |_, label| {
            (label.active, label.switched, label.impact) = (told, false, None);
        });
        self.restart(topology, evidence, report.before.max(report.slot - topology.spans.soft_window), slot);
    }
}
