//! Where do the kept inputs come from that no fuzzer found?
//!
//! From [`write`], which writes them where `FUZZ_SEEDS` says: one good input of each kind, or a few. What a fuzzer found stands beside them under
//! the name that it gave.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::sync::Arc;

use hickory_resolver::proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType, rdata};
use object_store::ObjectStoreExt as _;
use prost::Message as _;
use uitwijk_collector::store::{
    HotStore, Mask, MemoryStore, Objects, RecordKey, Sealing, Store, StoredBatch, Writes, small,
};
use uitwijk_model::{
    AgentId, BootId, Elapsed, Fault, Measurement, Observer, Outcome, Phases, Region, ServedBy, Slot, TargetId,
    Unmeasured, Vantage, WallTime, Zone,
};
use uitwijk_proto::{columns, v1};

const HOUR_MS: i64 = 492_343 * 3_600_000;

fn rows() -> Vec<Measurement> {
    let outcomes =
        [Outcome::Up, Outcome::Slow, Outcome::Down(Fault::ConnectRefused), Outcome::Unmeasured(Unmeasured::Overload)];
    let row = |i: i64| {
        let at = WallTime::from_millis(HOUR_MS + i * 2_500);
        let outcome = outcomes[usize::try_from(i).unwrap() % outcomes.len()];
        let region = Region::new("NL").unwrap();
        Measurement {
            target: TargetId::from_wire(
                ["exchange/default@NL", "portal/default@public", "control:dns"][usize::try_from(i).unwrap() % 3],
            ),
            slot: Slot(at.as_millis() / 10_000),
            attempt: u8::from(i % 5 == 0),
            scheduled: at,
            started: at,
            outcome,
            total: outcome.is_measured().then(|| Elapsed::from_micros(5_000)),
            phases: Phases::default(),
            http_status: (i % 2 == 0).then_some(200),
            served: (i % 3 == 0).then_some(ServedBy { region, zone: None }),
            hops: Vec::new(),
            certificate_expires: None,
            observer: Observer::default(),
        }
    };
    (0..20).map(row).collect()
}

fn batch(how: v1::Compression) -> v1::Batch {
    columns::batch(BootId(7), 1, &columns::encode(&rows()), how)
}

fn stored() -> Writes {
    let rows = rows();
    let mut mask = Mask::none(rows.len());
    (0..rows.len()).filter(|i| i % 7 != 0).for_each(|i| mask.set(i));
    let (from, to) = (rows[0].scheduled, rows[rows.len() - 1].scheduled);
    let mut writes = Writes::default();
    writes.batch(&StoredBatch {
        key: RecordKey {
            from,
            agent: AgentId::new("nl-1").unwrap(),
            boot: BootId(7),
            first_sequence: 1,
            serial: 1,
            span_us: u32::try_from(to.micros_since(from)).unwrap(),
        },
        vantage: Vantage { region: Region::new("NL").unwrap(), zone: Zone::new("1").unwrap() },
        arrived: to,
        count: u32::try_from(rows.len()).unwrap(),
        mask,
        columns: columns::to_bytes(&columns::encode(&rows), v1::Compression::Zstd),
        compression: v1::Compression::Zstd.into(),
    });
    writes
}

/// The files of measurements and of rollups that an hour becomes.
fn sealed() -> Vec<Vec<u8>> {
    let hot = Arc::new(MemoryStore::default());
    let mut writes = stored();
    writes.small.push(small::serial(1));
    hot.write(&writes).unwrap();
    let memory = Arc::new(object_store::memory::InMemory::new());
    let store = Store::joined(hot, Objects::over(memory.clone())).unwrap();
    let later = WallTime::from_millis(HOUR_MS + 7_200_000);
    let how = Sealing { collector: "c", plan_version: "p", now: later, file_rows_max: 1000, give_up: &|| false };
    let (hour, ..) = store.unsealed(later).unwrap()[0];
    store.seal(hour, &how).unwrap().unwrap();
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        use futures::StreamExt as _;
        let found: Vec<_> = object_store::ObjectStore::list(&*memory, None).collect().await;
        let mut files = Vec::new();
        for object in found {
            files.push(memory.get(&object.unwrap().location).await.unwrap().bytes().await.unwrap().to_vec());
        }
        files
    })
}

fn dns(kind: u8, code: ResponseCode, data: Vec<RData>) -> Vec<u8> {
    let record = [RecordType::A, RecordType::AAAA, RecordType::TXT, RecordType::MX, RecordType::NS][usize::from(kind)];
    let name = Name::from_ascii("here.test.").unwrap();
    let mut message = Message::response(0, OpCode::Query);
    message.metadata.response_code = code;
    message.add_answers(data.into_iter().map(|data| Record::from_rdata(name.clone(), 60, data)));
    message.add_query(Query::query(name, record));
    [vec![kind], message.to_vec().unwrap()].concat()
}

/// Frames of HTTP/2: kind, flags, stream, payload.
fn frames(all: &[(u8, u8, u8, &[u8])]) -> Vec<u8> {
    let frame = |&(kind, flags, stream, payload): &(u8, u8, u8, &[u8])| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
    };
    all.iter().flat_map(frame).collect()
}

