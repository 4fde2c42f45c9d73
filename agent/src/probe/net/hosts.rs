//! Which names does this machine know without asking?
//!
//! The hosts file is read again when it changed, so that a lookup sees what any program on this machine would see.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::probe::file_stamp::FileStamp;

type Table = HashMap<String, Vec<IpAddr>>;

/// The hosts file of the machine.
#[derive(Debug)]
pub(crate) struct Hosts {
    path: PathBuf,
    /// What was read, and from which state of the file.
    read: Mutex<(Option<FileStamp>, Arc<Table>)>,
}

impl Hosts {
    /// Reads `path` when it is first needed.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, read: Mutex::default() }
    }

    /// The addresses of a name that the file has.
    pub(crate) fn lookup(&self, name: &str) -> Option<Vec<IpAddr>> {
        self.table().get(name.trim_end_matches('.')).cloned()
    }

    fn table(&self) -> Arc<Table> {
        let stamp = FileStamp::of(&self.path);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.0 != stamp {
            let text = std::fs::read_to_string(&self.path).unwrap_or_default();
            *read = (stamp, Arc::new(parse(&text)));
        }
        Arc::clone(&read.1)
    }
}

/// Lines of an address and its names; what is not one is skipped, as every resolver does.
fn parse(text: &str) -> Table {
    let mut table = Table::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
        for name in words {
            table.entry(name.to_ascii_lowercase()).or_default().push(address);
        }
    }
    table
}

/// The loopback addresses for `localhost` and names below it (RFC 6761): such names are never sent to a server.
pub(crate) fn loopback(name: &str) -> Option<Vec<IpAddr>> {
    let name = name.trim_end_matches('.');
    let is_local = name == "localhost" || name.ends_with(".localhost");
    is_local.then(|| vec![IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_again_when_it_changed() {
        let dir = tempfile::tempdir().unwrap();
        let hosts = Hosts::new(dir.path().join("hosts"));
        assert_eq!(hosts.lookup("a.test"), None);
        std::fs::write(dir.path().join("hosts"), "127.0.0.2 A.test b.test # b\nnonsense\n::2 a.test\n").unwrap();
        assert_eq!(hosts.lookup("a.test."), Some(vec!["127.0.0.2".parse().unwrap(), "::2".parse().unwrap()]));
        std::fs::write(dir.path().join("hosts"), "127.0.0.33 a.test\n").unwrap();
        assert_eq!(hosts.lookup("a.test"), Some(vec!["127.0.0.33".parse().unwrap()]));
        assert_eq!(hosts.lookup("b.test"), None);
    }

    #[test]
    fn localhost_is_the_loopback() {
        assert!(loopback("localhost").is_some() && loopback("a.localhost.").is_some());
        assert!(loopback("localhost.test").is_none() && loopback("notlocalhost").is_none());
    }
}
