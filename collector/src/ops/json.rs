//! What does a program get for each thing?
//!
//! Names are those of the schema, moments are RFC 3339 in UTC (and lose their `_us`), durations keep their unit in their name.
//! What is absent on the wire is `null`: it was not reached, not known or not yet so, never 0.

use serde_json::{Value, json};
use uitwijk_model::WallTime;
use uitwijk_proto::v1;

use super::words;

pub(crate) fn moment(us: i64) -> Value {
    match jiff::Timestamp::from_microsecond(us) {
        Ok(at) => Value::String(at.to_string()),
        Err(_) => Value::String(WallTime::from_micros(us).to_string()),
    }
}

pub(crate) fn moment_if(us: Option<i64>) -> Value {
    us.map_or(Value::Null, moment)
}

fn text_if(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { Value::String(text.to_owned()) }
}

/// The head of a verdict, as lists have it.
pub(crate) fn head(verdict: &v1::Verdict) -> Value {
    json!({
        "episode": verdict.episode,
        "service": verdict.service,
        "revision": verdict.revision,
        "kind": words::kind(verdict.kind),
        "from": moment(verdict.from_us),
        "to": moment_if(verdict.to_us),
        "decided": moment(verdict.decided_us),
        "need": words::need(verdict.need),
        "cause": words::cause(verdict.cause),
        "execution": words::execution(verdict.execution),
        "active_region": verdict.active_region,
        "other_region": text_if(&verdict.other_region),
        "complete": verdict.complete,
        "collector": verdict.collector,
        "plan_version": verdict.plan_version,
        "policy_version": verdict.policy_version,
        "evidence_hash": verdict.evidence_hash,
        "publish_delay_ms": verdict.publish_delay_ms,
    })
}

/// A verdict with everything that it rests on.
pub(crate) fn verdict(verdict: &v1::Verdict) -> Value {
    let mut value = head(verdict);
    value["findings"] = verdict.findings.iter().map(finding).collect();
    value["rejected"] = verdict.rejected.iter().map(rejected).collect();
    value["would_change"] = json!(verdict.would_change);
    value["since"] = verdict.since.as_ref().map_or(Value::Null, since);
    value["explanation"] = json!(verdict.explanation);
    value["explanation_nl"] = json!(verdict.explanation_nl);
    value["traceparent"] = text_if(&verdict.traceparent);
    value
}

fn finding(finding: &v1::Finding) -> Value {
    let observations: Value = finding.observations.iter().map(observation).collect();
    json!({ "code": finding.code, "text": finding.text, "observations": observations })
}

fn observation(seen: &v1::Observation) -> Value {
    json!({
        "agent": text_if(&seen.agent),
        "target": seen.target,
        "from_slot": seen.from_slot,
        "to_slot": seen.to_slot,
        "measured": seen.measured,
        "failed": seen.failed,
        "slow": seen.slow,
    })
}

fn since(since: &v1::Since) -> Value {
    let arrivals = since.arrivals.iter().map(|a| {
        let ranges: Value = a.ranges.iter().map(|r| json!({ "from": r.from, "to": r.to })).collect();
        json!({
            "agent": a.agent,
            "boot": (a.boot > 0).then(|| boot(a.boot)),
            "ranges": ranges,
            "ranges_more": a.ranges_more,
            "changed": a.changed,
            "late": a.late,
            "first": moment(a.first_us),
            "last": moment(a.last_us),
        })
    });
    let cells = since.cells.iter().map(|c| {
        json!({
            "agent": c.agent,
            "target": c.target,
            "from_slot": c.from_slot,
            "to_slot": c.to_slot,
            "before": words::seen(c.before),
            "after": words::seen(c.after),
        })
    });
    json!({
        "decided": moment(since.decided_us),
        "need_before": words::need(since.need_before),
        "cause_before": words::cause(since.cause_before),
        "execution_before": words::execution(since.execution_before),
        "judged_from_slot": since.judged_from_slot,
        "judged_to_slot": since.judged_to_slot,
        "arrivals": arrivals.collect::<Value>(),
        "arrivals_more": since.arrivals_more,
        "cells": cells.collect::<Value>(),
        "cells_more": since.cells_more,
    })
}

