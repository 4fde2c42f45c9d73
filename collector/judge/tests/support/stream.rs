//! Recorded streams: one JSON object per line, in order of arrival.

use serde::Deserialize;
use uitwijk_model::{
    AgentId, Elapsed, Fault, Measurement, Observer, Outcome, Phases, Region, ServedBy, Slot, TargetId, WallTime, Zone,
};

use super::{Delivery, scenario};

#[derive(Deserialize)]
struct Line {
    agent: String,
    seq: u64,
    target: String,
    scheduled_at_ms: i64,
    sent_at_ms: i64,
    arrived_at_ms: i64,
    outcome: String,
    http_status: Option<u16>,
    total_ms: Option<u64>,
    served_region: Option<String>,
    served_zone: Option<u32>,
}

pub fn outcome(name: &str) -> Outcome {
    match name {
        "ok" => Outcome::Up,
        "slow" => Outcome::Slow,
        "timeout" => Outcome::Down(Fault::WaitTimeout),
        "conn_refused" => Outcome::Down(Fault::ConnectRefused),
        "dns" => Outcome::Down(Fault::DnsServer),
        "tls" => Outcome::Down(Fault::TlsCertificateExpired),
        "http_5xx" => Outcome::Down(Fault::HttpStatus),
        "wrong_body" => Outcome::Down(Fault::WrongBody),
        other => panic!("unknown outcome {other}"),
    }
}

/// Everything that six agents delivered in an example.
pub fn recorded(id: &str) -> Vec<Delivery> {
    let bytes = std::fs::read(scenario::folder().join(format!("streams/{id}.jsonl.zst"))).unwrap();
    let text = zstd::decode_all(bytes.as_slice()).unwrap();
    text.split(|&b| b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| delivery(&serde_json::from_slice(l).unwrap()))
        .collect()
}

fn delivery(line: &Line) -> Delivery {
    let zone = line.served_zone.map(|z| Zone::new(z.to_string()).unwrap());
    Delivery {
        agent: AgentId::new(&line.agent).unwrap(),
        sequence: line.seq,
        arrived: WallTime::from_millis(line.arrived_at_ms),
        measurement: Measurement {
            target: TargetId::from_wire(&line.target),
            slot: Slot(line.scheduled_at_ms.div_euclid(10_000)),
            attempt: 0,
            scheduled: WallTime::from_millis(line.scheduled_at_ms),
            // The record was sent when the attempt had ended.
            started: WallTime::from_millis(line.sent_at_ms - line.total_ms.map_or(0, u64::cast_signed)),
            outcome: outcome(&line.outcome),
            total: line.total_ms.map(|ms| Elapsed::from_micros(ms * 1000)),
            phases: Phases::default(),
            http_status: line.http_status,
            served: line.served_region.as_ref().map(|r| ServedBy { region: Region::new(r).unwrap(), zone }),
            hops: Vec::new(),
            certificate_expires: None,
            observer: Observer::default(),
        },
    }
}
