//! Can this build read what version 1 of the wire wrote?
//!
//! `fixtures/v1/NAME.bin` are bytes of each message as version 1 encoded it, `NAME.txt` what they say. They are never written anew: a
//! change that reads them otherwise breaks agents in the field and buffers on their disks. A message that is new gets a pair of
//! its own, which this test writes once and fails, so that it is looked at and committed.

use std::fmt::Debug;
use std::fs;
use std::path::PathBuf;

use prost::Message;
use uitwijk_model::id::TargetId;
use uitwijk_model::{
    AgentId, BootId, Elapsed, Fault, Hop, Measurement, Observer, Outcome, Phases, Record, Region, ServedBy, Slot,
    Unmeasured, Vantage, WallTime, Zone,
};
use uitwijk_proto::columns::{self, Limits, Rows};
use uitwijk_proto::v1::{self, from_agent, from_collector};

fn path(name: &str, extension: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", "v1", &format!("{name}.{extension}")].iter().collect()
}

/// Opens the bytes of version 1, compares what they say, and returns the message.
#[track_caller]
fn check<M: Message + Default + Debug + PartialEq>(name: &str, example: &M) -> M {
    if !path(name, "bin").exists() {
        fs::write(path(name, "bin"), example.encode_to_vec()).expect("the fixture can be written");
        fs::write(path(name, "txt"), format!("{example:#?}\n")).expect("the fixture can be written");
        panic!("{name} had no fixture; one has been written, review and commit it");
    }
    let bytes = fs::read(path(name, "bin")).expect("the fixture can be read");
    let text = fs::read_to_string(path(name, "txt")).expect("the fixture can be read");
    let message = M::decode(&bytes[..]).unwrap_or_else(|e| panic!("{name}: version 1 is no longer read: {e}"));
    assert_eq!(without_news(&format!("{message:#?}\n"), &text), text, "{name}: version 1 is read otherwise");
    message
}

