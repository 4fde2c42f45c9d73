//! How is a recorded stream of measurements read, written, and judged again?
//!
//! ```text
//!   file | stdin --reader.rs--> Record, Record, ... --tracks--> live:  by arrival, grace and watermark
//!   (plain, gzip, zstd)            ^                        \-> final: all of it, by event time
//!                                  |
//!   collector's store --writer.rs--+
//! ```
//!
//! The stream is one JSON object per line, in order of arrival, without any ground truth. It is what a fleet delivered,
//! so judging it goes through the very code that the collector runs. Names are read once and shared; a record is two
//! pointers and a few numbers.

mod line;
mod names;
mod raw;
pub mod reader;
pub mod record;
mod scalar;
mod segment;
mod target;
pub mod tracks;
mod words;
pub mod writer;

pub use names::Names;
pub use reader::{LineError, Notes, ReadError, Reader, Reading};
pub use record::{PhaseTimes, Record, RecordKind, Watched, Watcher};
pub use segment::{ReplaySegment, Track, need_word};
pub use tracks::{Foreign, Replay, ReplayError, Tracks, live, replay, settled};
pub use words::Word;
pub use writer::write_record;
