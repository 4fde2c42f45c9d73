//! Labels, backtests and shadows as people see them.

use super::answers::EPISODE;
use super::canned::Service;

#[test]
fn labels_are_given_by_operators_and_stand_beside_each_other() {
    let service = Service::start();
    service.issue("uitwijk://operator/otto");
    let all = [
        service.asked_by(
            "otto",
            &["label", EPISODE, "--need", "needed", "--cause", "region_down", "--executed", "missed"],
        ),
        service.asked(&["label", EPISODE, "--need", "needed"]),
        service.asked_by("otto", &["label", "exchange/never", "--need", "futile", "--note", "x"]),
        service.asked_by(
            "otto",
            &["label", "--drill", "exchange", "--from", "2026-03-02T06:00Z", "--to", "2026-03-02T06:30Z", "-o", "json"],
        ),
        service.asked(&["labels"]),
        service.asked(&["labels", "--service", "portal"]),
        service.asked(&["labels", "-o", "json"]),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn a_label_that_says_too_little_or_too_much_is_a_mistake() {
    let all = [
        &["label"][..],
        &["label", EPISODE],
        &["label", EPISODE, "--need", "perhaps"],
        &["label", EPISODE, "--need", "needed", "--cause", "gremlins"],
        &["label", "--drill", "exchange", "--from", "2026-03-02"],
        &["label", "--drill", "exchange", "--need", "needed", "--from", "2026-03-02", "--to", "2026-03-03"],
    ]
    .map(super::alone);
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn another_policy_is_shown_beside_the_one_in_force() {
    let service = Service::start();
    let file = |name: &str, text: &str| {
        let path = service.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let patient = file("patient.yaml", "hard_duration: 600s\nsoft_duration: ${SOFT:-15m}\n");
    let wrong = file("wrong.yaml", "hard_duration: soon\nsoft_window: 1h\nsampels_min: 3\n");
    let missing = service.directory.path().join("missing.yaml").display().to_string();
    let tried = |file: &str, more: &[&str]| {
        let start = ["backtest", "--from", "2026-03-01T22:00Z", "--policy", file];
        service.asked(&[&start[..], more].concat())
    };
    let all = [
        tried(&patient, &[]),
        tried(&patient, &["-o", "json"]),
        tried(&patient, &["--service", "busy"]),
        tried(&wrong, &["--wide"]),
        tried(&missing, &[]),
        service.asked(&["backtest", "--policy", &patient]),
        service.asked(&["compare", "eager", "--since", "7d"]),
        service.asked(&["compare", "lazy"]),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn help_fits() {
    let all = [&["label", "-h"][..], &["labels", "-h"], &["backtest", "-h"], &["compare", "-h"]].map(super::alone);
    insta::assert_snapshot!(all.join("\n"));
}
