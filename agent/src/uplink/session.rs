//! What was sent and is not acknowledged, and may more go out?
//!
//! One value per open stream, fed with what was sent and what came back. It knows neither sockets nor the buffer.

use std::collections::VecDeque;
use std::time::Duration;

use uitwijk_model::Elapsed;
use uitwijk_proto::v1;

use super::backlog::{BatchLimits, Piece};

/// A collector that acknowledges nothing for so long while something is on its way is stuck: connect anew.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// Bounds on what a collector may ask for, whatever it says.
const UNACKNOWLEDGED_MAX: u32 = 256;
const ROWS_MAX: u32 = 8192;
/// Rows that make a batch worth its while; larger ones only delay the first row in them.
const ROWS_WANTED: usize = 2048;
const BYTES_MIN: u32 = 16 << 10;
const BYTES_MAX: u32 = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sent {
    boot: u64,
    /// One past the last sequence.
    next: u64,
    is_batch: bool,
    at: Elapsed,
}

/// One open stream.
#[derive(Debug)]
pub(super) struct Session {
    window: usize,
    limits: BatchLimits,
    unacknowledged: VecDeque<Sent>,
    /// Refused rows that were told of, by reason.
    refused: Vec<(i32, u64)>,
}

/// A `Welcome` that this agent cannot go on with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum WelcomeError {
    #[error("the collector speaks protocol version {0}, this agent speaks {ours}", ours = uitwijk_proto::PROTOCOL_VERSION)]
    Version(u32),
    #[error(
        "the collector allows no batch at all (unacknowledged_batches_max {batches}, batch_bytes_max {bytes}, batch_rows_max {rows})"
    )]
    Limits { batches: u32, bytes: u32, rows: u32 },
}

impl Session {
    /// A stream whose collector said welcome.
    pub(super) fn new(welcome: &v1::Welcome, compression: v1::Compression) -> Result<Self, WelcomeError> {
        if welcome.protocol_version != uitwijk_proto::PROTOCOL_VERSION {
            return Err(WelcomeError::Version(welcome.protocol_version));
        }
        let (batches, bytes, rows) =
            (welcome.unacknowledged_batches_max, welcome.batch_bytes_max, welcome.batch_rows_max);
        if batches == 0 || bytes < BYTES_MIN || rows == 0 {
            return Err(WelcomeError::Limits { batches, bytes, rows });
        }
        let limits = BatchLimits {
            rows_max: (rows.min(ROWS_MAX) as usize).min(ROWS_WANTED),
            bytes_max: bytes.min(BYTES_MAX) as usize,
            compression,
            in_flight: 0,
        };
        let window = batches.min(UNACKNOWLEDGED_MAX) as usize;
        Ok(Self { window, limits, unacknowledged: VecDeque::new(), refused: Vec::new() })
    }

    /// How large a batch may be, and how much is on its way.
    pub(super) fn limits(&self) -> BatchLimits {
        BatchLimits { in_flight: self.unacknowledged.len(), ..self.limits }
    }

    /// Whether one more may go out.
    pub(super) fn may_send(&self) -> bool {
        self.unacknowledged.len() < self.window
    }

    /// Batches that are on their way.
    pub(super) fn unacknowledged(&self) -> usize {
        self.unacknowledged.iter().filter(|sent| sent.is_batch).count()
    }

    /// This goes out now.
    pub(super) fn sent(&mut self, piece: &Piece, at: Elapsed) {
        let (boot, next, is_batch) = match piece {
            Piece::Batch(batch) => (batch.boot, batch.first_sequence.saturating_add(u64::from(batch.count)), true),
            Piece::Tombstone(stone) => (stone.boot, stone.first_sequence.saturating_add(stone.count), false),
            // Its acknowledgement cannot be told from that of what waits before it.
            Piece::Ahead(_) => return,
        };
        self.unacknowledged.push_back(Sent { boot, next, is_batch, at });
    }

    /// Everything of this boot below this sequence is settled at the collector.
    pub(super) fn acknowledged(&mut self, boot: u64, next_sequence: u64) {
        self.unacknowledged.retain(|sent| sent.boot != boot || sent.next > next_sequence);
    }

    /// Whether the oldest has been on its way for too long.
    pub(super) fn is_stuck(&self, now: Elapsed) -> bool {
        let oldest = self.unacknowledged.front();
        oldest.is_some_and(|sent| Duration::from(now.since(sent.at)) > STUCK_AFTER)
    }

