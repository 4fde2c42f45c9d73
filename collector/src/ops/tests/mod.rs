//! Every command as people see it: what it prints, where, and how it ends. Tables must fit 80 columns.

mod answers;
mod canned;
mod canned_policies;
mod canned_switches;
mod policies;
mod score;
mod streams;
mod switches;

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use uitwijk_model::plan::read::read_plan;

use super::World;
use answers::EPISODE;
use canned::{HalfPastEight, Service};

/// Runs the tool and gives a transcript: the line, stdout, stderr marked by `!`, and the exit code.
fn run(args: &[&str], terminal: bool, env: &dyn Fn(&str) -> Option<String>) -> String {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut world = World { out: &mut out, err: &mut err, terminal, env, clock: Arc::new(HalfPastEight) };
    let all = std::iter::once("uitwijk").chain(args.iter().copied()).map(OsString::from);
    let code = super::run(all, &mut world);
    let (out, err) = (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
    let free = args.iter().any(|arg| matches!(*arg, "json" | "--wide" | "completions"));
    for line in out.lines().filter(|_| !free && !terminal) {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
        assert_eq!(line, line.trim_end(), "blanks at the end");
    }
    let err: String = err.lines().map(|line| format!("! {line}").trim_end().to_owned() + "\n").collect();
    format!("$ uitwijk {}\n{out}{err}= {code}\n", args.join(" "))
}

fn alone(args: &[&str]) -> String {
    run(args, false, &|_| None)
}

impl Service {
    /// Asks as somebody whose certificate was issued, by way of the environment.
    fn asked_by(&self, name: &str, args: &[&str]) -> String {
        let file = |name: &str| Some(self.directory.path().join(name).display().to_string());
        let env = |variable: &str| match variable {
            "UITWIJK_COLLECTOR" => Some(format!("https://{}", self.addr)),
            "UITWIJK_TLS_CA" => file("ca.pem"),
            "UITWIJK_TLS_CERT" => file(&format!("{name}.pem")),
            "UITWIJK_TLS_KEY" => file(&format!("{name}-key.pem")),
            _ => None,
        };
        self.settled(&run(args, false, &env))
    }

    fn asked(&self, args: &[&str]) -> String {
        self.asked_by("anna", args)
    }

    fn settled(&self, text: &str) -> String {
        let version = read_plan(canned::PLAN, &canned::no_env).unwrap().version();
        let text = text.replace(version.as_str(), "VERSION");
        settled(self.directory.path(), &text).replace(&self.addr.to_string(), "ADDR")
    }
}

fn settled(directory: &Path, text: &str) -> String {
    text.replace(&directory.display().to_string(), "DIR")
}

#[test]
fn help_fits_and_tells_the_exit_codes() {
    let mut all = Vec::new();
    for args in [
        &["--help"][..],
        &["plan", "--help"],
        &["plan", "check", "-h"],
        &["agents", "-h"],
        &["ledger", "-h"],
        &["verdicts", "-h"],
        &["verdicts", "list", "-h"],
        &["verdicts", "watch", "-h"],
        &["explain", "-h"],
        &["timeline", "-h"],
        &["measurements", "-h"],
        &["measurements", "export", "-h"],
        &["replay", "-h"],
        &["plan", "from-scenario", "-h"],
        &["simulate", "-h"],
        &["pki", "init", "-h"],
        &["pki", "issue", "-h"],
        &["completions", "-h"],
    ] {
        all.push(alone(args));
    }
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn wrong_arguments_are_refused_with_what_is_right() {
    let all = [
        &[][..],
        &["verdict"],
        &["agents"],
        &["agents", "--collector", "https://127.0.0.1:7443"],
        &["-o", "yaml", "agents"],
        &["timeline", "exchange", "--since", "1"],
        &["measurements", "--zone", "1"],
        &["measurements", "--limit", "0"],
        &["pki", "issue", "agent", "nl-1"],
        &["verdicts", "list", "--since", "1h", "--from", "2026-03-02"],
    ]
    .map(alone);
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn agents_are_listed_and_shown_with_their_books() {
    let service = Service::start();
    let all = [
        &["agents"][..],
        &["agents", "nl-2-with-a-rather-long-name-that-somebody-chose"],
        &["agents", "ie-9"],
        &["agents", "nobody"],
        &["agents", "--wide"],
        &["agents", "nl-1", "-o", "json"],
    ]
    .map(|args| service.asked(args));
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn ledgers_add_up_or_say_what_does_not() {
    let service = Service::start();
    let url = format!("https://{}", service.addr);
    let record = service.directory.path().join("started");
    std::fs::write(&record, answers::record()).unwrap();
    let record = record.to_str().unwrap();
    let all = [
        &["ledger"][..],
        &["ledger", "nl-1"],
        &["ledger", "nl-1", "-o", "json"],
        &["ledger", "nobody"],
        &["ledger", "nl-1", "--collector", &url, "--collector", &url],
        &["agents", "--collector", &url, "--collector", &url],
        &["ledger", "nl-1", "--started", record],
        &["ledger", "nl-1", "--started", record, "-o", "json"],
        &["ledger", "--started", "/nowhere/started"],
    ]
    .map(|args| service.asked(args));
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn verdicts_are_listed_shown_and_explained() {
    let service = Service::start();
    let all = [
        &["verdicts", "list"][..],
        &["verdicts", "list", "--limit", "1", "--service", "exchange"],
        &["verdicts", "list", "--limit", "1", "--service", "exchange", "--page-token", "1", "-o", "json"],
        &["verdicts", "list", "--service", "nothing"],
        &["verdicts", "show", EPISODE],
        &["verdicts", "show", EPISODE, "--revision", "1"],
        &["verdicts", "show", EPISODE, "--revision", "9"],
        &["verdicts", "show", EPISODE, "-o", "json"],
        &["explain", EPISODE],
        &["explain", EPISODE, "--language", "nl"],
        &["verdicts", "show", EPISODE, "--as-of", "2026-03-02T08:16Z"],
        &["verdicts", "list", "--as-of", "2026-03-02T08:16Z"],
        &["explain", EPISODE, "--as-of", "2026-03-02T08:10Z"],
        &["explain", EPISODE, "--as-of", "then"],
        &["explain", "exchange/2020-01-01T00:00:00Z"],
    ]
    .map(|args| service.asked(args));
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn a_watch_outlives_the_connection_and_repeats_nothing() {
    let service = Service::start();
    insta::assert_snapshot!(service.asked(&["verdicts", "watch", "--count", "2"]));
}

#[test]
fn timelines_and_measurements_are_shown() {
    let service = Service::start();
    let all = [
        &["timeline", "exchange"][..],
        &["timeline", "exchange", "-o", "json"],
        &["timeline", "portal", "--from", "2026-03-01"],
        &["timeline", "exchange", "--as-of", "2026-03-02T08:16Z"],
        &["timeline", "nothing"],
        &["timeline", "exchange", "--from", "yesterday"],
        &["measurements"],
        &["measurements", "--limit", "2"],
        &["measurements", "--agent", "nobody"],
        &["measurements", "--agent", "ie-1", "-o", "json"],
        &["measurements", "--limit", "1", "--wide"],
    ]
    .map(|args| service.asked(args));
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn trouble_is_told_with_its_own_exit_code() {
    let service = Service::start();
    service.issue("uitwijk://agent/NL/1/nl-1");
    let other = Service::start();
    std::fs::copy(other.directory.path().join("anna.pem"), service.directory.path().join("eve.pem")).unwrap();
    std::fs::copy(other.directory.path().join("anna-key.pem"), service.directory.path().join("eve-key.pem")).unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed_url = format!("https://{}", closed.local_addr().unwrap());
    drop(closed);
    let all = [
        service.asked_by("nl-1", &["agents"]),
        service.asked_by("eve", &["agents"]),
        service.asked_by("nobody", &["agents"]),
        service.asked(&["agents", "--collector", &closed_url]).replace(&closed_url[8..], "CLOSED"),
        service.asked(&["agents", "--collector", "http://127.0.0.1:7443"]),
        service.asked(&["verdicts", "list", "--service", "silent", "--timeout", "200ms"]),
        service.asked(&["verdicts", "list", "--service", "broken"]),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn a_private_authority_is_made_and_used() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("my pki").display().to_string();
    let all = [
        &["pki", "issue", "viewer", "anna", "--dir", &dir][..],
        &["pki", "init", "--dir", &dir, "--lasting", "30d"],
        &["pki", "init", "--dir", &dir],
        &["pki", "issue", "viewer", "anna", "--dir", &dir],
        &["pki", "issue", "agent", "nl-1", "--region", "NL", "--zone", "1", "--dir", &dir],
        &[
            "pki",
            "issue",
            "collector",
            "col-nl",
            "--region",
            "NL",
            "--host",
            "localhost",
            "--host",
            "::1",
            "--dir",
            &dir,
            "-o",
            "json",
        ],
        &["pki", "issue", "agent", "nl-1", "--region", "NL", "--zone", "1", "--dir", &dir],
        &["pki", "issue", "agent", "n l", "--region", "NL", "--zone", "1", "--dir", &dir],
        &["pki", "issue", "collector", "col-ie", "--region", "IE", "--host", "no host", "--dir", &dir],
    ]
    .map(|args| settled(directory.path(), &free_of_width(args)));
    insta::assert_snapshot!(all.join("\n"));
}

/// Paths of temporary directories may be longer than a line.
fn free_of_width(args: &[&str]) -> String {
    let wide: Vec<&str> = args.iter().copied().chain(["--wide"]).collect();
    alone(&wide)
}

#[test]
fn plans_are_checked_and_shown() {
    let service = Service::start();
    let file = |name: &str, text: &str| {
        let path = service.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = file("good.yaml", canned::PLAN);
    let bad = file("bad.yaml", "name: trial\nrevisoin: 1\nslot: 10\nregions: {NL: [1, 2]}\n");
    let missing = service.directory.path().join("missing.yaml").display().to_string();
    let run = |args: &[&str]| {
        let wide: Vec<&str> = args.iter().copied().chain(["--wide"]).collect();
        service.settled(&run(&wide, false, &canned::no_env))
    };
    let all = [
        run(&["plan", "check", &good]),
        run(&["plan", "check", &good, "-o", "json"]),
        run(&["plan", "check", &bad]),
        run(&["plan", "check", &bad, "-o", "json"]),
        run(&["plan", "check", &missing]),
        service.asked(&["plan", "show"]),
    ];
    insta::assert_snapshot!(all.join("\n"));
    assert!(run(&["plan", "show", &good]).contains("exchange/"));
    assert!(run(&["plan", "schema"]).contains("\"properties\""));
    let json = service.asked(&["plan", "show", "-o", "json"]);
    let plan = uitwijk_model::Plan::from_canonical_json(json.lines().nth(1).unwrap()).unwrap();
    assert!(!plan.services.is_empty());
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = alone(&["completions", shell]);
        assert!(script.contains("measurements") && script.ends_with("= 0\n"), "{shell}");
    }
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let directory = tempfile::tempdir().unwrap();
    let plan = directory.path().join("plan.yaml");
    std::fs::write(&plan, canned::PLAN).unwrap();
    let plan = plan.display().to_string();
    let painted = |terminal: bool, no_color: bool, when: &str| {
        let env = |name: &str| match name {
            "NO_COLOR" => no_color.then(|| "1".to_owned()),
            _ => None,
        };
        run(&["plan", "check", &plan, "--wide", "--color", when], terminal, &env).contains('\u{1b}')
    };
    for (terminal, no_color, when, expected) in [
        (true, false, "auto", true),
        (false, false, "auto", false),
        (true, true, "auto", false),
        (false, true, "always", true),
        (true, false, "never", false),
    ] {
        assert_eq!(painted(terminal, no_color, when), expected, "{terminal} {no_color} {when}");
    }
}
