//! How is a record found again?
//!
//! ```text
//!   scheduled time of the first row | agent | boot | first sequence | serial | span to the last row
//!        8 bytes, order kept        | 1 + n |  8   |       8        |   8    |        4
//! ```
//!
//! Everything big-endian, so that the order of bytes is the order of time. The serial makes every record its own: a batch that
//! comes again with more rows must not replace the one before. The span lets a reader pass over a record without its value.

use uitwijk_model::{AgentId, BootId, Millis, Sequence, WallTime};

/// No record spans more scheduled time than this.
pub const RECORD_SPAN: Millis = Millis(60_000);

/// A record's key, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordKey {
    /// Scheduled time of the earliest row that counts.
    pub from: WallTime,
    /// Who measured.
    pub agent: AgentId,
    /// In which life.
    pub boot: BootId,
    /// Sequence of row 0.
    pub first_sequence: Sequence,
    /// Different for every record of a store, and rising.
    pub serial: u64,
    /// Microseconds from `from` to the scheduled time of the latest row that counts.
    pub span_us: u32,
}

/// What a reader needs to know of a key to pass over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyView<'a> {
    pub(super) from: WallTime,
    pub(super) to: WallTime,
    pub(super) agent: &'a str,
    pub(super) serial: u64,
}

/// The first key at or after a moment.
pub(super) fn key_at(time: WallTime) -> [u8; 8] {
    time.as_micros().wrapping_add(i64::MIN).cast_unsigned().to_be_bytes()
}

impl RecordKey {
    pub(super) fn encode(&self) -> Vec<u8> {
        let agent = self.agent.as_str().as_bytes();
        let mut key = Vec::with_capacity(37 + agent.len());
        key.extend_from_slice(&key_at(self.from));
        key.push(u8::try_from(agent.len()).unwrap_or(u8::MAX));
        key.extend_from_slice(agent);
        for number in [self.boot.0, self.first_sequence, self.serial] {
            key.extend_from_slice(&number.to_be_bytes());
        }
        key.extend_from_slice(&self.span_us.to_be_bytes());
        key
    }

    /// The key as it was, or nothing when no release wrote it.
    pub(super) fn decode(key: &[u8]) -> Option<Self> {
        let (view, rest) = parse(key)?;
        let number = |i: usize| rest.get(i * 8..i * 8 + 8)?.try_into().ok().map(u64::from_be_bytes);
        Some(Self {
            from: view.from,
            agent: AgentId::new(view.agent).ok()?,
            boot: BootId(number(0)?),
            first_sequence: number(1)?,
            serial: view.serial,
            span_us: u32::from_be_bytes(rest.get(24..28)?.try_into().ok()?),
        })
    }
}

/// The parts of a key that filters look at.
pub(super) fn view(key: &[u8]) -> Option<KeyView<'_>> {
    parse(key).map(|(view, _)| view)
}

fn parse(key: &[u8]) -> Option<(KeyView<'_>, &[u8])> {
    let from = u64::from_be_bytes(key.get(..8)?.try_into().ok()?).cast_signed().wrapping_sub(i64::MIN);
    let len = usize::from(*key.get(8)?);
    let agent = std::str::from_utf8(key.get(9..9 + len)?).ok()?;
    let rest = key.get(9 + len..).filter(|rest| rest.len() == 28)?;
    let serial = u64::from_be_bytes(rest.get(16..24)?.try_into().ok()?);
    let span = u32::from_be_bytes(rest.get(24..28)?.try_into().ok()?);
    let to = WallTime::from_micros(from.saturating_add(i64::from(span)));
    Some((KeyView { from: WallTime::from_micros(from), to, agent, serial }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(us: i64, serial: u64) -> RecordKey {
        RecordKey {
            from: WallTime::from_micros(us),
            agent: AgentId::new("nl-1").unwrap(),
            boot: BootId(7),
            first_sequence: 12,
            serial,
            span_us: 59_999_999,
        }
    }

    #[test]
    fn keys_sort_by_time_and_come_back() {
        let times = [i64::MIN, -1, 0, 1, 1_772_438_400_000_000, i64::MAX];
        let keys: Vec<Vec<u8>> = times.iter().map(|&us| key(us, 1).encode()).collect();
        assert!(keys.is_sorted());
        for (us, bytes) in times.into_iter().zip(&keys) {
            assert_eq!(RecordKey::decode(bytes), Some(key(us, 1)));
            assert!(bytes[..] >= key_at(WallTime::from_micros(us))[..]);
        }
    }

    #[test]
    fn what_is_no_key_is_not_read_as_one() {
        let good = key(5, 1).encode();
        for cut in 0..good.len() {
            assert_eq!(RecordKey::decode(&good[..cut]), None, "{cut}");
        }
        assert_eq!(RecordKey::decode(&[good, vec![0]].concat()), None);
    }
}
