//! Which certificates does the fleet have?
//!
//! A private authority for the life of one fleet, as `uitwijk pki` makes it, and one certificate for each agent and
//! collector, an operator and a viewer.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use uitwijk_identity::{Authority, Credentials, Identity, TlsFiles, Validity};
use uitwijk_model::{Clock as _, Millis, SystemClock};

/// An authority and the files that it issued.
pub struct Pki {
    authority: Authority,
    dir: PathBuf,
}

impl Pki {
    /// Makes an authority whose files go to `dir`.
    ///
    /// # Errors
    /// When a key cannot be made or a file not be written.
    pub fn create(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let authority = Authority::create("Uitwijk demo fleet", month())?;
        fs::write(dir.join("ca.pem"), authority.certificate_pem())?;
        Ok(Self { authority, dir: dir.to_owned() })
    }

    /// Issues a certificate that is valid for 30 days, and writes it.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn issue(&self, identity: &Identity, names: &[String]) -> anyhow::Result<TlsFiles> {
        self.issue_for(identity, names, month())
    }

    /// Issues a certificate with dates of its own.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn issue_for(&self, identity: &Identity, names: &[String], validity: Validity) -> anyhow::Result<TlsFiles> {
        let issued = self.authority.issue(identity, names, validity)?;
        let files = self.files(&identity.name);
        fs::write(&files.cert_file, &issued.cert_pem)?;
        fs::write(&files.key_file, &issued.key_pem)?;
        Ok(files)
    }

    /// The files of a name.
    pub fn files(&self, name: &str) -> TlsFiles {
        files(&self.dir, name)
    }

    /// What a name shows on a connection.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn credentials(&self, name: &str) -> anyhow::Result<Arc<Credentials>> {
        credentials(&self.dir, name)
    }
}

fn files(dir: &Path, name: &str) -> TlsFiles {
    TlsFiles {
        ca_file: dir.join("ca.pem"),
        cert_file: dir.join(format!("{name}.pem")),
        key_file: dir.join(format!("{name}.key")),
    }
}

/// What a name shows on a connection, from a directory that a [`Pki`] made.
///
/// # Errors
/// When its files cannot be read.
pub fn credentials(dir: &Path, name: &str) -> anyhow::Result<Arc<Credentials>> {
    Ok(Credentials::load(&files(dir, name), Arc::new(SystemClock))?)
}

/// Long enough for any trial, short enough to be worthless when found.
fn month() -> Validity {
    Validity::from_now(SystemClock.wall(), Millis::from_secs(30 * 86_400))
}
