//! What did the last attempt at each target find?
//!
//! One row per target of the plan, written after each attempt and read when somebody asks; the labels are made at that
//! moment. A family of gauges per name would keep a dozen label sets per target in memory at all times. A target whose
//! last turn was unmeasured has no values: an old value would claim a health that nobody saw.

use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use uitwijk_model::{Elapsed, Measurement, Phases, Target, TargetId, WallTime};

/// Targets that are shown; a plan with more shows the first in order of name.
const TARGETS_MAX: usize = 2000;

/// The rows.
#[derive(Debug, Default)]
pub struct Board {
    rows: Mutex<BTreeMap<TargetId, Row>>,
}

#[derive(Debug)]
struct Row {
    labels: [(&'static str, String); 4],
    kind: &'static str,
    last: Option<Last>,
}

/// The part of a measurement that is shown.
#[derive(Debug)]
struct Last {
    success: bool,
    total: Option<Elapsed>,
    phases: Phases,
    http_status: Option<u16>,
    redirects: usize,
    certificate_expires: Option<WallTime>,
}

impl Board {
    /// Shows these targets from now on; those that stay keep their values.
    pub fn set_targets(&self, targets: &[Target]) {
        let mut rows = self.lock();
        let mut old = std::mem::take(&mut *rows);
        *rows = targets
            .iter()
            .take(TARGETS_MAX)
            .map(|target| {
                let last = old.remove(&target.id).and_then(|row| row.last);
                (target.id.clone(), Row { labels: labels(target), kind: target.probe.kind.label(), last })
            })
            .collect();
    }

    /// Takes what an attempt found.
    pub fn measured(&self, m: &Measurement) {
        if let Some(row) = self.lock().get_mut(&m.target) {
            row.last = m.outcome.is_measured().then(|| Last {
                success: m.outcome.is_answer(),
                total: m.total,
                phases: m.phases,
                http_status: m.http_status,
                redirects: m.hops.len(),
                certificate_expires: m.certificate_expires,
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TargetId, Row>> {
        // Every change of a row is a single assignment, so a panic elsewhere leaves nothing half done.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn labels(target: &Target) -> [(&'static str, String); 4] {
    let service = target.kind.service().map(ToString::to_string).unwrap_or_default();
    [
        ("target", target.id.to_string()),
        ("service", service),
        ("kind", target.kind.label().to_owned()),
        ("module", target.probe.kind.label().to_owned()),
    ]
}

impl Collector for Board {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let rows = self.lock();
        let mut page = Page { encoder: &mut encoder, rows: &rows };
        page.gauge("probe_success", "Whether the last attempt got a complete right answer", |_, l| {
            Some(f64::from(u8::from(l.success)))
        })?;
        page.gauge("probe_duration_seconds", "How long the last attempt took", |_, l| l.total.map(seconds))?;
        page.gauge("probe_dns_lookup_time_seconds", "How long its name lookup took", |_, l| l.phases.dns.map(seconds))?;
        page.phases()?;
        page.gauge("probe_http_status_code", "Status of its final response", |_, l| l.http_status.map(f64::from))?;
        page.gauge("probe_http_redirects", "Redirects before its final response", |row, l| {
            (row.kind == "http").then_some(small(l.redirects))
        })?;
        page.gauge("probe_ssl_earliest_cert_expiry", "When its first certificate expires, seconds since the epoch", {
            |_, l| l.certificate_expires.map(epoch_seconds)
        })
    }
}

struct Page<'a, 'e> {
    encoder: &'a mut DescriptorEncoder<'e>,
    rows: &'a BTreeMap<TargetId, Row>,
}

impl Page<'_, '_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl Fn(&Row, &Last) -> Option<f64>) -> Result<(), Error> {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for row in self.rows.values() {
            let Some(value) = row.last.as_ref().and_then(|last| value(row, last)) else { continue };
            let family = metric.encode_family(&row.labels)?;
            ConstGauge::new(value).encode(family)?;
        }
        Ok(())
    }

    fn phases(&mut self) -> Result<(), Error> {
        let help = "How long each phase of the last HTTP attempt took; phases that were not reached are left out";
        let mut metric =
            self.encoder.encode_descriptor("probe_http_duration_seconds", help, None, MetricType::Gauge)?;
        for row in self.rows.values().filter(|row| row.kind == "http") {
            let Some(last) = &row.last else { continue };
            for (phase, took) in last.phases.named() {
                let Some(took) = took else { continue };
                let mut labels = row.labels.to_vec();
                labels.push(("phase", phase.to_owned()));
                let family = metric.encode_family(&labels)?;
                ConstGauge::new(seconds(took)).encode(family)?;
            }
        }
        Ok(())
    }
}

#[allow(clippy::cast_precision_loss, reason = "durations of attempts are far below 2^52 microseconds")]
fn seconds(elapsed: Elapsed) -> f64 {
    elapsed.as_micros() as f64 / 1e6
}

#[allow(clippy::cast_precision_loss, reason = "dates are far below 2^52 seconds")]
fn epoch_seconds(at: WallTime) -> f64 {
    at.as_millis().div_euclid(1000) as f64
}

fn small(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::MAX, f64::from)
}
