//! What does one simulated agent send, batch after batch?
//!
//! ```text
//!   live          slot 7: a b c   slot 8: a b c ...              each a little after it was measured
//!   late          of slots two hours back, one batch for every tenth of a live one, with sequences of their own
//!   duplicates    what went out already, in turns as a torn stream repeats it (same sequences) and as a restored buffer does (new ones)
//! ```
//!
//! Agents do not keep step: each sends its batches a little after they were measured, by a part of the time between two of its
//! batches that is its own. So a batch comes alone, as it does from real agents, and what it costs to sync does not depend on how
//! many agents there are.
//!
//! A heartbeat after each slot says how far the agent is complete; with late batches under way that is two hours back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uitwijk_model::{BootId, Millis, Slot, WallTime};
use uitwijk_proto::v1::{Batch, Books, Compression, Heartbeat};

use super::shape::{Noise, Shape};

/// How far back late measurements lie.
const LATE: Millis = Millis::from_secs(2 * 3600);
/// Batches of one agent that may be sent again.
const REMEMBERED: usize = 64;

/// What goes out beside live measurements, each in hundredths of those.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mix {
    pub(super) duplicates: u32,
    pub(super) late: u32,
}

/// A measure of batches of which one is due after every so many.
#[derive(Debug, Default)]
struct Share(u32);

impl Share {
    /// Whether another is due after one more live batch.
    const fn is_due(&mut self, percent: u32) -> bool {
        self.0 += percent;
        let due = self.0 >= 100;
        if due {
            self.0 -= 100;
        }
        due
    }
}

/// When an agent began, and how fast it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Each batch a little after it was measured, from this slot on.
    Live(Slot),
    /// As fast as the collector takes them: what was measured in these slots.
    Kept(Slot, Slot),
}

/// What one agent sends.
#[derive(Debug)]
pub(super) struct Traffic {
    shape: Arc<Shape>,
    pub(super) boot: BootId,
    pace: Pace,
    mix: Mix,
    noise: Noise,
    /// How long after they were measured its batches go.
    delay: Duration,
    sequence: u64,
    live: Place,
    late: Place,
    duplicates: Share,
    late_ones: Share,
    /// What comes before the next live batch.
    extra: VecDeque<Batch>,
    sent: VecDeque<(Bytes, u32, u64)>,
    again: u64,
    heartbeat_due: bool,
    /// Measurements of which none was sent before.
    pub(super) fresh: u64,
    /// All that were sent.
    pub(super) total: u64,
}

/// A batch of a slot.
#[derive(Debug, Clone, Copy)]
struct Place {
    slot: Slot,
    batch: usize,
}

impl Place {
    /// The next one; `true` when it is in another slot.
    fn step(&mut self, batches: usize) -> bool {
        self.batch += 1;
        let over = self.batch == batches;
        if over {
            *self = Self { slot: self.slot.plus(1), batch: 0 };
        }
        over
    }
}

impl Traffic {
    pub(super) fn new(shape: Arc<Shape>, agent: u32, pace: Pace, mix: Mix) -> Self {
        let (Pace::Live(slot) | Pace::Kept(slot, _)) = pace;
        let boot = BootId(u64::from(agent) + 1);
        let back = LATE.0 / shape.slot.millis().0;
        let late = Slot(slot.0.saturating_sub(back.cast_signed()));
        Self {
            boot,
            pace,
            mix,
            noise: Noise::of(boot.0),
            delay: delay(&shape, agent),
            sequence: 1,
            live: Place { slot, batch: 0 },
            late: Place { slot: late, batch: 0 },
            duplicates: Share::default(),
            late_ones: Share::default(),
            extra: VecDeque::new(),
            sent: VecDeque::new(),
            again: 0,
            heartbeat_due: false,
            fresh: 0,
            total: 0,
            shape,
        }
    }

