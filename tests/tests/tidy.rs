//! Does the tree keep its own rules?

use std::fs;
use std::path::{Path, PathBuf};

/// Every Rust file of the project except generated ones, with its text, by path from the root.
fn sources() -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    for top in ["agent", "collector", "proto", "tests"] {
        collect(&root.join(top), &mut found);
    }
    found.sort();
    let text = |path: &PathBuf| fs::read_to_string(path).expect("a source file can be read");
    let name = |path: &Path| path.strip_prefix(&root).expect("below the root").display().to_string();
    found.iter().map(|path| (name(path), text(path))).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a source directory can be read").flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("gen") && !path.ends_with("target") {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn check(what: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{what}:\n  {}", wrong.join("\n  "));
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    // A file of unit tests belongs to the module that it stands in.
    let heads = |(name, text): &(String, String)| text.starts_with("//! ") || name.ends_with("tests.rs");
    let wrong: Vec<_> = sources().into_iter().filter(|file| !heads(file)).map(|(name, _)| name).collect();
    check("files without a head comment", &wrong);
}

#[test]
fn one_file_reads_the_clock() {
    let needles = ["SystemTime::now", "std::time::Instant::now", "Timestamp::now", "Zoned::now"];
    let allowed = ["proto/model/src/clock.rs", "tests/tests/tidy.rs"];
    let wrong: Vec<_> = sources()
        .into_iter()
        .filter(|(name, _)| !allowed.contains(&name.as_str()) && !is_test(name))
        .filter(|(_, text)| {
            let imports = |line: &str| line.starts_with("use std::time::") && line.contains("Instant");
            let text = before_tests(text);
            needles.iter().any(|n| text.contains(n)) || text.lines().any(imports)
        })
        .map(|(name, _)| name)
        .collect();
    check("files that read a clock besides proto/model/src/clock.rs", &wrong);
}

/// Tests, benchmarks and examples measure the world as it is.
fn is_test(name: &str) -> bool {
    ["/tests/", "/benches/", "/examples/"].iter().any(|dir| name.contains(dir)) || name.ends_with("tests.rs")
}

fn before_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

#[test]
fn the_judge_and_the_model_do_no_io() {
    let needles = ["tokio", "std::fs", "std::net::Tcp", "std::net::Udp", "HashMap", "HashSet", "std::env", "tonic"];
    let wrong: Vec<_> = sources()
        .into_iter()
        .filter(|(name, _)| name.starts_with("collector/judge/src") || name.starts_with("proto/model/src"))
        .filter(|(name, _)| !is_test(name))
        .flat_map(|(name, text)| {
            let code: String = before_tests(&text).lines().filter(|l| !l.trim_start().starts_with("//")).collect();
            needles.iter().filter(|n| code.contains(**n)).map(|n| format!("{name}: {n}")).collect::<Vec<_>>()
        })
        .collect();
    check("IO or unordered maps in a pure crate", &wrong);
}

#[test]
fn the_map_names_every_file() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    let wrong: Vec<_> = sources()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| !is_test(name) && !map.contains(&format!("`{}`", in_its_crate(name))))
        .collect();
    check("files that ARCHITECTURE.md does not name", &wrong);
}

/// A path as the map writes it: below the folder of its crate.
fn in_its_crate(name: &str) -> &str {
    let crates = [
        "collector/judge/",
        "collector/replay/",
        "collector/scenario/",
        "tests/fuzz/",
        "tests/peers/",
        "tests/sim/",
        "proto/model/",
        "proto/identity/",
        "proto/telemetry/",
        "agent/",
        "collector/",
    ];
    let folder = crates.into_iter().chain(["proto/", "tests/"]).find_map(|folder| name.strip_prefix(folder));
    folder.unwrap_or(name)
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let needles = [["to", "do!("], ["unimpl", "emented!("], ["FIX", "ME"], ["#[ig", "nore]"]].map(|p| p.concat());
    let mut wrong: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| needles.iter().any(|n| text.contains(n.as_str())))
        .map(|(name, _)| name)
        .collect();
    for document in ["README.md", "ARCHITECTURE.md", "DESIGN.md", "CONTRIBUTING.md", "deploy/RUNBOOK.md"] {
        let text = fs::read_to_string(root().join(document)).expect("a document can be read");
        let unfinished = ["(in progress)", "TRANSCRIPT", "TBD"].iter().any(|n| text.contains(n));
        wrong.extend(unfinished.then(|| document.to_owned()));
    }
    check("unfinished, or ignored without a reason", &wrong);
}

#[test]
fn versions_are_written_once() {
    let members = [
        "agent",
        "collector",
        "collector/judge",
        "collector/replay",
        "collector/scenario",
        "proto",
        "proto/model",
        "proto/identity",
        "proto/telemetry",
        "tests",
        "tests/fuzz",
        "tests/peers",
    ];
    let mut wrong = Vec::new();
    for member in members {
        let manifest = fs::read_to_string(root().join(member).join("Cargo.toml")).expect("a manifest is there");
        let dependencies = manifest.lines().skip_while(|l| !l.contains("dependencies]"));
        let own = dependencies.filter(|l| l.contains("version = \"") || value_begins_with_digit(l));
        wrong.extend(own.map(|l| format!("{member}/Cargo.toml: {l}")));
    }
    check("versions outside the workspace manifest", &wrong);
}

/// As in `name = "1.0"`.
fn value_begins_with_digit(line: &str) -> bool {
    line.split_once("= \"").is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()))
}
