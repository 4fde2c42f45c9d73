//! How does a supervisor learn where the collector listens?

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::StartError;

/// A file that is there while the collector serves.
#[derive(Debug)]
pub(super) struct ReadyFile(PathBuf);

impl ReadyFile {
    /// Writes it whole: who sees the file sees all of it.
    pub(super) fn write(path: &Path, listen: SocketAddr, admin: SocketAddr) -> Result<Self, StartError> {
        let text = serde_json::json!({"listen": listen.to_string(), "admin": admin.to_string()}).to_string();
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        std::fs::write(&new, text)
            .and_then(|()| std::fs::rename(&new, path))
            .map_err(|e| StartError::ReadyFile { path: path.to_owned(), why: e.to_string() })?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        // Gone already is as good; anything else leaves a file that the next start replaces.
        let _ = std::fs::remove_file(&self.0);
    }
}