    /// Whether everything that was kept was sent; never, live.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.pace, Pace::Kept(_, end) if self.live.slot >= end) && self.extra.is_empty()
    }

    /// When the next batch goes: an attempt cannot be delivered before it was made, and waits for its agent's turn.
    pub(super) fn due(&self) -> WallTime {
        let delay = i64::try_from(self.delay.as_micros()).unwrap_or(0);
        WallTime::from_micros(self.measured().as_micros().saturating_add(delay))
    }

    /// When everything of the next batch was measured; long ago, if it waits already.
    pub(super) fn measured(&self) -> WallTime {
        match self.pace {
            Pace::Live(_) if self.extra.is_empty() => self.shape.due(self.live.slot, self.live.batch),
            _ => WallTime::from_micros(i64::MIN),
        }
    }

    pub(super) fn next_batch(&mut self) -> Batch {
        let batch = match self.extra.pop_front() {
            Some(batch) => batch,
            None => self.next_live(),
        };
        self.total += u64::from(batch.count);
        batch
    }

    fn next_live(&mut self) -> Batch {
        let batch = self.fresh_batch(self.live);
        if self.live.step(self.shape.batches()) {
            self.heartbeat_due = true;
        }
        if self.late_ones.is_due(self.mix.late) {
            let late = self.fresh_batch(self.late);
            self.late.step(self.shape.batches());
            self.extra.push_back(late);
        }
        if self.duplicates.is_due(self.mix.duplicates) {
            let again = self.sent_before();
            self.extra.extend(again);
        }
        batch
    }

    fn fresh_batch(&mut self, at: Place) -> Batch {
        let columns = self.shape.columns(at.slot, at.batch, &mut self.noise);
        let count = self.shape.count(at.batch);
        self.fresh += u64::from(count);
        if self.mix.duplicates > 0 {
            self.sent.push_back((columns.clone(), count, self.sequence));
            if self.sent.len() > REMEMBERED {
                self.sent.pop_front();
            }
        }
        self.numbered(columns, count)
    }

    fn sent_before(&mut self) -> Option<Batch> {
        let (columns, count, sequence) = self.sent.front().cloned()?;
        self.again += 1;
        if self.again.is_multiple_of(2) {
            return Some(self.numbered(columns, count));
        }
        Some(batch(self.boot, sequence, columns, count))
    }

    fn numbered(&mut self, columns: Bytes, count: u32) -> Batch {
        let sequence = self.sequence;
        self.sequence += u64::from(count);
        batch(self.boot, sequence, columns, count)
    }

    /// After each slot: nothing of the slots before is still to come.
    pub(super) fn heartbeat(&mut self) -> Option<Heartbeat> {
        let place = if self.mix.late > 0 { self.late } else { self.live };
        let through = self.shape.slot.start_of(place.slot).as_micros();
        std::mem::take(&mut self.heartbeat_due).then(|| Heartbeat {
            sent_us: through,
            books: vec![Books { boot: self.boot.0, started: self.sequence - 1, ..Books::default() }],
            complete_through_us: through,
            complete_sequence: self.sequence,
            ..Heartbeat::default()
        })
    }
}

/// Parts of the golden ratio lie evenly between 0 and 1, however many there are.
fn delay(shape: &Shape, agent: u32) -> Duration {
    let between =
        Duration::from_millis(shape.slot.millis().0) / u32::try_from(shape.batches().max(1)).unwrap_or(u32::MAX);
    let part = agent.wrapping_mul(0x9e37_79b9);
    between.mul_f64(f64::from(part) / (f64::from(u32::MAX) + 1.0))
}

fn batch(boot: BootId, first_sequence: u64, columns: Bytes, count: u32) -> Batch {
    let compression = Compression::None.into();
    Batch { boot: boot.0, first_sequence, count, columns, compression, traceparent: String::new() }
}

#[cfg(test)]
mod tests {
    use uitwijk_model::SlotLength;

    use super::*;

    #[test]
    fn a_tenth_is_sent_again_and_a_tenth_is_late() {
        let shape = Arc::new(Shape::new(1, 300, 100, SlotLength::new(Millis(1000)).unwrap()).unwrap());
        let mix = Mix { duplicates: 10, late: 10 };
        let mut traffic = Traffic::new(shape.clone(), 0, Pace::Live(Slot(100_000)), mix);
        let mut ranges: Vec<_> = (0..1200).map(|_| traffic.next_batch()).map(|b| (b.first_sequence, b.count)).collect();
        let sent = ranges.len();
        ranges.sort_unstable();
        ranges.dedup();
        assert_eq!(sent - ranges.len(), 50, "repeated under their own sequences");
        let contiguous = ranges.windows(2).all(|pair| pair[0].0 + u64::from(pair[0].1) == pair[1].0);
        assert!(contiguous, "sequences have no gaps");
        assert_eq!((traffic.total, traffic.fresh), (120_000, 110_000));
        let behind = |t: WallTime| t.micros_since(shape.slot.start_of(traffic.late.slot)) / 1_000_000;
        assert!((7200..7600).contains(&behind(traffic.due())), "{}", behind(traffic.due()));
    }

    #[test]
    fn agents_send_apart_and_none_waits_for_longer_than_its_next_batch() {
        let shape = Arc::new(Shape::new(60, 300, 100, SlotLength::new(Millis(1000)).unwrap()).unwrap());
        let due = |agent| Traffic::new(shape.clone(), agent, Pace::Live(Slot(100_000)), Mix::default()).due();
        let mut after: Vec<i64> = (0..60).map(|agent| due(agent).micros_since(due(0))).collect();
        after.sort_unstable();
        // There are three batches in a second.
        assert!(after[0] == 0 && after[59] < 333_334, "{after:?}");
        assert!(after.windows(2).all(|pair| (2000..10_000).contains(&(pair[1] - pair[0]))), "{after:?}");
    }

    #[test]
    fn what_was_kept_ends_and_needs_no_waiting() {
        let shape = Arc::new(Shape::new(1, 30, 7, SlotLength::new(Millis(10_000)).unwrap()).unwrap());
        let mut traffic = Traffic::new(shape, 0, Pace::Kept(Slot(5), Slot(8)), Mix::default());
        let mut rows = 0;
        while !traffic.is_over() {
            assert_eq!(traffic.measured(), WallTime::from_micros(i64::MIN));
            rows += traffic.next_batch().count;
        }
        assert_eq!(rows, 90);
    }
}
