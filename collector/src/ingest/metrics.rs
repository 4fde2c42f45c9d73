//! What does the data path count?

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use uitwijk_model::Elapsed;
use uitwijk_proto::v1::{LossReason, RefusalReason};

/// Seconds from 0.1 ms to 10 s: a sync of a good disk and of a bad one.
const SECONDS: [f64; 13] = [0.0001, 0.0003, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 1.0, 3.0, 10.0];
/// Rows of a group.
const ROWS: [f64; 9] = [1.0, 10.0, 100.0, 500.0, 1000.0, 5000.0, 10_000.0, 50_000.0, 100_000.0];

/// Why something was refused, lost or ended; values come from fixed lists.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// The reason.
    pub reason: &'static str,
}

/// Counts of the data path.
#[derive(Debug, Clone)]
pub struct IngestMetrics {
    /// Rows that are on disk and were not before.
    pub rows_stored: Counter,
    /// Rows that came again.
    pub rows_again: Counter,
    /// Rows whose target, slot and attempt were stored already under another number.
    pub rows_duplicate: Counter,
    /// Rows refused, by reason.
    pub rows_refused: Family<ReasonLabel, Counter>,
    /// Numbers that agents declared lost, by reason.
    pub rows_lost: Family<ReasonLabel, Counter>,
    /// Rows that wait for the files of hours that are far away.
    pub rows_aside: Gauge,
    /// Batches committed.
    pub batches: Counter,
    /// Bytes of the columns of batches as they came.
    pub bytes: Counter,
    /// Groups committed.
    pub commits: Counter,
    /// Attempts to write a group that failed.
    pub commit_failures: Counter,
    /// From the start of a group to the return of its sync.
    pub commit_seconds: Histogram,
    /// The sync alone.
    pub sync_seconds: Histogram,
    /// Rows of a group.
    pub group_rows: Histogram,
    /// Messages that wait for the committer.
    pub queue_depth: Gauge,
    /// Streams that are open.
    pub streams: Gauge,
    /// Streams that ended, by reason.
    pub streams_ended: Family<ReasonLabel, Counter>,
    /// Agents turned away because another process with the same identity was alive.
    pub identity_conflicts: Counter,
    /// Memory of the bitmaps of slots.
    pub dedup_bytes: Gauge,
    /// Stretches of bitmaps read back from the store.
    pub dedup_loads: Counter,
    /// 0 while the store takes no writes.
    pub store_writable: Gauge,
    /// Records removed because of their age.
    pub records_removed: Counter,
    /// Time in which the committer did not wait for work.
    pub committer_busy_seconds: Counter<f64, AtomicU64>,
}

impl Default for IngestMetrics {
    fn default() -> Self {
        let writable = Gauge::default();
        writable.set(1);
        Self {
            rows_stored: Counter::default(),
            rows_again: Counter::default(),
            rows_duplicate: Counter::default(),
            rows_refused: Family::default(),
            rows_lost: Family::default(),
            rows_aside: Gauge::default(),
            batches: Counter::default(),
            bytes: Counter::default(),
            commits: Counter::default(),
            commit_failures: Counter::default(),
            commit_seconds: Histogram::new(SECONDS),
            sync_seconds: Histogram::new(SECONDS),
            group_rows: Histogram::new(ROWS),
            queue_depth: Gauge::default(),
            streams: Gauge::default(),
            streams_ended: Family::default(),
            identity_conflicts: Counter::default(),
            dedup_bytes: Gauge::default(),
            dedup_loads: Counter::default(),
            store_writable: writable,
            records_removed: Counter::default(),
            committer_busy_seconds: Counter::default(),
        }
    }
}