/// What a message says, without fields that are newer than the text and say nothing.
fn without_news(said: &str, text: &str) -> String {
    let mut known = text.lines().peekable();
    let nothing =
        |line: &str| [": None,", ": 0,", ": \"\",", ": [],", ": false,"].iter().any(|end| line.ends_with(end));
    let mut kept = String::new();
    for line in said.lines() {
        if known.peek() == Some(&line) {
            known.next();
        } else if nothing(line) {
            continue;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

fn measurements() -> Vec<Measurement> {
    let us = |n| Some(Elapsed::from_micros(n));
    let at = |ms: i64| WallTime::from_millis(1_772_438_400_000 + ms);
    let up = Measurement {
        target: TargetId::from_wire("exchange/default@public"),
        slot: Slot(177_243_840),
        attempt: 0,
        scheduled: at(137),
        started: at(138),
        outcome: Outcome::Up,
        total: us(151_200),
        phases: Phases {
            dns: us(1_000),
            connect: us(20_100),
            tls: us(41_000),
            send: us(90),
            wait: us(88_000),
            transfer: us(900),
        },
        http_status: Some(200),
        served: Some(ServedBy { region: Region::new("NL").expect("a name"), zone: Zone::new("2").ok() }),
        hops: vec![Hop { http_status: 301, elapsed: Elapsed::from_micros(1_234) }],
        certificate_expires: Some(WallTime::from_millis(1_780_000_000_000)),
        observer: Observer {
            clock_offset_us: Some(-350),
            loop_lag: Elapsed::from_micros(12),
            controls_failed: 1,
            controls_seen: 3,
        },
    };
    let down = Measurement {
        target: TargetId::from_wire("chain:idp"),
        attempt: 1,
        scheduled: at(902),
        started: at(901),
        outcome: Outcome::Down(Fault::ConnectRefused),
        total: us(2_100),
        phases: Phases { dns: us(900), ..Phases::default() },
        http_status: None,
        served: None,
        hops: vec![],
        certificate_expires: None,
        observer: Observer::default(),
        ..up.clone()
    };
    let unmeasured = Measurement {
        target: TargetId::from_wire("control:ctl-a"),
        slot: Slot(177_243_841),
        attempt: 0,
        scheduled: at(10_500),
        started: at(10_500),
        outcome: Outcome::Unmeasured(Unmeasured::Overrun),
        total: None,
        phases: Phases::default(),
        ..down.clone()
    };
    vec![up, down, unmeasured]
}

fn batch(how: v1::Compression) -> v1::Batch {
    let mut batch = columns::batch(BootId(77), 5, &columns::encode(&measurements()), how);
    batch.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned();
    batch
}

#[test]
fn columns_and_batches() {
    check("columns", &columns::encode(&measurements()));
    for (name, how) in [("batch", v1::Compression::None), ("batch_zstd", v1::Compression::Zstd)] {
        let kept = check(name, &batch(how));
        let rows = Rows::from_batch(&kept, &Limits::default()).expect("a batch of version 1 is well formed");
        let read: Vec<_> = rows.iter().map(|r| r.expect("its rows are good").to_measurement()).collect();
        assert_eq!((rows.boot(), rows.sequence(0)), (BootId(77), 5));
        assert_eq!(read, measurements(), "{name}");
    }
}

#[test]
fn measurements_of_queries() {
    let record = Record {
        agent: AgentId::new("nl-1").unwrap(),
        vantage: Vantage { region: Region::new("NL").unwrap(), zone: Zone::new("1").unwrap() },
        boot: BootId(77),
        sequence: 5,
        measurement: measurements().remove(0),
    };
    let stored = WallTime::from_millis(1_772_438_401_000);
    let kept = check("measurement", &columns::to_message(&record, stored));
    assert_eq!(columns::from_message(&kept), Ok((record, stored)));
    let request = v1::QueryRequest {
        from_us: -1,
        to_us: 2,
        service: "exchange".into(),
        target: "chain:idp".into(),
        vantage_region: "NL".into(),
        vantage_zone: "1".into(),
        agent: "nl-1".into(),
        page_size: 3,
        page_token: "next".into(),
    };
    check("query_request", &request);
    let next_page_token = "next".into();
    check("query_response", &v1::QueryResponse { measurements: vec![kept], next_page_token, damaged_records: 0 });
}

fn books() -> v1::Books {
    let lost =
        [v1::LossReason::Expired, v1::LossReason::Unwritable, v1::LossReason::Unreadable, v1::LossReason::Unsynced];
    let lost = lost.into_iter().zip(1..).map(|(reason, count)| v1::Loss { reason: reason.into(), count }).collect();
    v1::Books { boot: 77, started: 100, delivered: 80, buffered: 5, expired: 5, lost }
}

#[test]
fn from_the_agent() {
    let sent = |message| v1::FromAgent { message: Some(message) };
    check(
        "hello",
        &sent(from_agent::Message::Hello(v1::Hello {
            protocol_version: 1,
            boot: 77,
            software: "uitwijk-agent 0.1.0".into(),
            plan_version: "0123456789abcdef".into(),
            buffered: vec![v1::BootRange { boot: 76, first_sequence: 1, next_sequence: 9 }],
            buffered_is_all: false,
        })),
    );
    check("from_agent_batch", &sent(from_agent::Message::Batch(batch(v1::Compression::None))));
    let reason = v1::LossReason::Expired.into();
    check(
        "tombstone",
        &sent(from_agent::Message::Tombstone(v1::Tombstone { boot: 76, first_sequence: 1, count: 8, reason })),
    );
    check(
        "heartbeat",
        &sent(from_agent::Message::Heartbeat(v1::Heartbeat {
            sent_us: 1_772_438_400_000_000,
            books: vec![books()],
            buffer_bytes: 4096,
            backlog: 5,
            clock_offset_us: Some(-350),
            plan_version: "0123456789abcdef".into(),
            complete_through_us: 1_772_438_390_000_000,
            complete_sequence: 96,
        })),
    );
}

#[test]
fn from_the_collector() {
    let sent = |message| v1::FromCollector { message: Some(message) };
    let cursors = vec![v1::Cursor { boot: 77, next_sequence: 96 }];
    check(
        "welcome",
        &sent(from_collector::Message::Welcome(v1::Welcome {
            protocol_version: 1,
            collector: "col-nl".into(),
            cursors: cursors.clone(),
            plan_version: "0123456789abcdef".into(),
            unacknowledged_batches_max: 16,
            batch_bytes_max: 1 << 20,
            batch_rows_max: 8192,
        })),
    );
    let refused = (1..=7).map(|reason| v1::Refusal { reason, count: 3 }).collect();
    check("acknowledgement", &sent(from_collector::Message::Acknowledgement(v1::Acknowledgement { cursors, refused })));
    let reply = v1::HeartbeatReply { sent_us: 1, received_us: 2, replied_us: -3 };
    check("heartbeat_reply", &sent(from_collector::Message::HeartbeatReply(reply)));
}

#[test]
fn of_the_fleet() {
    check("watch_plan_request", &v1::WatchPlanRequest { known_version: "0123456789abcdef".into() });
    check(
        "plan_update",
        &v1::PlanUpdate { version: "0123456789abcdef".into(), revision: 3, plan_json: b"{}".to_vec() },
    );
    check("list_agents_request", &v1::ListAgentsRequest {});
    // Version 1 counted these and no more.
    let ledger = v1::Ledger {
        boot: 77,
        next_sequence: 96,
        stored: 80,
        duplicate: 2,
        refused: 3,
        lost: 10,
        ..v1::Ledger::default()
    };
    let agent = v1::AgentState {
        agent: "nl-1".into(),
        region: "NL".into(),
        zone: "1".into(),
        enrolled: true,
        connected: true,
        last_contact_us: Some(1),
        clock_offset_us: Some(-350),
        backlog: 5,
        buffer_bytes: 4096,
        software: "uitwijk-agent 0.1.0".into(),
        plan_version: "0123456789abcdef".into(),
        books: vec![books()],
        ledgers: vec![ledger],
    };
    check("list_ledgers_request", &v1::ListLedgersRequest { agent: "nl-1".into() });
    let counted = v1::Ledger { settled: 97, end_sequence: 99, ..ledger };
    let held = v1::BootLedger { agent: "nl-1".into(), ledger: Some(counted), arrived_us: 1_772_438_400_000_000 };
    check("boot_ledger", &held);
    check("list_agents_response", &v1::ListAgentsResponse { agents: vec![agent], collector: "col-nl".into() });
}

fn verdict() -> v1::Verdict {
    let observation = v1::Observation {
        agent: "nl-1".into(),
        target: "exchange/default@NL".into(),
        from_slot: 10,
        to_slot: 20,
        measured: 10,
        failed: 9,
        slow: 1,
    };
    let finding =
        v1::Finding { code: "public_name_hurt".into(), text: "90 % failed".into(), observations: vec![observation] };
    let rejected = v1::RejectedHypothesis {
        cause: v1::Cause::ChainPartner.into(),
        reason: "idp answered".into(),
        finding_code: "partner_fine".into(),
    };
    v1::Verdict {
        episode: "exchange/2026-03-02T08:15:00Z".into(),
        service: "exchange".into(),
        revision: 2,
        kind: v1::RevisionKind::Final.into(),
        from_us: 1,
        to_us: Some(2),
        decided_us: 3,
        need: v1::Need::Needed.into(),
        cause: v1::Cause::RegionDown.into(),
        execution: v1::Execution::Missed.into(),
        active_region: "NL".into(),
        other_region: "IE".into(),
        findings: vec![finding],
        rejected: vec![rejected],
        would_change: vec!["idp down in both regions".into()],
        plan_version: "0123456789abcdef".into(),
        policy_version: "fedcba9876543210".into(),
        evidence_hash: "00".into(),
        complete: true,
        collector: "col-nl".into(),
        explanation: "NL was dark".into(),
        explanation_nl: "NL was donker".into(),
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
        publish_delay_ms: Some(12),
        since: None,
    }
}

fn since() -> v1::Since {
    let arrivals = v1::Arrivals {
        agent: "ie-1".into(),
        boot: 77,
        ranges: vec![v1::SequenceRange { from: 901, to: 3520 }],
        ranges_more: 1,
        changed: 1834,
        late: 1830,
        first_us: 4,
        last_us: 5,
    };
    let cells = v1::CellChange {
        agent: "ie-1".into(),
        target: "exchange/default@NL".into(),
        from_slot: 10,
        to_slot: 20,
        before: v1::Seen::Empty.into(),
        after: v1::Seen::Failed.into(),
    };
    v1::Since {
        decided_us: 3,
        need_before: v1::Need::NotNeeded.into(),
        cause_before: v1::Cause::Transient.into(),
        execution_before: v1::Execution::None.into(),
        judged_from_slot: 18,
        judged_to_slot: 25,
        arrivals: vec![arrivals],
        arrivals_more: 2,
        cells: vec![cells],
        cells_more: 3,
    }
}

#[test]
fn of_the_verdicts() {
    let (service, page_token) = ("exchange".to_owned(), "next".to_owned());
    check("verdict", &verdict());
    check("verdict_since", &v1::Verdict { since: Some(since()), ..verdict() });
    let (from_us, to_us) = (-1, 2);
    let list = v1::ListVerdictsRequest {
        service: service.clone(),
        from_us,
        to_us,
        page_size: 3,
        page_token,
        all: true,
        as_of_us: 0,
    };
    check("list_verdicts_request", &list);
    check("list_verdicts_request_as_of", &v1::ListVerdictsRequest { as_of_us: 9, ..list.clone() });
    let next_page_token = "next".into();
    check("list_verdicts_response", &v1::ListVerdictsResponse { verdicts: vec![verdict()], next_page_token });
    let get = v1::GetVerdictRequest { episode: verdict().episode, revision: 2, as_of_us: 0 };
    check("get_verdict_request", &get);
    check("get_verdict_request_as_of", &v1::GetVerdictRequest { as_of_us: 9, ..get });
    let verdicts = v1::GetVerdictResponse { verdict: Some(verdict()), revisions: vec![verdict()] };
    check("get_verdict_response", &verdicts);
    check("watch_verdicts_request", &v1::WatchVerdictsRequest { service: service.clone() });
    let timeline = v1::TimelineRequest { service, from_us, to_us, as_of_us: 0 };
    check("timeline_request", &timeline);
    check("timeline_request_as_of", &v1::TimelineRequest { as_of_us: 9, ..timeline });
    let segment = v1::Segment {
        from_us,
        to_us,
        need: v1::Need::Futile.into(),
        cause: v1::Cause::GlobalFault.into(),
        execution: v1::Execution::None.into(),
        episode: verdict().episode,
        revision: 2,
        served_region: "NL".into(),
    };
    check("timeline_response", &v1::TimelineResponse { segments: vec![segment], watermark_us: 9 });
}

#[test]
fn of_the_labels() {
    let drill = v1::Drill { service: "exchange".into(), from_us: 1, to_us: 2 };
    let add = v1::AddLabelRequest {
        subject: Some(v1::add_label_request::Subject::Drill(drill)),
        need: v1::Need::Needed.into(),
        cause: v1::Cause::RegionDown.into(),
        execution: v1::Execution::Executed.into(),
        note: "the yearly drill".into(),
    };
    check("add_label_request", &add);
    let label = v1::Label {
        entry: 7,
        subject: "exchange/2026-03-02T08:15:00Z".into(),
        drill: true,
        service: "exchange".into(),
        from_us: 1,
        to_us: Some(2),
        need: v1::Need::Needed.into(),
        cause: v1::Cause::RegionDown.into(),
        execution: v1::Execution::Executed.into(),
        note: "the yearly drill".into(),
        author: "operator/duty".into(),
        labelled_us: 3,
        counts: true,
    };
    check("add_label_response", &v1::AddLabelResponse { label: Some(label.clone()) });
    let (service, page_token) = ("exchange".to_owned(), "next".to_owned());
    check("list_labels_request", &v1::ListLabelsRequest { service, from_us: 1, to_us: 2, page_size: 3, page_token });
    let next_page_token = "next".into();
    check("list_labels_response", &v1::ListLabelsResponse { labels: vec![label], next_page_token });
}

#[test]
fn of_the_switches() {
    let report = v1::ReportSwitchRequest {
        service: "exchange".into(),
        from_region: "NL".into(),
        to_region: "IE".into(),
        at_us: 1,
        reason: "NL is dark".into(),
    };
    check("report_switch_request", &report);
    let switch = v1::Switch {
        entry: 7,
        service: "exchange".into(),
        from_region: "NL".into(),
        to_region: "IE".into(),
        at_us: 1,
        reason: "NL is dark".into(),
        author: "otto".into(),
        reported_us: 2,
    };
    check(
        "report_switch_response",
        &v1::ReportSwitchResponse { switch: Some(switch.clone()), known: true, judged: true },
    );
    let (service, page_token) = ("exchange".to_owned(), "next".to_owned());
    let request = v1::ListSwitchesRequest { service, from_us: 1, to_us: 2, page_size: 3, page_token };
    check("list_switches_request", &request);
    let next_page_token = "next".into();
    check("list_switches_response", &v1::ListSwitchesResponse { switches: vec![switch], next_page_token });
}

#[test]
fn of_the_backups() {
    use v1::backup_piece::Piece;
    check("take_backup_request", &v1::TakeBackupRequest { within_s: 1, sealed_files: v1::SealedFiles::Named.into() });
    let begin = v1::BackupBegin {
        collector: "nl-c1".into(),
        taken_us: 1,
        format: 1,
        software: "uitwijk-collector 0.1.0".into(),
        sealed_place: "data_dir".into(),
        sealed_copied: true,
        // The first that made backups did not say it.
        store_format: 0,
    };
    let end = v1::BackupEnd {
        records: 1,
        record_rows: 2,
        records_damaged: 3,
        ledgers: 4,
        sealed_hours: 5,
        sealed_files: 6,
        sealed_rows: 7,
        verdict_entries: 8,
        verdict_head: "9f3c".into(),
        shadow_entries: Some(9),
        shadow_head: "4ac1".into(),
    };
    let (path, bytes, sha256) = ("cold/a.parquet".to_owned(), 3, vec![1, 2, 3]);
    let pieces = [
        ("begin", Piece::Begin(begin)),
        ("file", Piece::File(v1::BackupFile { path: path.clone() })),
        ("bytes", Piece::Bytes(vec![7, 8, 9])),
        ("file_end", Piece::FileEnd(v1::BackupFileEnd { bytes, sha256 })),
        ("named", Piece::Named(v1::NamedFile { path, bytes, sha256: vec![4, 5, 6] })),
        ("end", Piece::End(end)),
    ];
    for (name, piece) in pieces {
        check(&format!("backup_piece_{name}"), &v1::BackupPiece { piece: Some(piece) });
    }
}

#[test]
fn of_the_policies() {
    let (service, from_us, to_us) = ("exchange".to_owned(), 1, 2);
    let policy_json = r#"{"hard_duration":"600s"}"#.into();
    check("backtest_request", &v1::BacktestRequest { from_us, to_us, service: service.clone(), policy_json });
    let compare = v1::CompareRequest { shadow: "quick".into(), service: service.clone(), from_us, to_us };
    check("compare_request", &compare);
    let amount = |episodes| Some(v1::Amount { episodes, ms: episodes * 60_000 });
    let totals = v1::Totals {
        needed: amount(1),
        missed: amount(2),
        unnecessary: amount(3),
        futile: amount(4),
        inconclusive: amount(5),
        all: amount(6),
    };
    let judged = v1::Judged {
        episode: verdict().episode,
        from_us,
        to_us: Some(to_us),
        need: v1::Need::Needed.into(),
        cause: v1::Cause::RegionDown.into(),
        execution: v1::Execution::Missed.into(),
    };
    let difference = v1::Difference {
        service: service.clone(),
        current: Some(judged.clone()),
        other: Some(judged),
        changed: vec!["need".into()],
    };
    let cell = v1::ConfusionCell { judged: v1::Need::Futile.into(), current: amount(7), other: amount(8) };
    let row = v1::ConfusionRow { label: v1::Need::Needed.into(), drill: true, cells: vec![cell] };
    let compared = v1::ComparedService {
        service,
        current_policy: "0123456789abcdef".into(),
        other_policy: "fedcba9876543210".into(),
    };
    let comparison = v1::Comparison {
        from_us,
        to_us,
        plan_version: "0123456789abcdef".into(),
        services: vec![compared],
        current: Some(totals),
        other: Some(totals),
        differences: vec![difference],
        differences_omitted: 9,
        confusion: vec![row],
        measurements: 10,
        damaged_records: 11,
    };
    let progress = v1::BacktestProgress { measurements: 12, through_us: 13 };
    let update = |update| v1::BacktestUpdate { update: Some(update) };
    check("backtest_progress", &update(v1::backtest_update::Update::Progress(progress)));
    check("backtest_comparison", &update(v1::backtest_update::Update::Comparison(comparison.clone())));
    check("compare_response", &v1::CompareResponse { comparison: Some(comparison), since_us: 14 });
}

#[test]
fn every_message_has_a_fixture() {
    let descriptors = protox::prost_reflect::prost_types::FileDescriptorSet::decode(uitwijk_proto::DESCRIPTORS)
        .expect("descriptors decode");
    let texts: String = fs::read_dir(path("x", "bin").parent().unwrap())
        .expect("the fixtures are there")
        .map(|f| f.unwrap().path())
        .filter(|f| f.extension().is_some_and(|e| e == "txt"))
        .map(|f| fs::read_to_string(f).unwrap())
        .collect();
    let names = descriptors.file.iter().filter(|f| f.package() == "uitwijk.v1").flat_map(|f| &f.message_type);
    let missing: Vec<_> = names.map(|m| m.name().to_owned()).filter(|n| !mentions(&texts, n)).collect();
    assert!(missing.is_empty(), "no fixture has {missing:?}; add one");
}

/// The name of a struct as debug text writes it, at the start of a line, after a field or within a variant.
fn mentions(texts: &str, name: &str) -> bool {
    let begins = |word: &str| word == name || word.strip_prefix(&format!("{name}(")).is_some();
    texts.lines().any(|line| line.split_whitespace().any(begins))
}
