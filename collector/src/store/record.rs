//! What is kept of a batch?
//!
//! ```text
//!   1 | arrived 8 | compression 1 | region 1+n | zone 1+n | rows 4 | mask 1 [+ bits] | columns, as they came
//! ```
//!
//! The first byte is the version of this layout. A mask byte of 0 says that every row counts, 1 that a bit per row follows.

use bytes::{Buf, BufMut as _, Bytes};
use uitwijk_model::{AgentId, BootId, Measurement, Record, Region, Sequence, Vantage, WallTime, Zone};
use uitwijk_proto::columns::{Limits, Rows};
use uitwijk_proto::v1;

use super::StoreError;
use super::accepted::AcceptedRows;
use super::hot::Entry;
use super::key::RecordKey;
use super::mask::Mask;
use super::samples::{Places, Sample, Samples, Targets};

const VERSION: u8 = 1;

/// Rows were within the limits of their day when they were stored; these only guard against damage.
const READ_LIMITS: Limits = Limits { bytes_max: 64 << 20, unpacked_bytes_max: 64 << 20, rows_max: 8192 };

/// A batch in the store.
#[derive(Debug, Clone)]
pub struct StoredBatch {
    /// Its key.
    pub key: RecordKey,
    /// Where the agent stood.
    pub vantage: Vantage,
    /// When it came in, collector's clock.
    pub arrived: WallTime,
    /// How many rows it has.
    pub count: u32,
    /// Which of them count.
    pub mask: Mask,
    /// The columns, and how they are compressed.
    pub columns: Bytes,
    /// A value of `v1::Compression`.
    pub compression: i32,
}

impl StoredBatch {
    /// The value of the record.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.columns.len() + 64 + self.mask.bytes().map_or(0, <[u8]>::len));
        out.put_u8(VERSION);
        out.put_i64(self.arrived.as_micros());
        out.put_u8(u8::try_from(self.compression).unwrap_or(u8::MAX));
        for name in [self.vantage.region.as_str(), self.vantage.zone.as_str()] {
            out.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
            out.put_slice(name.as_bytes());
        }
        out.put_u32(self.count);
        match self.mask.bytes() {
            None => out.put_u8(0),
            Some(bits) => {
                out.put_u8(1);
                out.put_slice(bits);
            }
        }
        out.put_slice(&self.columns);
        out
    }

    /// Reads a record back.
    ///
    /// # Errors
    /// When its bytes are not what this or an earlier release wrote.
    pub(super) fn decode(key: &[u8], value: Bytes) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged(format!("key {}", hex(key)));
        let key = RecordKey::decode(key).ok_or_else(damaged)?;
        parse(key, value).ok_or_else(damaged)
    }

    /// How many rows of a record count. Does not look at its columns.
    ///
    /// # Errors
    /// When its bytes are not what this or an earlier release wrote.
    pub fn rows_counted((key, value): &Entry) -> Result<u64, StoreError> {
        let batch = Self::decode(key, value.clone())?;
        Ok(batch.mask.ones(batch.count as usize).count() as u64)
    }

    /// Its rows, those that do not count included.
    ///
    /// # Errors
    /// When its columns are damaged.
    pub fn rows(&self) -> Result<Rows, StoreError> {
        let batch = v1::Batch {
            boot: self.key.boot.0,
            first_sequence: self.key.first_sequence,
            count: self.count,
            columns: self.columns.clone(),
            compression: self.compression,
            traceparent: String::new(),
        };
        Rows::from_batch(&batch, &READ_LIMITS)
            .map_err(|e| StoreError::Damaged(format!("agent {} at {}: {e}", self.key.agent, self.key.from)))
    }

    /// The rows that count, as the judge gets them.
    ///
    /// # Errors
    /// When its columns are damaged.
    pub fn accepted(&self) -> Result<AcceptedRows, StoreError> {
        let rows = self.rows()?;
        let counted = self.mask.ones(rows.len()).filter_map(|i| Some((i, rows.row(i).ok()?)));
        let numbered = counted.map(|(i, row)| (self.key.first_sequence + i as Sequence, row.to_measurement()));
        let (sequences, rows) = numbered.unzip();
        Ok(AcceptedRows {
            agent: self.key.agent.clone(),
            vantage: self.vantage.clone(),
            arrived: self.arrived,
            boot: self.key.boot,
            rows,
            sequences,
        })
    }

    /// What the judge takes of the rows that count.
    ///
    /// # Errors
    /// When its columns are damaged.
    pub fn samples(&self) -> Result<Samples, StoreError> {
        let rows = self.rows()?;
        let mut places = Places::default();
        let counted = self.mask.ones(rows.len()).filter_map(|i| Some((i, rows.row(i).ok()?)));
        let sample =
            |(i, row): (usize, _)| Sample::of(&row, self.key.first_sequence + i as Sequence, self.arrived, &mut places);
        let all = counted.map(sample).collect();
        let (agent, boot, names) =
            (self.key.agent.clone(), self.key.boot, places.names(Targets::Named(rows.into_targets())));
        Ok(Samples { agent, boot, names, rows: all })
    }

    /// The rows that count and whose time is wanted.
    ///
    /// # Errors
    /// When its columns are damaged.
    pub(super) fn narrowed(&self, wanted: impl Fn(WallTime) -> bool) -> Result<Mask, StoreError> {
        let rows = self.rows()?;
        let mut mask = Mask::none(rows.len());
        let counts = |&i: &usize| rows.row(i).is_ok_and(|row| wanted(row.scheduled));
        self.mask.ones(rows.len()).filter(counts).for_each(|i| mask.set(i));
        Ok(mask)
    }

    /// One of its rows with everything that tells it from all others.
    pub(super) fn record(&self, sequence: Sequence, measurement: Measurement) -> Record {
        let (agent, vantage): (AgentId, Vantage) = (self.key.agent.clone(), self.vantage.clone());
        let boot: BootId = self.key.boot;
        Record { agent, vantage, boot, sequence, measurement }
    }
}

