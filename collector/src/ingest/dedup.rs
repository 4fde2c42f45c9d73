//! Is this slot of this target, seen by this agent, stored already?
//!
//! ```text
//!   (slot length, slot / 512) -> chunk      a stretch of time: 85 minutes of slots of 10 s; of longer slots fewer than 512,
//!                                           so that none of now reaches into hours that are sealed after two hours
//!     agent -> targets -> 512 bits          first attempts: 64 bytes a series, one line of the processor's cache
//!           -> set of (target, slot, n)     retries, which are few
//! ```
//!
//! A chunk is complete or not there. One that is touched and not there is read back from the store, once for all agents, so
//! a start needs no scan of everything and a batch that is weeks late costs the reading of its hour. When the chunks
//! take more memory than they may, those that were not touched longest go.
//!
//! The choice left aside is to ask the store for each key. It would read before every write, a million times a second.

use std::collections::{HashMap, HashSet};

use uitwijk_model::{AgentId, Millis, Slot, SlotLength, WallTime};

use crate::plans::{Plans, TargetNumber};
use crate::store::{Store, StoreError};

/// Slots of a chunk: 2 to the power of this, at most.
const CHUNK_BITS: u32 = 9;
const WORDS: usize = (1 << CHUNK_BITS) / 64;
/// No chunk is longer than this, or than a slot: 512 slots of 10 s.
const CHUNK_MAX: Millis = Millis::from_secs(5120);

/// Slots of a chunk of slots of a length: 2 to the power of this.
fn bits_of(length: SlotLength) -> u32 {
    (CHUNK_MAX.0 / length.millis().0.max(1)).max(1).ilog2().min(CHUNK_BITS)
}

/// The chunk that a slot is in. Slots beside each other are mostly in one, and it is quicker to see that than to find it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub(super) id: ChunkId,
    bits: u32,
}

impl Stretch {
    pub(super) fn of(length: SlotLength, slot: Slot) -> Self {
        let bits = bits_of(length);
        Self { id: (length, slot.0 >> bits), bits }
    }

    pub(super) fn covers(self, length: SlotLength, slot: Slot) -> bool {
        self.id == (length, slot.0 >> self.bits)
    }
}

/// A stretch of slots.
pub(super) type ChunkId = (SlotLength, i64);

/// The slots of one agent in a chunk.
#[derive(Debug, Default)]
struct Series {
    /// By number of the target: where its bits stand, plus one.
    places: Vec<u32>,
    bits: Vec<[u64; WORDS]>,
    retries: HashSet<(TargetNumber, i64, u8)>,
}

impl Series {
    /// Takes the slot; `false` when it is taken.
    fn take(&mut self, target: TargetNumber, slot: Slot, attempt: u8) -> bool {
        if attempt > 0 {
            return self.retries.insert((target, slot.0, attempt));
        }
        let bits = self.bits_of(target);
        let at = usize::try_from(slot.0.rem_euclid(1 << CHUNK_BITS)).unwrap_or(0);
        let (word, bit) = (&mut bits[at / 64], 1u64 << (at % 64));
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }

    fn bits_of(&mut self, target: TargetNumber) -> &mut [u64; WORDS] {
        let at = target as usize;
        if at >= self.places.len() {
            self.places.resize(at + 1, 0);
        }
        if self.places[at] == 0 {
            self.bits.push([0; WORDS]);
            self.places[at] = u32::try_from(self.bits.len()).unwrap_or(u32::MAX);
        }
        &mut self.bits[self.places[at] as usize - 1]
    }

    fn bytes(&self) -> usize {
        self.places.capacity() * 4 + self.bits.capacity() * WORDS * 8 + self.retries.capacity() * 32
    }
}

/// What is taken in a stretch, by whom.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    agents: HashMap<AgentId, Series>,
    /// The group that touched it last.
    touched: u64,
}

impl Chunk {
    /// The slots of an agent, by a name that was checked when its rows were stored.
    fn series_of(&mut self, agent: &str) -> Option<&mut Series> {
        if !self.agents.contains_key(agent) {
            self.agents.insert(AgentId::new(agent).ok()?, Series::default());
        }
        self.agents.get_mut(agent)
    }
}

/// All slots that are taken, as far as they are in memory.
#[derive(Debug)]
pub(super) struct Dedup {
    store: Store,
    chunks: HashMap<ChunkId, Chunk>,
    group: u64,
    bytes_max: usize,
    /// Chunks read from the store.
    pub(super) loads: u64,
}

impl Dedup {
    pub(super) fn new(store: Store, bytes_max: usize) -> Self {
        Self { store, chunks: HashMap::new(), group: 0, bytes_max, loads: 0 }
    }

