//! Columns give back what was put in, refuse what cannot be, and never panic.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;
use uitwijk_model::id::TargetId;
use uitwijk_model::{
    AgentId, BootId, Elapsed, Fault, Hop, Measurement, Observer, Outcome, Phases, Record, Region, ServedBy, Slot,
    Unmeasured, Vantage, WallTime, Zone,
};

use super::*;
use crate::v1::{self, Compression, RefusalReason};

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Up),
        1 => Just(Outcome::Slow),
        2 => prop::sample::select(Fault::ALL).prop_map(Outcome::Down),
        1 => prop::sample::select(Unmeasured::ALL).prop_map(Outcome::Unmeasured),
    ]
}

fn elapsed() -> impl Strategy<Value = Option<Elapsed>> {
    option::of(prop_oneof![0..20_000_000u64, 0..u64::MAX].prop_map(Elapsed::from_micros))
}

fn served() -> impl Strategy<Value = Option<ServedBy>> {
    let zone = option::of("[1-3]".prop_map(|z| Zone::new(z).unwrap()));
    option::of((prop::sample::select(vec!["NL", "IE"]), zone))
        .prop_map(|s| s.map(|(region, zone)| ServedBy { region: Region::new(region).unwrap(), zone }))
}

fn hops() -> impl Strategy<Value = Vec<Hop>> {
    let hop = (300..400u16, any::<u64>())
        .prop_map(|(http_status, us)| Hop { http_status, elapsed: Elapsed::from_micros(us) });
    prop_oneof![5 => Just(vec![]), 1 => vec(hop, 0..=HOPS_MAX)]
}

fn observers() -> impl Strategy<Value = Observer> {
    (option::of(any::<i64>()), any::<u32>(), any::<u16>(), any::<u16>()).prop_map(|(offset, lag, failed, seen)| {
        Observer {
            clock_offset_us: offset,
            loop_lag: Elapsed::from_micros(u64::from(lag)),
            controls_failed: failed,
            controls_seen: seen,
        }
    })
}

prop_compose! {
    fn measurements()(
        target in prop_oneof!["[a-z]{1,3}/default@(NL|IE|public)", "[a-zé]{1,60}"],
        (slot, attempt) in (prop_oneof![0..9i64, any::<i64>()], prop_oneof![3 => Just(0), 1 => any::<u8>()]),
        (scheduled, started) in (any::<i64>(), any::<i64>()),
        outcome in outcomes(),
        total in elapsed(),
        phases in (elapsed(), elapsed(), elapsed(), elapsed(), elapsed(), elapsed()),
        http_status in option::of(100..1000u16),
        served in served(),
        hops in hops(),
        expires in option::of(0..4_000_000_000i64),
        observer in observers(),
    ) -> Measurement {
        Measurement {
            target: TargetId::from_wire(&target),
            slot: Slot(slot),
            attempt,
            scheduled: WallTime::from_micros(scheduled),
            started: WallTime::from_micros(started),
            outcome,
            total,
            phases: Phases {
                dns: phases.0, connect: phases.1, tls: phases.2, send: phases.3, wait: phases.4, transfer: phases.5,
            },
            http_status,
            served,
            hops,
            certificate_expires: expires.map(|s| WallTime::from_millis(s * 1000)),
            observer,
        }
    }
}

fn compressions() -> impl Strategy<Value = Compression> {
    prop::sample::select(vec![Compression::None, Compression::Zstd])
}

