//! Can a stream be anything at all without harm: random bytes, broken lines, torn and swollen packings?
//!
//! [`fuzz_stream`] takes bytes, as a target of a fuzzer does. No fuzzer that steers by coverage runs on the stable compiler, so
//! here the bytes come from kept inputs that chance changes: `FUZZ=n` tries n, a run of the tests 4000.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Cursor, Read, Write as _};
use std::path::PathBuf;

use uitwijk_replay::{Reader, Reading, write_record};

/// Reads an input both ways; what can be read can be written and read again.
fn fuzz_stream(data: &[u8]) {
    for skip_bad in [false, true] {
        let Ok(mut reader) = Reader::new(Cursor::new(data.to_vec()), Reading { skip_bad }) else { continue };
        let mut records = Vec::new();
        let mut errors = 0;
        for record in reader.by_ref().take(100_000) {
            match record {
                Ok(record) => records.push(record),
                Err(e) => {
                    errors += 1;
                    assert!(!e.to_string().is_empty() && e.to_string().len() < 2000);
                }
            }
        }
        assert!(errors <= 1 && reader.next().is_none(), "after an error there is no more");
        assert!(reader.notes().unknown.len() <= 64);
        let mut written = Vec::new();
        records.iter().for_each(|r| write_record(&mut written, r).unwrap());
        let again: Vec<_> =
            Reader::new(Cursor::new(written), Reading::default()).unwrap().map(Result::unwrap).collect();
        assert_eq!(records, again);
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(plain).unwrap();
    packer.finish().unwrap()
}

/// Lines of a recorded stream, and what is odd about lines, each plain and packed.
fn kept() -> Vec<Vec<u8>> {
    let path = "../../tests/scenarios/streams/example-1-quiet-and-maintenance.jsonl.zst";
    let packed = std::fs::File::open(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let mut head = vec![0; 20_000];
    zstd::Decoder::new(packed).unwrap().read_exact(&mut head).unwrap();
    let lines: Vec<&[u8]> = head.split(|&b| b == b'\n').take(12).collect();
    let mut plain = vec![lines.join(&b'\n'), lines[0].to_vec(), Vec::new()];
    for odd in [
        "{",
        "{}",
        "null",
        "[[[[[[[[",
        "\u{feff}{}",
        "{\"a\":\"\\ud800\"}",
        "{\"agent\":1e999}",
        "\0\0\0\0",
        "\n\n\r\n",
    ] {
        plain.push(odd.as_bytes().to_vec());
    }
    plain.push(b"[".repeat(60_000));
    let gzipped = plain.iter().map(|p| gzip(p));
    let packed = plain.iter().map(|p| zstd::encode_all(p.as_slice(), 1).unwrap());
    let mut all: Vec<Vec<u8>> = gzipped.chain(packed).collect();
    all.extend(plain);
    all.push([gzip(b"{}\n"), gzip(b"{}\n")].concat());
    // A frame of zstd that asks for a window of two gigabytes.
    all.push(vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00]);
    all
}

/// Numbers that look like chance (splitmix64).
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn below(seed: &mut u64, n: usize) -> usize {
    usize::try_from(next(seed) % n.max(1) as u64).unwrap()
}

/// Changes an input in a few places: other bytes, numbers at their ends, parts cut out, repeated or torn off.
fn change(data: &mut Vec<u8>, seed: &mut u64) {
    const WORDS: [&str; 10] =
        ["-1", "9223372036854775807", "18446744073709551616", "1e400", "null", "\"\"", "{}", "true", "\\u0000", "-0.5"];
    for _ in 0..=below(seed, 4) {
        let at = below(seed, data.len());
        let to = (at + below(seed, 40)).min(data.len());
        match below(seed, 6) {
            0 if !data.is_empty() => data[at] = next(seed).to_le_bytes()[0],
            1 => drop(data.drain(at.min(to)..to)),
            2 => data.truncate(at),
            3 => data.splice(at..at, next(seed).to_le_bytes()).for_each(drop),
            4 => {
                let part = data[at.min(to)..to].to_vec();
                data.splice(at..at, part).for_each(drop);
            }
            _ => {
                // A number that stands somewhere after this place becomes another word.
                let digit = |b: &u8| b.is_ascii_digit();
                let from = data[at..].iter().position(digit).map_or(at, |i| at + i);
                let end = data[from..].iter().position(|b| !digit(b)).map_or(data.len(), |i| from + i);
                data.splice(from..end, WORDS[below(seed, WORDS.len())].bytes()).for_each(drop);
            }
        }
    }
}

#[test]
fn any_stream_is_read_or_refused() {
    let tries = std::env::var("FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(4000);
    let kept = kept();
    kept.iter().for_each(|input| fuzz_stream(input));
    for n in 0..tries {
        let mut seed = n;
        let mut data = kept[below(&mut seed, kept.len())].clone();
        if below(&mut seed, 10) == 0 {
            data = (0..below(&mut seed, 400)).map(|_| next(&mut seed).to_le_bytes()[0]).collect();
        }
        change(&mut data, &mut seed);
        let done = std::panic::catch_unwind(|| fuzz_stream(&data));
        assert!(done.is_ok(), "input {n}: {:?}", String::from_utf8_lossy(&data));
    }
}

/// The most memory that this process ever had, in KiB, where the system tells.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

#[test]
fn a_stream_that_swells_takes_no_more_room_than_a_line() {
    // 256 MiB of one line, and as many of short lines, in a few kilobytes.
    let swollen = |line: &[u8]| {
        let mut packer = zstd::Encoder::new(Vec::new(), 3).unwrap();
        let part = line.repeat((1 << 20) / line.len());
        (0..256).for_each(|_| packer.write_all(&part).unwrap());
        packer.finish().unwrap()
    };
    let long = gzip(&vec![b'['; 64 << 20]);
    let inputs = [swollen(b"["), swollen(b"{}\n"), long];
    let before = peak();
    for input in inputs {
        let mut reader = Reader::new(Cursor::new(input), Reading { skip_bad: true }).unwrap();
        assert_eq!(reader.by_ref().filter_map(Result::ok).count(), 0);
        assert!(reader.notes().bad > 0);
    }
    if let (Some(before), Some(after)) = (before, peak()) {
        assert!(after - before < 32 << 10, "{} KiB", after - before);
    }
}