impl IngestMetrics {
    /// Puts them into a registry.
    pub fn register(&self, r: &mut Registry) {
        let help = "Measurements that are on disk and were not before";
        r.register("ingest_rows_stored", help, self.rows_stored.clone());
        let help = "Measurements that came again under the number that they had before";
        r.register("ingest_rows_again", help, self.rows_again.clone());
        let help =
            "Measurements of a target, slot and attempt that were stored already under another number; the first stays";
        r.register("ingest_rows_duplicate", help, self.rows_duplicate.clone());
        r.register("ingest_rows_refused", "Measurements refused, by reason", self.rows_refused.clone());
        let help =
            "Measurements that agents declared lost, or that the store lost after they were acknowledged, by reason";
        r.register("ingest_rows_lost", help, self.rows_lost.clone());
        let help =
            "Measurements of sealed hours that wait, not acknowledged, until the files of those hours can be read";
        r.register("ingest_rows_aside", help, self.rows_aside.clone());
        r.register("ingest_batches", "Batches committed", self.batches.clone());
        r.register("ingest_bytes", "Bytes of the columns of batches as they came", self.bytes.clone());
        r.register("ingest_commits", "Groups committed", self.commits.clone());
        r.register("ingest_commit_failures", "Attempts to write a group that failed", self.commit_failures.clone());
        let help = "From the start of writing a group to the return of its sync";
        r.register("ingest_commit_seconds", help, self.commit_seconds.clone());
        r.register("ingest_sync_seconds", "The sync of a group alone", self.sync_seconds.clone());
        r.register("ingest_group_rows", "Measurements in a group", self.group_rows.clone());
        r.register("ingest_queue_depth", "Messages that wait for the committer", self.queue_depth.clone());
        self.register_streams_and_store(r);
    }

    fn register_streams_and_store(&self, r: &mut Registry) {
        r.register("ingest_streams", "Streams of agents that are open", self.streams.clone());
        r.register("ingest_streams_ended", "Streams of agents that ended, by reason", self.streams_ended.clone());
        let help = "Agents turned away because another process with the same identity was alive";
        r.register("ingest_identity_conflicts", help, self.identity_conflicts.clone());
        r.register("dedup_bytes", "Memory of the bitmaps of slots", self.dedup_bytes.clone());
        r.register("dedup_loads", "Stretches of bitmaps read back from the store", self.dedup_loads.clone());
        r.register("store_writable", "0 while the store takes no writes", self.store_writable.clone());
        let help = "Records removed because of their age";
        r.register("store_records_removed", help, self.records_removed.clone());
        let help = "Time in which the committer did not wait for work";
        r.register("ingest_committer_busy_seconds", help, self.committer_busy_seconds.clone());
    }

    pub(super) fn refused(&self, reason: RefusalReason, rows: u64) {
        if rows > 0 {
            self.rows_refused.get_or_create(&ReasonLabel { reason: refusal_label(reason) }).inc_by(rows);
        }
    }

    pub(super) fn lost(&self, reason: LossReason, rows: u64) {
        self.rows_lost.get_or_create(&ReasonLabel { reason: loss_label(reason) }).inc_by(rows);
    }

    pub(super) fn stream_ended(&self, reason: &'static str) {
        self.streams_ended.get_or_create(&ReasonLabel { reason }).inc();
    }
}

/// The reason in metrics and logs.
pub(super) const fn refusal_label(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::Unspecified => "unspecified",
        RefusalReason::UnknownTarget => "unknown_target",
        RefusalReason::Future => "future",
        RefusalReason::Past => "past",
        RefusalReason::Slot => "slot",
        RefusalReason::Value => "value",
        RefusalReason::Conflict => "conflict",
        RefusalReason::Malformed => "malformed",
    }
}

const fn loss_label(reason: LossReason) -> &'static str {
    match reason {
        LossReason::Unspecified => "unspecified",
        LossReason::Expired => "expired",
        LossReason::Unwritable => "unwritable",
        LossReason::Unreadable => "unreadable",
        LossReason::Unsynced => "unsynced",
        LossReason::Forgotten => "forgotten",
    }
}

/// Seconds for a histogram.
#[expect(clippy::cast_precision_loss, reason = "microseconds of a process fit into 53 bits for centuries")]
pub(super) fn seconds(elapsed: Elapsed) -> f64 {
    elapsed.as_micros() as f64 / 1e6
}
