//! How does a published revision read on the wire?

use uitwijk_judge::{
    Arrivals, Cause, CellChange, Execution, Finding, Language, Need, Observation, Rejected, RevisionKind, Seen,
    Segment, Since, explain,
};
use uitwijk_proto::v1;

use crate::judging::Published;

/// How much of a verdict is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// What a list shows.
    Head,
    /// With findings, evidence and explanations.
    Full,
}

pub(super) fn verdict(published: &Published, detail: Detail) -> v1::Verdict {
    let r = &published.revision;
    let mut verdict = v1::Verdict {
        episode: r.episode.as_str().to_owned(),
        service: r.service.as_str().to_owned(),
        revision: r.revision,
        kind: kind(r.kind).into(),
        from_us: r.from.as_micros(),
        to_us: r.to.map(uitwijk_model::WallTime::as_micros),
        decided_us: r.decided.as_micros(),
        need: need(r.need).into(),
        cause: cause(r.cause).into(),
        execution: execution(r.execution).into(),
        active_region: r.active_region.as_str().to_owned(),
        other_region: r.other_region.as_ref().map(|region| region.as_str().to_owned()).unwrap_or_default(),
        plan_version: r.plan_version.as_str().to_owned(),
        policy_version: r.policy_version.clone(),
        evidence_hash: r.evidence_hash.clone(),
        complete: r.complete,
        collector: published.collector.clone(),
        traceparent: published.traceparent.clone().unwrap_or_default(),
        publish_delay_ms: published.publish_delay_ms,
        ..v1::Verdict::default()
    };
    if detail == Detail::Full {
        verdict.findings = r.findings.iter().map(finding).collect();
        verdict.rejected = r.rejected.iter().map(rejected).collect();
        verdict.would_change = r.would_change.iter().map(|w| w.text.clone()).collect();
        verdict.since = r.since.as_ref().map(since);
        verdict.explanation = explain(r, Language::English);
        verdict.explanation_nl = explain(r, Language::Dutch);
    }
    verdict
}

fn finding(f: &Finding) -> v1::Finding {
    v1::Finding {
        code: f.code.clone(),
        text: f.text.clone(),
        observations: f.observations.iter().map(observation).collect(),
    }
}

fn observation(o: &Observation) -> v1::Observation {
    v1::Observation {
        agent: o.agent.as_ref().map(|agent| agent.as_str().to_owned()).unwrap_or_default(),
        target: o.target.as_str().to_owned(),
        from_slot: o.from_slot.0,
        to_slot: o.to_slot.0,
        measured: o.measured,
        failed: o.failed,
        slow: o.slow,
    }
}

fn rejected(r: &Rejected) -> v1::RejectedHypothesis {
    v1::RejectedHypothesis {
        cause: cause(r.cause).into(),
        reason: r.reason.clone(),
        finding_code: r.finding_code.clone(),
    }
}

fn since(s: &Since) -> v1::Since {
    v1::Since {
        decided_us: s.decided.as_micros(),
        need_before: need(s.before.need).into(),
        cause_before: cause(s.before.cause).into(),
        execution_before: execution(s.before.execution).into(),
        judged_from_slot: s.judged_from.0,
        judged_to_slot: s.judged_to.0,
        arrivals: s.arrivals.iter().map(arrivals).collect(),
        arrivals_more: s.arrivals_more,
        cells: s.cells.iter().map(cells).collect(),
        cells_more: s.cells_more,
    }
}

fn arrivals(a: &Arrivals) -> v1::Arrivals {
    v1::Arrivals {
        agent: a.agent.as_str().to_owned(),
        boot: a.boot.map_or(0, |boot| boot.0),
        ranges: a.ranges.iter().map(|r| v1::SequenceRange { from: r.from, to: r.to }).collect(),
        ranges_more: a.ranges_more,
        changed: a.changed,
        late: a.late,
        first_us: a.first.as_micros(),
        last_us: a.last.as_micros(),
    }
}

fn cells(c: &CellChange) -> v1::CellChange {
    v1::CellChange {
        agent: c.agent.as_str().to_owned(),
        target: c.target.as_str().to_owned(),
        from_slot: c.from_slot.0,
        to_slot: c.to_slot.0,
        before: seen(c.before).into(),
        after: seen(c.after).into(),
    }
}

const fn seen(seen: Seen) -> v1::Seen {
    match seen {
        Seen::Empty => v1::Seen::Empty,
        Seen::Ok => v1::Seen::Ok,
        Seen::Slow => v1::Seen::Slow,
        Seen::Failed => v1::Seen::Failed,
    }
}

