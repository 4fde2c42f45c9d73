//! Why can a collector not start, or not go on?

use std::net::SocketAddr;
use std::path::PathBuf;

use uitwijk_identity::CredentialsError;
use uitwijk_model::plan::read::Mistakes;

use crate::judging::JudgingError;
use crate::plans::PlansError;
use crate::store::{OpenError, StoreError};
use crate::verdict_log::LogError;

/// Why a collector does not start. All but the last are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The plan cannot be read at all.
    #[error("cannot read the plan {}: {why} (plan_file)", path.display())]
    PlanFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The plan has mistakes; each has its line.
    #[error("the plan {} is not valid:\n{mistakes}", path.display())]
    Plan {
        /// The file.
        path: PathBuf,
        /// All of them.
        mistakes: Mistakes,
    },
    /// Certificate, key or authorities cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The certificate belongs to an agent or a person.
    #[error("the certificate {} is for {found}, a collector needs uitwijk://collector/REGION/NAME (tls.cert_file)", path.display())]
    NotACollector {
        /// The certificate.
        path: PathBuf,
        /// Whose it is.
        found: String,
    },
    /// Name and certificate differ.
    #[error(
        "name is {configured}, but the certificate is for {certified}: leave name out, or use the certificate of {configured} (name)"
    )]
    OtherName {
        /// In the configuration.
        configured: String,
        /// In the certificate.
        certified: String,
    },
    /// The data directory cannot be used.
    #[error("cannot use the directory {}: {why} (data_dir)", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The data directory was made from a backup, and not to the end.
    #[error("{0} (data_dir)")]
    Restore(#[from] crate::backup::BackupError),
    /// A port cannot be bound.
    #[error("cannot listen on {address}: {why} ({key})")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        why: String,
        /// The setting.
        key: &'static str,
    },
    /// The file that tells the addresses cannot be written.
    #[error("cannot write {}: {why} (ready_file)", path.display())]
    ReadyFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store cannot be read back.
    #[error("the measurements of before cannot be read back: {0}")]
    Recovery(#[from] StoreError),
    /// The plans of the past cannot be kept.
    #[error(transparent)]
    Plans(#[from] PlansError),
    /// The verdict log cannot be used.
    #[error(transparent)]
    VerdictLog(#[from] LogError),
    /// The judge cannot start.
    #[error(transparent)]
    Judging(#[from] JudgingError),
    /// The system gave no thread.
    #[error("cannot start the thread of the shadow policies: {0}")]
    Shadow(#[source] std::io::Error),
}

/// Why a running collector ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The judge cannot go on.
    #[error("the judge stopped: {0}")]
    Judging(#[from] JudgingError),
    /// The gRPC server cannot go on.
    #[error("the gRPC server stopped: {0}")]
    Server(String),
    /// A bug: something ended that only ends at a stop.
    #[error("{0} ended by itself")]
    Early(&'static str),
    /// The store did not take what came in.
    #[error("the store did not take all that came in: what was not acknowledged is with the agents, and comes again")]
    Unwritten,
    /// The orderly stop took too long.
    #[error(
        "the stop took longer than {grace} while it was {stage}: what was not acknowledged is with the agents, and will come again (stop_grace)"
    )]
    Grace {
        /// How long it may take.
        grace: uitwijk_model::Millis,
        /// What was under way.
        stage: &'static str,
    },
}
