//! Where does the log of sled begin again after the power went?
//!
//! ```text
//!   db        slot*, of 512 KiB       a segment of the log is in any slot; a slot whose segment is not needed is used again
//!   slot      header, message*
//!   header    CRC-32 of the rest u32, place in the log i64, place up to which the log was safe then i64
//!   message   CRC-32 u32, kind u8, length, number of the segment, page (each of 1 to 9 bytes), content
//!             checksums are inverted, places are XOR i64::MAX, numbers are little-endian
//! ```
//!
//! sled looks for the end of its log from the segment on that the newest header calls safe, which is the one before the
//! newest. By then nothing in that one may be needed, and so its slot be zeroed by a start or half overwritten. A cut that loses the
//! snapshot of such a start leaves a log that begins nowhere: sled takes the whole store for empty, and zeroes it. So a header is
//! told more as soon as everything before it is synced: that its own place is safe. sled then begins there, where the
//! log ends, and that segment it keeps. And before sled opens a store, the newest segment is marked if the log is whole up to it;
//! if it is not, what stands behind the gap was never synced, and goes.
//!
//! This rests on two things that `store.rs` sees to: nothing is written but by what is asked of the store, so no segment moves while a
//! mark is set, and less than a segment is written between two syncs. The format is that of sled 0.34, which gets no other one. A
//! header whose checksum is wrong is none.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Bytes of a segment.
pub(super) const SEGMENT_BYTES: usize = 512 * 1024;
const SEGMENT: i64 = SEGMENT_BYTES as i64;
const HEADER_BYTES: usize = 20;
/// No message begins closer to the end of a segment.
const MESSAGE_BYTES: usize = 32;
const CORRUPTED: u8 = 0;
const PADDING: u8 = 2;
const KIND_MAX: u8 = 11;

/// The header of a segment, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) slot: u64,
    /// Its place in the log.
    pub(super) at: i64,
    /// Up to where the log was safe when it was begun.
    pub(super) safe: i64,
}

impl Segment {
    fn read(data: &File, slot: u64) -> io::Result<Option<Self>> {
        let mut header = [0; HEADER_BYTES];
        match data.read_exact_at(&mut header, slot * SEGMENT_BYTES as u64) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let place = |from: usize| i64::from_le_bytes(header[from..from + 8].try_into().unwrap_or_default()) ^ i64::MAX;
        let (at, safe) = (place(4), place(12));
        let is_one = header == Self { slot, at, safe }.header() && at >= 0 && at % SEGMENT == 0;
        Ok(is_one.then_some(Self { slot, at, safe }))
    }

    pub(super) fn header(self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[4..12].copy_from_slice(&(self.at ^ i64::MAX).to_le_bytes());
        header[12..].copy_from_slice(&(self.safe ^ i64::MAX).to_le_bytes());
        let sum = !crc32fast::hash(&header[4..]);
        header[..4].copy_from_slice(&sum.to_le_bytes());
        header
    }

    /// Everything before it was safe when its header was written.
    pub(super) const fn is_marked(self) -> bool {
        self.safe >= self.at
    }

    /// One sector, so a cut leaves the old header or the new one.
    fn mark(self, data: &File) -> io::Result<()> {
        let marked = Self { safe: self.at, ..self };
        data.write_all_at(&marked.header(), self.slot * SEGMENT_BYTES as u64)
    }

    fn remove(self, data: &File) -> io::Result<()> {
        data.write_all_at(&[0; HEADER_BYTES], self.slot * SEGMENT_BYTES as u64)
    }

