//! Does a measurement survive the trip into a stream and back, and does no line bring the reader down?

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Cursor;
use std::sync::Arc;

use proptest::prelude::*;
use uitwijk_model::{
    AgentId, Elapsed, Fault, Measurement, Millis, Observer, Outcome, Phases, Region, ServedBy, SlotLength, TargetId,
    Unmeasured, Vantage, WallTime, Zone,
};
use uitwijk_replay::{Names, Reader, Reading, Record, Watched, Watcher, write_record};

fn slot() -> SlotLength {
    SlotLength::new(Millis::from_secs(10)).unwrap()
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Up),
        Just(Outcome::Slow),
        proptest::sample::select(Fault::ALL).prop_map(Outcome::Down),
        proptest::sample::select(Unmeasured::ALL).prop_map(Outcome::Unmeasured),
    ]
}

/// A time of a tenth of a millisecond or more, or none.
fn time() -> impl Strategy<Value = Option<Elapsed>> {
    proptest::option::of((0u64..90_000_000).prop_map(Elapsed::from_micros))
}

fn served() -> impl Strategy<Value = Option<ServedBy>> {
    let zone = proptest::option::of("[a-z0-9]{1,4}".prop_map(|z| Zone::new(z).unwrap()));
    proptest::option::of(
        ("[A-Z]{2}", zone).prop_map(|(region, zone)| ServedBy { region: Region::new(region).unwrap(), zone }),
    )
}

fn target() -> impl Strategy<Value = TargetId> {
    proptest::sample::select(vec![
        "exchange/default@NL",
        "exchange/default@NL/1",
        "exchange/default@public",
        "chain:idp",
        "control:ctl-a",
        "not \"a\" target\u{1}\\",
    ])
    .prop_map(TargetId::from_wire)
}

fn measurement() -> impl Strategy<Value = Measurement> {
    let times = (time(), time(), time(), time(), time());
    let rest = (proptest::option::of(100u16..=599), served(), proptest::option::of(-5_000_000i64..5_000_000));
    (target(), 0u8..4, -1i64 << 50..1 << 50, outcome(), times, rest).prop_map(
        |(target, attempt, at, outcome, (total, dns, connect, tls, wait), (http_status, served, offset))| Measurement {
            target,
            slot: slot().slot_of(WallTime::from_micros(at)),
            attempt,
            scheduled: WallTime::from_micros(at),
            started: WallTime::from_micros(at + 1234),
            outcome,
            total,
            phases: Phases { dns, connect, tls, send: None, wait, transfer: wait },
            http_status,
            served,
            hops: Vec::new(),
            certificate_expires: None,
            observer: Observer { clock_offset_us: offset, ..Observer::default() },
        },
    )
}

fn watcher(boot: Option<u64>) -> Arc<Watcher> {
    let vantage = Vantage { region: Region::new("NL").unwrap(), zone: Zone::new("01").unwrap() };
    Arc::new(Watcher { agent: AgentId::new("nl-1").unwrap(), vantage: Some(vantage), boot })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_measurement_comes_back(m in measurement(), sequence in 0..u64::MAX / 4, boot: Option<u64>, late in 0i64..1 << 40) {
        let watched = Arc::new(Watched::of_target(&m.target));
        let arrived = WallTime::from_micros(m.started.as_micros() + late);
        let Some(record) = Record::of(&watcher(boot), &watched, sequence, &m, arrived) else {
            prop_assert!(!m.outcome.is_measured());
            return Ok(());
        };
        let mut line = Vec::new();
        write_record(&mut line, &record).unwrap();
        let (mut names, mut unknown) = (Names::default(), Vec::new());
        let back = Record::from_line(std::str::from_utf8(&line).unwrap(), &mut names, &mut unknown);
        prop_assert_eq!(back.as_ref(), Ok(&record));
        prop_assert!(unknown.is_empty());
        let again = back.unwrap().measurement(slot());
        prop_assert_eq!((again.outcome, again.slot, again.attempt), (m.outcome, m.slot, m.attempt));
        prop_assert_eq!((again.http_status, again.served, again.phases), (m.http_status, m.served, m.phases));
        prop_assert_eq!((again.target, again.observer), (m.target, m.observer));
        prop_assert!(again.scheduled.micros_since(m.scheduled).abs() < 1000);
        prop_assert!(again.started.micros_since(m.started).abs() < 1000);
    }

    #[test]
    fn no_bytes_bring_the_reader_down(bytes in proptest::collection::vec(any::<u8>(), 0..400), skip_bad: bool) {
        let reader = Reader::new(Cursor::new(bytes.clone()), Reading { skip_bad });
        let read = reader.map_or(0, Iterator::count);
        prop_assert!(read <= bytes.len() + 1);
    }

    #[test]
    fn no_value_brings_the_reader_down(key in 0usize..20, value in "(-?[0-9]{1,25}(\\.[0-9]{1,9})?(e-?[0-9]{1,3})?|\"[ -~]{0,12}\"|null|true|\\[\\]|\\{\\})") {
        let keys = [
            "agent", "vantage_region", "vantage_zone", "seq", "kind", "service", "endpoint", "target", "target_region",
            "scheduled_at_ms", "sent_at_ms", "arrived_at_ms", "outcome", "http_status", "total_ms", "phases", "served_zone",
            "attempt", "boot", "clock_offset_us",
        ];
        let line = format!(
            r#"{{"agent":"a","seq":1,"target":"control:c","scheduled_at_ms":1,"arrived_at_ms":1,"outcome":"ok","served_region":"NL","{}":{value}}}"#,
            keys[key]
        );
        if let Ok(r) = Record::from_line(&line, &mut Names::default(), &mut Vec::new()) {
            let m = r.measurement(slot());
            let mut written = Vec::new();
            write_record(&mut written, &r).unwrap();
            let back = Record::from_line(std::str::from_utf8(&written).unwrap(), &mut Names::default(), &mut Vec::new());
            prop_assert_eq!(back.unwrap().measurement(slot()), m);
        }
    }
}
