//! What has a process spent?

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::fleet::process::Process;

/// Clock ticks per second in `/proc`; fixed by the kernel's interface to programs (proc(5)).
const TICKS_PER_SECOND: u64 = 100;

/// CPU, memory and disk of a process.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// User and system time since its start.
    pub cpu: Duration,
    /// Resident memory now.
    pub rss_bytes: u64,
    /// The most that it ever was.
    pub rss_peak_bytes: u64,
    /// Bytes in its data directory now.
    pub disk_bytes: u64,
}

impl Cost {
    /// Reads `/proc` and the sizes of the files.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn of(process: &Process, data: &Path) -> anyhow::Result<Self> {
        let id = process.id().context("the process has ended")?;
        let id = id.to_string();
        let (rss_bytes, rss_peak_bytes) = (resident(&id, "VmRSS:")?, peak(&id)?);
        Ok(Self { cpu: cpu(&id)?, rss_bytes, rss_peak_bytes, disk_bytes: used_bytes(data) })
    }

    /// What was spent since an earlier reading; memory is that of now.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            disk_bytes: self.disk_bytes.saturating_sub(earlier.disk_bytes),
            ..self
        }
    }

    /// CPU seconds for a million of so many.
    #[must_use]
    pub fn cpu_per_million(&self, measurements: u64) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / measurements.max(1) as f64
    }
}

/// User and system time of a process, `self` for this one, since its start.
///
/// # Errors
/// When there is no such process.
pub fn cpu(process: &str) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).context("read /proc/…/stat")?;
    // The name of the program, in parentheses, may have spaces; fields are counted after it (proc(5)).
    let fields: Vec<&str> = stat.rsplit_once(')').context("no name in stat")?.1.split_whitespace().collect();
    let number = |i: usize| fields.get(i).and_then(|f| f.parse::<u64>().ok()).context("no number in stat");
    Ok(Duration::from_millis((number(11)? + number(12)?) * 1000 / TICKS_PER_SECOND))
}

/// The most memory that a process ever had, `self` for this one.
///
/// # Errors
/// When there is no such process.
pub fn peak(process: &str) -> anyhow::Result<u64> {
    resident(process, "VmHWM:")
}

fn resident(process: &str, key: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("read /proc/…/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)).with_context(|| format!("no {key}"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().with_context(|| format!("read {key}"))?;
    Ok(kib << 10)
}

/// How busy the machine was in the last minute, for whoever reads a figure that others disturb.
pub fn load_of_machine() -> String {
    fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|t| Some(t.split_whitespace().next()?.to_owned()))
        .unwrap_or_default()
}

/// Bytes that the files of a directory take on disk, holes not counted.
fn used_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => used_bytes(&entry.path()),
            Ok(meta) => meta.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}
