//! What does the collector count?
//!
//! Names begin with `uitwijk_collector_` and end in their unit. Labels only ever take values from fixed lists or from the
//! plan, so that no peer can make the number of series grow. The data path keeps its own counts beside its code; these are
//! the judge's and the API's.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use uitwijk_identity::{Credentials, HandshakeFailure, ServerCounters};
use uitwijk_telemetry::ProcessMetrics;

use crate::cold_metrics::ColdMetrics;
use crate::ingest::IngestMetrics;
use crate::plans::Plans;

/// What the name of every metric starts with.
pub const PREFIX: &str = "uitwijk_collector";

/// Seconds from 0.1 ms to 3 s, for things that should take milliseconds.
const BUCKETS: [f64; 14] = [0.0001, 0.0003, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0];

fn seconds() -> Histogram {
    Histogram::new(BUCKETS)
}

/// Labels of a published revision; all three come from fixed lists of the judge.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct VerdictLabels {
    /// Was a failover needed?
    pub need: &'static str,
    /// Why?
    pub cause: &'static str,
    /// Provisional, final or revised.
    pub kind: &'static str,
}

/// Label of a service of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ServiceLabel {
    /// Its name.
    pub service: String,
}

/// Labels of a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    /// A method of ours, `other` for everything else.
    pub method: &'static str,
    /// Role in the caller's certificate.
    pub role: &'static str,
    /// The status with which the answer began, `OK` for streams that began well.
    pub code: &'static str,
}

/// Label of what the judge is fed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct InputLabel {
    /// `rows`, `frontier`, `switch` or `plan`.
    pub kind: &'static str,
}

/// Label of what became of a switch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SwitchLabel {
    /// `changed`, `from_store` (changed, after the past was read again), `known`, `foreign` (to the plan) or `too_late`.
    pub taken: &'static str,
}

/// Counts of the judge's shell.
#[derive(Debug, Clone)]
pub struct JudgingMetrics {
    /// Revisions published.
    pub verdicts: Family<VerdictLabels, Counter>,
    /// Episodes that have no end yet.
    pub episodes_open: Family<ServiceLabel, Gauge>,
    /// How long the judge took for one turn of all services that were due.
    pub judge_seconds: Histogram,
    /// From the moment a revision could be known to its publication.
    pub publish_delay_seconds: Histogram,
    /// What the judge was fed.
    pub inputs: Family<InputLabel, Counter>,
    /// Measurements that the judge was fed.
    pub rows: Counter,
    /// Switches that the judge was told of, by what became of them.
    pub switches: Family<SwitchLabel, Counter>,
    /// Entries in the verdict log.
    pub log_entries: Gauge,
    /// Publications that the log refused or could not write.
    pub log_failures: Counter,
    /// Watchers that were told that they fell behind.
    pub watchers_lagged: Counter,
    /// 1 while the judge waits for what agents kept while the collector was away.
    pub catching_up: Gauge,
    /// Memory that the judge takes to wait for agents that are away, about.
    pub bytes: Gauge,
    /// How often slots were settled without an agent that is away, because there was no more memory.
    pub crowded: Counter,
}

impl Default for JudgingMetrics {
    fn default() -> Self {
        Self {
            verdicts: Family::default(),
            episodes_open: Family::default(),
            judge_seconds: seconds(),
            publish_delay_seconds: seconds(),
            inputs: Family::default(),
            rows: Counter::default(),
            switches: Family::default(),
            log_entries: Gauge::default(),
            log_failures: Counter::default(),
            watchers_lagged: Counter::default(),
            catching_up: Gauge::default(),
            bytes: Gauge::default(),
            crowded: Counter::default(),
        }
    }
}

