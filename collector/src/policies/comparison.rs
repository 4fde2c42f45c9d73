//! Where do two policies differ?
//!
//! Episodes of one service belong together when they overlap, those that share most first; a pair that is not alike in need, cause,
//! execution and bounds differs, and so does an episode that has no partner. Names say nothing here: an episode is named by the
//! start that was first seen, which another policy may see elsewhere.

use std::cmp::Reverse;

use uitwijk_model::ServiceId;

use super::confusion::{Confusion, Said};
use super::judged::{Judged, Stretch};
use super::totals::Totals;

/// Differences that are told; those beyond are counted.
pub const DIFFERENCES_MAX: usize = 10_000;

/// What is alike or not in two episodes that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named like the fields of an episode")]
pub enum Changed {
    Need,
    Cause,
    Execution,
    Bounds,
}

impl Changed {
    /// The name in the API.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Need => "need",
            Self::Cause => "cause",
            Self::Execution => "execution",
            Self::Bounds => "bounds",
        }
    }
}

/// An episode that is not the same under both policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// As the policy in force has it.
    pub current: Option<Judged>,
    /// As the other has it.
    pub other: Option<Judged>,
    /// What differs; empty when one side is absent.
    pub changed: Vec<Changed>,
}

impl Difference {
    /// Whichever side is there, the policy in force first.
    fn either(&self) -> Option<&Judged> {
        self.current.as_ref().or(self.other.as_ref())
    }
}

/// Two policies over one stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The stretch.
    pub stretch: Stretch,
    /// What the policy in force said.
    pub current: Totals,
    /// What the other said.
    pub other: Totals,
    /// By service and time, no more than [`DIFFERENCES_MAX`].
    pub differences: Vec<Difference>,
    /// Differences beyond those.
    pub omitted: u64,
    /// Labels against the policy in force.
    pub current_confusion: Confusion,
    /// Labels against the other.
    pub other_confusion: Confusion,
}

/// What is compared.
#[derive(Debug, Clone, Copy)]
pub struct Compared<'a> {
    /// Episodes under the policy in force, by service and time.
    pub current: &'a [Judged],
    /// Episodes under the other, by service and time.
    pub other: &'a [Judged],
    /// What people said of the stretch.
    pub labels: &'a [Said],
}

/// Compares what two policies said of a stretch; `judged` tells which part of a service's time was judged at all.
#[must_use]
pub fn compare(
    Compared { current, other, labels }: Compared<'_>,
    stretch: Stretch,
    judged: &dyn Fn(&ServiceId) -> Option<Stretch>,
) -> Comparison {
    let drills: Vec<&Said> = labels.iter().filter(|label| label.need.is_none()).collect();
    let in_drill = |e: &Judged| drills.iter().any(|d| d.service == e.service && e.within(d.within(stretch)).ms() > 0);
    let mut differences = differences(current, other, stretch);
    let omitted = differences.len().saturating_sub(DIFFERENCES_MAX);
    differences.truncate(DIFFERENCES_MAX);
    Comparison {
        stretch,
        current: Totals::of(current, stretch, &in_drill),
        other: Totals::of(other, stretch, &in_drill),
        differences,
        omitted: omitted as u64,
        current_confusion: Confusion::of(labels, current, stretch, judged),
        other_confusion: Confusion::of(labels, other, stretch, judged),
    }
}

fn differences(current: &[Judged], other: &[Judged], stretch: Stretch) -> Vec<Difference> {
    let mut pairs = overlaps(current, other, stretch);
    // Most in common first; of equals the earlier.
    pairs.sort_by_key(|&(ms, i, j)| (Reverse(ms), i, j));
    let (mut partner, mut taken) = (vec![None; current.len()], vec![false; other.len()]);
    for (_, i, j) in pairs {
        if partner[i].is_none() && !taken[j] {
            (partner[i], taken[j]) = (Some(j), true);
        }
    }
    let paired = current.iter().zip(&partner).filter_map(|(c, j)| match j {
        Some(j) => differing(c, &other[*j]),
        None => Some(Difference { current: Some(c.clone()), other: None, changed: Vec::new() }),
    });
    let alone = other.iter().zip(&taken).filter(|(_, taken)| !**taken);
    let alone = alone.map(|(o, _)| Difference { current: None, other: Some(o.clone()), changed: Vec::new() });
    let mut all: Vec<Difference> = paired.chain(alone).collect();
    all.sort_by(|a, b| a.either().map(order).cmp(&b.either().map(order)));
    all
}

fn order(e: &Judged) -> (&ServiceId, uitwijk_model::WallTime, &str) {
    (&e.service, e.from, e.episode.as_str())
}

/// Every two episodes of one service that have time in common, with how much. Both lists are in order of service and time.
fn overlaps(current: &[Judged], other: &[Judged], stretch: Stretch) -> Vec<(u64, usize, usize)> {
    let mut pairs = Vec::new();
    let mut first = 0;
    for (i, c) in current.iter().enumerate() {
        // Episodes of one policy do not overlap, so what ended before this one began is done with.
        let past = |o: &Judged| (&o.service, o.within(stretch).to) <= (&c.service, c.within(stretch).from);
        first += other[first..].iter().take_while(|o| past(o)).count();
        for (j, o) in other.iter().enumerate().skip(first) {
            if o.service != c.service || o.from >= c.within(stretch).to {
                break;
            }
            let ms = c.within(stretch).within(o.within(stretch)).ms();
            if ms > 0 {
                pairs.push((ms, i, j));
            }
        }
    }
    pairs
}

fn differing(c: &Judged, o: &Judged) -> Option<Difference> {
    let tests = [
        (c.need != o.need, Changed::Need),
        (c.cause != o.cause, Changed::Cause),
        (c.execution != o.execution, Changed::Execution),
        ((c.from, c.to) != (o.from, o.to), Changed::Bounds),
    ];
    let changed: Vec<Changed> = tests.into_iter().filter(|(differs, _)| *differs).map(|(_, changed)| changed).collect();
    (!changed.is_empty()).then(|| Difference { current: Some(c.clone()), other: Some(o.clone()), changed })
}

#[cfg(test)]
mod tests;
