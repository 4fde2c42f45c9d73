//! What must be right before anything runs?

use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;
use uitwijk_identity::{Credentials, Role, TlsFiles};
use uitwijk_model::Clock;

use super::{Reloader, StartError, load_plan};
use crate::backup::{layout, take};
use crate::config::Config;
use crate::ingest::JudgeInput;
use crate::metrics::Metrics;
use crate::plans::Plans;
use crate::shadow;
use crate::store::{DiskOptions, Objects, OpenError, Store};
use crate::verdict_log::VerdictLog;

/// Everything that a collector stands on.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) config: Config,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) name: String,
    pub(super) credentials: Arc<Credentials>,
    pub(super) plans: Arc<Plans>,
    pub(super) store: Store,
    pub(super) log: Arc<VerdictLog>,
    pub(super) metrics: Metrics,
}

impl Ground {
    /// Reads and opens what the configuration names; files first, so that a mistake in them leaves no trace on the disk.
    pub(super) fn prepare(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let credentials = load_credentials(&config, clock.clone())?;
        let plan = load_plan(&config.plan_file)?;
        layout::refuse_unfinished(&config.data_dir)?;
        layout::refuse_another(&config.data_dir, &credentials.identity().name)?;
        make_dir(&config.data_dir)?;
        let log = Arc::new(VerdictLog::open(&config.data_dir.join("verdicts"))?);
        let store = open_store(&config, clock.clone())?;
        let plans = Arc::new(Plans::open(&config.data_dir.join("plans"), plan)?);
        let name = credentials.identity().name;
        let metrics = Metrics::new(credentials.clone(), plans.clone());
        Ok(Self { config, clock, name, credentials, plans, store, log, metrics })
    }

    /// What shadow policies are started with.
    pub(super) fn shadows(&self) -> shadow::Setup {
        shadow::Setup {
            dir: self.config.data_dir.join("shadows"),
            plans: self.plans.clone(),
            store: self.store.clone(),
            log: self.log.clone(),
            clock: self.clock.clone(),
            catch_up_max: self.config.judging.catch_up_max,
            memory_bytes_max: self.config.judging.memory_bytes_max,
            metrics: self.metrics.shadow.clone(),
        }
    }

    /// What goes into a backup.
    pub(super) fn backup(&self, shadows: shadow::Shadows) -> take::Sources {
        take::Sources {
            collector: self.name.clone(),
            store: self.store.clone(),
            log: self.log.clone(),
            shadows,
            plans: self.plans.clone(),
            clock: self.clock.clone(),
            cold_url: self.config.cold.url.clone(),
        }
    }

    pub(super) fn reloader(&self, inputs: mpsc::Sender<JudgeInput>) -> Reloader {
        Reloader::new(
            self.config.plan_file.clone(),
            self.credentials.clone(),
            self.plans.clone(),
            inputs,
            self.metrics.reload.clone(),
        )
    }
}

/// Opens the store where a configuration says that it lies.
///
/// # Errors
/// When it cannot be opened, as while a collector runs on it.
pub fn open_store(config: &Config, clock: Arc<dyn Clock>) -> Result<Store, OpenError> {
    let (dir, options) = (config.data_dir.join("store"), DiskOptions::default());
    match &config.cold.url {
        None => Store::open(&dir, options, clock),
        Some(url) => {
            let objects = Objects::at(url)?.with_copies(&config.data_dir.join("copies"), config.cold.copies_bytes_max);
            Store::open_with(&dir, options, clock, objects)
        }
    }
}

/// Loads who the collector is.
///
/// # Errors
/// When the files cannot be used, or are for somebody else.
pub fn load_credentials(config: &Config, clock: Arc<dyn Clock>) -> Result<Arc<Credentials>, StartError> {
    let files = TlsFiles {
        ca_file: config.tls.ca_file.clone(),
        cert_file: config.tls.cert_file.clone(),
        key_file: config.tls.key_file.clone(),
    };
    let credentials = Credentials::load(&files, clock)?;
    let identity = credentials.identity();
    if !matches!(identity.role, Role::Collector(_)) {
        return Err(StartError::NotACollector { path: files.cert_file, found: identity.to_string() });
    }
    match &config.name {
        Some(name) if *name != identity.name => {
            Err(StartError::OtherName { configured: name.clone(), certified: identity.name })
        }
        _ => Ok(credentials),
    }
}

fn make_dir(path: &Path) -> Result<(), StartError> {
    std::fs::create_dir_all(path).map_err(|e| StartError::DataDir { path: path.to_owned(), why: e.to_string() })
}
