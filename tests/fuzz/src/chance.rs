//! How are kept inputs changed by chance?
//!
//! The same number gives the same input on every machine, so a number is all that has to be kept of one that failed.

/// Luck (splitmix64).
#[derive(Debug, Clone)]
pub struct Luck(pub u64);

/// What stands where a number, a word or a value was expected.
const WORDS: [&str; 24] = [
    "-1",
    "0",
    "9223372036854775807",
    "18446744073709551616",
    "99999999999999999999d",
    "1e400",
    "-0.5",
    "0s",
    "0%",
    "100%",
    "1/0",
    "null",
    "~",
    "true",
    "\"\"",
    "\"\\0\"",
    "\\u0000",
    "{}",
    "[]",
    "*a",
    "&a [*a]",
    "\r\n",
    "\u{feff}",
    "%00",
];

impl Luck {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below another; 0 when there is none.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % end.max(1) as u64).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.number().to_le_bytes()[0]
    }

    /// Any bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }

    /// Changes an input in a few places: as bytes, or as a text of lines.
    pub fn change(&mut self, data: &mut Vec<u8>) {
        let is_text = std::str::from_utf8(data).is_ok() && data.contains(&b'\n');
        for _ in 0..=self.below(4) {
            if is_text && self.below(2) == 0 {
                self.change_lines(data);
            } else {
                self.change_bytes(data);
            }
        }
    }

    /// Other bytes, numbers at their ends, parts cut out, repeated or torn off.
    fn change_bytes(&mut self, data: &mut Vec<u8>) {
        let at = self.below(data.len() + 1);
        let to = (at + self.below(40)).min(data.len());
        match self.below(8) {
            0 if at < data.len() => data[at] = self.byte(),
            1 if at < data.len() => data[at] ^= 1 << self.below(8),
            2 if at < data.len() => data[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
            3 => drop(data.drain(at..to)),
            4 => data.truncate(at),
            5 => data.splice(at..at, self.number().to_le_bytes()).for_each(drop),
            6 => {
                let part = data[at..to].to_vec();
                data.splice(at..at, part).for_each(drop);
            }
            _ => {
                // A number that stands somewhere after this place becomes another word.
                let digit = |b: &u8| b.is_ascii_digit();
                let from = data[at..].iter().position(digit).map_or(at, |i| at + i);
                let end = data[from..].iter().position(|b| !digit(b)).map_or(data.len(), |i| from + i);
                data.splice(from..end, WORDS[self.below(WORDS.len())].bytes()).for_each(drop);
            }
        }
    }

    /// Lines moved, repeated and taken away; what stands after a colon becomes another word.
    fn change_lines(&mut self, data: &mut Vec<u8>) {
        let mut lines: Vec<Vec<u8>> = data.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
        let (a, b) = (self.below(lines.len()), self.below(lines.len()));
        match self.below(5) {
            0 => lines.swap(a, b),
            1 => drop(lines.remove(a)),
            2 => lines.insert(a, lines[b].clone()),
            3 => lines[a].insert(0, b' '),
            _ => {
                if let Some(colon) = lines[a].iter().position(|&c| c == b':') {
                    lines[a].truncate(colon + 1);
                    lines[a].push(b' ');
                    lines[a].extend(WORDS[self.below(WORDS.len())].bytes());
                }
            }
        }
        *data = lines.join(&b'\n');
    }
}
