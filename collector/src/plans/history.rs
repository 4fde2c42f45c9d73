//! Which plans were in force before this process?
//!
//! One file for each, `REVISION-VERSION.json`, with the canonical JSON that agents were sent. Files are only ever added; the oldest
//! go when there are more than [`PLANS_MAX`].

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use uitwijk_model::Plan;

use super::CurrentPlan;

/// The most plans that are remembered: one a day for more than a year.
pub const PLANS_MAX: usize = 512;

/// A directory of plans.
#[derive(Debug)]
pub(super) struct History {
    dir: PathBuf,
}

impl History {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self { dir: dir.to_path_buf() })
    }

    /// All of them, the oldest first. One that cannot be read is left out and logged: its targets are unknown then, and
    /// a start must not fail for it.
    pub(super) fn read(&self) -> io::Result<Vec<Plan>> {
        let mut plans: Vec<Plan> = self.files()?.iter().filter_map(|path| read_plan(path)).collect();
        plans.sort_by_key(|plan| plan.revision);
        Ok(plans)
    }

    /// Adds a plan; one that is there already is left as it is.
    pub(super) fn add(&self, current: &CurrentPlan) -> io::Result<()> {
        let path = self.dir.join(format!("{:020}-{}.json", current.plan.revision, current.version));
        if path.try_exists()? {
            return Ok(());
        }
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&current.json)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(&self.dir)?.sync_all()?;
        self.forget_oldest()
    }

    fn forget_oldest(&self) -> io::Result<()> {
        let files = self.files()?;
        let excess = files.len().saturating_sub(PLANS_MAX);
        files.iter().take(excess).try_for_each(fs::remove_file)
    }

    /// By name, and so by revision.
    pub(super) fn files(&self) -> io::Result<Vec<PathBuf>> {
        let paths = fs::read_dir(&self.dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        let mut paths: Vec<PathBuf> =
            paths.into_iter().filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
        paths.sort();
        Ok(paths)
    }
}

fn read_plan(path: &Path) -> Option<Plan> {
    let read = fs::read_to_string(path).map_err(|e| e.to_string());
    match read.and_then(|json| Plan::from_canonical_json(&json).map_err(|e| e.to_string())) {
        Ok(plan) => Some(plan),
        Err(error) => {
            tracing::error!(path = %path.display(), error, "a plan of the past cannot be read, its targets are unknown");
            None
        }
    }
}