fn read(batch: &v1::Batch) -> Vec<Measurement> {
    let rows = Rows::from_batch(batch, &Limits::default()).expect("a batch of ours is well formed");
    rows.iter().map(|r| r.expect("a row of ours is good").to_measurement()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_goes_in_comes_out(rows in vec(measurements(), 1..20), how in compressions(), first in 1..u64::MAX / 2) {
        let batch = batch(BootId(7), first, &encode(&rows), how);
        let decoded = Rows::from_batch(&batch, &Limits::default()).unwrap();
        prop_assert_eq!((decoded.boot(), decoded.sequence(0)), (BootId(7), first));
        prop_assert_eq!(decoded.next_sequence(), first + rows.len() as u64);
        prop_assert_eq!(read(&batch), rows);
    }

    #[test]
    fn merged_batches_hold_the_same_rows(rows in vec(measurements(), 3..20), cut in any::<(prop::sample::Index, prop::sample::Index)>()) {
        let (a, b) = (cut.0.index(rows.len() - 2) + 1, rows.len());
        let mid = a + cut.1.index(b - a);
        let mut parts = vec![];
        for part in [0..a, a..mid, mid..b].into_iter().filter(|r| !r.is_empty()) {
            parts.push(batch(BootId(7), 1 + part.start as u64, &encode(&rows[part]), Compression::Zstd));
        }
        let merged = batch(BootId(7), 1, &merge(&parts).unwrap(), Compression::None);
        prop_assert_eq!(read(&merged), rows);
    }

    #[test]
    fn a_record_survives_the_trip_through_a_message(measurement in measurements(), stored in any::<i64>()) {
        let record = Record {
            agent: AgentId::new("nl-1").unwrap(),
            vantage: Vantage { region: Region::new("NL").unwrap(), zone: Zone::new("1").unwrap() },
            boot: BootId(9),
            sequence: 3,
            measurement,
        };
        let stored = WallTime::from_micros(stored);
        prop_assert_eq!(from_message(&to_message(&record, stored)), Ok((record, stored)));
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..300), count in 0..9u32, compression in -1..3i32) {
        look_at_all(&v1::Batch { boot: 1, first_sequence: 1, count, columns: bytes.into(), compression, ..Default::default() });
    }

    #[test]
    fn a_damaged_batch_does_no_harm(rows in vec(measurements(), 1..9), at in any::<prop::sample::Index>(), bit in 0..8u8) {
        for how in [Compression::None, Compression::Zstd] {
            let mut whole = batch(BootId(7), 1, &encode(&rows), how);
            let mut bytes = whole.columns.to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            whole.columns = bytes.into();
            look_at_all(&whole);
        }
    }
}

fn look_at_all(batch: &v1::Batch) {
    if let Ok(rows) = Rows::from_batch(batch, &Limits::default()) {
        for row in rows.iter().flatten() {
            let _ = row.to_measurement();
        }
    }
    let _ = merge(&[batch.clone(), batch.clone()]);
}

/// Three plain rows.
fn plain() -> v1::Columns {
    v1::Columns {
        count: 3,
        targets: vec!["chain:idp".into()],
        places: vec!["NL".into(), "not a place".into()],
        scheduled_delta_us: vec![0, 1, 1],
        ..v1::Columns::default()
    }
}

fn refusal(change: impl FnOnce(&mut v1::Columns)) -> String {
    let mut columns = plain();
    change(&mut columns);
    let mut batch = batch(BootId(1), 1, &columns, Compression::None);
    batch.count = 3;
    Rows::from_batch(&batch, &Limits::default()).expect_err("the batch is malformed").to_string()
}

#[test]
fn a_batch_that_cannot_be_read_says_why() {
    for (change, message) in [
        ((|c| c.outcome = vec![1; 2]) as fn(&mut v1::Columns), "column outcome has 2 elements for 3 rows"),
        (|c| c.controls_seen = vec![0; 4], "column controls_seen has 4 elements for 3 rows"),
        (|c| c.scheduled_delta_us.clear(), "column scheduled_delta_us has 0 elements for 3 rows"),
        (|c| c.count = 2, "batch says 3 rows and its columns say 2"),
        (|c| c.targets = vec![String::new(); 4097], "dictionary targets has 4097 words, allowed are 4096"),
        (|c| c.places = vec![String::new(); 257], "dictionary places has 257 words, allowed are 256"),
        (|c| c.hop_count = vec![1, 0, u32::MAX], "rows announce 4294967296 hops and there are 0"),
        (|c| c.hops = vec![v1::Hop::default()], "rows announce 0 hops and there are 1"),
    ] {
        assert_eq!(refusal(change), message);
    }
}

