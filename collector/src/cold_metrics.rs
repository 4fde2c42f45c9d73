//! What is counted of sealed hours?

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use uitwijk_model::Elapsed;

use crate::ingest::ReasonLabel;
use crate::store::{Gone, Sealed, SealedHour, StoreError};

/// Counts of the cold tier.
#[derive(Debug, Clone, Default)]
pub struct ColdMetrics {
    /// Generations of hours that were sealed.
    pub hours_sealed: Counter,
    /// Measurements that were sealed.
    pub rows_sealed: Counter,
    /// Bytes of the files that were made of them.
    pub bytes_sealed: Counter,
    /// Records that could not be read when their hour was sealed.
    pub damaged: Counter,
    /// Looks that failed, by what failed: `read`, `write` or `damaged`.
    pub failures: Family<ReasonLabel, Counter>,
    /// Time spent on sealing.
    pub seconds: Counter<f64, AtomicU64>,
    /// Hot records removed because files stand for them.
    pub hot_records_removed: Counter,
    /// Measurements that went with their hour, by reason: `age` or `budget`.
    pub rows_dropped: Family<ReasonLabel, Counter>,
    /// Hours that went, by reason.
    pub hours_dropped: Family<ReasonLabel, Counter>,
    /// Sealed hours that are there.
    pub hours: Gauge,
    /// Measurements in files.
    pub rows: Gauge,
    /// Bytes of files.
    pub bytes: Gauge,
}

impl ColdMetrics {
    /// Puts them into a registry.
    pub fn register(&self, r: &mut Registry) {
        r.register("cold_hours_sealed", "Generations of hours that were sealed", self.hours_sealed.clone());
        r.register("cold_rows_sealed", "Measurements that were sealed", self.rows_sealed.clone());
        r.register("cold_sealed_bytes", "Bytes of the files of sealed measurements", self.bytes_sealed.clone());
        let help = "Records that could not be read when their hour was sealed; they stay where they are";
        r.register("cold_records_damaged", help, self.damaged.clone());
        r.register("cold_failures", "Looks at hours that failed, by what failed", self.failures.clone());
        r.register("cold_seal_seconds", "Time spent on sealing", self.seconds.clone());
        let help = "Records of the hot store removed because files stand for them";
        r.register("cold_hot_records_removed", help, self.hot_records_removed.clone());
        r.register("cold_rows_dropped", "Measurements that went with their hour, by reason", self.rows_dropped.clone());
        r.register("cold_hours_dropped", "Hours that went, by reason", self.hours_dropped.clone());
        r.register("cold_hours", "Sealed hours with measurements", self.hours.clone());
        r.register("cold_rows", "Measurements in files of sealed hours", self.rows.clone());
        r.register("cold_bytes", "Bytes of the files of sealed hours, rollups included", self.bytes.clone());
    }

    /// Counts an hour that was sealed.
    pub fn sealed(&self, sealed: &Sealed, took: Elapsed) {
        self.hours_sealed.inc();
        self.rows_sealed.inc_by(sealed.rows);
        self.bytes_sealed.inc_by(sealed.bytes);
        self.damaged.inc_by(sealed.damaged);
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a process fit into 53 bits for centuries")]
        self.seconds.inc_by(took.as_micros() as f64 / 1e6);
    }

    /// Counts a look that failed.
    pub fn failed(&self, error: &StoreError) {
        let reason = match error {
            StoreError::Read(_) => "read",
            StoreError::Write(_) => "write",
            StoreError::Damaged(_) => "damaged",
        };
        self.failures.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts an hour that went.
    pub fn dropped(&self, gone: &Gone, reason: &'static str) {
        self.rows_dropped.get_or_create(&ReasonLabel { reason }).inc_by(gone.rows);
        self.hours_dropped.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Shows what there is.
    pub fn show(&self, hours: &[SealedHour]) {
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.hours.set(gauge(hours.iter().filter(|hour| hour.rows > 0).count() as u64));
        self.rows.set(gauge(hours.iter().map(|hour| hour.rows).sum()));
        self.bytes.set(gauge(hours.iter().map(|hour| hour.bytes + hour.rollup_bytes).sum()));
    }
}
