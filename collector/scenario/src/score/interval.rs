//! Is what was said about a labelled interval right?

use std::collections::BTreeMap;
use std::fmt;

use uitwijk_judge::{Cause, Execution, Need};
use uitwijk_model::{Millis, WallTime};
use uitwijk_replay::{Track, need_word};

use crate::format::{Accepted, Expect, Scenario};

/// Of the judged time at least so many percent must have the need.
const NEED_PERCENT: i64 = 95;
/// A stretch of one cause that is no longer, and under a tenth of the judged time, is not counted.
const STRETCH: i64 = 30_000_000;

/// What somebody said about a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// First moment.
    pub from: WallTime,
    /// First moment after it.
    pub to: WallTime,
    /// Was a failover needed?
    pub need: Need,
    /// Why?
    pub cause: Cause,
    /// Was it done?
    pub executed: Execution,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// Need, cause and execution.
    Verdict,
    /// Need and execution.
    Need,
}

/// Why an interval is not right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mistake {
    /// Too much of the time has another need: the seconds of each.
    Need(Vec<(Need, i64)>),
    /// Another cause: the seconds of each.
    Cause(Cause, Vec<(Cause, i64)>),
    /// No segment has the execution; these are there.
    Executed(Vec<Execution>),
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Need(said) => {
                let each: Vec<String> = said.iter().map(|(need, s)| format!("{} {s} s", need_word(*need))).collect();
                f.write_str(&each.join(", "))
            }
            Self::Cause(cause, said) => {
                let each: Vec<String> = said.iter().map(|(cause, s)| format!("{cause} {s} s")).collect();
                write!(f, "cause {cause} ({})", each.join(", "))
            }
            Self::Executed(said) => {
                let each: Vec<&str> = said.iter().map(|e| e.label()).collect();
                write!(f, "executed {}", each.join(", "))
            }
        }
    }
}

/// The judged part of an interval; none when its tolerance leaves nothing.
#[must_use]
pub fn judged(s: &Scenario, e: &Expect) -> Option<(WallTime, WallTime)> {
    let from = s.at(Millis(e.from.0.saturating_add(e.tolerance.0)));
    let to = s.at(e.to).min(s.end());
    (from < to).then_some((from, to))
}

/// What counts as right in a track: the label first.
pub(super) fn options(e: &Expect, track: Track) -> impl Iterator<Item = Accepted> + '_ {
    let own = Accepted { need: e.label.need, cause: Some(e.label.cause), executed: Some(e.label.executed) };
    let live = if track == Track::Live { e.live_accept.as_slice() } else { &[] };
    std::iter::once(own).chain(e.accept.iter().copied()).chain(live.iter().copied())
}

/// Compares what was said with a label; the segments are sorted and do not overlap. An interval of which nothing is judged
/// is right.
///
/// # Errors
/// With what is wrong, held against the label or, where the need fits only another, against that.
pub fn verdict_on(s: &Scenario, e: &Expect, said: &[Said], track: Track, by: By) -> Result<(), Mistake> {
    let Some(part) = judged(s, e) else { return Ok(()) };
    let whole = (s.at(e.from), s.at(e.to));
    let mut nearest: Option<(u8, Mistake)> = None;
    for option in options(e, track) {
        let (depth, mistake) = match fits(option, e, said, part, whole, track, by) {
            Ok(()) => return Ok(()),
            Err(mistake) => mistake,
        };
        if nearest.as_ref().is_none_or(|(known, _)| depth > *known) {
            nearest = Some((depth, mistake));
        }
    }
    Err(nearest.map_or(Mistake::Need(Vec::new()), |(_, mistake)| mistake))
}

type Part = (WallTime, WallTime);

fn fits(
    option: Accepted,
    e: &Expect,
    said: &[Said],
    part: Part,
    whole: Part,
    track: Track,
    by: By,
) -> Result<(), (u8, Mistake)> {
    need(option.need, said, part).map_err(|mistake| (0, mistake))?;
    if let (By::Verdict, Some(wanted)) = (by, option.cause) {
        cause(wanted, said, part).map_err(|mistake| (1, mistake))?;
    }
    if track == Track::Final {
        executed(option.executed.unwrap_or(e.label.executed), said, whole).map_err(|mistake| (2, mistake))?;
    }
    Ok(())
}

/// The segments that lie in a part, cut to it, with their lengths in microseconds.
pub(super) fn within(said: &[Said], (from, to): Part) -> impl Iterator<Item = (&Said, i64)> {
    let first = said.partition_point(|s| s.to <= from);
    let inside = said[first..].iter().take_while(move |s| s.from < to);
    inside.map(move |s| (s, s.to.min(to).micros_since(s.from.max(from)))).filter(|(_, length)| *length > 0)
}

fn need(wanted: Need, said: &[Said], part: Part) -> Result<(), Mistake> {
    let mut lengths: BTreeMap<Need, i64> = BTreeMap::new();
    for (s, length) in within(said, part) {
        *lengths.entry(s.need).or_default() += length;
    }
    let all = part.1.micros_since(part.0);
    if lengths.get(&wanted).copied().unwrap_or(0) * 100 >= all * NEED_PERCENT {
        return Ok(());
    }
    Err(Mistake::Need(lengths.into_iter().map(|(need, us)| (need, us / 1_000_000)).collect()))
}

fn cause(wanted: Cause, said: &[Said], part: Part) -> Result<(), Mistake> {
    let mut stretches: Vec<(Cause, i64)> = Vec::new();
    for (s, length) in within(said, part) {
        match stretches.last_mut() {
            Some((cause, so_far)) if *cause == s.cause => *so_far += length,
            _ => stretches.push((s.cause, length)),
        }
    }
    let all = part.1.micros_since(part.0);
    let mut lengths: BTreeMap<Cause, i64> = BTreeMap::new();
    for (cause, length) in stretches.iter().filter(|(_, length)| *length > STRETCH || length * 10 >= all) {
        *lengths.entry(*cause).or_default() += length;
    }
    let told = lengths.iter().filter(|(cause, _)| **cause != Cause::Healthy).rev().max_by_key(|(_, length)| **length);
    let told = told.map_or(Cause::Healthy, |(cause, _)| *cause);
    if told == wanted {
        return Ok(());
    }
    Err(Mistake::Cause(told, lengths.into_iter().map(|(cause, us)| (cause, us / 1_000_000)).collect()))
}

fn executed(wanted: Execution, said: &[Said], whole: Part) -> Result<(), Mistake> {
    if within(said, whole).any(|(s, _)| s.executed == wanted) {
        return Ok(());
    }
    let mut all: Vec<Execution> = within(said, whole).map(|(s, _)| s.executed).collect();
    all.sort_unstable();
    all.dedup();
    Err(Mistake::Executed(all))
}
