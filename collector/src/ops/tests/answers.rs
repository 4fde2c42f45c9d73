//! What the canned collector knows: NL went down for a while, and other things that look odd in a table.

use uitwijk_proto::started::Started;
use uitwijk_proto::v1;

use super::canned::NOW;

const SECOND: i64 = 1_000_000;

/// So many seconds before half past eight.
fn ago(seconds: i64) -> i64 {
    NOW.as_micros() - seconds * SECOND
}

pub(super) fn agents() -> Vec<v1::AgentState> {
    let agent = |name: &str, region: &str, zone: &str| v1::AgentState {
        agent: name.to_owned(),
        region: region.to_owned(),
        zone: zone.to_owned(),
        enrolled: true,
        connected: true,
        last_contact_us: Some(ago(1)),
        clock_offset_us: Some(1_234),
        backlog: 12,
        buffer_bytes: 3_565_158,
        software: "uitwijk-agent 0.1.0".to_owned(),
        plan_version: "0123456789abcdef".to_owned(),
        books: vec![books(0x1f, 1000, 988, 12, 0, 0)],
        ledgers: vec![v1::Ledger { boot: 0x1f, next_sequence: 989, stored: 986, refused: 2, ..v1::Ledger::default() }],
    };
    vec![
        agent("nl-1", "NL", "1"),
        v1::AgentState {
            connected: false,
            last_contact_us: Some(ago(8_000)),
            clock_offset_us: Some(-3_500_000),
            backlog: 123_456,
            books: vec![books(0x2a, 500, 400, 40, 50, 10), books(0x2b, 20, 10, 9, 0, 0)],
            ledgers: Vec::new(),
            ..agent("nl-2-with-a-rather-long-name-that-somebody-chose", "NL", "2")
        },
        v1::AgentState {
            connected: false,
            last_contact_us: None,
            clock_offset_us: None,
            backlog: 0,
            buffer_bytes: 0,
            software: String::new(),
            books: Vec::new(),
            ledgers: Vec::new(),
            ..agent("ie-1", "IE", "1")
        },
        v1::AgentState {
            enrolled: false,
            software: "\u{1b}]0;owned\u{7}\u{202e}tnega".to_owned(),
            books: vec![books(0x3c, 100, 90, 0, 6, 4)],
            ..agent("ie-9", "IE", "9")
        },
    ]
}

/// As the agents' books say, save for one that counts wrongly and one that nobody speaks of any more.
pub(super) fn ledgers() -> Vec<v1::BootLedger> {
    let ledger = |agent: &str, boot: u64, [stored, duplicate, refused, lost]: [u64; 4], next_sequence: u64| {
        let (settled, end_sequence) = (next_sequence - 1, next_sequence);
        let ledger = v1::Ledger { boot, next_sequence, stored, duplicate, refused, lost, settled, end_sequence };
        v1::BootLedger { agent: agent.to_owned(), ledger: Some(ledger), arrived_us: ago(1) }
    };
    vec![
        ledger("ie-9", 0x3c, [86, 4, 0, 10], 101),
        ledger("nl-1", 0x1e, [31, 0, 0, 0], 32),
        ledger("nl-1", 0x1f, [986, 0, 2, 0], 989),
        ledger("nl-2-with-a-rather-long-name-that-somebody-chose", 0x2a, [400, 0, 0, 59], 461),
    ]
}

/// What nl-1 recorded: one row that is stored, three that are not, one that is still buffered, and half a line.
pub(super) fn record() -> String {
    let line = |sequence: u64, slot: i64| {
        let agent = "nl-1".to_owned();
        let target = "exchange/default@public".to_owned();
        Started { agent, boot: 0x1f, sequence, target, slot, attempt: 0, scheduled_us: 0, recorded_us: 0 }.to_line()
    };
    let lines = [(3, 1), (4, 2), (5, 3), (7, 177_243_930), (990, 177_243_931)];
    lines.into_iter().map(|(sequence, slot)| line(sequence, slot).unwrap()).collect::<String>() + "{\"agent\":"
}

fn books(boot: u64, started: u64, delivered: u64, buffered: u64, expired: u64, unsynced: u64) -> v1::Books {
    let lost = match unsynced {
        0 => Vec::new(),
        count => vec![v1::Loss { reason: v1::LossReason::Unsynced as i32, count }],
    };
    v1::Books { boot, started, delivered, buffered, expired, lost }
}

