//! What has a process spent?

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::fleet::process::Process;

/// Clock ticks per second in `/proc`; fixed by the kernel's interface to programs (proc(5)).
const TICKS_PER_SECOND: u64 = 100;
const PAGE_BYTES: u64 = 4096;

/// CPU, memory and disk of a process.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// User and system time since its start.
    pub cpu: Duration,
    /// Resident memory now.
    pub rss_bytes: u64,
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
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).context("read /proc/…/stat")?;
        // The name of the program, in parentheses, may have spaces; fields are counted after it (proc(5)).
        let fields: Vec<&str> = stat.rsplit_once(')').context("no name in stat")?.1.split_whitespace().collect();
        let number = |i: usize| fields.get(i).and_then(|f| f.parse::<u64>().ok()).context("no number in stat");
        let ticks = number(11)? + number(12)?;
        Ok(Self {
            cpu: Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND),
            rss_bytes: number(21)? * PAGE_BYTES,
            disk_bytes: used_bytes(data),
        })
    }

    /// What was spent since an earlier reading; memory is that of now.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            rss_bytes: self.rss_bytes,
            disk_bytes: self.disk_bytes.saturating_sub(earlier.disk_bytes),
        }
    }
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