pub(super) fn segment(s: &Segment) -> v1::Segment {
    v1::Segment {
        from_us: s.from.as_micros(),
        to_us: s.to.as_micros(),
        need: need(s.need).into(),
        cause: cause(s.cause).into(),
        execution: execution(s.execution).into(),
        episode: s.episode.as_ref().map(|episode| episode.as_str().to_owned()).unwrap_or_default(),
        revision: s.revision,
        served_region: s.served_region.as_ref().map(|region| region.as_str().to_owned()).unwrap_or_default(),
    }
}

fn kind(kind: RevisionKind) -> v1::RevisionKind {
    match kind {
        RevisionKind::Provisional => v1::RevisionKind::Provisional,
        RevisionKind::Final => v1::RevisionKind::Final,
        RevisionKind::Revised => v1::RevisionKind::Revised,
    }
}

pub(super) fn need(need: Need) -> v1::Need {
    match need {
        Need::NotNeeded => v1::Need::NotNeeded,
        Need::Needed => v1::Need::Needed,
        Need::Futile => v1::Need::Futile,
        Need::Inconclusive => v1::Need::Inconclusive,
    }
}

pub(super) fn execution(execution: Execution) -> v1::Execution {
    match execution {
        Execution::Executed => v1::Execution::Executed,
        Execution::Missed => v1::Execution::Missed,
        Execution::Unnecessary => v1::Execution::Unnecessary,
        Execution::None => v1::Execution::None,
    }
}

pub(super) fn cause(cause: Cause) -> v1::Cause {
    match cause {
        Cause::Healthy => v1::Cause::Healthy,
        Cause::ZoneAbsorbed => v1::Cause::ZoneAbsorbed,
        Cause::Transient => v1::Cause::Transient,
        Cause::VantageFault => v1::Cause::VantageFault,
        Cause::PathFault => v1::Cause::PathFault,
        Cause::Maintenance => v1::Cause::Maintenance,
        Cause::ChainPartner => v1::Cause::ChainPartner,
        Cause::SlowWithinObjective => v1::Cause::SlowWithinObjective,
        Cause::MinorDegradation => v1::Cause::MinorDegradation,
        Cause::EndpointFault => v1::Cause::EndpointFault,
        Cause::StandbyDown => v1::Cause::StandbyDown,
        Cause::DiagnosticOnly => v1::Cause::DiagnosticOnly,
        Cause::RegionDown => v1::Cause::RegionDown,
        Cause::RegionDegraded => v1::Cause::RegionDegraded,
        Cause::RegionSlow => v1::Cause::RegionSlow,
        Cause::GlobalFault => v1::Cause::GlobalFault,
        Cause::FrontDoor => v1::Cause::FrontDoor,
        Cause::DnsGlobal => v1::Cause::DnsGlobal,
        Cause::InsufficientEvidence => v1::Cause::InsufficientEvidence,
        Cause::NoData => v1::Cause::NoData,
    }
}

/// The need that a number stands for, absent for 0.
///
/// # Errors
/// The number, when it stands for none.
pub(super) fn need_of(wire: i32) -> Result<Option<Need>, i32> {
    of(wire, Need::ALL, |n| need(n).into())
}

/// The cause that a number stands for, absent for 0.
///
/// # Errors
/// The number, when it stands for none.
pub(super) fn cause_of(wire: i32) -> Result<Option<Cause>, i32> {
    of(wire, Cause::ALL, |c| cause(c).into())
}

/// The execution that a number stands for, absent for 0.
///
/// # Errors
/// The number, when it stands for none.
pub(super) fn execution_of(wire: i32) -> Result<Option<Execution>, i32> {
    of(wire, Execution::ALL, |e| execution(e).into())
}

fn of<T: Copy>(wire: i32, all: &[T], number: impl Fn(T) -> i32) -> Result<Option<T>, i32> {
    match wire {
        0 => Ok(None),
        _ => all.iter().copied().find(|value| number(*value) == wire).map(Some).ok_or(wire),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The judge's words and the schema's are the same words: `region_down` is `CAUSE_REGION_DOWN`.
    #[test]
    fn every_word_keeps_its_name() {
        for c in Cause::ALL {
            assert_eq!(cause(*c).as_str_name(), format!("CAUSE_{}", c.label().to_uppercase()));
        }
        for n in Need::ALL {
            assert_eq!(need(*n).as_str_name(), format!("NEED_{}", n.label().to_uppercase()));
        }
        for e in Execution::ALL {
            assert_eq!(execution(*e).as_str_name(), format!("EXECUTION_{}", e.label().to_uppercase()));
        }
        for s in [Seen::Empty, Seen::Ok, Seen::Slow, Seen::Failed] {
            assert_eq!(seen(s).as_str_name(), format!("SEEN_{}", s.label().to_uppercase()));
        }
        for k in RevisionKind::ALL {
            assert_eq!(kind(*k).as_str_name(), format!("REVISION_KIND_{}", k.label().to_uppercase()));
        }
    }
}
