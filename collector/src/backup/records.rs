//! How do keys and values stand in a file?
//!
//! ```text
//!   "uitwijk records 1\n" | space 1 | length of the key 4 | length of the value 4 | key | value | space 1 | …
//! ```
//!
//! Numbers are big-endian. The file as a whole has a sum, so a record has none.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

/// How such a file begins.
pub(super) const HEAD: &[u8] = b"uitwijk records 1\n";
/// More than any key or value that is written; guards the memory of a reader against damage.
const KEY_BYTES_MAX: usize = 64 << 10;
const VALUE_BYTES_MAX: usize = 128 << 20;

/// Numbers of the spaces of the store.
pub(super) const SMALL: u8 = 1;
pub(super) const BATCHES: u8 = 2;

/// A record.
pub(super) struct Record {
    pub(super) space: u8,
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// What stands before a key and its value.
pub(super) fn frame(space: u8, key: &[u8], value: &[u8]) -> [u8; 9] {
    let mut frame = [0; 9];
    frame[0] = space;
    // A key or value of four gigabytes would not have been taken by the database.
    frame[1..5].copy_from_slice(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame[5..9].copy_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame
}

/// Reads records one after the other.
pub(super) struct Records<R> {
    from: R,
    begun: bool,
}

impl<R: Read> Records<R> {
    pub(super) const fn new(from: R) -> Self {
        Self { from, begun: false }
    }

    /// The next; nothing at the end. An error says what is wrong.
    pub(super) fn next(&mut self) -> Result<Option<Record>, String> {
        if !self.begun {
            let mut head = [0; HEAD.len()];
            self.fill(&mut head)?;
            if head != HEAD {
                return Err("it does not begin as a file of records does".to_owned());
            }
            self.begun = true;
        }
        let mut frame = [0; 9];
        if self.from.read(&mut frame[..1]).map_err(|e| e.to_string())? == 0 {
            return Ok(None);
        }
        self.fill(&mut frame[1..])?;
        let length = |at: usize| u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]) as usize;
        let (key, value) = (length(1), length(5));
        if key > KEY_BYTES_MAX || value > VALUE_BYTES_MAX {
            return Err(format!("a record with a key of {key} and a value of {value} bytes"));
        }
        let (mut record_key, mut record_value) = (vec![0; key], vec![0; value]);
        self.fill(&mut record_key)?;
        self.fill(&mut record_value)?;
        Ok(Some(Record { space: frame[0], key: record_key, value: record_value }))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), String> {
        self.from.read_exact(bytes).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => "it ends in the middle of a record".to_owned(),
            _ => e.to_string(),
        })
    }

    pub(super) fn into_inner(self) -> R {
        self.from
    }
}

/// Reads and sums.
pub(super) struct Summing<R> {
    from: R,
    sum: Sha256,
    bytes: u64,
}

impl<R: Read> Summing<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, sum: Sha256::new(), bytes: 0 }
    }

    /// Reads to the end; size and sum of all that was read.
    pub(super) fn finish(mut self) -> io::Result<(u64, Vec<u8>)> {
        let mut rest = vec![0; 64 << 10];
        while self.read(&mut rest)? > 0 {}
        Ok((self.bytes, self.sum.finalize().to_vec()))
    }
}

impl<R: Read> Read for Summing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = loop {
            match self.from.read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.sum.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(records: &[(u8, &[u8], &[u8])]) -> Vec<u8> {
        let mut out = HEAD.to_vec();
        for (space, key, value) in records {
            out.extend([&frame(*space, key, value)[..], key, value].concat());
        }
        out
    }

    type Told = (u8, Vec<u8>, Vec<u8>);

    fn read(bytes: &[u8]) -> Result<Vec<Told>, String> {
        let mut records = Records::new(bytes);
        let mut all = Vec::new();
        while let Some(Record { space, key, value }) = records.next()? {
            all.push((space, key, value));
        }
        Ok(all)
    }

    #[test]
    fn records_come_back_and_a_cut_one_is_told() {
        let good = written(&[(1, b"a", b""), (2, b"key", b"value")]);
        let expected = vec![(1, b"a".to_vec(), vec![]), (2, b"key".to_vec(), b"value".to_vec())];
        assert_eq!(read(&good), Ok(expected));
        let ends = [HEAD.len(), HEAD.len() + 10, good.len()];
        for cut in 0..good.len() {
            assert_eq!(read(&good[..cut]).is_ok(), ends.contains(&cut), "{cut}");
        }
        assert!(read(b"uitwijk records 2\n").is_err());
    }

    #[test]
    fn lengths_that_nobody_wrote_take_no_memory() {
        let mut bytes = HEAD.to_vec();
        bytes.extend([1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        assert!(read(&bytes).unwrap_err().starts_with("a record with a key of 4294967295"));
    }

    #[test]
    fn the_sum_is_of_all_whether_it_was_looked_at_or_not() {
        let bytes = written(&[(1, b"a", b"b")]);
        let mut records = Records::new(Summing::new(&bytes[..]));
        records.next().unwrap();
        let (size, sum) = records.into_inner().finish().unwrap();
        assert_eq!((size, sum), (bytes.len() as u64, Sha256::digest(&bytes).to_vec()));
    }
}