#[test]
fn every_column_must_be_full_or_left_out() {
    let full = |rows: usize| {
        let (i, u, l) = (vec![0i64; rows], vec![0u32; rows], vec![0u64; rows]);
        v1::Columns {
            slot_delta: i.clone(),
            target: u.clone(),
            attempt: u.clone(),
            scheduled_delta_us: i.clone(),
            started_after_us: i.clone(),
            outcome: u.clone(),
            reason: u.clone(),
            total_us_plus_1: l.clone(),
            dns_us_plus_1: l.clone(),
            connect_us_plus_1: l.clone(),
            tls_us_plus_1: l.clone(),
            send_us_plus_1: l.clone(),
            wait_us_plus_1: l.clone(),
            transfer_us_plus_1: l.clone(),
            http_status_plus_1: u.clone(),
            served_region_plus_1: u.clone(),
            served_zone_plus_1: u.clone(),
            hop_count: u.clone(),
            certificate_expires_s_plus_1: l,
            clock_offset_known: u.clone(),
            clock_offset_us: i,
            loop_lag_us: u.clone(),
            controls_failed: u.clone(),
            controls_seen: u,
            ..plain()
        }
    };
    // Take one column at a time from a set that is too long: each must be missed by name.
    let bytes = |c: &v1::Columns| c.encode_to_vec();
    let long = full(5);
    let columns = 24;
    let mut refused = 0;
    for tag in 5..=30u32 {
        let mut joined = bytes(&plain());
        joined.extend(field(&bytes(&long), tag));
        let batch = v1::Batch { boot: 1, first_sequence: 1, count: 3, columns: joined.into(), ..Default::default() };
        let error = Rows::from_batch(&batch, &Limits::default());
        refused += usize::from(matches!(error, Err(MalformedBatch::Column { found: 5 | 8, .. })));
    }
    assert_eq!(refused, columns);
}

/// The bytes of one length-delimited field of a message.
fn field(mut bytes: &[u8], wanted: u32) -> Vec<u8> {
    while !bytes.is_empty() {
        let before = bytes;
        let (tag, wire) = prost::encoding::decode_key(&mut bytes).unwrap();
        prost::encoding::skip_field(wire, tag, &mut bytes, prost::encoding::DecodeContext::default()).unwrap();
        if tag == wanted {
            return before[..before.len() - bytes.len()].to_vec();
        }
    }
    Vec::new()
}

#[test]
fn a_bad_row_leaves_its_neighbours_alone() {
    let tall = "x".repeat(257);
    for (name, change) in [
        ("target", Box::new(|c: &mut v1::Columns| c.target = vec![0, 1, 0]) as Box<dyn Fn(&mut v1::Columns)>),
        ("empty target", Box::new(|c| (c.targets, c.target) = (vec!["a".into(), String::new()], vec![0, 1, 0]))),
        ("long target", Box::new(|c| (c.targets, c.target) = (vec!["a".into(), tall.clone()], vec![0, 1, 0]))),
        ("attempt", Box::new(|c| c.attempt = vec![0, 256, 0])),
        ("no outcome", Box::new(|c| c.outcome = vec![1, 0, 1])),
        ("outcome", Box::new(|c| c.outcome = vec![1, 5, 1])),
        ("reason of up", Box::new(|c| c.reason = vec![0, 1, 0])),
        ("fault", Box::new(|c| (c.outcome, c.reason) = (vec![1, 3, 1], vec![0, 99, 0]))),
        ("status low", Box::new(|c| c.http_status_plus_1 = vec![0, 100, 0])),
        ("status high", Box::new(|c| c.http_status_plus_1 = vec![0, 1001, 0])),
        ("region", Box::new(|c| c.served_region_plus_1 = vec![1, 3, 0])),
        ("region name", Box::new(|c| c.served_region_plus_1 = vec![1, 2, 0])),
        ("zone alone", Box::new(|c| c.served_zone_plus_1 = vec![0, 1, 0])),
        ("offset known", Box::new(|c| c.clock_offset_known = vec![1, 2, 0])),
        ("controls", Box::new(|c| c.controls_seen = vec![0, 65_536, 0])),
        ("expiry", Box::new(|c| c.certificate_expires_s_plus_1 = vec![0, u64::MAX, 0])),
        ("hop", Box::new(|c| (c.hop_count, c.hops) = (vec![0, 1, 0], vec![v1::Hop::default()]))),
        (
            "hops",
            Box::new(|c| {
                (c.hop_count, c.hops) = (vec![0, 21, 0], vec![v1::Hop { http_status: 301, elapsed_us: 1 }; 21]);
            }),
        ),
    ] {
        let mut columns = plain();
        change(&mut columns);
        let rows = Rows::from_batch(&batch(BootId(1), 1, &columns, Compression::None), &Limits::default()).unwrap();
        let refused: Vec<_> = (0..3).map(|i| rows.row(i).err()).collect();
        assert_eq!(refused, [None, Some(RefusalReason::Value), None], "{name}");
        assert!(rows.row(3).is_err());
    }
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let limits = Limits { unpacked_bytes_max: 10_000, ..Limits::default() };
    let zeros = vec![0; 50 << 20];
    let declared = zstd::bulk::compress(&zeros, 1).unwrap();
    let undeclared = zstd::stream::encode_all(&zeros[..], 1).unwrap();
    assert!(matches!(zstd::zstd_safe::get_frame_content_size(&undeclared), Ok(None)));
    for (bomb, message) in [
        (declared, "batch unpacks to more than 10000 bytes"),
        (undeclared, "batch is not valid zstd: Destination buffer is too small"),
    ] {
        let batch = v1::Batch {
            boot: 1,
            first_sequence: 1,
            count: 1,
            columns: bomb.into(),
            compression: 1,
            ..Default::default()
        };
        assert_eq!(Rows::from_batch(&batch, &limits).unwrap_err().to_string(), message);
    }
}

