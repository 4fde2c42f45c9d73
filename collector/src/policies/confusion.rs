//! What did people say of a stretch, and what did the policies?
//!
//! ```text
//!                        judged
//!   label                needed   not needed   futile   inconclusive   not judged
//!   needed               1/ 5m    0/ 2m
//!   drill                         1/10m
//! ```
//!
//! A labelled stretch counts once as an episode, by the episode that covers most of it, and minute by minute by what was said of
//! each. A label is what somebody found out afterwards; so off the diagonal either the policy or the label is wrong.

use std::collections::BTreeMap;

use uitwijk_judge::Need;
use uitwijk_model::{ServiceId, WallTime};

use super::judged::{Judged, Stretch};
use super::totals::Amount;

/// A stretch that somebody labelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its service.
    pub service: ServiceId,
    /// Its start.
    pub from: WallTime,
    /// Its end; absent when the episode was open then.
    pub to: Option<WallTime>,
    /// What the need was; absent for a drill.
    pub need: Option<Need>,
}

impl Said {
    pub(super) fn within(&self, stretch: Stretch) -> Stretch {
        Stretch { from: self.from, to: self.to.unwrap_or(stretch.to) }.within(stretch)
    }
}

/// A row of the table: what a label says, `None` for drills.
pub type Row = Option<Need>;

/// Labels against judgements of one policy; a judgement is absent where nothing was judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confusion(pub BTreeMap<(Row, Option<Need>), Amount>);

impl Confusion {
    /// Counts labels against the episodes of one policy; `judged` tells which part of a service's time was judged at all.
    #[must_use]
    pub fn of(
        labels: &[Said],
        episodes: &[Judged],
        stretch: Stretch,
        judged: &dyn Fn(&ServiceId) -> Option<Stretch>,
    ) -> Self {
        let mut table = Self::default();
        for label in labels.iter().filter(|label| label.within(stretch).ms() > 0) {
            let span = label.within(stretch);
            let of_service: Vec<&Judged> = episodes.iter().filter(|e| e.service == label.service).collect();
            let covered = judged(&label.service).map_or(0, |judged| judged.within(span).ms());
            let mut most: (u64, Option<Need>) = (0, (covered > 0).then_some(Need::NotNeeded));
            let mut told = 0;
            for e in of_service {
                let ms = e.within(span).ms();
                told += ms;
                table.add_ms(label.need, Some(e.need), ms);
                if ms > most.0 {
                    most = (ms, Some(e.need));
                }
            }
            table.add_ms(label.need, Some(Need::NotNeeded), covered.saturating_sub(told));
            table.add_ms(label.need, None, span.ms().saturating_sub(covered.max(told)));
            table.0.entry((label.need, most.1)).or_default().episodes += 1;
        }
        table
    }

    fn add_ms(&mut self, row: Row, judged: Option<Need>, ms: u64) {
        if ms > 0 {
            let cell = self.0.entry((row, judged)).or_default();
            cell.ms = cell.ms.saturating_add(ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use uitwijk_judge::Cause;

    use super::super::judged::tests::{at, episode, minutes};
    use super::*;

    fn label(from: i64, to: i64, need: Row) -> Said {
        Said { service: ServiceId::new("exchange").unwrap(), from: at(from), to: Some(at(to)), need }
    }

    fn table(labels: &[Said], episodes: &[Judged], judged: Option<Stretch>) -> Vec<String> {
        let word = |need: Option<Need>, none: &'static str| need.map_or(none, Need::label);
        let confusion = Confusion::of(labels, episodes, minutes(0, 120), &|_| judged);
        let row = |((label, judged), amount): (&(Row, Option<Need>), &Amount)| {
            let (label, judged) = (word(*label, "drill"), word(*judged, "not judged"));
            format!("{label} x {judged}: {} episodes, {} minutes", amount.episodes, amount.ms / 60_000)
        };
        confusion.0.iter().map(row).collect()
    }

    #[test]
    fn a_label_counts_once_and_minute_by_minute() {
        let labels = [label(10, 20, Some(Need::Needed)), label(60, 80, None), label(100, 140, Some(Need::NotNeeded))];
        let episodes = [
            episode(10, 13, Cause::Transient),
            episode(13, 20, Cause::RegionDown),
            episode(70, 75, Cause::NoData),
            // Of another time, and no business of any label.
            episode(30, 40, Cause::GlobalFault),
        ];
        let expected = [
            "drill x not_needed: 0 episodes, 15 minutes",
            "drill x inconclusive: 1 episodes, 5 minutes",
            "not_needed x not_needed: 1 episodes, 20 minutes",
            "needed x not_needed: 0 episodes, 3 minutes",
            "needed x needed: 1 episodes, 7 minutes",
        ];
        assert_eq!(table(&labels, &episodes, Some(minutes(0, 120))), expected);
    }

    #[test]
    fn time_that_nobody_judged_is_no_answer() {
        let labels = [label(10, 20, Some(Need::Needed)), label(40, 50, Some(Need::Futile))];
        assert_eq!(
            table(&labels, &[], Some(minutes(45, 120))),
            [
                "needed x not judged: 1 episodes, 10 minutes",
                "futile x not judged: 0 episodes, 5 minutes",
                "futile x not_needed: 1 episodes, 5 minutes"
            ]
        );
        assert_eq!(table(&labels[..1], &[], None), ["needed x not judged: 1 episodes, 10 minutes"]);
        assert_eq!(table(&[label(130, 140, None)], &[], None), [""; 0]);
    }
}
