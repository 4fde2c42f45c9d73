//! Where are the cells of a slot?
//!
//! ```text
//!   chunk    110773    110774    110775      ...      gaps are allowed
//!            16 rows   16 rows   16 rows
//! ```
//!
//! Slots come one after the other, so a chunk is nearly always found at its distance from the first one; where there are
//! gaps it is searched for.

use std::collections::VecDeque;

use crate::cell::Cell;

/// Slots that are kept together.
const SLOTS: i64 = 16;
const ROWS: usize = 16;

/// Rows of cells by slot.
#[derive(Debug, Clone)]
pub(crate) struct Chunks {
    /// Cells of one slot.
    width: usize,
    /// In order of their numbers.
    all: VecDeque<(i64, Box<[Cell]>)>,
}

impl Chunks {
    pub(crate) fn new(width: usize) -> Self {
        Self { width, all: VecDeque::new() }
    }

    /// Where a chunk is, or where it would have to be.
    fn find(&self, chunk: i64) -> Result<usize, usize> {
        let first = self.all.front().map_or(chunk, |c| c.0);
        let near = usize::try_from(chunk.wrapping_sub(first)).unwrap_or(usize::MAX);
        match self.all.get(near) {
            Some(c) if c.0 == chunk => Ok(near),
            _ => self.all.binary_search_by_key(&chunk, |c| c.0),
        }
    }

    /// What was seen in a slot, if its chunk is there.
    pub(crate) fn row(&self, slot: i64) -> Option<&[Cell]> {
        let at = self.find(slot.div_euclid(SLOTS)).ok()?;
        let start = row_in_chunk(slot) * self.width;
        self.all[at].1.get(start..start + self.width)
    }

    /// The same to be changed; the chunk is made if need be.
    pub(crate) fn row_mut(&mut self, slot: i64) -> &mut [Cell] {
        let chunk = slot.div_euclid(SLOTS);
        let at = self.find(chunk).unwrap_or_else(|at| {
            self.all.insert(at, (chunk, vec![Cell::EMPTY; ROWS * self.width].into_boxed_slice()));
            at
        });
        let start = row_in_chunk(slot) * self.width;
        &mut self.all[at].1[start..start + self.width]
    }

    /// The chunks that have slots at or after this one, in order: for each the first and the last slot that holds
    /// anything.
    pub(crate) fn filled_from(&self, slot: i64) -> impl DoubleEndedIterator<Item = (i64, i64)> {
        let from = self.find(slot.div_euclid(SLOTS)).unwrap_or_else(|at| at);
        self.all.range(from..).filter_map(|(chunk, cells)| {
            let mut rows = cells.chunks(self.width.max(1)).map(|row| row.iter().any(|&c| c != Cell::EMPTY));
            let slot = |i: usize| chunk.saturating_mul(SLOTS).saturating_add(i64::try_from(i).unwrap_or(0));
            let (first, last) = (rows.clone().position(|full| full)?, rows.rposition(|full| full)?);
            Some((slot(first), slot(last)))
        })
    }

    /// Forgets the chunks that lie wholly before a slot.
    pub(crate) fn drop_before(&mut self, slot: i64) {
        let first = slot.div_euclid(SLOTS);
        while self.all.front().is_some_and(|c| c.0 < first) {
            self.all.pop_front();
        }
    }

    /// Every slot that may hold anything, with what was seen in it.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (i64, &[Cell])> {
        self.all.iter().flat_map(|(chunk, cells)| {
            let first = chunk.saturating_mul(SLOTS);
            (first..).zip(cells.chunks(self.width.max(1)))
        })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.all.len() * ROWS * self.width * size_of::<Cell>()
    }
}

fn row_in_chunk(slot: i64) -> usize {
    usize::try_from(slot.rem_euclid(SLOTS)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_in_any_order_of_arrival_and_over_gaps() {
        let slots = [5, -40, 1_000_000, 17, 16, 4, i64::MIN / 100_000, 33];
        let mut chunks = Chunks::new(2);
        for (i, &slot) in (0u8..).zip(&slots) {
            chunks.row_mut(slot)[1] = Cell::pack(uitwijk_model::Outcome::Up, i, crate::cell::Place::UNTOLD, None);
        }
        for (i, &slot) in (0u8..).zip(&slots) {
            let wanted = Cell::pack(uitwijk_model::Outcome::Up, i, crate::cell::Place::UNTOLD, None);
            assert_eq!(chunks.row(slot), Some(&[Cell::EMPTY, wanted][..]), "slot {slot}");
        }
        assert_eq!(chunks.row(64), None);
        let filled: Vec<_> = chunks.filled_from(6).collect();
        assert_eq!(filled, [(4, 5), (16, 17), (33, 33), (1_000_000, 1_000_000)]);
        chunks.drop_before(18);
        assert_eq!(chunks.rows().map(|(slot, _)| slot).next(), Some(16));
        assert!(chunks.row(5).is_none() && chunks.row(17).is_some());
    }
}
