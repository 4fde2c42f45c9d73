//! Does a stream come back as it was written, however it was packed, and is what is wrong with one told?

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Cursor, Write as _};
use std::path::PathBuf;

use uitwijk_replay::{ReadError, Reader, Reading, Record, Word, write_record};

fn example(id: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/scenarios/streams/{id}.jsonl.zst"));
    std::fs::read(path).unwrap()
}

fn read(bytes: Vec<u8>) -> Result<Vec<Record>, ReadError> {
    Reader::new(Cursor::new(bytes), Reading::default()).unwrap().collect()
}

#[test]
fn a_recorded_stream_comes_back_as_it_was_written() {
    for id in ["example-4-sick-vantage-late-data"] {
        let packed = example(id);
        let plain = zstd::decode_all(packed.as_slice()).unwrap();
        let records = read(packed).unwrap();
        assert!(records.len() > 20_000, "{id}");
        let mut written = Vec::new();
        for record in &records {
            write_record(&mut written, record).unwrap();
        }
        let parse = |bytes: &[u8]| -> Vec<serde_json::Value> {
            bytes.split(|&b| b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect()
        };
        for (ours, theirs) in parse(&written).into_iter().zip(parse(&plain)) {
            assert_eq!(whole(ours), whole(theirs), "{id}");
        }
        assert_eq!(read(written).unwrap(), records, "{id}");
    }
}

/// `6` and `6.0` are the same number.
fn whole(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Number(n) => serde_json::json!(n.as_f64()),
        serde_json::Value::Object(map) => map.into_iter().map(|(k, v)| (k, whole(v))).collect(),
        other => other,
    }
}

#[test]
fn plain_gzip_and_zstd_are_told_apart() {
    let plain = zstd::decode_all(example("example-1-quiet-and-maintenance").as_slice()).unwrap();
    let end = plain.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(99).unwrap().0 + 1;
    let plain = plain[..end].to_vec();
    let wanted = read(plain.clone()).unwrap();
    assert_eq!(wanted.len(), 100);
    let gzip = |part: &[u8]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(part).unwrap();
        packer.finish().unwrap()
    };
    assert_eq!(read(gzip(&plain)).unwrap(), wanted);
    // Files that were packed in parts and put behind one another.
    assert_eq!(read([gzip(&plain[..5000]), gzip(&plain[5000..])].concat()).unwrap(), wanted);
    let parts = [&plain[..5000], &plain[5000..]].map(|part| zstd::encode_all(part, 1).unwrap());
    assert_eq!(read(parts.concat()).unwrap(), wanted);
    assert_eq!(read([b"\xef\xbb\xbf".to_vec(), plain.clone()].concat()).unwrap(), wanted);
    assert_eq!(read(plain[..end - 1].to_vec()).unwrap(), wanted, "without the last newline");
    assert!(read(Vec::new()).unwrap().is_empty());
}

#[test]
fn a_stream_that_was_cut_says_after_which_line() {
    let packed = example("example-1-quiet-and-maintenance");
    let error = read(packed[..packed.len() / 2].to_vec()).unwrap_err();
    assert!(matches!(error, ReadError::Io { line, .. } if line > 1000), "{error}");
}

const GOOD: &str = r#"{"agent":"nl-1","vantage_region":"NL","vantage_zone":1,"seq":1,"kind":"regional","service":"exchange","endpoint":"default","target":"exchange/default@NL","target_region":"NL","scheduled_at_ms":1772438400300,"sent_at_ms":1772438400394,"arrived_at_ms":1772438400760,"outcome":"ok","http_status":200,"total_ms":94,"phases":{"dns":5.3},"served_region":"NL","served_zone":1}"#;

/// A good line with one value replaced, or with a key left out.
fn with(key: &str, value: Option<&str>) -> String {
    let mut line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(GOOD).unwrap();
    match value {
        Some(value) => drop(line.insert(key.to_owned(), serde_json::from_str(value).unwrap())),
        None => drop(line.remove(key)),
    }
    serde_json::to_string(&line).unwrap()
}

#[test]
fn what_is_wrong_with_a_line_is_told() {
    let mut told = Vec::new();
    let lines = [
        "{".to_owned(),
        "[1]".to_owned(),
        "nonsense".to_owned(),
        with("agent", None),
        with("agent", Some("\"-x\"")),
        with("agent", Some("7.5")),
        with("seq", Some("-1")),
        with("seq", Some("\"1\"")),
        with("scheduled_at_ms", None),
        with("scheduled_at_ms", Some("\"2026-03-02\"")),
        with("arrived_at_ms", Some("1e300")),
        with("outcome", Some("\"up\"")),
        with("outcome", None),
        with("kind", Some("\"zonal\"")),
        with("http_status", Some("1000")),
        with("total_ms", Some("-5")),
        with("phases", Some("[1]")),
        with("phases", Some("{\"dns\":\"fast\"}")),
        with("served_zone", Some("true")),
        with("served_region", Some(&format!("\"{}\"", "N".repeat(99)))),
        with("boot", Some("\"xyz\"")),
        format!("{{\"agent\":\"{}\"}}", "a".repeat(70_000)),
    ];
    for line in lines {
        let error = read(format!("{GOOD}\n{line}\n{GOOD}\n").into_bytes()).unwrap_err();
        told.push(error.to_string());
    }
    told.push(read([GOOD.as_bytes(), b"\n\xff\xfe\n"].concat()).unwrap_err().to_string());
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_is_harmless_is_taken() {
    let lines = [
        with("phases", None),
        with("phases", Some("null")),
        with("total_ms", Some("94.0")),
        with("seq", Some("1.0")),
        with("served_zone", Some("\"1\"")),
        with("vantage_zone", Some("\"1\"")),
        with("http_status", Some("null")),
        with("sent_at_ms", None),
        with("kind", None),
        with("target", None),
        with("vantage_region", None),
        with("fault", Some("\"of_a_later_version\"")),
        format!("  {GOOD}\r"),
        String::new(),
    ];
    let records = read(lines.join("\n").into_bytes()).unwrap();
    assert_eq!(records.len(), lines.len() - 1);
    let first = &read(GOOD.as_bytes().to_vec()).unwrap()[0];
    for r in &records {
        assert_eq!((r.outcome, r.sent, r.total), (Word::Ok, first.sent, first.total));
        assert_eq!((&r.watched, &r.served, &r.watcher.agent), (&first.watched, &first.served, &first.watcher.agent));
    }
}

#[test]
fn bad_lines_are_counted_when_they_may_be_skipped() {
    let text = format!("{GOOD}\nnonsense\n{}\n{}\n", with("colour", Some("1")), with("outcome", Some("1")));
    let mut reader = Reader::new(Cursor::new(text.into_bytes()), Reading { skip_bad: true }).unwrap();
    assert_eq!(reader.by_ref().map(Result::unwrap).count(), 2);
    let notes = reader.notes();
    assert_eq!((notes.records, notes.bad, notes.first_bad.as_ref().unwrap().0), (2, 2, 2));
    assert_eq!(notes.unknown.iter().collect::<Vec<_>>(), ["colour"]);
}

#[test]
fn lines_out_of_order_are_counted() {
    let text = [GOOD.to_owned(), with("arrived_at_ms", Some("1772438400750")), GOOD.to_owned()].join("\n");
    let mut reader = Reader::new(Cursor::new(text.into_bytes()), Reading::default()).unwrap();
    assert_eq!(reader.by_ref().count(), 3);
    assert_eq!((reader.notes().unordered, reader.notes().first_unordered), (1, Some(2)));
}