fn verdict(service: &str, start: &str, from: i64, to: Option<i64>) -> v1::Verdict {
    v1::Verdict {
        episode: format!("{service}/{start}"),
        service: service.to_owned(),
        revision: 1,
        kind: v1::RevisionKind::Final as i32,
        from_us: from,
        to_us: to,
        decided_us: to.unwrap_or(from + 30 * SECOND) + 2 * SECOND,
        need: v1::Need::NotNeeded as i32,
        cause: v1::Cause::Transient as i32,
        execution: v1::Execution::None as i32,
        active_region: "NL".to_owned(),
        other_region: "IE".to_owned(),
        plan_version: "0123456789abcdef".to_owned(),
        policy_version: "fedcba9876543210".to_owned(),
        evidence_hash: "5f".repeat(32),
        complete: true,
        collector: "col-nl".to_owned(),
        ..v1::Verdict::default()
    }
}

pub(super) const EPISODE: &str = "exchange/2026-03-02T08:15:00Z";

/// Both revisions of the episode that everything is known of.
pub(super) fn revisions() -> Vec<v1::Verdict> {
    let down = v1::Verdict {
        kind: v1::RevisionKind::Provisional as i32,
        need: v1::Need::Needed as i32,
        cause: v1::Cause::RegionDown as i32,
        execution: v1::Execution::Missed as i32,
        complete: false,
        publish_delay_ms: Some(12),
        ..verdict("exchange", "2026-03-02T08:15:00Z", ago(900), None)
    };
    let over = v1::Verdict {
        revision: 2,
        kind: v1::RevisionKind::Final as i32,
        to_us: Some(ago(650)),
        decided_us: ago(600),
        execution: v1::Execution::Executed as i32,
        complete: true,
        publish_delay_ms: None,
        ..down.clone()
    };
    vec![down, over]
}

pub(super) fn verdicts() -> Vec<v1::Verdict> {
    let portal = v1::Verdict {
        kind: v1::RevisionKind::Provisional as i32,
        need: v1::Need::Inconclusive as i32,
        cause: v1::Cause::InsufficientEvidence as i32,
        ..verdict("portal-of-the-foreign-office", "2026-03-02T08:29:10Z", ago(50), None)
    };
    let switched = v1::Verdict {
        revision: 3,
        kind: v1::RevisionKind::Revised as i32,
        cause: v1::Cause::ZoneAbsorbed as i32,
        execution: v1::Execution::Unnecessary as i32,
        ..verdict("exchange", "2026-03-01T22:00:00Z", ago(37_800), Some(ago(26_000)))
    };
    let newer = v1::Verdict {
        need: 99,
        cause: 99,
        ..verdict("exchange", "2026-02-20T10:00:00Z", ago(860_000), Some(ago(500_000)))
    };
    let mut all = vec![portal];
    all.extend(revisions().pop());
    all.extend([switched, newer]);
    all
}

