//! Who are we, and can we do our work here?
//!
//! What is wrong here is the operator's to mend and ends the agent at its start, before anything runs: a certificate that
//! cannot be read or that names no agent, an address that somebody else has. What can mend itself (a certificate that has
//! expired, a collector that is away, a disk that is full) does not end it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpListener;
use uitwijk_identity::{Credentials, CredentialsError, Identity, Role};
use uitwijk_model::{AgentId, Clock, Vantage};

use crate::config::Config;

/// Why the agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The certificate files.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A certificate of somebody else.
    #[error(
        "tls.cert_file {file}: names {identity}, which is not an agent; use a certificate for uitwijk://agent/REGION/ZONE/NAME", file = file.display()
    )]
    NotAnAgent {
        /// The file.
        file: PathBuf,
        /// Who it names.
        identity: Box<Identity>,
    },
    /// The admin address.
    #[error(
        "admin_listen {address}: cannot listen there: {error}; free the port or choose another, 0 picks a free one"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The log.
    #[error(transparent)]
    Logging(#[from] uitwijk_telemetry::logging::LoggingError),
    /// The buffer.
    #[error(transparent)]
    Buffer(#[from] crate::buffer::OpenError),
    /// A file that a supervisor waits for.
    #[error("--ready-file {path}: cannot be written: {error}", path = path.display())]
    ReadyFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The system.
    #[error("cannot {what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        error: io::Error,
    },
}

impl StartError {
    /// Whether the settings or the files they name are to blame, rather than the machine.
    #[must_use]
    pub const fn is_mistake(&self) -> bool {
        matches!(self, Self::Credentials(_) | Self::NotAnAgent { .. } | Self::Logging(_))
    }
}

/// Who the agent is, from its certificate.
#[derive(Debug, Clone)]
pub struct Me {
    /// Its name.
    pub agent: AgentId,
    /// Where it stands.
    pub vantage: Vantage,
    /// The files that say so.
    pub credentials: Arc<Credentials>,
}

impl Me {
    /// Reads the certificate. One that has expired will do: the agent knows its name by it, probes, and waits for a new one.
    ///
    /// # Errors
    /// When it cannot be read, or names no agent.
    pub fn load(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let credentials = Credentials::load_at_any_time(&config.tls, clock)?;
        let identity = credentials.identity();
        let not_an_agent =
            |identity| StartError::NotAnAgent { file: config.tls.cert_file.clone(), identity: Box::new(identity) };
        let Role::Agent(vantage) = identity.role.clone() else { return Err(not_an_agent(identity)) };
        let agent = AgentId::new(&identity.name).map_err(|_| not_an_agent(identity))?;
        Ok(Self { agent, vantage, credentials })
    }
}

/// Takes the admin address.
///
/// # Errors
/// When somebody else has it, or it is not an address of this machine.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen { address, error })
}

/// Tells a supervisor where the agent serves. The file appears whole.
///
/// # Errors
/// When it cannot be written.
pub fn write_ready_file(path: &Path, admin: SocketAddr) -> Result<(), StartError> {
    let new = path.with_extension("new");
    let text = serde_json::json!({ "admin": admin }).to_string();
    std::fs::write(&new, text)
        .and_then(|()| std::fs::rename(&new, path))
        .map_err(|error| StartError::ReadyFile { path: path.to_owned(), error })
}

/// Tries what a start would need of the disk, and leaves nothing behind.
///
/// # Errors
/// When the folder cannot be made or written.
pub fn check_data_dir(dir: &Path) -> Result<(), String> {
    let trial = dir.join(".trial");
    std::fs::create_dir_all(dir)
        .and_then(|()| std::fs::write(&trial, b"uitwijk"))
        .and_then(|()| std::fs::remove_file(&trial))
        .map_err(|error| format!("data_dir {}: cannot be written: {error}", dir.display()))
}
