//! What an agent sends: a batch is refused as a whole, or each of its rows is good.

use prost::Message as _;
use uitwijk_model::{AgentId, BootId, Record, Region, Vantage, WallTime, Zone};
use uitwijk_proto::columns::{self, Limits, Rows};
use uitwijk_proto::v1;

/// As a batch of the stream.
pub(crate) fn batch(data: &[u8]) {
    let Ok(batch) = v1::Batch::decode(data) else { return };
    let limits = Limits { unpacked_bytes_max: 1 << 20, ..Limits::default() };
    let Ok(rows) = Rows::from_batch(&batch, &limits) else { return };
    let good: Vec<_> = rows.iter().filter_map(Result::ok).map(|row| row.to_measurement()).collect();
    // What was taken is given back as it was, by the same way and by the one for programs.
    let columns = columns::encode(&good);
    let again = columns::batch(BootId(batch.boot), 1, &columns, v1::Compression::Zstd);
    if !good.is_empty() {
        let again =
            Rows::from_batch(&again, &Limits { unpacked_bytes_max: 64 << 20, ..limits }).expect("our own batch");
        let again: Vec<_> = again.iter().map(|row| row.expect("a row that was taken").to_measurement()).collect();
        assert_eq!(again, good);
    }
    for measurement in good {
        let vantage = Vantage { region: Region::new("NL").unwrap(), zone: Zone::new("1").unwrap() };
        let agent = AgentId::new("nl-1").unwrap();
        let record = Record { agent, vantage, boot: BootId(1), sequence: 1, measurement };
        let stored = WallTime::from_micros(0);
        let (back, _) = columns::from_message(&columns::to_message(&record, stored)).expect("our own message");
        assert_eq!(back, record);
    }
}
