//! Certificates made for one test.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use uitwijk_identity::{Authority, Credentials, Identity, Role, TlsFiles, Validity};
use uitwijk_model::{AgentId, Clock as _, Millis, Region, SystemClock, Vantage, Zone};

pub struct Pki {
    authority: Authority,
    dir: PathBuf,
}

/// The identity of an agent at NL/1.
pub fn agent(name: &str) -> Identity {
    Identity { name: AgentId::new(name).unwrap().to_string(), role: Role::Agent(place()) }
}

/// Where the agent stands.
pub fn place() -> Vantage {
    Vantage { region: Region::new("NL").unwrap(), zone: Zone::new("1").unwrap() }
}

pub fn day() -> Validity {
    Validity::from_now(SystemClock.wall(), Millis::from_secs(86_400))
}

/// Ended an hour ago.
pub fn expired() -> Validity {
    let now = SystemClock.wall();
    Validity { not_before: now.minus(Millis::from_secs(7200)), not_after: now.minus(Millis::from_secs(3600)) }
}

impl Pki {
    pub fn new(dir: &Path) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        Self { authority: Authority::create("test", day()).unwrap(), dir: dir.to_owned() }
    }

    /// Writes the files of somebody; again, to replace them.
    pub fn issue(&self, file: &str, identity: &Identity, validity: Validity) -> TlsFiles {
        let issued = self.authority.issue(identity, &["127.0.0.1".to_owned()], validity).unwrap();
        let files = TlsFiles {
            ca_file: self.dir.join(format!("{file}-ca.pem")),
            cert_file: self.dir.join(format!("{file}.pem")),
            key_file: self.dir.join(format!("{file}.key")),
        };
        std::fs::write(&files.ca_file, self.authority.certificate_pem()).unwrap();
        std::fs::write(&files.cert_file, issued.cert_pem).unwrap();
        std::fs::write(&files.key_file, issued.key_pem).unwrap();
        files
    }

    /// The credentials of a collector.
    pub fn collector(&self, name: &str) -> Arc<Credentials> {
        let identity = Identity { name: name.to_owned(), role: Role::Collector(place().region) };
        Credentials::load(&self.issue(name, &identity, day()), Arc::new(SystemClock)).unwrap()
    }
}
