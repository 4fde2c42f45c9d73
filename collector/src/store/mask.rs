//! Which rows of a batch count?

/// A bit per row. The common case, in which all count, takes no memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask(Option<Vec<u8>>);

impl Mask {
    /// Every row counts.
    #[must_use]
    pub const fn all() -> Self {
        Self(None)
    }

    /// No row counts, of so many.
    #[must_use]
    pub fn none(rows: usize) -> Self {
        Self(Some(vec![0; rows.div_ceil(8)]))
    }

    pub(super) fn from_bytes(bits: &[u8]) -> Self {
        Self(Some(bits.to_vec()))
    }

    pub(super) fn bytes(&self) -> Option<&[u8]> {
        self.0.as_deref()
    }

    /// Row `i` counts.
    pub fn set(&mut self, i: usize) {
        if let Some(byte) = self.0.as_mut().and_then(|bits| bits.get_mut(i / 8)) {
            *byte |= 1 << (i % 8);
        }
    }

    /// Whether row `i` counts.
    #[must_use]
    pub fn get(&self, i: usize) -> bool {
        self.0.as_ref().is_none_or(|bits| bits.get(i / 8).is_some_and(|byte| byte & (1 << (i % 8)) != 0))
    }

    /// The rows that count, of so many.
    pub fn ones(&self, rows: usize) -> impl Iterator<Item = usize> + '_ {
        (0..rows).filter(|&i| self.get(i))
    }
}
