//! Which certificate does this process show now, and whom does it believe?
//!
//! ```text
//!   files --watcher: contents changed?--> new Material, checked --good--> current
//!                                                              --bad---> log, count, keep the last good one
//! ```
//!
//! The contents are compared, not the times of the files: mounted secrets are swapped by symbolic links, and a
//! volume may have no useful times at all. A bad set is logged once, not at every look.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::{ClientConfig, ServerConfig};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uitwijk_model::{Clock, WallTime};

use crate::error::CredentialsError;
use crate::files::TlsFiles;
use crate::material::Material;
use crate::name::Identity;

/// The certificate of this process, replaced in place when its files change.
#[derive(Debug)]
pub struct Credentials {
    files: TlsFiles,
    clock: Arc<dyn Clock>,
    /// The last good set. Replaced whole, so a reader sees one set or the other.
    current: RwLock<Arc<Material>>,
    /// Owned by `reload`: what was wrong at the last look, so that it is counted and told of once.
    last_failure: Mutex<Option<String>>,
    generation: watch::Sender<u64>,
    reload_failures: AtomicU64,
}

impl Credentials {
    /// Reads and checks the files.
    ///
    /// # Errors
    /// When a file cannot be read or used, or the certificate is not valid at this time.
    pub fn load(files: &TlsFiles, clock: Arc<dyn Clock>) -> Result<Arc<Self>, CredentialsError> {
        let credentials = Self::load_at_any_time(files, clock)?;
        credentials.check_dates()?;
        Ok(credentials)
    }

    /// As [`Self::load`], but takes a certificate that has expired or is not valid yet: for an agent, which knows its name
    /// by it and has to go on probing until somebody puts a new one in place.
    ///
    /// # Errors
    /// When a file cannot be read or used.
    pub fn load_at_any_time(files: &TlsFiles, clock: Arc<dyn Clock>) -> Result<Arc<Self>, CredentialsError> {
        let material = Material::new(files, &files.read()?, &clock)?;
        Ok(Arc::new(Self {
            files: files.clone(),
            clock,
            current: RwLock::new(Arc::new(material)),
            last_failure: Mutex::new(None),
            generation: watch::Sender::new(0),
            reload_failures: AtomicU64::new(0),
        }))
    }

    fn current(&self) -> Arc<Material> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who this process is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.current().identity.clone()
    }

    /// Last moment of the certificate that is shown now.
    #[must_use]
    pub fn expires(&self) -> WallTime {
        self.current().not_after
    }

    /// SHA-256 of the certificate that is shown now.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        self.current().fingerprint
    }

    /// The files that it comes from.
    #[must_use]
    pub fn files(&self) -> &TlsFiles {
        &self.files
    }

    /// The clock by which dates are judged.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Whether the certificate is valid at this time.
    ///
    /// # Errors
    /// When it has expired or is not valid yet.
    pub fn check_dates(&self) -> Result<(), CredentialsError> {
        self.current().check_dates(&self.files, self.clock.wall())
    }

    /// For a server, with what is current; ask anew for each connection.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.current().server.clone()
    }

    /// For a client, with what is current; ask anew for each connection.
    #[must_use]
    pub fn client_config(&self) -> Arc<ClientConfig> {
        self.current().client.clone()
    }

    /// Counts up with every new set, so that a client can connect again with it in good time.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// How often new files were put in use.
    #[must_use]
    pub fn reloads(&self) -> u64 {
        *self.generation.borrow()
    }

    /// How often new files could not be used.
    #[must_use]
    pub fn reload_failures(&self) -> u64 {
        self.reload_failures.load(Ordering::Relaxed)
    }

    /// Looks at the files and puts them in use when they changed; `true` when it did.
    ///
    /// # Errors
    /// When the new files cannot be read or used, or their certificate is not valid at this time; the set in use stays.
    pub fn reload(&self) -> Result<bool, CredentialsError> {
        self.look().map_err(|failure| failure.error)
    }

    fn look(&self) -> Result<bool, Failure> {
        let contents = self.files.read().map_err(|error| self.failed(error.to_string(), error))?;
        let hash = contents.hash();
        if hash == self.current().hash {
            self.recovered();
            return Ok(false);
        }
        // The time in the text of a date error moves on, so the contents tell one failure from another.
        let new = Material::new(&self.files, &contents, &self.clock)
            .and_then(|new| new.check_dates(&self.files, self.clock.wall()).map(|()| new))
            .map_err(|error| self.failed(format!("{hash:?}"), error))?;
        self.recovered();
        tracing::info!(identity = %new.identity, expires = %new.not_after, "new certificate in use");
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        self.generation.send_modify(|generation| *generation += 1);
        Ok(true)
    }

    fn failed(&self, what: String, error: CredentialsError) -> Failure {
        let mut last = self.last_failure.lock().unwrap_or_else(PoisonError::into_inner);
        let news = last.as_ref() != Some(&what);
        if news {
            self.reload_failures.fetch_add(1, Ordering::Relaxed);
            *last = Some(what);
        }
        Failure { error, news }
    }

    fn recovered(&self) {
        *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Looks at the files every so often until the token is cancelled.
    pub fn spawn_watcher(self: &Arc<Self>, every: Duration, stop: CancellationToken) -> JoinHandle<()> {
        let watcher = Watcher { credentials: self.clone(), told: None };
        tokio::spawn(watcher.run(every, stop))
    }
}

/// Why a look at the files put nothing in use.
struct Failure {
    error: CredentialsError,
    /// Not the same as at the look before.
    news: bool,
}

#[derive(Debug)]
struct Watcher {
    credentials: Arc<Credentials>,
    /// Fingerprint of the certificate whose coming end was logged, and whether it had come.
    told: Option<([u8; 32], bool)>,
}

impl Watcher {
    async fn run(mut self, every: Duration, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let credentials = self.credentials.clone();
            // Reading a file on a stuck volume may block for long.
            match tokio::task::spawn_blocking(move || credentials.look()).await {
                Ok(Err(Failure { error, news: true })) => {
                    tracing::error!(%error, "new certificate files cannot be used, keeping the last good ones");
                }
                Ok(_) => {}
                Err(panicked) => tracing::error!(error = %panicked, "looking at the certificate files failed"),
            }
            self.tell_of_end();
        }
    }

    fn tell_of_end(&mut self) {
        let material = self.credentials.current();
        let left = material.not_after.micros_since(self.credentials.clock.wall());
        let soon = left < material.not_after.micros_since(material.not_before) / 10;
        let news = (material.fingerprint, left < 0);
        if !soon || self.told == Some(news) {
            return;
        }
        self.told = Some(news);
        match left < 0 {
            true => tracing::error!(expired = %material.not_after, "the own certificate has expired"),
            false => tracing::warn!(expires = %material.not_after, "the own certificate ends soon"),
        }
    }
}
