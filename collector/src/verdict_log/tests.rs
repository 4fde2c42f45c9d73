use fjall::KeyspaceCreateOptions;
use serde_json::json;
use uitwijk_model::Millis;

use super::*;

const T0: WallTime = WallTime::from_millis(1_772_438_400_000);

fn publication(service: &str, minute: u64, revision: u32, open: bool) -> Publication {
    let from = T0.plus(Millis::from_secs(minute * 60));
    Publication {
        episode: format!("{service}/{from}"),
        service: service.to_owned(),
        revision,
        from,
        to: (!open).then(|| from.plus(Millis::from_secs(300))),
        body: json!({"need": "needed", "revision": revision}),
    }
}

fn filled(dir: &Path) -> VerdictLog {
    let log = VerdictLog::open(dir).unwrap();
    log.append(T0, &[publication("exchange", 0, 1, true)]).unwrap();
    log.append(T0, &[publication("portal", 1, 1, true), publication("exchange", 0, 2, false)]).unwrap();
    log.append(T0, &[publication("exchange", 9, 1, true)]).unwrap();
    log
}

fn names(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|e| format!("{} r{}", e.episode, e.revision)).collect()
}

#[test]
fn entries_follow_each_other_and_survive_a_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    let head = log.head();
    assert_eq!(head.0, 4);
    assert_eq!(log.verify().unwrap(), Verified { entries: 4, head: head.1 });
    drop(log);
    let log = VerdictLog::open(dir.path()).unwrap();
    assert_eq!(log.head(), head);
    let entry = log.append(T0, &[publication("exchange", 9, 2, false)]).unwrap().remove(0);
    assert_eq!((entry.sequence, entry.previous), (5, head.1));
    assert_eq!(log.verify().unwrap().entries, 5);
}

#[test]
fn a_published_revision_is_never_replaced_and_none_is_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    for wrong in
        [publication("exchange", 0, 2, true), publication("exchange", 0, 4, true), publication("x", 0, 2, true)]
    {
        // Nothing of a refused call is written, not even what was right in it.
        let right = publication("portal", 30, 1, true);
        let error = log.append(T0, &[right, wrong]).unwrap_err();
        assert!(matches!(error, LogError::Order { .. }), "{error}");
    }
    assert_eq!(log.head().0, 4);
    assert_eq!(log.get("portal/2026-03-02T08:30:00Z", None).unwrap(), None);
}

#[test]
fn revisions_are_found_by_episode() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    let episode = "exchange/2026-03-02T08:00:00Z";
    let revision = |wanted| log.get(episode, wanted).unwrap().map(|e| e.revision);
    assert_eq!(
        [revision(None), revision(Some(1)), revision(Some(2)), revision(Some(3)), revision(Some(0))],
        [Some(2), Some(1), Some(2), None, None]
    );
    assert_eq!(names(&log.revisions(episode).unwrap()), [format!("{episode} r1"), format!("{episode} r2")]);
    assert!(log.revisions("nothing").unwrap().is_empty());
}

#[test]
fn pages_show_the_newest_episode_first_and_only_what_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    let all = |_: &Entry| true;
    let mut seen = Vec::new();
    let mut token = None;
    loop {
        let (page, next) = log.page(&Filter::default(), token.as_ref(), 1, &all).unwrap();
        assert!(page.len() <= 1);
        seen.extend(names(&page));
        token = next.map(|t| PageToken::from_text(&t.to_text()).unwrap());
        if token.is_none() {
            break;
        }
    }
    let (first, second, third) =
        ("exchange/2026-03-02T08:09:00Z r1", "portal/2026-03-02T08:01:00Z r1", "exchange/2026-03-02T08:00:00Z r2");
    assert_eq!(seen, [first, second, third]);
    let minutes = |m: u64| Some(T0.plus(Millis::from_secs(m * 60)));
    for (service, from, to, expected) in [
        (Some("exchange"), None, None, vec![first, third]),
        // The first episode of exchange ended at minute 5; an end is not part of it.
        (None, minutes(5), None, vec![first, second]),
        (None, None, minutes(9), vec![second, third]),
        (Some("nobody"), None, None, vec![]),
    ] {
        let filter = Filter { service: service.map(str::to_owned), from, to, as_of: None };
        let (page, next) = log.page(&filter, None, 10, &all).unwrap();
        assert_eq!((names(&page), next), (expected.into_iter().map(str::to_owned).collect(), None), "{filter:?}");
    }
}

#[test]
fn what_reaches_into_a_stretch_of_time_comes_in_order_of_publication() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    let since = |minute: u64| names(&log.since(T0.plus(Millis::from_secs(minute * 60))).unwrap());
    assert_eq!(since(0).len(), 4);
    assert_eq!(since(5), ["portal/2026-03-02T08:01:00Z r1", "exchange/2026-03-02T08:09:00Z r1"]);
}

#[test]
fn a_log_that_was_opened_again_goes_on_where_the_disk_is() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    let head = log.head();
    log.reopen().unwrap();
    assert_eq!(log.head(), head);
    log.append(T0, &[publication("exchange", 9, 2, false)]).unwrap();
    assert_eq!(log.verify().unwrap().entries, 5);
}

#[test]
fn a_log_whose_disk_is_away_does_not_begin_anew() {
    let home = tempfile::tempdir().unwrap();
    let (dir, away) = (home.path().join("log"), home.path().join("away"));
    let log = filled(&dir);
    std::fs::rename(&dir, &away).unwrap();
    let error = log.reopen().unwrap_err();
    assert!(error.is_of_the_disk() && !dir.exists(), "{error}");
    std::fs::rename(&away, &dir).unwrap();
    log.reopen().unwrap();
    assert_eq!(log.verify().unwrap().entries, 4);
}

#[test]
fn whoever_changes_an_entry_is_found_out() {
    type Tamper = fn(&VerdictLog);
    let cases: [(&str, Tamper, u64); 3] = [
        (
            "changed",
            |log| {
                let mut entry = log.tables().unwrap().entry(2).unwrap();
                entry.body = json!({"need": "not_needed"});
                log.tables().unwrap().entries.insert(2u64.to_be_bytes(), entry.to_bytes()).unwrap();
            },
            3,
        ),
        ("removed", |log| log.tables().unwrap().entries.remove(3u64.to_be_bytes()).unwrap(), 3),
        ("garbled", |log| log.tables().unwrap().entries.insert(1u64.to_be_bytes(), "{}").unwrap(), 1),
    ];
    for (name, tamper, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        let log = filled(dir.path());
        tamper(&log);
        let error = log.verify().unwrap_err();
        assert!(matches!(error, LogError::Damaged { sequence, .. } if sequence == expected), "{name}: {error}");
        drop(log);
        assert!(VerdictLog::open(dir.path()).is_err(), "{name}: noticed at the next start as well");
    }
}

#[test]
fn directories_that_cannot_be_used_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    let told =
        |path: &Path| VerdictLog::open(path).unwrap_err().to_string().replace(&dir.path().display().to_string(), "DIR");
    let mut texts = vec![told(dir.path())];
    log.tables().unwrap().db.keyspace("meta", KeyspaceCreateOptions::default).unwrap().insert("version", "2").unwrap();
    drop(log);
    texts.push(told(dir.path()));
    std::fs::write(dir.path().join("file"), "").unwrap();
    texts.push(told(&dir.path().join("file")));
    insta::assert_snapshot!(texts.join("\n"));
}
