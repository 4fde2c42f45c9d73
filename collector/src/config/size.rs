//! How are numbers of bytes written?

use std::fmt;
use std::str::FromStr;

const UNITS: [(&str, usize); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// A number of bytes, written `512`, `64KiB`, `4MiB` or `1GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub usize);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not a number of bytes: write 512, 64KiB, 4MiB or 1GiB");
        let (number, unit) = match UNITS.iter().find(|(unit, _)| text.ends_with(unit)) {
            Some((unit, bytes)) => (text[..text.len() - unit.len()].trim_end(), *bytes),
            None => (text, 1),
        };
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        number.parse::<usize>().ok().and_then(|n| n.checked_mul(unit)).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, bytes)| self.0 > 0 && self.0.is_multiple_of(*bytes)) {
            Some((unit, bytes)) => write!(f, "{}{unit}", self.0 / bytes),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_print() {
        for (text, bytes) in [("0", 0), ("512", 512), ("64KiB", 65_536), ("4 MiB", 4 << 20), ("1GiB", 1 << 30)] {
            assert_eq!(text.parse::<Bytes>(), Ok(Bytes(bytes)));
        }
        for bad in ["", "KiB", "-1", "1.5MiB", "1MB", "99999999999999999999", "99999999999999GiB"] {
            assert!(bad.parse::<Bytes>().is_err(), "{bad}");
        }
        assert_eq!(Bytes(4 << 20).to_string(), "4MiB");
        assert_eq!(Bytes(1000).to_string(), "1000");
    }
}
