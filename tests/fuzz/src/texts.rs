//! What people write: plans, and streams of measurements.

use std::io::Cursor;

use uitwijk_model::Plan;
use uitwijk_model::plan::read::read_plan;
use uitwijk_replay::{Reader, Reading, write_record};

/// A plan; one that is good is the same after a way over the wire.
pub(crate) fn plan(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match read_plan(&text, &|_| None) {
        Ok(plan) => {
            let wire = serde_json::to_string(&plan).unwrap();
            let again: Plan = serde_json::from_str(&wire).unwrap();
            assert_eq!((&again, again.version()), (&plan, plan.version()));
        }
        Err(mistakes) => assert!(!mistakes.to_string().is_empty()),
    }
}

/// A stream, read both ways; what can be read can be written and read again.
pub(crate) fn stream(data: &[u8]) {
    for skip_bad in [false, true] {
        let Ok(mut reader) = Reader::new(Cursor::new(data.to_vec()), Reading { skip_bad }) else { continue };
        let (mut records, mut errors) = (Vec::new(), 0);
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
