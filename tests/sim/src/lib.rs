//! Does the fleet keep its promises on an unkind network, with processes that die at any moment, for any seed?
//!
//! ```text
//!   seed -> world (random.rs of the scenarios)  what each agent measures, and when
//!        -> trouble.rs                          what happens to links, processes and clocks
//!
//!   agent.rs: buffer, uplinks ==link.rs==> collector.rs: ingest, judge, verdict log      all of it the code that ships
//!                                                        |
//!                                     oracle.rs: nothing lost, nothing doubled, nothing invented; the collectors agree;
//!                                                what was said live is what a replay says
//! ```
//!
//! Everything runs in one thread on the runtime's paused clock, which jumps to the next timer when nobody has anything to
//! do: twelve minutes of a fleet take a third of a second. Only the probes, TLS and the disk of the collector's store are left
//! out: measurements come from the world, connections are pipes in memory, and the store is the map that its tests use as a model.
//! Agents keep their buffers in sled, and collectors their verdicts in fjall, both in a directory that is removed at the end.

mod agent;
mod clock;
mod collector;
mod fleet;
mod link;
mod oracle;
mod story;
mod trouble;
mod world;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;

pub use story::{RegionGone, region_gone};
pub use trouble::{Trouble, What};

/// What a seed came to.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What happened, in order.
    pub troubles: Vec<Trouble>,
    /// Measurements that were started.
    pub started: u64,
    /// Measurements that were not on a disk yet when their agent was killed; the stated bound allows these.
    pub unsynced: u64,
    /// Measurements that a full buffer dropped, with a tombstone in their place; all agents and collectors.
    pub expired: u64,
    /// Measurements of turns that an agent had measured before its clock went back; all collectors.
    pub repeated: u64,
    /// Episodes that were judged, over all services.
    pub episodes: usize,
    /// Promises that were broken; empty when all is well.
    pub broken: Vec<String>,
    /// A number made from all that is stored and judged: equal for equal runs.
    pub digest: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, started, unsynced, expired, repeated, episodes, digest, .. } = self;
        let (troubles, verdict) = (self.troubles.len(), if self.broken.is_empty() { "kept" } else { "BROKEN" });
        write!(
            f,
            "seed {seed}: {verdict}; {started} measurements, {unsynced} not yet on disk at a kill, {expired} expired, \
             {repeated} repeated; {troubles} troubles, {episodes} episodes; digest {digest:016x}"
        )
    }
}

/// Plays one seed.
///
/// # Errors
/// When this machine cannot do it: no directory, no space.
pub fn run(seed: u64) -> anyhow::Result<Report> {
    on_paused_clock(async |dir| fleet::play(seed, dir).await)
}

/// Runs something in one thread, where time jumps, with a directory that is removed at the end.
fn on_paused_clock<T>(what: impl AsyncFnOnce(&Path) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let dir = tempfile::Builder::new().prefix("uitwijk-sim-").tempdir_in(scratch()).context("no directory for it")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(what(dir.path()))
}

/// What many seeds came to.
#[derive(Debug, Default)]
pub struct Sum {
    /// Seeds.
    pub seeds: u64,
    /// Seeds in which a promise was broken.
    pub broken: u64,
    /// Measurements that were started.
    pub started: u64,
    /// Measurements that were not on a disk yet when their agent was killed.
    pub unsynced: u64,
    /// Measurements that a full buffer dropped, with a tombstone in their place.
    pub expired: u64,
    /// Measurements of turns that were measured before.
    pub repeated: u64,
    /// Troubles.
    pub troubles: u64,
}

impl Sum {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.broken += u64::from(!report.broken.is_empty());
        self.started += report.started;
        self.unsynced += report.unsynced;
        self.expired += report.expired;
        self.repeated += report.repeated;
        self.troubles += report.troubles.len() as u64;
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, broken, started, unsynced, expired, repeated, troubles } = self;
        write!(
            f,
            "{seeds} seeds, {broken} broken; {started} measurements, {unsynced} not yet on disk at a kill, {expired} expired, \
             {repeated} repeated; {troubles} troubles"
        )
    }
}

/// Plays many seeds on some threads; each report is told as it comes.
///
/// # Errors
/// The first thing that this machine cannot do.
pub fn many(seeds: Range<u64>, threads: usize, tell: &(dyn Fn(&Report) + Sync)) -> anyhow::Result<Sum> {
    let (next, sum) = (AtomicU64::new(seeds.start), Mutex::new(Sum::default()));
    let work = || -> anyhow::Result<()> {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) {
                return Ok(());
            }
            let report = run(seed)?;
            let mut sum = sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            sum.add(&report);
            tell(&report);
        }
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        all.into_iter().try_for_each(|thread| match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// Memory, where the system offers it as a directory: thousands of seeds should not wear out a disk.
fn scratch() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}
