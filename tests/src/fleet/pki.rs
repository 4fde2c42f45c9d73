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

    /// Takes a new authority; from here on certificates come from it, and both are believed by whoever reads the files anew.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn begin_rotation(&mut self) -> anyhow::Result<()> {
        let old = std::mem::replace(&mut self.authority, Authority::create("Uitwijk demo fleet", month())?);
        let both = format!("{}{}", old.certificate_pem(), self.authority.certificate_pem());
        fs::write(self.dir.join("ca.pem"), both).context("write both authorities")
    }

    /// Believes the old authority no more.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn end_rotation(&self) -> anyhow::Result<()> {
        fs::write(self.dir.join("ca.pem"), self.authority.certificate_pem()).context("write the new authority")
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