impl JudgingMetrics {
    /// Puts them into a registry.
    pub fn register(&self, r: &mut Registry) {
        r.register("verdicts", "Revisions of verdicts published", self.verdicts.clone());
        r.register("episodes_open", "Episodes that have no end yet", self.episodes_open.clone());
        r.register("judge_seconds", "Time the judge took for one turn", self.judge_seconds.clone());
        let help = "From the moment a revision could be known (slot end plus grace, or the deciding arrival) to its \
                    publication";
        r.register("publish_delay_seconds", help, self.publish_delay_seconds.clone());
        r.register("judge_inputs", "Messages that the judge was fed", self.inputs.clone());
        r.register("judge_rows", "Measurements that the judge was fed", self.rows.clone());
        r.register("judge_switches", "Switches that the judge was told of", self.switches.clone());
        r.register("verdict_log_entries", "Entries in the verdict log", self.log_entries.clone());
        r.register("verdict_log_failures", "Publications that could not be written", self.log_failures.clone());
        r.register("watchers_lagged", "Watchers that were told that they fell behind", self.watchers_lagged.clone());
        let help = "1 while the judge waits for what agents kept while the collector was away";
        r.register("catching_up", help, self.catching_up.clone());
        r.register(
            "judge_bytes",
            "Memory that the judge takes to wait for agents that are away, about",
            self.bytes.clone(),
        );
        let help = "Times that the oldest slots were settled without an agent that is away, for want of memory";
        r.register("judge_crowded", help, self.crowded.clone());
    }
}

/// What went wrong with shadow policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShadowFailure {
    /// They were fed faster than they judge.
    Behind,
    /// Their log cannot be used or did not take something.
    Log,
    /// A bug: one ended by a panic.
    Panic,
}

/// Label of a failure of shadow policies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ShadowFailureLabel {
    /// `behind`, `log` or `panic`.
    pub reason: &'static str,
}

/// Label of a shadow policy of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ShadowLabel {
    /// Its name.
    pub shadow: String,
}

/// Counts of the shadow policies.
#[derive(Debug, Clone, Default)]
pub struct ShadowMetrics {
    /// Revisions written to the shadow log.
    pub revisions: Family<ShadowLabel, Counter>,
    /// Memory of their judges, about.
    pub bytes: Family<ShadowLabel, Gauge>,
    /// What went wrong.
    pub failures: Family<ShadowFailureLabel, Counter>,
    /// Messages that their queue did not take.
    pub missed: Counter,
}

impl ShadowMetrics {
    /// Counts something that went wrong.
    pub fn fail(&self, failure: ShadowFailure) {
        let reason = match failure {
            ShadowFailure::Behind => "behind",
            ShadowFailure::Log => "log",
            ShadowFailure::Panic => "panic",
        };
        self.failures.get_or_create(&ShadowFailureLabel { reason }).inc();
    }

    /// Puts them into a registry.
    pub fn register(&self, r: &mut Registry) {
        r.register("shadow_revisions", "Revisions that shadow policies made", self.revisions.clone());
        r.register("shadow_bytes", "Memory of the judges of a shadow policy, about", self.bytes.clone());
        r.register("shadow_failures", "Troubles of shadow policies", self.failures.clone());
        r.register("shadow_missed", "Messages that shadow policies read from the store later", self.missed.clone());
    }
}

/// Counts of the API.
#[derive(Debug, Clone, Default)]
pub struct ApiMetrics {
    /// Calls by method, role and status.
    pub calls: Family<CallLabels, Counter>,
    /// Watchers of verdicts and plans now.
    pub watchers: Gauge,
    /// Backups that were given out to their end.
    pub backups: Counter,
    /// Backups that ended before.
    pub backups_failed: Counter,
    /// When the last was given out to its end, seconds; 0 when none was since the start.
    pub last_backup: Gauge,
}

impl ApiMetrics {
    /// Puts them into a registry.
    pub fn register(&self, r: &mut Registry) {
        r.register("api_calls", "Calls by method, role of the caller and status", self.calls.clone());
        r.register("api_watchers", "Streams of verdicts and plans that are open", self.watchers.clone());
        r.register("backups", "Backups that were given out to their end", self.backups.clone());
        r.register("backups_failed", "Backups that ended before their end", self.backups_failed.clone());
        let help = "When the last whole backup was given out; 0 when none was since the start";
        r.register("last_backup_timestamp_seconds", help, self.last_backup.clone());
    }
}

