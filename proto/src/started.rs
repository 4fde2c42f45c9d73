//! What does one line say of a measurement that an agent started?
//!
//! An agent can keep a record apart from its buffer (`record.file`): one JSON object per line, written before the buffer gets
//! the measurement. Whoever compares it with a store reads it here. A process that is killed may leave half a line at the end;
//! the next start ends it with a line break, so a reader meets it as one line that says nothing.

use serde::{Deserialize, Serialize};
use uitwijk_model::{AgentId, BootId, Measurement, Sequence, WallTime};

/// No line is longer: ids are bounded.
pub const LINE_BYTES_MAX: usize = 4096;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Started {
    /// Who measured.
    pub agent: String,
    /// Which start of it, as 16 hexadecimal digits.
    #[serde(with = "hex")]
    pub boot: u64,
    /// Number within the boot.
    pub sequence: Sequence,
    /// What was measured, as the plan names it.
    pub target: String,
    /// Turn of the schedule.
    pub slot: i64,
    /// 0 for the first attempt in the slot.
    pub attempt: u8,
    /// When it was due, microseconds of the agent's clock.
    pub scheduled_us: i64,
    /// When the line was written, microseconds of the agent's clock.
    pub recorded_us: i64,
}

impl Started {
    /// What there is to say of a measurement.
    #[must_use]
    pub fn of(agent: &AgentId, boot: BootId, sequence: Sequence, m: &Measurement, now: WallTime) -> Self {
        Self {
            agent: agent.to_string(),
            boot: boot.0,
            sequence,
            target: m.target.to_string(),
            slot: m.slot.0,
            attempt: m.attempt,
            scheduled_us: m.scheduled.as_micros(),
            recorded_us: now.as_micros(),
        }
    }

    /// The line, with its end.
    ///
    /// # Errors
    /// None that a value of this type can cause.
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self).map(|text| text + "\n")
    }

    /// Reads a line; nothing when it is no such line.
    #[must_use]
    pub fn from_line(line: &str) -> Option<Self> {
        (line.len() <= LINE_BYTES_MAX).then(|| serde_json::from_str(line).ok()).flatten()
    }
}

mod hex {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(boot: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{boot:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        let good = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = good.then(|| u64::from_str_radix(&text, 16).ok()).flatten();
        number.ok_or_else(|| D::Error::custom("a boot is 16 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_back_and_half_a_line_does_not() {
        let started = Started {
            agent: "nl-1".to_owned(),
            boot: u64::MAX,
            sequence: 812,
            target: "exchange/default@NL".to_owned(),
            slot: -3,
            attempt: 1,
            scheduled_us: 1_772_438_400_000_000,
            recorded_us: 1_772_438_400_250_000,
        };
        let line = started.to_line().unwrap();
        assert_eq!(
            line,
            concat!(
                r#"{"agent":"nl-1","boot":"ffffffffffffffff","sequence":812,"target":"exchange/default@NL","#,
                r#""slot":-3,"attempt":1,"scheduled_us":1772438400000000,"recorded_us":1772438400250000}"#,
                "\n"
            )
        );
        assert_eq!(Started::from_line(&line), Some(started));
        for cut in 0..line.len() - 2 {
            assert_eq!(Started::from_line(&line[..cut]), None, "{cut}");
        }
        assert_eq!(Started::from_line(&line.replace("ffffffffffffffff", "+fffffffffffffff")), None);
    }
}