fn parse(key: RecordKey, mut value: Bytes) -> Option<StoredBatch> {
    if value.try_get_u8().ok()? != VERSION {
        return None;
    }
    let arrived = WallTime::from_micros(value.try_get_i64().ok()?);
    let compression = i32::from(value.try_get_u8().ok()?);
    let region = Region::new(name(&mut value)?).ok()?;
    let zone = Zone::new(name(&mut value)?).ok()?;
    let count = value.try_get_u32().ok()?;
    let mask = match value.try_get_u8().ok()? {
        0 => Mask::all(),
        1 => Mask::from_bytes(&take(&mut value, (count as usize).div_ceil(8))?),
        _ => return None,
    };
    let vantage = Vantage { region, zone };
    Some(StoredBatch { key, vantage, arrived, count, mask, columns: value, compression })
}

fn name(value: &mut Bytes) -> Option<String> {
    let len = usize::from(value.try_get_u8().ok()?);
    String::from_utf8(take(value, len)?.to_vec()).ok()
}

fn take(value: &mut Bytes, len: usize) -> Option<Bytes> {
    (value.remaining() >= len).then(|| value.split_to(len))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(64).map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(mask: Mask) -> StoredBatch {
        StoredBatch {
            key: RecordKey {
                from: WallTime::from_millis(1_772_438_400_000),
                agent: AgentId::new("nl-1").unwrap(),
                boot: BootId(9),
                first_sequence: 4,
                serial: 3,
                span_us: 17,
            },
            vantage: Vantage { region: Region::new("NL").unwrap(), zone: Zone::new("1").unwrap() },
            arrived: WallTime::from_millis(1_772_438_400_120),
            count: 11,
            mask,
            columns: Bytes::from_static(b"columns"),
            compression: 1,
        }
    }

    #[test]
    fn records_come_back() {
        let mut some = Mask::none(11);
        some.set(0);
        some.set(10);
        for mask in [Mask::all(), some] {
            let written = batch(mask);
            let read = StoredBatch::decode(&written.key.encode(), written.encode().into()).unwrap();
            assert_eq!(format!("{read:?}"), format!("{written:?}"));
        }
    }

    #[test]
    fn a_cut_or_unknown_record_is_damage_and_names_its_key() {
        let good = batch(Mask::none(11));
        let (key, value) = (good.key.encode(), good.encode());
        for cut in 0..value.len() - good.columns.len() {
            let error = StoredBatch::decode(&key, Bytes::copy_from_slice(&value[..cut])).unwrap_err();
            assert!(error.to_string().starts_with("damaged record in the store: key 80064c"), "{error}");
        }
        let mut later = value;
        later[0] = 2;
        assert!(StoredBatch::decode(&key, later.into()).is_err());
        assert!(good.rows().is_err(), "columns that are none");
    }
}
