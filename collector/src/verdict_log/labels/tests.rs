//! Labels stand in the chain, beside each other, and out of the way of revisions.

use std::path::Path;

use serde_json::json;
use uitwijk_model::Millis;

use super::super::{Publication, VerdictLog};
use super::*;

const T0: WallTime = WallTime::from_millis(1_772_438_400_000);

fn at(minute: u64) -> WallTime {
    T0.plus(Millis::from_secs(minute * 60))
}

fn label(service: &str, minute: u64, need: &str) -> NewRemark {
    NewRemark {
        subject: format!("{service}/{}", at(minute)),
        service: service.to_owned(),
        from: at(minute),
        to: Some(at(minute + 5)),
        body: json!({ "label": { "need": need } }),
    }
}

fn publication(minute: u64, revision: u32) -> Publication {
    let (episode, service) = (format!("exchange/{}", at(minute)), "exchange".to_owned());
    Publication { episode, service, revision, from: at(minute), to: Some(at(minute + 5)), body: json!({}) }
}

fn filled(dir: &Path) -> VerdictLog {
    let log = VerdictLog::open(dir).unwrap();
    log.append(at(10), &[publication(0, 1)]).unwrap();
    log.label(at(20), &label("exchange", 0, "needed")).unwrap();
    log.append(at(21), &[publication(0, 2), publication(7, 1)]).unwrap();
    log.label(at(30), &label("exchange", 0, "futile")).unwrap();
    log.label(at(31), &label("portal", 3, "not_needed")).unwrap();
    log
}

fn lines(found: &[Remark]) -> Vec<String> {
    let line = |l: &Remark| {
        let (need, latest) = (&l.entry.body["label"]["need"], if l.latest { " counts" } else { "" });
        format!("{} {} {} {}{latest}", l.entry.sequence, l.entry.episode, l.entry.revision, need.as_str().unwrap())
    };
    found.iter().map(line).collect()
}

#[test]
fn labels_stand_beside_each_other_and_the_latest_counts_also_after_a_reopening() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path()));
    let log = VerdictLog::open(dir.path()).unwrap();
    let expected = [
        "6 portal/2026-03-02T08:03:00Z 1 not_needed counts",
        "2 exchange/2026-03-02T08:00:00Z 1 needed",
        "5 exchange/2026-03-02T08:00:00Z 2 futile counts",
    ];
    let (found, next) = log.labels(&Filter::default(), None, 10).unwrap();
    assert_eq!((lines(&found), next), (expected.map(str::to_owned).to_vec(), None));
    let mut paged = Vec::new();
    let mut token = None;
    loop {
        let (page, next) = log.labels(&Filter::default(), token.as_ref(), 1).unwrap();
        paged.extend(lines(&page));
        token = next.map(|t| PageToken::from_text(&t.to_text()).unwrap());
        if token.is_none() {
            break;
        }
    }
    assert_eq!(paged, expected);
}

#[test]
fn labels_are_entries_of_the_chain_and_no_revisions() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    let head = log.head();
    assert_eq!((log.verify().unwrap().entries, head.0), (6, 6));
    let episode = format!("exchange/{T0}");
    let revisions = |entries: &[Entry]| entries.iter().map(|e| (e.sequence, e.revision)).collect::<Vec<_>>();
    assert_eq!(revisions(&log.revisions(&episode).unwrap()), [(1, 1), (3, 2)]);
    assert_eq!(revisions(&log.since(T0).unwrap()), [(1, 1), (3, 2), (4, 1)]);
    assert_eq!(log.page(&Filter::default(), None, 10, &|_| true).unwrap().0.len(), 2);
    // What is published after a label follows it, and what a label said cannot be changed behind the chain's back.
    let entry = log.append(at(40), &[publication(7, 2)]).unwrap().remove(0);
    assert_eq!((entry.sequence, entry.previous), (7, head.1));
    let tables = log.tables().unwrap();
    let said = String::from_utf8(tables.entries.get(5u64.to_be_bytes()).unwrap().unwrap().to_vec()).unwrap();
    tables.entries.insert(5u64.to_be_bytes(), said.replace("futile", "needed")).unwrap();
    let error = log.verify().unwrap_err().to_string();
    assert!(error.starts_with("entry 6 of the verdict log is not what was written: it follows"), "{error}");
}

#[test]
fn only_what_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    for (service, from, to, expected) in [
        (Some("exchange"), None, None, vec![2, 5]),
        (None, Some(at(5)), None, vec![6]),
        (None, None, Some(at(3)), vec![2, 5]),
        (Some("nobody"), None, None, vec![]),
    ] {
        let filter = Filter { service: service.map(str::to_owned), from, to, as_of: None };
        let found = log.labels(&filter, None, 10).unwrap().0;
        assert_eq!(found.iter().map(|l| l.entry.sequence).collect::<Vec<_>>(), expected, "{filter:?}");
    }
}

#[test]
fn a_subject_takes_so_many_labels_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let log = VerdictLog::open(dir.path()).unwrap();
    for _ in 0..LABELS_PER_SUBJECT_MAX {
        log.label(T0, &label("exchange", 0, "needed")).unwrap();
    }
    let error = log.label(T0, &label("exchange", 0, "needed")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "exchange/2026-03-02T08:00:00Z has 1000 labels already, which is the most: the latest counts"
    );
    assert!(log.label(T0, &label("exchange", 1, "needed")).is_ok());
}