    /// Makes sure that the chunks of some stretches are in memory.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn load<'a>(
        &mut self,
        plans: &Plans,
        stretches: impl IntoIterator<Item = &'a Stretch>,
    ) -> Result<(), StoreError> {
        for id in self.missing(stretches) {
            let chunk = read_back(&self.store, plans, id)?;
            self.insert(id, chunk);
        }
        Ok(())
    }

    /// The chunks of some stretches that are not in memory, each once.
    pub(super) fn missing<'a>(&self, stretches: impl IntoIterator<Item = &'a Stretch>) -> Vec<ChunkId> {
        let mut missing = Vec::new();
        for &Stretch { id, .. } in stretches {
            if !self.chunks.contains_key(&id) && !missing.contains(&id) {
                missing.push(id);
            }
        }
        missing
    }

    /// Puts a chunk that was read back into memory, if there is none: that one knows more.
    pub(super) fn insert(&mut self, id: ChunkId, mut chunk: Chunk) {
        self.loads += 1;
        chunk.touched = self.group;
        self.chunks.entry(id).or_insert(chunk);
    }

    /// The slots of an agent around a slot. The chunk must have been loaded.
    pub(super) fn series(&mut self, agent: &AgentId, length: SlotLength, slot: Slot) -> AgentSlots<'_> {
        let stretch = Stretch::of(length, slot);
        // One that was made here would take for new what is stored.
        let chunk = self.chunks.get_mut(&stretch.id).expect("the chunks of a group are loaded before it is applied");
        chunk.touched = self.group;
        if !chunk.agents.contains_key(agent) {
            chunk.agents.insert(agent.clone(), Series::default());
        }
        AgentSlots { stretch, series: chunk.agents.entry(agent.clone()).or_default() }
    }

    /// A group is done. What takes too much memory goes, what this group touched stays.
    pub(super) fn end_group(&mut self) -> usize {
        let mut bytes = self.bytes();
        while bytes > self.bytes_max {
            let oldest = self.chunks.iter().filter(|(_, c)| c.touched != self.group).min_by_key(|(_, c)| c.touched);
            let Some(id) = oldest.map(|(id, _)| *id) else { break };
            self.chunks.remove(&id);
            bytes = self.bytes();
        }
        self.group += 1;
        bytes
    }

    fn bytes(&self) -> usize {
        self.chunks.values().flat_map(|chunk| chunk.agents.values()).map(Series::bytes).sum()
    }
}

/// The slots of one agent in one chunk.
pub(super) struct AgentSlots<'a> {
    stretch: Stretch,
    series: &'a mut Series,
}

impl AgentSlots<'_> {
    /// Whether a slot belongs here.
    pub(super) fn covers(&self, length: SlotLength, slot: Slot) -> bool {
        self.stretch.covers(length, slot)
    }

    /// Takes the slot; `false` when it is taken.
    pub(super) fn take(&mut self, target: TargetNumber, slot: Slot, attempt: u8) -> bool {
        self.series.take(target, slot, attempt)
    }
}

/// From when to when a chunk is.
pub(super) fn range_of((length, number): ChunkId) -> (WallTime, WallTime) {
    let start = |number: i64| length.start_of(Slot(number.saturating_mul(1 << bits_of(length))));
    (start(number), start(number.saturating_add(1)))
}

/// What the store has of a chunk.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read_back(store: &Store, plans: &Plans, id: ChunkId) -> Result<Chunk, StoreError> {
    let ((from, to), stretch) = (range_of(id), Stretch { id, bits: bits_of(id.0) });
    let mut chunk = Chunk::default();
    let mut numbers: HashMap<String, TargetNumber> = HashMap::new();
    for part in store.records(from, to) {
        let taken = part.and_then(|part| {
            part.each_key(|key| {
                if from <= key.scheduled && key.scheduled < to && stretch.covers(id.0, key.slot) {
                    let target = number_of(&mut numbers, plans, key.target);
                    chunk.series_of(key.agent).map(|series| series.take(target, key.slot, key.attempt));
                }
            })
        });
        if let Err(error) = taken {
            store.note_damage(&error)?;
        }
    }
    Ok(chunk)
}

/// The number of a target, asked of the plans once.
fn number_of(numbers: &mut HashMap<String, TargetNumber>, plans: &Plans, target: &str) -> TargetNumber {
    if let Some(&number) = numbers.get(target) {
        return number;
    }
    let number = plans.number_of(target);
    numbers.insert(target.to_owned(), number);
    number
}
