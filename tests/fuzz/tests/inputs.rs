//! Are all kept inputs borne, and changes of them by chance?
//!
//! `FUZZ=n` tries n changes for each target, a run of the tests some hundreds. An input that was not borne is told by its number and
//! in hexadecimal; it belongs into the folder of its target from then on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use uitwijk_fuzz::chance::Luck;
use uitwijk_fuzz::{TARGETS, play};

/// Folders of kept inputs together.
const CORPUS_BYTES_MAX: u64 = 200 << 10;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn kept(target: &str) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> =
        files(&root().join("tests/corpus").join(target)).iter().map(|path| std::fs::read(path).unwrap()).collect();
    match target {
        "plan" => all.extend(plans()),
        "stream" => all.extend(streams()),
        _ => {}
    }
    all
}

/// The plans of other tests, and what is odd about texts.
fn plans() -> Vec<Vec<u8>> {
    let plans = files(&root().join("proto/model/tests/fixtures/plan"));
    let plans = plans.iter().filter(|path| path.extension().is_some_and(|e| e == "yaml"));
    let mut all: Vec<Vec<u8>> = plans.map(|path| std::fs::read(path).unwrap()).collect();
    // Names for names for names: ten of them would make 10 GB.
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..10 {
        let part = vec![format!("*a{}", n - 1); 10].join(", ");
        bomb += &format!("a{n}: &a{n} [{part}]\n");
    }
    all.push(bomb.into_bytes());
    all.push(b"[".repeat(20_000));
    all.push("a:\n ".repeat(5000).into_bytes());
    all
}

/// Lines of a recorded stream, and what is odd about lines, each plain and packed.
fn streams() -> Vec<Vec<u8>> {
    let recorded = root().join("tests/scenarios/streams/example-1-quiet-and-maintenance.jsonl.zst");
    let mut head = vec![0; 20_000];
    zstd::Decoder::new(std::fs::File::open(recorded).unwrap()).unwrap().read_exact(&mut head).unwrap();
    let lines: Vec<&[u8]> = head.split(|&b| b == b'\n').take(12).collect();
    let mut plain = vec![lines.join(&b'\n'), lines[0].to_vec(), Vec::new(), b"[".repeat(60_000)];
    for odd in
        ["{", "{}", "null", "[[[[", "\u{feff}{}", "{\"a\":\"\\ud800\"}", "{\"agent\":1e999}", "\0\0\0\0", "\n\n\r\n"]
    {
        plain.push(odd.as_bytes().to_vec());
    }
    let gzip = |plain: &[u8]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(plain).unwrap();
        packer.finish().unwrap()
    };
    let mut all: Vec<Vec<u8>> = plain.iter().map(|text| gzip(text)).collect();
    all.extend(plain.iter().map(|text| zstd::encode_all(text.as_slice(), 1).unwrap()));
    all.push([gzip(b"{}\n"), gzip(b"{}\n")].concat());
    // A frame of zstd that asks for a window of two gigabytes.
    all.push(vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00]);
    all.extend(plain);
    all
}

/// Those whose inputs go over sockets get fewer.
fn tries(target: &str) -> u64 {
    let given = std::env::var("FUZZ").ok().and_then(|n| n.parse().ok());
    given.unwrap_or(match target {
        "dns" => 60,
        "certificate" | "grpc" | "http1" | "http2" | "tcp" => 300,
        _ => 3000,
    })
}

fn bear(target: &str, what: &str, data: &[u8]) {
    let done = std::panic::catch_unwind(|| play(target, data));
    let hex = || data.iter().take(4096).map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(done.is_ok(), "{target}: {what} is not borne: {}", hex());
}

fn check(target: &str) {
    let kept = kept(target);
    assert!(!kept.is_empty(), "{target} has kept inputs");
    kept.iter().enumerate().for_each(|(n, input)| bear(target, &format!("kept input {n}"), input));
    for n in 0..tries(target) {
        let mut luck = Luck(n);
        let mut data = kept[luck.below(kept.len())].clone();
        if luck.below(20) == 0 {
            let length = luck.below(400);
            data = luck.bytes(length);
        }
        luck.change(&mut data);
        bear(target, &format!("change {n}"), &data);
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*

        #[test]
        fn every_target_has_a_test_a_folder_and_a_place_in_the_fuzzer() {
            let mut tested = vec![$(stringify!($name)),*];
            tested.sort_unstable();
            let known: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(tested, known);
            let names = |dir: &str| files(&root().join(dir)).iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>();
            assert_eq!(names("tests/corpus"), known);
            assert_eq!(names("fuzz/fuzz_targets"), known);
        }
    };
}

targets! { batch buffer_record buffer_state certificate dns grpc http1 http2 plan sealed stored stream tcp }

#[test]
fn kept_inputs_are_small() {
    let of = |dir: &PathBuf| files(dir).iter().map(|path| path.metadata().unwrap().len()).sum::<u64>();
    let bytes: u64 = files(&root().join("tests/corpus")).iter().map(of).sum();
    assert!(bytes < CORPUS_BYTES_MAX, "{bytes} bytes");
}