fn all() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let certificate = |years: &[i32]| {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(years[0], 1, 1);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec()
    };
    let plain = batch(v1::Compression::None).encode_to_vec();
    let writes = stored();
    let (key, value) = &writes.batches[0];
    let name = |text: &str| Name::from_ascii(text).unwrap();
    // Indexed header fields of HPACK: status 200; and literal ones for gRPC.
    let trailers: &[u8] = b"\x00\x0bgrpc-status\x010";
    let headers: &[u8] = b"\x88\x00\x0ccontent-type\x10application/grpc";
    vec![
        ("batch", vec![plain.clone(), batch(v1::Compression::Zstd).encode_to_vec()]),
        ("buffer_record", vec![plain]),
        ("buffer_state", vec![boot_entry(), books_file()]),
        ("certificate", vec![certificate(&[2090]), certificate(&[2021])]),
        (
            "dns",
            vec![
                dns(0, ResponseCode::NoError, vec![RData::A(rdata::A::new(127, 0, 0, 1))]),
                dns(1, ResponseCode::NoError, vec![RData::AAAA(rdata::AAAA::new(0, 0, 0, 0, 0, 0, 0, 1))]),
                dns(2, ResponseCode::NoError, vec![RData::TXT(rdata::TXT::new(vec!["v=spf1 ".into(), "-all".into()]))]),
                dns(3, ResponseCode::NoError, vec![RData::MX(rdata::MX::new(10, name("mail.test.")))]),
                dns(4, ResponseCode::NXDomain, vec![RData::NS(rdata::NS(name("ns.test.")))]),
            ],
        ),
        (
            "grpc",
            vec![frames(&[
                (4, 0, 0, b""),
                (4, 1, 0, b""),
                (1, 4, 1, headers),
                (0, 0, 1, b"\0\0\0\0\x02\x08\x01"),
                (1, 5, 1, trailers),
            ])],
        ),
        (
            "http1",
            vec![
                b"HTTP/1.1 200 OK\r\nx-kind: good\r\nx-region: NL\r\nx-zone: 2\r\ncontent-type: application/json\r\ncontent-length: 43\r\n\r\n{\"a\":[{\"b\":null}],\"region\":\"IE\",\"m\":\"hallo\"}".to_vec(),
                b"HTTP/1.1 302 Found\r\nlocation: /next?a=%00#b\r\ncontent-length: 0\r\n\r\n".to_vec(),
                b"HTTP/1.0 503 Busy\r\n\r\nhello".to_vec(),
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nx-region: NL\r\n\r\n".to_vec(),
            ],
        ),
        (
            "http2",
            vec![frames(&[
                (4, 0, 0, b"\0\x03\0\0\0\x64"),
                (4, 1, 0, b""),
                (1, 4, 1, b"\x88\x00\x08x-region\x02NL"),
                (0, 1, 1, b"{\"region\":\"IE\",\"m\":\"hallo\"}"),
            ])],
        ),
        ("plan", vec![b"? ? ? ? ?".to_vec(), b"\xff\xfe\0\0".to_vec()]),
        ("sealed", sealed()),
        ("stored", vec![[&[u8::try_from(key.len()).unwrap()], &key[..], &value[..]].concat()]),
        ("stream", vec![b"{\"agent\":\"nl-1\"}\n".to_vec()]),
        ("tcp", vec![b"220 mail.test ready\r\n".to_vec(), b"500 no\r\n".to_vec()]),
    ]
}

/// As `agent/src/buffer/state.rs` has them.
#[derive(Clone, PartialEq, prost::Message)]
struct BootEntry {
    #[prost(uint64, tag = "1")]
    ordinal: u64,
    #[prost(fixed64, tag = "2")]
    boot: u64,
    #[prost(uint64, tag = "3")]
    next: u64,
    #[prost(uint64, tag = "4")]
    base: u64,
    #[prost(message, repeated, tag = "5")]
    accounts: Vec<Account>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Account {
    #[prost(string, tag = "1")]
    collector: String,
    #[prost(uint64, tag = "2")]
    cursor: u64,
    #[prost(uint64, repeated, tag = "3")]
    settled: Vec<u64>,
    #[prost(message, repeated, tag = "4")]
    gaps: Vec<Gap>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Gap {
    #[prost(uint64, tag = "1")]
    first: u64,
    #[prost(uint64, tag = "2")]
    count: u64,
    #[prost(uint32, tag = "3")]
    reason: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Head {
    #[prost(uint64, tag = "1")]
    first_key: u64,
    #[prost(uint64, tag = "2")]
    next_key: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Books {
    #[prost(message, optional, tag = "1")]
    head: Option<Head>,
    #[prost(message, repeated, tag = "2")]
    boots: Vec<BootEntry>,
}

fn entry() -> BootEntry {
    let gaps = vec![Gap { first: 60, count: 5, reason: 2 }, Gap { first: 70, count: 10, reason: 1 }];
    let nl = Account { collector: "col-nl".to_owned(), cursor: 50, settled: vec![3, 0, 1], gaps };
    let ie = Account { collector: "col-ie".to_owned(), cursor: 1, settled: vec![0; 3], gaps: Vec::new() };
    BootEntry { ordinal: 3, boot: 77, next: 100, base: 40, accounts: vec![ie, nl] }
}

fn boot_entry() -> Vec<u8> {
    entry().encode_to_vec()
}

fn books_file() -> Vec<u8> {
    Books { head: Some(Head { first_key: 4, next_key: 9 }), boots: vec![entry(), entry()] }.encode_to_vec()
}

/// Writes the inputs; without its variable it does nothing.
#[test]
fn write() {
    let Some(dir) = std::env::var_os("FUZZ_SEEDS").map(PathBuf::from) else { return };
    for (target, inputs) in all() {
        let dir = dir.join(target);
        std::fs::create_dir_all(&dir).unwrap();
        for (n, input) in inputs.iter().enumerate() {
            std::fs::write(dir.join(format!("seed-{}", n + 1)), input).unwrap();
        }
    }
}
