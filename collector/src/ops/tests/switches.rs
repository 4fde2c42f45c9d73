//! Switches and audits as people see them.

use uitwijk_model::WallTime;

use super::canned::Service;
use crate::verdict_log::{Publication, VerdictLog};

#[test]
fn switches_are_reported_by_operators_once_and_listed() {
    let service = Service::start();
    service.issue("uitwijk://operator/otto");
    let moved = ["switch", "exchange", "--from", "NL", "--to", "IE"];
    let otto = |more: &[&str]| service.asked_by("otto", &[&moved[..], more].concat());
    let all = [
        otto(&["--at", "2026-03-02T08:15Z", "--reason", "NL is dark"]),
        otto(&["--at", "2026-03-02T08:15Z"]),
        otto(&["--at", "2026-02-20", "-o", "json"]),
        otto(&["--at", "2026-02-20"]),
        otto(&[]),
        otto(&["--at", "yesterday"]),
        service.asked(&moved),
        service.asked_by("otto", &["switch", "nobody", "--from", "NL", "--to", "IE"]),
        service.asked(&["switches"]),
        service.asked(&["switches", "--service", "portal"]),
        service.asked(&["switches", "--since", "12m", "-o", "json"]),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

fn written(dir: &std::path::Path, changed: bool) -> String {
    let log = VerdictLog::open(&dir.join("verdicts")).unwrap();
    let (episode, service) = ("exchange/a".to_owned(), "exchange".to_owned());
    let first = |revision| Publication {
        episode: episode.clone(),
        service: service.clone(),
        revision,
        from: WallTime::from_micros(1),
        to: None,
        body: serde_json::json!({ "need": "needed" }),
    };
    (1..=3).for_each(|revision| _ = log.append(WallTime::from_micros(9), &[first(revision)]).unwrap());
    let head = log.head().1.to_string();
    if changed {
        log.change_byte(2);
    }
    head
}

#[test]
fn an_audit_tells_what_fits_and_the_first_that_does_not() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [good, bad, empty] = dirs.each_ref().map(|dir| dir.path().display().to_string());
    let head = written(dirs[0].path(), false);
    written(dirs[1].path(), true);
    let audit = |dir: &str, more: &[&str]| {
        let text = super::alone(&[&["audit", "verify", "--dir", dir], more].concat());
        [(&good, "GOOD"), (&bad, "BAD"), (&empty, "EMPTY")]
            .iter()
            .fold(text, |text, (dir, name)| text.replace(*dir, name))
    };
    let (noted, other) = (format!("3:{head}"), format!("2:{head}"));
    let all = [
        audit(&good, &["--noted", &noted]),
        audit(&good, &["--noted", &other, "-o", "json"]),
        audit(&good, &["--noted", &other, "--noted", &format!("4:{head}")]),
        audit(&bad, &[]),
        audit(&bad, &["-o", "json"]),
        audit(&empty, &[]),
        audit(&good, &["--noted", "3"]),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn help_fits() {
    let all = [&["switch", "-h"][..], &["switches", "-h"], &["audit", "-h"], &["audit", "verify", "-h"]];
    insta::assert_snapshot!(all.map(super::alone).join("\n"));
}
