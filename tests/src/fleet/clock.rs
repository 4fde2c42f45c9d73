//! How does a process of the fleet come to have a wrong clock?
//!
//! The variable [`VARIABLE`] names a file with a number: microseconds that the wall clock of the process is ahead, less than
//! zero when it is behind. It is read at every look at the clock, so a test steps a clock by writing the file. Only the
//! binary of the fleet knows the variable; the programs that ship are handed the system's clock and nothing else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use uitwijk_model::{Clock, Elapsed, SystemClock, WallTime};

/// Names the file.
pub const VARIABLE: &str = "FLEET_CLOCK_FILE";

/// The clock of this process, as its environment says.
pub fn of_environment() -> Arc<dyn Clock> {
    match std::env::var_os(VARIABLE) {
        Some(file) => Arc::new(WrongClock { file: file.into() }),
        None => Arc::new(SystemClock),
    }
}

/// Sets a clock that somebody has, in one step.
///
/// # Errors
/// When the file cannot be written.
pub fn set(file: &Path, ahead_us: i64) -> std::io::Result<()> {
    let new = file.with_extension("new");
    std::fs::write(&new, ahead_us.to_string())?;
    std::fs::rename(&new, file)
}

/// The system's clock, but for what a file says.
#[derive(Debug)]
struct WrongClock {
    file: PathBuf,
}

impl Clock for WrongClock {
    fn wall(&self) -> WallTime {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        let ahead_us: i64 = text.trim().parse().unwrap_or(0);
        WallTime::from_micros(SystemClock.wall().as_micros().saturating_add(ahead_us))
    }

    fn elapsed(&self) -> Elapsed {
        SystemClock.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_as_wrong_as_its_file_says() {
        let dir = tempfile::tempdir().unwrap();
        let clock = WrongClock { file: dir.path().join("clock") };
        let ahead_us = || clock.wall().as_micros() - SystemClock.wall().as_micros();
        assert!(ahead_us().abs() < 60_000_000, "a file that is not there says nothing");
        for hours in [1, -24] {
            set(&clock.file, hours * 3_600_000_000).unwrap();
            let off = ahead_us() - hours * 3_600_000_000;
            assert!(off.abs() < 60_000_000, "{off}");
        }
    }
}
