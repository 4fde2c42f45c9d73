//! What was a service known to be at an earlier moment?
//!
//! ```text
//!   revisions decided up to the moment     r1 provisional 08:15..open    r2 final 08:15..08:40   | r3 revised 08:15..08:52
//!   as of the moment                       healthy | needed 08:15..08:40 | healthy               ^ asked as of here
//! ```
//!
//! The judge keeps only what it says now. What it said before stands in the log, and that is all there is to say about the
//! past: the latest revision of each episode that was decided up to the moment, healthy in between, and nothing after it.

use uitwijk_judge::{Cause, Execution, Need, Revision, Segment};
use uitwijk_model::WallTime;

/// The timeline of a stretch as it was known at a moment, from the revisions known then.
pub(super) fn timeline(
    known: &[Revision],
    (from, to): (Option<WallTime>, Option<WallTime>),
    at: WallTime,
) -> Vec<Segment> {
    let withdrawn = |r: &&Revision| r.cause == Cause::Healthy && r.execution == Execution::None;
    let mut told: Vec<&Revision> = known.iter().filter(|r| !withdrawn(r)).collect();
    told.sort_by(|a, b| (a.from, &a.episode).cmp(&(b.from, &b.episode)));
    let end = to.map_or(at, |to| to.min(at));
    let Some(mut now) = from.or_else(|| told.first().map(|r| r.from)) else { return Vec::new() };
    let mut segments = Vec::new();
    for (i, r) in told.iter().enumerate() {
        // Of two that overlap the later start holds from there on.
        let next = told.get(i + 1).map_or(end, |next| next.from.min(end));
        let (begin, until) = (r.from.max(now), r.to.unwrap_or(end).min(next).min(end));
        if until <= begin {
            continue;
        }
        segments.extend((begin > now).then(|| healthy(now, begin)));
        segments.push(segment(r, begin, until));
        now = until;
    }
    segments.extend((now < end).then(|| healthy(now, end)));
    segments
}

/// Nothing was known against it. Who served is not in the log then.
const fn healthy(from: WallTime, to: WallTime) -> Segment {
    Segment {
        from,
        to,
        need: Need::NotNeeded,
        cause: Cause::Healthy,
        execution: Execution::None,
        episode: None,
        revision: 0,
        served_region: None,
    }
}

fn segment(r: &Revision, from: WallTime, to: WallTime) -> Segment {
    Segment {
        from,
        to,
        need: r.need,
        cause: r.cause,
        execution: r.execution,
        episode: Some(r.episode.clone()),
        revision: r.revision,
        served_region: Some(r.active_region.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> WallTime {
        WallTime::from_millis(minute * 60_000)
    }

    fn revision(name: &str, from: i64, to: Option<i64>, cause: Cause) -> Revision {
        let value = serde_json::json!({
            "episode": name, "service": "exchange", "revision": 2, "kind": "provisional", "from": at(from),
            "to": to.map(at), "decided": at(from), "need": cause.need(), "cause": cause, "execution": "none",
            "active_region": "NL", "other_region": null, "findings": [], "rejected": [], "would_change": [],
            "plan_version": "0123456789abcdef", "policy_version": "", "evidence_hash": "", "complete": false,
        });
        serde_json::from_value(value).unwrap()
    }

    fn told(known: &[Revision], range: (Option<i64>, Option<i64>), moment: i64) -> String {
        let minute = |t: WallTime| t.as_millis() / 60_000;
        let all = timeline(known, (range.0.map(at), range.1.map(at)), at(moment));
        let one = |s: &Segment| format!("{}..{} {}", minute(s.from), minute(s.to), s.cause);
        all.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn what_was_known_lies_between_healthy_stretches_and_ends_at_the_moment() {
        let over = revision("a", 10, Some(20), Cause::RegionDown);
        let open = revision("b", 30, None, Cause::Transient);
        let gone = revision("c", 22, Some(25), Cause::Healthy);
        let known = [open, gone, over];
        assert_eq!(
            told(&known, (Some(0), None), 40),
            "0..10 healthy, 10..20 region_down, 20..30 healthy, 30..40 transient"
        );
        assert_eq!(told(&known, (Some(15), Some(32)), 40), "15..20 region_down, 20..30 healthy, 30..32 transient");
        assert_eq!(told(&known, (None, Some(12)), 40), "10..12 region_down");
        assert_eq!(told(&known, (Some(50), None), 40), "");
        assert_eq!((told(&[], (Some(0), None), 5), told(&[], (None, None), 5)), ("0..5 healthy".into(), String::new()));
    }

    #[test]
    fn of_two_that_overlap_the_later_holds() {
        let known = [revision("a", 10, None, Cause::RegionDown), revision("b", 20, Some(25), Cause::Transient)];
        assert_eq!(
            told(&known, (Some(0), None), 40),
            "0..10 healthy, 10..20 region_down, 20..25 transient, 25..40 healthy"
        );
    }
}
