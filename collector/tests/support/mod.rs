//! How do tests get a collector, and who talks to it?
//!
//! Everything is real but the clock: certificates of an authority of the test's own, sockets on 127.0.0.1, a store in a
//! directory that goes with the test.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses another part of it")]
#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

pub mod agent;
pub mod fleet;
pub mod process;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tonic::transport::Channel;
use uitwijk_collector::config::{Config, Resolved, Sources};
use uitwijk_collector::run::{Collector, StartError};
use uitwijk_identity::{Authority, ClientOptions, ConnectError, Credentials, Identity, Role, TlsFiles, Validity};
use uitwijk_model::{AgentId, Clock, Elapsed, Millis, Region, SystemClock, Vantage, WallTime, Zone};

/// Nothing that is waited for takes longer, unless it never comes.
pub const LONG: Duration = Duration::from_secs(20);

/// A clock that moves when it is told to.
#[derive(Debug)]
pub struct HandClock(AtomicI64);

impl HandClock {
    /// A clock that shows this moment.
    pub fn at(now: WallTime) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now.as_micros())))
    }

    /// Moves on, never back.
    pub fn advance_to(&self, now: WallTime) {
        self.0.fetch_max(now.as_micros(), Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn wall(&self) -> WallTime {
        WallTime::from_micros(self.0.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Elapsed {
        SystemClock.elapsed()
    }
}

/// The plan that most tests run under: one service in two regions, six agents, three controls.
pub const PLAN: &str = include_str!("plan.yaml");

/// A place where a collector can live.
pub struct Home {
    pub dir: TempDir,
    authority: Authority,
    pub tls: TlsFiles,
}

impl Home {
    /// With a plan, an authority and the collector's certificate.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::create("tests", month()).unwrap();
        std::fs::write(dir.path().join("ca.pem"), authority.certificate_pem()).unwrap();
        std::fs::write(dir.path().join("plan.yaml"), PLAN).unwrap();
        let tls = issue(dir.path(), &authority, &collector(), month());
        Self { dir, authority, tls }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Flags of a configuration for this place.
    pub fn flags(&self) -> Vec<(&'static str, String)> {
        let text = |path: &Path| path.display().to_string();
        vec![
            ("listen", "127.0.0.1:0".to_owned()),
            ("admin_listen", "127.0.0.1:0".to_owned()),
            ("data_dir", text(&self.path("data"))),
            ("plan_file", text(&self.path("plan.yaml"))),
            ("tls.ca_file", text(&self.tls.ca_file)),
            ("tls.cert_file", text(&self.tls.cert_file)),
            ("tls.key_file", text(&self.tls.key_file)),
        ]
    }

    pub fn config(&self, more: &[(&'static str, &str)]) -> Config {
        let mut flags: std::collections::BTreeMap<_, _> = self.flags().into_iter().collect();
        flags.extend(more.iter().map(|(key, value)| (*key, (*value).to_owned())));
        Resolved::from_sources(&Sources { flags, ..Sources::default() }).unwrap().config
    }

    pub async fn start(&self) -> Collector {
        self.try_start(&[], Arc::new(SystemClock)).await.unwrap()
    }

    pub async fn try_start(
        &self,
        more: &[(&'static str, &str)],
        clock: Arc<dyn Clock>,
    ) -> Result<Collector, StartError> {
        Collector::start(self.config(more), clock).await
    }

    /// Credentials of somebody whom the authority of this place knows.
    pub fn credentials(&self, identity: &Identity) -> Arc<Credentials> {
        self.credentials_for(identity, month())
    }

    /// With a clock that was right when the certificate was, so that the refusal is the collector's.
    pub fn credentials_for(&self, identity: &Identity, validity: Validity) -> Arc<Credentials> {
        let files = self.files(identity, validity);
        let now = SystemClock.wall().min(validity.not_after.minus(Millis::from_secs(60)));
        Credentials::load_at_any_time(&files, HandClock::at(now)).unwrap()
    }

    pub fn files(&self, identity: &Identity, validity: Validity) -> TlsFiles {
        issue(self.dir.path(), &self.authority, identity, validity)
    }

    /// A connection as somebody.
    pub async fn channel(&self, collector: &Collector, identity: &Identity) -> Channel {
        connect(collector, self.credentials(identity)).await.unwrap()
    }
}

pub async fn connect(collector: &Collector, credentials: Arc<Credentials>) -> Result<Channel, ConnectError> {
    connect_to(collector.addresses().listen, credentials).await
}

/// Thirty days around now.
pub fn month() -> Validity {
    Validity::from_now(SystemClock.wall(), Millis::from_secs(30 * 86_400))
}

/// Over since three minutes; the collector's own certificate is good since five.
pub fn expired() -> Validity {
    let now = SystemClock.wall();
    Validity { not_before: now.minus(Millis::from_secs(7200)), not_after: now.minus(Millis::from_secs(180)) }
}

fn issue(dir: &Path, authority: &Authority, identity: &Identity, validity: Validity) -> TlsFiles {
    use std::sync::atomic::AtomicU32;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let stem = format!("{}-{}", identity.name, NEXT.fetch_add(1, Ordering::Relaxed));
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    authority.issue(identity, &names, validity).unwrap().save(dir, &stem, &dir.join("ca.pem")).unwrap()
}

pub fn collector() -> Identity {
    Identity { name: "col-nl".to_owned(), role: Role::Collector(Region::new("NL").unwrap()) }
}

pub fn viewer() -> Identity {
    Identity { name: "vera".to_owned(), role: Role::Viewer }
}

pub fn operator() -> Identity {
    Identity { name: "otto".to_owned(), role: Role::Operator }
}

/// An agent by its name, which says where it stands: `nl-1` is in zone 1 of NL.
pub fn agent(name: &str) -> Identity {
    let (region, zone) = name.split_once('-').unwrap();
    let vantage = Vantage { region: Region::new(region.to_uppercase()).unwrap(), zone: Zone::new(zone).unwrap() };
    Identity::agent(&AgentId::new(name).unwrap(), vantage)
}

/// Waits until something holds, and says what when it never does.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(LONG, wait).await.is_ok(), "never came: {what}");
}

/// What an admin page says: status and text.
pub async fn page(address: std::net::SocketAddr, path: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    tcp.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let text = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    (status, text)
}

/// A connection to an address, as whoever the credentials say.
pub async fn connect_to(address: std::net::SocketAddr, credentials: Arc<Credentials>) -> Result<Channel, ConnectError> {
    uitwijk_identity::channel(&format!("https://{address}"), credentials, ClientOptions::default()).await
}

/// A call that stays open until it is dropped: somebody who looks at the schema and goes for coffee.
pub async fn reflect(channel: Channel) -> impl Send {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    let (to, queue) = tokio::sync::mpsc::channel(1);
    let list = MessageRequest::ListServices(String::new());
    to.send(ServerReflectionRequest { host: String::new(), message_request: Some(list) }).await.unwrap();
    let requests = tokio_stream::wrappers::ReceiverStream::new(queue);
    let mut answers = ServerReflectionClient::new(channel).server_reflection_info(requests).await.unwrap().into_inner();
    answers.message().await.unwrap().expect("an answer");
    (to, answers)
}