/// With what it rests on.
pub(super) fn in_full(verdict: v1::Verdict) -> v1::Verdict {
    let seen = |agent: &str, target: &str, failed| v1::Observation {
        agent: agent.to_owned(),
        target: target.to_owned(),
        from_slot: 177_243_930,
        to_slot: 177_243_936,
        measured: 6,
        failed,
        slow: 0,
    };
    let text = "The public name failed in 36 of 36 attempts between 08:15:00 and 08:16:00, as seen by nl-1, nl-2, \
                ie-1 and three more agents, none of which is sick itself.";
    let since = v1::Since {
        decided_us: ago(868),
        need_before: v1::Need::NotNeeded as i32,
        cause_before: v1::Cause::Transient as i32,
        execution_before: v1::Execution::None as i32,
        judged_from_slot: 177_243_933,
        judged_to_slot: 177_243_957,
        arrivals: vec![v1::Arrivals {
            agent: "ie-1".to_owned(),
            boot: 0x1f,
            ranges: vec![v1::SequenceRange { from: 901, to: 1020 }, v1::SequenceRange { from: 1101, to: 1103 }],
            ranges_more: 1,
            changed: 84,
            late: 80,
            first_us: ago(610),
            last_us: ago(602),
        }],
        arrivals_more: 7,
        cells: vec![v1::CellChange {
            agent: "ie-1".to_owned(),
            target: "exchange/default@NL".to_owned(),
            from_slot: 177_243_930,
            to_slot: 177_243_950,
            before: v1::Seen::Empty as i32,
            after: v1::Seen::Failed as i32,
        }],
        cells_more: 3,
    };
    v1::Verdict {
        since: (verdict.revision > 1).then_some(since),
        findings: vec![
            v1::Finding {
                code: "public_name_hurt".to_owned(),
                text: text.to_owned(),
                observations: vec![
                    seen("nl-1", "exchange/default@public", 6),
                    seen("", "a-service-with-a-long-name/an-endpoint-with-a-long-name@region-nl/zone-1", 0),
                ],
            },
            v1::Finding {
                code: "other_region_clean".to_owned(),
                text: "IE answered every attempt.".to_owned(),
                observations: Vec::new(),
            },
        ],
        rejected: vec![v1::RejectedHypothesis {
            cause: v1::Cause::ChainPartner as i32,
            reason: "partner idp answered every attempt from every trusted agent while the service was down".to_owned(),
            finding_code: "partner_clean".to_owned(),
        }],
        would_change: vec!["Six more failures of IE would have made it futile.".to_owned()],
        explanation: "A failover of exchange from NL to IE was needed.\n\n  NL refused connections.\n".to_owned(),
        explanation_nl: "Uitwijk van exchange van NL naar IE was nodig.\n".to_owned(),
        ..verdict
    }
}

pub(super) fn timeline() -> v1::TimelineResponse {
    let segment = |from, to, need: v1::Need, cause: v1::Cause, served: &str| v1::Segment {
        from_us: from,
        to_us: to,
        need: need as i32,
        cause: cause as i32,
        execution: v1::Execution::None as i32,
        episode: String::new(),
        revision: 0,
        served_region: served.to_owned(),
    };
    let down = v1::Segment {
        execution: v1::Execution::Executed as i32,
        episode: EPISODE.to_owned(),
        revision: 2,
        ..segment(ago(900), ago(650), v1::Need::Needed, v1::Cause::RegionDown, "")
    };
    v1::TimelineResponse {
        segments: vec![
            segment(ago(86_400), ago(900), v1::Need::NotNeeded, v1::Cause::Healthy, "NL"),
            down,
            segment(ago(650), ago(20), v1::Need::NotNeeded, v1::Cause::SlowWithinObjective, "IE"),
        ],
        watermark_us: ago(40),
    }
}

pub(super) fn measurements() -> Vec<v1::Measurement> {
    let up = v1::Measurement {
        agent: "nl-1".to_owned(),
        vantage_region: "NL".to_owned(),
        vantage_zone: "1".to_owned(),
        boot: 0x1f,
        sequence: 7,
        target: "exchange/default@public".to_owned(),
        slot: 177_243_930,
        scheduled_us: ago(900) + 123_456,
        started_us: ago(900) + 123_999,
        outcome: v1::Outcome::Up as i32,
        total_us: Some(12_345),
        dns_us: Some(345),
        connect_us: Some(1_000),
        wait_us: Some(11_000),
        http_status: Some(200),
        served_region: Some("NL".to_owned()),
        served_zone: Some("2".to_owned()),
        stored_us: ago(899),
        controls_seen: 3,
        ..v1::Measurement::default()
    };
    let down = v1::Measurement {
        sequence: 8,
        outcome: v1::Outcome::Down as i32,
        fault: v1::Fault::ConnectRefused as i32,
        total_us: Some(820),
        dns_us: None,
        connect_us: None,
        wait_us: None,
        http_status: None,
        served_region: None,
        served_zone: None,
        ..up.clone()
    };
    let again = v1::Measurement {
        sequence: 9,
        attempt: 1,
        fault: v1::Fault::TlsCertificateNotYetValid as i32,
        target: "a-service-with-a-long-name/an-endpoint-with-a-long-name@region-nl/zone-1".to_owned(),
        total_us: Some(2_000_000),
        ..down.clone()
    };
    let none = v1::Measurement {
        agent: "ie-1".to_owned(),
        outcome: v1::Outcome::Unmeasured as i32,
        fault: 0,
        unmeasured: v1::Unmeasured::Overload as i32,
        total_us: None,
        ..down.clone()
    };
    vec![up, down, again, none]
}
