//! What does this process take from its machine?
//!
//! The names are those of the Prometheus client libraries, read from `/proc/self` at each scrape. What cannot be read
//! is left out rather than shown as 0.

use std::fmt::Error;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Ticks a second in `/proc`: `USER_HZ`, which Linux fixed at 100 for programs on every architecture we build for.
const TICKS: f64 = 100.0;

/// Register it with `Registry::register_collector`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessMetrics;

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let encoder = &mut encoder;
        if let Some(stat) = Stat::read() {
            counter(encoder, "process_cpu", "User and system time spent", Some(&Unit::Seconds), stat.cpu_seconds)?;
            gauge(encoder, "process_threads", "Threads", None, stat.threads)?;
            if let Some(boot) = boot_time_seconds() {
                let help = "Start of the process since the epoch";
                gauge(encoder, "process_start_time", help, Some(&Unit::Seconds), boot + stat.started_seconds)?;
            }
        }
        if let Some((resident, virt)) = memory_bytes() {
            gauge(encoder, "process_resident_memory", "Resident memory", Some(&Unit::Bytes), resident)?;
            gauge(encoder, "process_virtual_memory", "Virtual memory", Some(&Unit::Bytes), virt)?;
        }
        if let Some(open) = open_fds() {
            gauge(encoder, "process_open_fds", "Open file descriptors", None, open)?;
        }
        if let Some(max) = max_fds() {
            gauge(encoder, "process_max_fds", "Most file descriptors allowed", None, max)?;
        }
        Ok(())
    }
}

fn gauge(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, unit: Option<&Unit>, value: f64) -> Result<(), Error> {
    let metric = ConstGauge::new(value);
    metric.encode(to.encode_descriptor(name, help, unit, metric.metric_type())?)
}

fn counter(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: f64,
) -> Result<(), Error> {
    let metric = ConstCounter::new(value);
    metric.encode(to.encode_descriptor(name, help, unit, metric.metric_type())?)
}

struct Stat {
    cpu_seconds: f64,
    threads: f64,
    /// After the boot of the machine.
    started_seconds: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// The name of the program stands in brackets and may hold anything, brackets and blanks too.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
        // The first field here is number 3 of proc(5).
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / TICKS,
            threads: field(20)?,
            started_seconds: field(22)? / TICKS,
        })
    }
}

fn boot_time_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn memory_bytes() -> Option<(f64, f64)> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    Some((kilobytes(&text, "VmRSS:")? * 1024.0, kilobytes(&text, "VmSize:")? * 1024.0))
}

fn kilobytes(status: &str, key: &str) -> Option<f64> {
    status.lines().find_map(|line| line.strip_prefix(key))?.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "a count of file descriptors is far below 2^52")]
fn open_fds() -> Option<f64> {
    // One of them is the directory being read.
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

fn max_fds() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        let text = "7 (a) b) S 1 7 7 0 -1 4194560 9 0 0 0 150 50 0 0 20 0 3 0 1234 1 2 3";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.cpu_seconds, stat.threads, stat.started_seconds), (2.0, 3.0, 12.34));
        assert!(Stat::parse("7 (cut").is_none());
    }

    #[test]
    fn everything_is_there_on_linux() {
        let mut registry = prometheus_client::registry::Registry::default();
        registry.register_collector(Box::new(ProcessMetrics));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for name in [
            "process_cpu_seconds_total",
            "process_threads",
            "process_start_time_seconds",
            "process_resident_memory_bytes",
            "process_virtual_memory_bytes",
            "process_open_fds",
            "process_max_fds",
        ] {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            assert!(value.is_some_and(|value| value.parse::<f64>().is_ok()), "{name} in\n{text}");
        }
    }
}