fn rejected(rejected: &v1::RejectedHypothesis) -> Value {
    json!({
        "cause": words::cause(rejected.cause),
        "reason": rejected.reason,
        "finding_code": rejected.finding_code,
    })
}

/// A stretch of a timeline.
pub(crate) fn segment(service: &str, segment: &v1::Segment) -> Value {
    json!({
        "service": service,
        "from": moment(segment.from_us),
        "to": moment(segment.to_us),
        "need": words::need(segment.need),
        "cause": words::cause(segment.cause),
        "execution": words::execution(segment.execution),
        "episode": text_if(&segment.episode),
        "revision": (segment.revision > 0).then_some(segment.revision),
        "served_region": text_if(&segment.served_region),
    })
}

/// The state of an agent.
pub(crate) fn agent(agent: &v1::AgentState) -> Value {
    json!({
        "agent": agent.agent,
        "region": agent.region,
        "zone": agent.zone,
        "enrolled": agent.enrolled,
        "connected": agent.connected,
        "last_contact": moment_if(agent.last_contact_us),
        "clock_offset_us": agent.clock_offset_us,
        "backlog": agent.backlog,
        "buffer_bytes": agent.buffer_bytes,
        "software": agent.software,
        "plan_version": text_if(&agent.plan_version),
        "books": agent.books.iter().map(books).collect::<Value>(),
        "ledgers": agent.ledgers.iter().map(ledger).collect::<Value>(),
    })
}

/// A boot is named as logs name it: 64 bits do not fit a JSON number everywhere.
pub(crate) fn boot(boot: u64) -> String {
    format!("{boot:016x}")
}

fn books(books: &v1::Books) -> Value {
    let lost: serde_json::Map<String, Value> =
        books.lost.iter().map(|loss| (words::loss(loss.reason), json!(loss.count))).collect();
    json!({
        "boot": boot(books.boot),
        "started": books.started,
        "delivered": books.delivered,
        "buffered": books.buffered,
        "expired": books.expired,
        "lost": lost,
    })
}

fn ledger(ledger: &v1::Ledger) -> Value {
    json!({
        "boot": boot(ledger.boot),
        "next_sequence": ledger.next_sequence,
        "stored": ledger.stored,
        "duplicate": ledger.duplicate,
        "refused": ledger.refused,
        "lost": ledger.lost,
    })
}

/// One attempt.
pub(crate) fn measurement(m: &v1::Measurement) -> Value {
    let is = |outcome: v1::Outcome| m.outcome == outcome as i32;
    let hops: Value =
        m.hops.iter().map(|hop| json!({ "http_status": hop.http_status, "elapsed_us": hop.elapsed_us })).collect();
    json!({
        "agent": m.agent,
        "vantage_region": m.vantage_region,
        "vantage_zone": m.vantage_zone,
        "boot": boot(m.boot),
        "sequence": m.sequence,
        "target": m.target,
        "slot": m.slot,
        "attempt": m.attempt,
        "scheduled": moment(m.scheduled_us),
        "started": moment(m.started_us),
        "outcome": words::outcome(m.outcome),
        "fault": is(v1::Outcome::Down).then(|| words::fault(m.fault)),
        "unmeasured": is(v1::Outcome::Unmeasured).then(|| words::unmeasured(m.unmeasured)),
        "total_us": m.total_us,
        "dns_us": m.dns_us,
        "connect_us": m.connect_us,
        "tls_us": m.tls_us,
        "send_us": m.send_us,
        "wait_us": m.wait_us,
        "transfer_us": m.transfer_us,
        "http_status": m.http_status,
        "served_region": m.served_region,
        "served_zone": m.served_zone,
        "hops": hops,
        "certificate_expires": moment_if(m.certificate_expires_us),
        "clock_offset_us": m.clock_offset_us,
        "loop_lag_us": m.loop_lag_us,
        "controls_failed": m.controls_failed,
        "controls_seen": m.controls_seen,
        "stored": moment(m.stored_us),
    })
}
