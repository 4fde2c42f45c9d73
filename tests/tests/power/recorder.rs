//! How is it found out what a process does to its disk?

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, ensure};

use super::trace::{self, Call};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/power/recorder.c");

/// Tells a child that it is one, and where it works.
const DIR: &str = "POWER_DIR";

/// Where a child works; absent in the process that tests.
pub(crate) fn child_dir() -> Option<PathBuf> {
    std::env::var_os(DIR).map(PathBuf::from)
}

/// A folder in memory where there is one: what is asked is what was synced, and not how long that takes.
pub(crate) fn home() -> anyhow::Result<tempfile::TempDir> {
    Ok(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?)
}

/// Whether processes can be recorded here; says why not.
pub(crate) fn can_record(test: &str) -> bool {
    let why = built().as_ref().map(drop).map_err(ToString::to_string);
    let why = why.and_then(|()| tried().map_err(|error| format!("{error:#}")));
    if let Err(why) = &why {
        println!("{test}: skipped, since system calls cannot be recorded here: {why}");
    }
    why.is_ok()
}

/// A process that does nothing, recorded.
fn tried() -> anyhow::Result<()> {
    let home = home()?;
    record("recorder::nothing", home.path(), &[]).map(drop)
}

/// Not a test: a child that does nothing.
#[test]
fn nothing() {}

/// The library that records, compiled once. It is never taken away: processes of other tests may load it.
fn built() -> &'static Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")))
}

fn build() -> anyhow::Result<PathBuf> {
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("recorder-{}.so", std::process::id()));
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let output = Command::new(&compiler).args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(SOURCE).output();
    let output = output.with_context(|| format!("no C compiler {}", compiler.display()))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(library)
}

/// Runs a test of this binary as a child that works in a folder, to its end, and returns what it did.
pub(crate) fn record(child: &str, dir: &Path, variables: &[(&str, String)]) -> anyhow::Result<Vec<Call>> {
    let library = built().as_ref().map_err(|why| anyhow::anyhow!("{why}"))?;
    let place = home()?;
    let recorded = place.path().join("calls");
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--exact", child, "--nocapture", "--test-threads=1"]).stdin(Stdio::null()).stdout(Stdio::null());
    command.env(DIR, dir).env("LD_PRELOAD", library).env("POWER_TRACE", &recorded).envs(variables.iter().cloned());
    let output = command.output()?;
    let status = output.status;
    ensure!(status.success(), "{child} ended with {status}: {}", String::from_utf8_lossy(&output.stderr));
    trace::read(&recorded)
}
