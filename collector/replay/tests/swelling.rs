//! Does a stream that swells when it is unpacked take more room than a line?

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Cursor, Write as _};

use uitwijk_replay::{Reader, Reading};

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(plain).unwrap();
    packer.finish().unwrap()
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
