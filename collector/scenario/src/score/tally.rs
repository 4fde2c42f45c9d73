//! What do many intervals come to?
//!
//! Beside right and wrong: minutes of need that was said where none was (false), minutes of need that was not said where it was
//! (missed), switches of need within an interval after its tolerance, and for hard faults how long it took from the onset
//! until somebody awake at the time was told that users are hurt.

use uitwijk_judge::{Cause, Need};
use uitwijk_model::{Millis, WallTime};
use uitwijk_replay::Track;

use super::interval::{By, Mistake, Said, judged, options, verdict_on, within};
use crate::format::{Expect, Scenario};

/// A fault is hard, for the delay, when its label grants no longer tolerance.
const HARD_TOLERANCE_MS: u64 = 300_000;

/// How long it took, in seconds, for every hard fault; absent where it was never said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delays(Vec<Option<i64>>);

impl Delays {
    /// Hard faults.
    #[must_use]
    pub const fn faults(&self) -> usize {
        self.0.len()
    }

    /// Hard faults that were told before they were over.
    #[must_use]
    pub fn told(&self) -> usize {
        self.0.iter().flatten().count()
    }

    /// The median over all of them; absent when half or more were never told.
    #[must_use]
    pub fn median(&self) -> Option<i64> {
        let mut all: Vec<i64> = self.0.iter().map(|d| d.unwrap_or(i64::MAX)).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().filter(|d| *d < i64::MAX)
    }

    /// The longest of those that were told.
    #[must_use]
    pub fn max(&self) -> Option<i64> {
        self.0.iter().flatten().max().copied()
    }
}

/// One rule in one track.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Labelled intervals of which something was judged.
    pub intervals: u64,
    /// Of them right.
    pub right: u64,
    /// Intervals in which need would be wrong.
    pub quiet: u64,
    /// Of them with need said in the judged part, however short.
    pub quiet_needed: u64,
    /// Intervals in which nothing but need is right.
    pub needed: u64,
    /// Of them without need said in the judged part.
    pub needed_unsaid: u64,
    /// Microseconds of need where it is wrong.
    pub false_needed_us: i64,
    /// Microseconds without need where nothing else is right.
    pub missed_us: i64,
    /// Switches of need within intervals, after the tolerance.
    pub changes: u64,
    /// From onset to being told.
    pub delays: Delays,
}

/// One rule's words about one service, and when they were said.
#[derive(Debug, Clone)]
pub(super) struct Words<'a> {
    pub(super) said: &'a [Said],
    pub(super) track: Track,
    pub(super) by: By,
    /// What is said about a moment is said so long after it.
    pub(super) lag: Millis,
}

impl Tally {
    /// Adds one interval, and answers what is wrong with it.
    pub(super) fn add(&mut self, s: &Scenario, e: &Expect, words: &Words<'_>) -> Option<Mistake> {
        if is_hard_onset(s, e) && words.track == Track::Live {
            self.delays.0.push(delay(s, e, words));
        }
        let part = judged(s, e)?;
        self.intervals += 1;
        let answer = verdict_on(s, e, words.said, words.track, words.by);
        self.right += u64::from(answer.is_ok());
        let needed = |wanted: bool| -> i64 {
            within(words.said, part).filter(|(x, _)| (x.need == Need::Needed) == wanted).map(|(_, us)| us).sum()
        };
        if options(e, words.track).all(|o| o.need != Need::Needed) {
            self.quiet += 1;
            self.quiet_needed += u64::from(needed(true) > 0);
            self.false_needed_us += needed(true);
        }
        if options(e, words.track).all(|o| o.need == Need::Needed) {
            self.needed += 1;
            self.needed_unsaid += u64::from(needed(true) == 0);
            self.missed_us += needed(false);
        }
        let needs: Vec<Need> = within(words.said, part).map(|(x, _)| x.need).collect();
        self.changes += needs.windows(2).filter(|pair| pair[0] != pair[1]).count() as u64;
        answer.err()
    }

    /// Adds the intervals of another.
    pub fn merge(&mut self, other: &Self) {
        self.intervals += other.intervals;
        self.right += other.right;
        self.quiet += other.quiet;
        self.quiet_needed += other.quiet_needed;
        self.needed += other.needed;
        self.needed_unsaid += other.needed_unsaid;
        self.false_needed_us += other.false_needed_us;
        self.missed_us += other.missed_us;
        self.changes += other.changes;
        self.delays.0.extend_from_slice(&other.delays.0);
    }
}

/// Whether a hard fault begins with this interval: users are hurt, and just before it they were not.
fn is_hard_onset(s: &Scenario, e: &Expect) -> bool {
    let hurt = |x: &Expect| matches!(x.label.need, Need::Needed | Need::Futile);
    let hard = matches!(e.label.cause, Cause::RegionDown | Cause::GlobalFault | Cause::FrontDoor | Cause::DnsGlobal);
    let same = |x: &&Expect| s.service_of(x) == s.service_of(e);
    let before = s.expect.iter().filter(same).any(|x| x.to == e.from && hurt(x));
    hurt(e)
        && hard
        && e.tolerance.0 <= HARD_TOLERANCE_MS
        && e.accept.iter().all(|a| a.need != Need::NotNeeded)
        && !before
}

/// Seconds from the onset until need or futility was first said; absent when not before the interval's end.
fn delay(s: &Scenario, e: &Expect, words: &Words<'_>) -> Option<i64> {
    let onset = s.at(e.from);
    let told = |x: WallTime| x.plus(words.lag).micros_since(onset) / 1_000_000;
    let first = within(words.said, (onset, s.at(e.to).min(s.end())));
    let first = first.map(|(x, _)| x).find(|x| matches!(x.need, Need::Needed | Need::Futile))?;
    Some(told(first.from.max(onset)))
}

/// The 95 % confidence interval of a share after so many trials (Wilson score interval).
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of intervals are small")]
pub fn wilson(hits: u64, trials: u64) -> (f64, f64) {
    if trials == 0 {
        return (0.0, 1.0);
    }
    let (n, z) = (trials as f64, 1.959_964);
    let p = hits as f64 / n;
    let middle = p + z * z / (2.0 * n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    (((middle - half) / scale).max(0.0), ((middle + half) / scale).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_is_what_tables_say() {
        // Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
        let cases =
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)];
        for (hits, trials, low, high) in cases {
            let (a, b) = wilson(hits, trials);
            assert!((a - low).abs() < 5e-5 && (b - high).abs() < 5e-5, "{hits} of {trials}: {a} {b}");
        }
        assert_eq!(wilson(0, 0), (0.0, 1.0));
    }

    #[test]
    fn what_was_never_told_counts_as_longest() {
        let d = |all: &[Option<i64>]| Delays(all.to_vec());
        assert_eq!(d(&[Some(10), None, Some(30)]).median(), Some(30));
        assert_eq!(d(&[Some(10), None, None]).median(), None);
        assert_eq!((d(&[Some(10), None]).told(), d(&[Some(10), None]).max()), (1, Some(10)));
        assert_eq!(d(&[]).median(), None);
    }
}
