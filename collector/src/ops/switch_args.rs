//! How are switches and audits asked for on the command line?

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::args::{Page, Range};

/// What somebody did.
#[derive(Debug, ClapArgs)]
pub(crate) struct Switch {
    /// The service whose users were moved
    pub(crate) service: String,
    /// The region that was left
    #[arg(long, value_name = "REGION")]
    pub(crate) from: String,
    /// The region that serves since
    #[arg(long, value_name = "REGION")]
    pub(crate) to: String,
    /// When it was done; now when it is left out
    #[arg(long, value_name = "MOMENT")]
    pub(crate) at: Option<String>,
    /// In your own words
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// Which switches are listed.
#[derive(Debug, ClapArgs)]
pub(crate) struct Switches {
    /// Only this service
    #[arg(long)]
    pub(crate) service: Option<String>,
    #[command(flatten)]
    pub(crate) range: Range,
    #[command(flatten)]
    pub(crate) page: Page,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check that no entry of a verdict log was changed, dropped or slipped in;
    /// exit code 1 when one was
    Verify(AuditVerify),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct AuditVerify {
    /// data_dir of a collector that is stopped, or a copy of it
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// Also that this entry has this hash, as noted elsewhere; may be repeated
    #[arg(long, value_name = "ENTRY:HASH")]
    pub(crate) noted: Vec<String>,
}
