//! How is the agent itself?

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use uitwijk_model::{Measurement, PlanVersion, WallTime};

use super::Board;

type Seconds = Gauge<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CollectorLabels {
    collector: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    collector: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RecordLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PlanLabels {
    version: String,
    revision: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

/// What the schedule counts.
#[derive(Debug)]
pub struct ScheduleMetrics {
    /// Attempts that are running.
    pub in_flight: Gauge,
    /// Turns too long ago to be written down as missed.
    pub silent: Counter,
    late: Histogram,
}

impl Default for ScheduleMetrics {
    fn default() -> Self {
        let buckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];
        Self { in_flight: Gauge::default(), silent: Counter::default(), late: Histogram::new(buckets) }
    }
}

impl ScheduleMetrics {
    /// An attempt began so long after it was due.
    #[allow(clippy::cast_precision_loss, reason = "a lateness is far below 2^52 microseconds")]
    pub fn late(&self, late_us: i64) {
        self.late.observe(late_us as f64 / 1e6);
    }
}

/// What one uplink counts.
#[derive(Debug, Clone)]
pub struct CollectorMetrics {
    name: String,
    /// 1 while a stream is open.
    pub connected: Gauge,
    /// Rows that this collector has not acknowledged.
    pub backlog: Gauge,
    /// Batches that are sent and not acknowledged.
    pub unacknowledged: Gauge,
    /// Batches sent.
    pub batches: Counter,
    /// Rows acknowledged.
    pub rows: Counter,
    /// Streams that were opened.
    pub streams: Counter,
    /// Tries to open one that failed.
    pub failures: Counter,
    /// Agent's clock minus this collector's.
    pub clock_offset: Seconds,
    refused: Family<ReasonLabels, Counter>,
    lost: Family<ReasonLabels, Gauge>,
}

impl CollectorMetrics {
    /// The collector that it is about.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Agent's clock minus this collector's.
    #[allow(clippy::cast_precision_loss, reason = "an offset is far below 2^52 microseconds")]
    pub fn clock_offset_us(&self, us: i64) {
        self.clock_offset.set(us as f64 / 1e6);
    }

    /// Rows that this collector refused.
    pub fn refused(&self, reason: &'static str, rows: u64) {
        self.refused.get_or_create(&self.labels(reason)).inc_by(rows);
    }

    /// Rows that this collector will never get, as the books say now.
    pub fn lost(&self, reason: &'static str, rows: u64) {
        self.lost.get_or_create(&self.labels(reason)).set(i64::try_from(rows).unwrap_or(i64::MAX));
    }

    fn labels(&self, reason: &'static str) -> ReasonLabels {
        ReasonLabels { collector: self.name.clone(), reason }
    }
}

/// Everything the agent counts of itself.
#[derive(Debug, Default)]
pub struct AgentMetrics {
    /// The schedule's.
    pub schedule: Arc<ScheduleMetrics>,
    /// The last attempt at each target.
    pub board: Arc<Board>,
    /// How late the event loop ran.
    pub loop_lag: Seconds,
    /// Bytes of the buffer on disk.
    pub buffer_bytes: Gauge,
    /// Bytes of measurements that are only in memory.
    pub buffer_memory_bytes: Gauge,
    /// Writes of the buffer that failed.
    pub buffer_failures: Gauge,
    /// When our certificate expires.
    pub certificate_expiry: Gauge,
    /// Targets in the plan whose probe cannot be made here.
    pub targets_broken: Gauge,
    attempts: Family<OutcomeLabels, Counter>,
    unrecorded: Family<RecordLabels, Counter>,
    plan: Family<PlanLabels, Gauge>,
    build: Family<BuildLabels, Gauge>,
    by_collector: ByCollector,
}

#[derive(Debug, Default)]
struct ByCollector {
    connected: Family<CollectorLabels, Gauge>,
    backlog: Family<CollectorLabels, Gauge>,
    unacknowledged: Family<CollectorLabels, Gauge>,
    batches: Family<CollectorLabels, Counter>,
    rows: Family<CollectorLabels, Counter>,
    streams: Family<CollectorLabels, Counter>,
    failures: Family<CollectorLabels, Counter>,
    clock_offset: Family<CollectorLabels, Seconds>,
    refused: Family<ReasonLabels, Counter>,
    lost: Family<ReasonLabels, Gauge>,
}

impl AgentMetrics {
    /// One more attempt, or turn without one.
    pub fn measured(&self, m: &Measurement) {
        let labels = OutcomeLabels { outcome: m.outcome.label(), reason: m.outcome.reason() };
        self.attempts.get_or_create(&labels).inc();
        self.board.measured(m);
    }

    /// Measurements without a line in `record.file`.
    pub fn unrecorded(&self, reason: &'static str, rows: u64) {
        self.unrecorded.get_or_create(&RecordLabels { reason }).inc_by(rows);
    }

    /// The plan that runs.
    pub fn plan(&self, version: &PlanVersion, revision: u64) {
        self.plan.clear();
        self.plan.get_or_create(&PlanLabels { version: version.to_string(), revision }).set(1);
    }

    /// When our certificate expires.
    pub fn certificate_expires(&self, at: WallTime) {
        self.certificate_expiry.set(at.as_millis().div_euclid(1000));
    }

    /// The part of one collector.
    #[must_use]
    pub fn collector(&self, name: &str) -> CollectorMetrics {
        let (labels, c) = (CollectorLabels { collector: name.to_owned() }, &self.by_collector);
        CollectorMetrics {
            name: name.to_owned(),
            connected: c.connected.get_or_create_owned(&labels),
            backlog: c.backlog.get_or_create_owned(&labels),
            unacknowledged: c.unacknowledged.get_or_create_owned(&labels),
            batches: c.batches.get_or_create_owned(&labels),
            rows: c.rows.get_or_create_owned(&labels),
            streams: c.streams.get_or_create_owned(&labels),
            failures: c.failures.get_or_create_owned(&labels),
            clock_offset: c.clock_offset.get_or_create_owned(&labels),
            refused: c.refused.clone(),
            lost: c.lost.clone(),
        }
    }

    /// Everything under its name, to be served.
    #[must_use]
    pub fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.board.clone()));
        registry.register_collector(Box::new(uitwijk_telemetry::ProcessMetrics));
        let own = registry.sub_registry_with_prefix("uitwijk_agent");
        self.build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        own.register("build_info", "Version of the agent", self.build.clone());
        own.register("plan_info", "Plan that the agent runs", self.plan.clone());
        own.register("attempts", "Attempts by outcome, turns without one included", self.attempts.clone());
        own.register("in_flight", "Attempts that are running", self.schedule.in_flight.clone());
        let late = "How long after it was due an attempt began";
        own.register_with_unit("late", late, Unit::Seconds, self.schedule.late.clone());
        let silent = "Turns too long ago to be written down as missed";
        own.register("silent_turns", silent, self.schedule.silent.clone());
        let lag = "How late the event loop ran in the second before";
        own.register_with_unit("loop_lag", lag, Unit::Seconds, self.loop_lag.clone());
        own.register_with_unit("buffer", "Size of the buffer on disk", Unit::Bytes, self.buffer_bytes.clone());
        let memory = "Measurements that are only in memory";
        own.register_with_unit("buffer_memory", memory, Unit::Bytes, self.buffer_memory_bytes.clone());
        let failures = "Writes of the buffer that failed since the start";
        own.register("buffer_write_failures", failures, self.buffer_failures.clone());
        let unrecorded = "Measurements that got no line in record.file, by reason";
        own.register("rows_unrecorded", unrecorded, self.unrecorded.clone());
        let expiry = "When the agent's certificate expires, seconds since the epoch";
        own.register("certificate_expiry_timestamp_seconds", expiry, self.certificate_expiry.clone());
        let broken = "Targets of the plan whose probe cannot be made on this agent";
        own.register("targets_broken", broken, self.targets_broken.clone());
        self.by_collector.register(own);
        registry
    }
}

impl ByCollector {
    fn register(&self, own: &mut Registry) {
        own.register("connected", "1 while a stream to the collector is open", self.connected.clone());
        own.register("backlog_rows", "Rows that the collector has not acknowledged", self.backlog.clone());
        let unacknowledged = "Batches sent to the collector and not acknowledged";
        own.register("unacknowledged_batches", unacknowledged, self.unacknowledged.clone());
        own.register("batches_sent", "Batches sent to the collector", self.batches.clone());
        own.register("rows_acknowledged", "Rows that the collector acknowledged", self.rows.clone());
        own.register("rows_refused", "Rows that the collector refused, by reason", self.refused.clone());
        let lost = "Rows of boots not yet settled that the collector will never get, by reason";
        own.register("rows_lost", lost, self.lost.clone());
        own.register("streams_opened", "Streams opened to the collector", self.streams.clone());
        own.register("connect_failures", "Tries to reach the collector that failed", self.failures.clone());
        let offset = "Agent's clock minus the collector's";
        own.register_with_unit("clock_offset", offset, Unit::Seconds, self.clock_offset.clone());
    }
}
