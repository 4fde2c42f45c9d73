//! Scenarios, streams and replays as people see them, by way of files.

use std::io::Write;
use std::path::Path;

use uitwijk_replay::{Reader, Reading, Record};

use super::canned::{HalfPastEight, Service};
use super::{alone, free_of_width, settled};

const SCENARIOS: &str = concat!(
    r#"{"id":"gone","duration_s":1800,"active_region":"NL","faults":[{"from_s":300,"to_s":1500,"scope":{"target_region":"NL"},"effect":{"kind":"down"}}],"actual_failovers":[{"at_s":900,"from":"NL","to":"IE"}],"mood":"bad"}"#,
    "\n",
    r#"{"id":"odd","duration_s":0,"active_region":"NL"}"#,
    "\n",
);

/// A directory with scenarios, the plan of one of them, and its stream.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        std::fs::write(bench.path("scenarios.jsonl"), SCENARIOS).unwrap();
        let plan = bench.answer(&["plan", "from-scenario", &bench.path("scenarios.jsonl"), "--id", "gone"]);
        std::fs::write(bench.path("plan.yaml"), plan).unwrap();
        bench.ran(&["simulate", "scenarios.jsonl", "--id", "gone", "--out", "stream.jsonl"]);
        bench
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// A transcript; words that end like files are names in the directory.
    fn ran(&self, args: &[&str]) -> String {
        let is_file = |arg: &&str| [".jsonl", ".yaml", ".zst"].iter().any(|end| arg.ends_with(end));
        let full: Vec<String> =
            args.iter().map(|arg| if is_file(arg) { self.path(arg) } else { (*arg).to_owned() }).collect();
        let full: Vec<&str> = full.iter().map(String::as_str).collect();
        settled(self.0.path(), &free_of_width(&full))
    }

    /// What went to stdout.
    fn answer(&self, args: &[&str]) -> String {
        let mut out = Vec::new();
        run(args, &mut out);
        String::from_utf8(out).unwrap()
    }
}

fn run(args: &[&str], out: &mut dyn Write) -> u8 {
    let env = |_: &str| None;
    let mut err = Vec::new();
    let clock = std::sync::Arc::new(HalfPastEight);
    let mut world = super::super::World { out, err: &mut err, terminal: false, env: &env, clock };
    let all = std::iter::once("uitwijk").chain(args.iter().copied()).map(std::ffi::OsString::from);
    super::super::run(all, &mut world)
}

fn records(path: &Path) -> Vec<Record> {
    let file = std::fs::File::open(path).unwrap();
    Reader::new(file, Reading::default()).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_scenario_becomes_a_plan_a_stream_and_verdicts() {
    let bench = Bench::new();
    let replay = ["replay", "--plan", "plan.yaml", "--stream", "stream.jsonl", "--service", "exchange"];
    let all = [
        bench.ran(&["plan", "check", "plan.yaml"]),
        bench.ran(&[&replay[..], &["-o", "table"]].concat()),
        bench.ran(&replay),
        bench.ran(&[&replay[..], &["-o", "jsonl", "--track", "final"]].concat()),
        bench.ran(&["replay", "--plan", "plan.yaml", "--stream", "stream.jsonl", "--track", "live", "-o", "table"]),
    ];
    let policy = uitwijk_model::Policy::default().version();
    insta::with_settings!({filters => vec![(r"\([0-9a-f]{16}\)", "(VERSION)")]}, {
        insta::assert_snapshot!(all.join("\n").replace(&policy, "POLICY"));
    });
}

#[test]
fn what_is_wrong_with_a_stream_or_scenario_is_told() {
    let bench = Bench::new();
    let stream = std::fs::read_to_string(bench.path("stream.jsonl")).unwrap();
    let mut lines: Vec<String> = stream.lines().take(40).map(str::to_owned).collect();
    lines[7] = lines[7].replace("{\"agent\":\"nl-1\"", "{\"colour\":1,\"agent\":\"nl-9\"");
    lines.swap(20, 21);
    std::fs::write(bench.path("odd.jsonl"), lines.join("\n")).unwrap();
    lines[10] = lines[10].replace("\"outcome\":\"ok\"", "\"outcome\":\"fine\"");
    std::fs::write(bench.path("bad.jsonl"), lines.join("\n")).unwrap();
    std::fs::write(bench.path("empty.jsonl"), "").unwrap();
    std::fs::write(bench.path("bad.yaml"), "name: x\n").unwrap();
    let replay = |stream, more: &[&str]| {
        bench.ran(&[&["replay", "--plan", "plan.yaml", "--stream", stream, "-o", "table"][..], more].concat())
    };
    let all = [
        replay("odd.jsonl", &[]),
        replay("odd.jsonl", &["--track", "final"]),
        replay("bad.jsonl", &[]),
        replay("bad.jsonl", &["--skip-bad", "--track", "final", "--service", "portal"]),
        replay("empty.jsonl", &[]),
        replay("missing.jsonl", &[]),
        replay("stream.jsonl", &["--service", "nothing"]),
        bench.ran(&["replay", "--plan", "bad.yaml", "--stream", "stream.jsonl"]),
        bench.ran(&["simulate", "scenarios.jsonl", "--id", "odd"]),
        bench.ran(&["simulate", "scenarios.jsonl", "--id", "none"]),
        bench.ran(&["plan", "from-scenario", "missing.jsonl", "--id", "gone"]),
        bench.ran(&["simulate", "scenarios.jsonl", "--id", "gone", "--out", "no/such/place.jsonl"]),
        alone(&["replay", "--plan", "x.yaml"]),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn a_packed_stream_is_the_same_stream() {
    let bench = Bench::new();
    bench.ran(&["simulate", "scenarios.jsonl", "--id", "gone", "--zstd", "--out", "stream.zst"]);
    let [plain, packed] = ["stream.jsonl", "stream.zst"].map(|name| bench.0.path().join(name));
    assert!(packed.metadata().unwrap().len() * 5 < plain.metadata().unwrap().len());
    assert_eq!(records(&packed), records(&plain));
    bench.ran(&["simulate", "scenarios.jsonl", "--id", "gone", "--seed", "2", "--out", "other.jsonl"]);
    assert_ne!(records(&bench.0.path().join("other.jsonl")), records(&plain));
}

/// A pipe whose reader has seen enough.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let bench = Bench::new();
    let (plan, stream, file) = (bench.path("plan.yaml"), bench.path("stream.jsonl"), bench.path("scenarios.jsonl"));
    for args in [
        &["simulate", &file, "--id", "gone"][..],
        &["simulate", &file, "--id", "gone", "--zstd"],
        &["replay", "--plan", &plan, "--stream", &stream],
        &["plan", "from-scenario", &file, "--id", "gone"],
    ] {
        assert_eq!(run(args, &mut Closed), 0, "{args:?}");
    }
}

#[test]
fn what_was_stored_is_exported_by_arrival_and_reads_back() {
    let service = Service::start();
    insta::assert_snapshot!(service.asked(&["measurements", "export", "-o", "json"]));
    let path = service.directory.path().join("stream.jsonl");
    let told = service.asked(&["measurements", "export", "--out", &path.display().to_string()]);
    assert!(told.ends_with("= 0\n"), "{told}");
    let records = records(&path);
    assert!(records.len() == 3 && records.is_sorted_by_key(|r| r.arrived));
}
