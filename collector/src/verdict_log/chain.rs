//! How do entries hold on to each other?

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Digest as _;
use uitwijk_model::WallTime;

use super::{LogError, Publication};

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash([u8; 32]);

impl Hash {
    /// What the first entry carries.
    pub const ZERO: Self = Self([0; 32]);

    /// The hash of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> String {
        hash.to_string()
    }
}

impl TryFrom<String> for Hash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bad = || format!("{text:?} is not a SHA-256 in hexadecimal");
        if text.len() != 64 || !text.is_ascii() {
            return Err(bad());
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Self(hash))
    }
}

/// One published revision as it stands in the log. The order of the fields is the order in the bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// From 1, without gaps.
    pub sequence: u64,
    /// Hash of the bytes of the entry before; zeros for the first.
    pub previous: Hash,
    /// Collector's clock when it was published, microseconds.
    pub published_us: i64,
    /// The episode.
    pub episode: String,
    /// From 1.
    pub revision: u32,
    /// The revision itself.
    pub body: Value,
}

impl Entry {
    pub(super) fn new(sequence: u64, previous: Hash, published: WallTime, publication: &Publication) -> Self {
        Self {
            sequence,
            previous,
            published_us: published.as_micros(),
            episode: publication.episode.clone(),
            revision: publication.revision,
            body: publication.body.clone(),
        }
    }

    fn moment(&self, field: &str) -> Option<WallTime> {
        self.body.pointer(field).and_then(Value::as_i64).map(WallTime::from_micros)
    }

    /// When it was decided: as the revision says, or when it was published if it does not.
    #[must_use]
    pub fn decided(&self) -> WallTime {
        self.moment("/revision/decided").unwrap_or(WallTime::from_micros(self.published_us))
    }

    /// Start of the episode as this revision sees it, and end, absent while it is open.
    #[must_use]
    pub fn span(&self) -> (WallTime, Option<WallTime>) {
        let from = self.moment("/revision/from").unwrap_or(WallTime::from_micros(self.published_us));
        (from, self.moment("/revision/to"))
    }

    /// The bytes that are stored and hashed.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an entry has only string keys and whole numbers")
    }

    pub(super) fn from_bytes(sequence: u64, bytes: &[u8]) -> Result<Self, LogError> {
        let damaged = |why: String| LogError::Damaged { sequence, why };
        let entry: Self = serde_json::from_slice(bytes).map_err(|e| damaged(format!("it cannot be read: {e}")))?;
        match entry.sequence == sequence {
            true => Ok(entry),
            false => Err(damaged(format!("it says it is entry {}", entry.sequence))),
        }
    }
}

/// What a check of the chain found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Entries checked.
    pub entries: u64,
    /// Hash of the last one.
    pub head: Hash,
}

/// A walk along the chain.
#[derive(Debug)]
pub struct Check {
    first: u64,
    next: u64,
    head: Hash,
}

impl Check {
    /// Begins at an entry.
    #[must_use]
    pub fn from(first: u64) -> Self {
        Self { first, next: first, head: Hash::ZERO }
    }

    /// The next entry, as it is stored.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn next(&mut self, key: &[u8], bytes: &[u8]) -> Result<(), LogError> {
        let sequence = sequence_of(key)?;
        if sequence != self.next {
            return Err(LogError::Damaged { sequence: self.next, why: "it is missing".to_owned() });
        }
        let entry = Entry::from_bytes(sequence, bytes)?;
        // What a walk that begins in the middle finds at its first entry has nothing to be compared with.
        let comparable = sequence > self.first || sequence == 1;
        if comparable && entry.previous != self.head {
            let why = format!("it follows an entry of hash {}, but the one before has {}", entry.previous, self.head);
            return Err(LogError::Damaged { sequence, why });
        }
        self.head = Hash::of(bytes);
        self.next += 1;
        Ok(())
    }

    /// What fitted so far.
    #[must_use]
    pub fn end(&self) -> Verified {
        Verified { entries: self.next - self.first, head: self.head }
    }
}

pub(super) fn sequence_of(key: &[u8]) -> Result<u64, LogError> {
    let bytes = key.try_into().map_err(|_| LogError::Damaged { sequence: 0, why: format!("its key is {key:?}") })?;
    Ok(u64::from_be_bytes(bytes))
}
