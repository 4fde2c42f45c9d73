//! An authority in a temporary directory, certificates of it, and a server that remembers who called.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use uitwijk_identity::{
    Authority, ClientOptions, ConnectError, Credentials, Identity, IssuedCertificate, PeerInfo, ServerCounters,
    ServerLimits, TlsFiles, Validity, channel, peer_of, server,
};
use uitwijk_model::{Clock, Elapsed, Millis, SystemClock, WallTime};

pub(crate) const DAY: Millis = Millis::from_secs(86_400);

pub(crate) fn days(n: u64) -> Validity {
    Validity::from_now(SystemClock.wall(), Millis(DAY.0 * n))
}

pub(crate) fn identity(uri: &str) -> Identity {
    Identity::parse_uri(uri).unwrap()
}

pub(crate) fn now() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// A wall clock that tests move by hand; the other one is that of the machine.
#[derive(Debug)]
pub(crate) struct MovedClock(AtomicI64);

impl MovedClock {
    pub(crate) fn in_days(n: u64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(SystemClock.wall().plus(Millis(DAY.0 * n)).as_micros())))
    }

    pub(crate) fn set(&self, at: WallTime) {
        self.0.store(at.as_micros(), Ordering::SeqCst);
    }
}

impl Clock for MovedClock {
    fn wall(&self) -> WallTime {
        WallTime::from_micros(self.0.load(Ordering::SeqCst))
    }
    fn elapsed(&self) -> Elapsed {
        SystemClock.elapsed()
    }
}

pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) authority: Authority,
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::create("trial", days(30)).unwrap();
        authority.save(directory.path()).unwrap();
        Self { directory, authority }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.path().join("ca.pem")
    }

    pub(crate) fn issue(&self, uri: &str, names: &[&str], validity: Validity) -> IssuedCertificate {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        self.authority.issue(&identity(uri), &names, validity).unwrap()
    }

    pub(crate) fn files(&self, stem: &str, issued: &IssuedCertificate) -> TlsFiles {
        issued.save(self.path(), stem, &self.ca_file()).unwrap()
    }

    pub(crate) fn collector_files(&self) -> TlsFiles {
        self.files("col", &self.collector_certificate(10))
    }

    pub(crate) fn collector_certificate(&self, lasting_days: u64) -> IssuedCertificate {
        self.issue("uitwijk://collector/NL/col-nl", &["127.0.0.1", "localhost"], days(lasting_days))
    }

    pub(crate) fn collector(&self) -> Arc<Credentials> {
        Credentials::load(&self.collector_files(), now()).unwrap()
    }

    pub(crate) fn agent_files(&self, lasting_days: u64) -> TlsFiles {
        self.files("nl-1", &self.issue("uitwijk://agent/NL/1/nl-1", &[], days(lasting_days)))
    }

    pub(crate) fn agent(&self) -> Arc<Credentials> {
        Credentials::load(&self.agent_files(10), now()).unwrap()
    }

    /// Runs assertions on snapshots with directory, addresses and moments taken out.
    pub(crate) fn settled(&self, assertions: impl FnOnce()) {
        let directory = format!("{}/", self.path().display());
        insta::with_settings!({filters => vec![
            (directory.as_str(), ""),
            (r"within \d+ ms", "within N ms"),
            (r"127\.0\.0\.1:\d+", "ADDR"),
            (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME"),
        ]}, { assertions() });
    }
}

/// A gRPC server that remembers who called.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) counters: Arc<ServerCounters>,
    pub(crate) peers: Arc<Mutex<Vec<PeerInfo>>>,
    pub(crate) stop: CancellationToken,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Server {
    pub(crate) async fn start(credentials: Arc<Credentials>, limits: ServerLimits) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), credentials, limits)
    }

    pub(crate) fn on(listener: TcpListener, credentials: Arc<Credentials>, limits: ServerLimits) -> Self {
        let addr = listener.local_addr().unwrap();
        let counters = Arc::new(ServerCounters::default());
        let peers = Arc::new(Mutex::new(Vec::new()));
        let stop = CancellationToken::new();
        let incoming = server::incoming(listener, credentials, limits, counters.clone());
        let (_, health) = tonic_health::server::health_reporter();
        let seen = peers.clone();
        let remember = tonic::service::InterceptorLayer::new(move |request: tonic::Request<()>| {
            seen.lock().unwrap().push(peer_of(&request)?.clone());
            Ok(request)
        });
        let router = tonic::transport::Server::builder().layer(remember).add_service(health);
        tokio::spawn(router.serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned()));
        Self { addr, counters, peers, stop }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.addr)
    }
}

pub(crate) async fn call(url: &str, credentials: Arc<Credentials>) -> Result<(), ConnectError> {
    check(channel(url, credentials, ClientOptions::default()).await?).await.unwrap();
    Ok(())
}

pub(crate) async fn check(channel: tonic::transport::Channel) -> Result<(), tonic::Status> {
    HealthClient::new(channel).check(HealthCheckRequest { service: String::new() }).await.map(drop)
}

/// Waits for something that another task does, for ten seconds at most.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited ten seconds for: {what}");
}