    /// Takes the totals of refused rows; answers with what is new of each reason.
    pub(super) fn refused(&mut self, totals: &[v1::Refusal]) -> Vec<(v1::RefusalReason, u64)> {
        totals.iter().filter_map(|total| self.refused_more(total)).collect()
    }

    fn refused_more(&mut self, total: &v1::Refusal) -> Option<(v1::RefusalReason, u64)> {
        let reason = v1::RefusalReason::try_from(total.reason).ok()?;
        let known = match self.refused.iter_mut().find(|(reason, _)| *reason == total.reason) {
            Some((_, known)) => known,
            None => {
                self.refused.push((total.reason, 0));
                &mut self.refused.last_mut()?.1
            }
        };
        let more = total.count.saturating_sub(*known);
        *known = total.count.max(*known);
        (more > 0).then_some((reason, more))
    }
}

/// The name of a reason in metrics and logs.
pub(super) fn refusal_label(reason: v1::RefusalReason) -> &'static str {
    match reason {
        v1::RefusalReason::Unspecified => "unspecified",
        v1::RefusalReason::UnknownTarget => "unknown_target",
        v1::RefusalReason::Future => "future",
        v1::RefusalReason::Past => "past",
        v1::RefusalReason::Slot => "slot",
        v1::RefusalReason::Value => "value",
        v1::RefusalReason::Conflict => "conflict",
        v1::RefusalReason::Malformed => "malformed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn welcome(batches: u32) -> v1::Welcome {
        v1::Welcome {
            protocol_version: 1,
            collector: "col".to_owned(),
            unacknowledged_batches_max: batches,
            batch_bytes_max: 1 << 20,
            batch_rows_max: 8192,
            ..v1::Welcome::default()
        }
    }

    fn session(batches: u32) -> Session {
        Session::new(&welcome(batches), v1::Compression::None).unwrap()
    }

    fn batch(boot: u64, first_sequence: u64, count: u32) -> Piece {
        Piece::Batch(v1::Batch { boot, first_sequence, count, ..v1::Batch::default() })
    }

    fn at(s: u64) -> Elapsed {
        Elapsed::from_micros(s * 1_000_000)
    }

    #[test]
    fn the_window_closes_and_an_acknowledgement_opens_it() {
        let mut session = session(2);
        session.sent(&batch(1, 1, 10), at(0));
        assert!(session.may_send());
        session.sent(&batch(1, 11, 10), at(0));
        assert!(!session.may_send());
        session.acknowledged(1, 11);
        assert!(session.may_send());
        assert_eq!(session.unacknowledged(), 1);
    }

    #[test]
    fn an_acknowledgement_in_the_middle_of_a_batch_or_of_another_boot_settles_nothing() {
        let mut session = session(2);
        session.sent(&batch(1, 1, 10), at(0));
        session.acknowledged(1, 10);
        session.acknowledged(2, 100);
        assert_eq!(session.unacknowledged(), 1);
    }

    #[test]
    fn a_collector_that_acknowledges_nothing_is_stuck() {
        let mut session = session(2);
        assert!(!session.is_stuck(at(1000)));
        session.sent(&batch(1, 1, 10), at(1000));
        assert!(!session.is_stuck(at(1030)) && session.is_stuck(at(1031)));
        session.acknowledged(1, 11);
        assert!(!session.is_stuck(at(2000)));
    }

    #[test]
    fn refusals_are_totals_and_only_what_is_new_counts() {
        let mut session = session(2);
        let future = |count| [v1::Refusal { reason: v1::RefusalReason::Future.into(), count }];
        assert_eq!(session.refused(&future(3)), [(v1::RefusalReason::Future, 3)]);
        assert_eq!(session.refused(&future(3)), []);
        assert_eq!(session.refused(&future(5)), [(v1::RefusalReason::Future, 2)]);
        assert_eq!(session.refused(&future(1)), []);
    }

    #[test]
    fn a_welcome_that_allows_nothing_or_speaks_otherwise_is_refused() {
        let error = |change: fn(&mut v1::Welcome)| {
            let mut welcome = welcome(16);
            change(&mut welcome);
            Session::new(&welcome, v1::Compression::None).unwrap_err().to_string()
        };
        assert_eq!(error(|w| w.protocol_version = 2), "the collector speaks protocol version 2, this agent speaks 1");
        assert!(error(|w| w.unacknowledged_batches_max = 0).contains("allows no batch"));
        assert!(error(|w| w.batch_bytes_max = 10).contains("allows no batch"));
    }
}