#[test]
fn the_frame_of_a_batch_is_checked() {
    let good = batch(BootId(1), 1, &plain(), Compression::None);
    let large = Bytes::from(vec![0; (1 << 20) + 1]);
    for (change, message) in [
        (v1::Batch { columns: large, ..good.clone() }, "batch of 1048577 bytes is over the limit of 1048576"),
        (
            v1::Batch { compression: 9, ..good.clone() },
            "batch has unknown compression 9, known are 0 (none) and 1 (zstd)",
        ),
        (v1::Batch { compression: 1, ..good.clone() }, "batch is not valid zstd: not a frame"),
        (
            v1::Batch { boot: 0, ..good.clone() },
            "batch names boot 0 and first sequence 1, both must be 1 or more and leave room for its rows",
        ),
        (
            v1::Batch { first_sequence: u64::MAX, ..good.clone() },
            "batch names boot 1 and first sequence 18446744073709551615, both must be 1 or more and leave room for its rows",
        ),
    ] {
        assert_eq!(Rows::from_batch(&change, &Limits::default()).unwrap_err().to_string(), message);
    }
    let small = Limits { rows_max: 2, ..Limits::default() };
    assert_eq!(Rows::from_batch(&good, &small).unwrap_err().to_string(), "batch has 3 rows, allowed are 1 to 2");
    let none = batch(BootId(1), 1, &v1::Columns::default(), Compression::None);
    let error = Rows::from_batch(&none, &Limits::default()).unwrap_err().to_string();
    assert_eq!(error, "batch has 0 rows, allowed are 1 to 8192");
}

#[test]
fn only_neighbours_merge() {
    let part = |boot, first| batch(BootId(boot), first, &plain(), Compression::None);
    assert_eq!(merge(&[part(1, 1), part(1, 4)]).unwrap().count, 6);
    assert_eq!(merge(&[]), Err(MergeError::Nothing));
    assert_eq!(merge(&[part(1, 1), part(1, 5)]), Err(MergeError::NotAdjacent { index: 1 }));
    assert_eq!(merge(&[part(1, 1), part(2, 4)]), Err(MergeError::NotAdjacent { index: 1 }));
    let many: Vec<_> = (0..2731).map(|k| part(1, 1 + 3 * k)).collect();
    assert_eq!(merge(&many), Err(MergeError::TooLarge { rows: 8193, targets: 1, places: 2 }));
}