/// Counts of reloads of plan and certificates.
#[derive(Debug, Clone, Default)]
pub struct ReloadMetrics {
    /// Reloads asked for.
    pub reloads: Counter,
    /// 1 when everything could be used at the last one.
    pub last_successful: Gauge,
}

impl ReloadMetrics {
    /// Puts them into a registry.
    pub fn register(&self, r: &mut Registry) {
        // What a start could not use it does not start with.
        self.last_successful.set(1);
        r.register("reloads", "Reloads of plan and certificates asked for", self.reloads.clone());
        let help = "1 when plan and certificates could be used at the last reload";
        r.register("last_reload_successful", help, self.last_successful.clone());
    }
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    /// Counts of the judge's shell.
    pub judging: JudgingMetrics,
    /// Counts of the shadow policies.
    pub shadow: ShadowMetrics,
    /// Counts of the API.
    pub api: ApiMetrics,
    /// Counts of reloads.
    pub reload: ReloadMetrics,
    /// Counts of the data path.
    pub ingest: IngestMetrics,
    /// Counts of sealed hours.
    pub cold: ColdMetrics,
    /// Counts of connections.
    pub connections: Arc<ServerCounters>,
    credentials: Arc<Credentials>,
    plans: Arc<Plans>,
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new(credentials: Arc<Credentials>, plans: Arc<Plans>) -> Self {
        Self {
            judging: JudgingMetrics::default(),
            shadow: ShadowMetrics::default(),
            api: ApiMetrics::default(),
            reload: ReloadMetrics::default(),
            ingest: IngestMetrics::default(),
            cold: ColdMetrics::default(),
            connections: Arc::default(),
            credentials,
            plans,
        }
    }

    /// A registry with all of them.
    #[must_use]
    pub fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ProcessMetrics));
        let ours = registry.sub_registry_with_prefix(PREFIX);
        self.judging.register(ours);
        self.shadow.register(ours);
        self.api.register(ours);
        self.reload.register(ours);
        self.ingest.register(ours);
        self.cold.register(ours);
        ours.register_collector(Box::new(Read {
            connections: self.connections.clone(),
            credentials: self.credentials.clone(),
            plans: self.plans.clone(),
        }));
        registry
    }
}

/// What is read at each scrape from those who know.
#[derive(Debug)]
struct Read {
    connections: Arc<ServerCounters>,
    credentials: Arc<Credentials>,
    plans: Arc<Plans>,
}

impl Collector for Read {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let e = &mut encoder;
        let c = &self.connections;
        counter(e, "connections_accepted", "TCP connections taken from the listener", c.accepted())?;
        counter(e, "connections_established", "Connections whose handshake ended well", c.established())?;
        gauge(e, "connections_open", "Established connections that are open", c.open())?;
        counter(
            e,
            "connections_dropped",
            "Connections dropped over limits.connections_max",
            c.dropped_over_connections(),
        )?;
        counter(e, "handshakes_dropped", "Connections dropped as too many shook hands", c.dropped_over_handshakes())?;
        let failures = HandshakeFailure::ALL.into_iter().map(|reason| (reason.label(), c.failed(reason)));
        counters(e, "handshakes_failed", "Handshakes that failed", "reason", failures)?;
        let expires = self.credentials.expires().as_micros() / 1_000_000;
        gauge(
            e,
            "certificate_expires_timestamp_seconds",
            "End of the collector's certificate",
            expires.unsigned_abs(),
        )?;
        counter(
            e,
            "certificate_reload_failures",
            "Looks at the files that put nothing in use",
            self.credentials.reload_failures(),
        )?;
        gauge(e, "plan_revision", "Revision of the plan in force", self.plans.current().plan.revision)
    }
}

fn counter(e: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> Result<(), std::fmt::Error> {
    let metric = ConstCounter::new(value);
    metric.encode(e.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn gauge(e: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> Result<(), std::fmt::Error> {
    let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    metric.encode(e.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn counters(
    e: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &'static str,
    values: impl Iterator<Item = (&'static str, u64)>,
) -> Result<(), std::fmt::Error> {
    let mut family = e.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (value, count) in values {
        let metric = ConstCounter::new(count);
        metric.encode(family.encode_family(&[(label, value)])?)?;
    }
    Ok(())
}