    /// All of its messages are there, up to its end.
    pub(super) fn is_whole(self, data: &File) -> io::Result<bool> {
        let mut bytes = vec![0; SEGMENT_BYTES];
        match data.read_exact_at(&mut bytes, self.slot * SEGMENT_BYTES as u64) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            other => other?,
        }
        let number = u64::try_from(self.at / SEGMENT).unwrap_or(0);
        let mut from = HEADER_BYTES;
        while from + MESSAGE_BYTES <= SEGMENT_BYTES {
            match message(&bytes[from..], number) {
                Some((PADDING, _)) => return Ok(true),
                Some((_, length)) => from += length,
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// The kind and the length of the message that bytes begin with, if it is whole and of this segment.
fn message(bytes: &[u8], segment: u64) -> Option<(u8, usize)> {
    let sum = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    let kind = *bytes.get(4)?;
    let (length, after) = number(bytes, 5)?;
    let (of, after) = number(bytes, after)?;
    let (_page, after) = number(bytes, after)?;
    let end = after.checked_add(usize::try_from(length).ok()?)?;
    let content = bytes.get(after..end)?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(content);
    hasher.update(&bytes[4..after]);
    let is_whole = sum == !hasher.finalize() && of == segment && kind != CORRUPTED && kind <= KIND_MAX;
    is_whole.then_some((kind, end))
}

/// A number of sled's, and where it ends.
fn number(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let first = *bytes.get(at)?;
    let byte = |i: usize| bytes.get(at + i).map(|byte| u64::from(*byte));
    match first {
        0..=240 => Some((u64::from(first), at + 1)),
        241..=248 => Some((240 + 256 * (u64::from(first) - 241) + byte(1)?, at + 2)),
        249 => Some((2288 + 256 * byte(1)? + byte(2)?, at + 3)),
        250..=255 => {
            let count = usize::from(first) - 247;
            let value = (1..=count).rev().try_fold(0, |value, i| Some(value << 8 | byte(i)?))?;
            Some((value, at + 1 + count))
        }
    }
}

/// All segments, in the order of the log.
pub(super) fn all(data: &File) -> io::Result<Vec<Segment>> {
    let slots = data.metadata()?.len().div_ceil(SEGMENT_BYTES as u64);
    let found = (0..slots).map(|slot| Segment::read(data, slot)).collect::<io::Result<Vec<_>>>()?;
    let mut segments: Vec<Segment> = found.into_iter().flatten().collect();
    segments.sort_by_key(|segment| segment.at);
    Ok(segments)
}

/// Makes a store begin where its log is whole. One without a mark is left to sled: it is new, or of a version that set none.
///
/// # Errors
/// When it cannot be read or written, or is open: sled locks the same file.
pub(super) fn mend(path: &Path) -> io::Result<()> {
    let data = File::options().read(true).write(true).open(path)?;
    data.try_lock()?;
    // What a killed process wrote is there to be read, and gone with the power until it is synced.
    data.sync_all()?;
    let segments = all(&data)?;
    let Some(marked) = segments.iter().rposition(|segment| segment.is_marked()) else { return Ok(()) };
    if let Some(newest) = segments.last().filter(|newest| !newest.is_marked())
        && is_whole_up_to(&data, &segments[marked..], *newest)?
    {
        newest.mark(&data)?;
        return data.sync_all();
    }
    let mut last = segments[marked];
    let mut is_behind_a_gap = false;
    for next in &segments[marked + 1..] {
        is_behind_a_gap = is_behind_a_gap || next.at != last.at + SEGMENT || !last.is_whole(&data)?;
        if is_behind_a_gap {
            tracing::info!(place = next.at, "a segment of the buffer that was never synced is removed");
            next.remove(&data)?;
        } else {
            last = *next;
        }
    }
    if last != segments[marked] {
        last.mark(&data)?;
    }
    data.sync_all()
}

/// Whether sled would find the end of the log in the newest segment, and nothing that is there since the mark is torn. A segment
/// in between may be missing: it was not needed any more, and its slot was used again.
fn is_whole_up_to(data: &File, since: &[Segment], newest: Segment) -> io::Result<bool> {
    let base = newest.safe / SEGMENT * SEGMENT;
    let chain = since.iter().filter(|segment| segment.at >= base).count();
    if usize::try_from((newest.at - base) / SEGMENT).ok() != chain.checked_sub(1) {
        return Ok(false);
    }
    let before = &since[..since.len().saturating_sub(1)];
    before.iter().try_fold(true, |whole, segment| Ok(whole && segment.is_whole(data)?))
}

/// The mark of a store that is open.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// The place of the newest segment that has one.
    newest: Cell<Option<i64>>,
}

impl Marks {
    /// Syncs what sled has written, and marks the newest segment if that has no mark yet.
    pub(super) fn sync(&self, data: &File) -> io::Result<()> {
        // In this order: what is marked was there before the sync.
        let newest = all(data)?.pop();
        data.sync_data()?;
        let Some(newest) = newest.filter(|found| Some(found.at) > self.newest.get()) else { return Ok(()) };
        if !newest.is_marked() {
            if Segment::read(data, newest.slot)? != Some(newest) {
                return Err(io::Error::other("the log of the store was written to while it was synced"));
            }
            newest.mark(data)?;
            data.sync_data()?;
        }
        self.newest.set(Some(newest.at));
        Ok(())
    }
}
