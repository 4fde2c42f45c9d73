//! Real sockets on loopback: who gets in, who does not, and what is each told?
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use uitwijk_identity::{
    Authority, ClientOptions, ConnectError, Credentials, HandshakeFailure, Identity, IssuedCertificate, PeerInfo,
    ServerCounters, ServerLimits, TlsFiles, Validity, channel, peer_of, server,
};
use uitwijk_model::{Clock, Elapsed, Millis, SystemClock, WallTime};

const DAY: Millis = Millis::from_secs(86_400);

fn identity(uri: &str) -> Identity {
    Identity::parse_uri(uri).unwrap()
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

fn valid() -> Validity {
    Validity::from_now(SystemClock.wall(), DAY)
}

/// A wall clock that tests move by hand; the other one is that of the machine.
#[derive(Debug, Default)]
struct MovedClock(std::sync::atomic::AtomicI64);

impl MovedClock {
    fn set(&self, at: WallTime) {
        self.0.store(at.as_micros(), std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for MovedClock {
    fn wall(&self) -> WallTime {
        WallTime::from_micros(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }
    fn elapsed(&self) -> Elapsed {
        SystemClock.elapsed()
    }
}

/// An authority, and a directory for what it issues.
struct World {
    directory: tempfile::TempDir,
    authority: Authority,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::create("trial", valid()).unwrap();
        authority.save(directory.path()).unwrap();
        Self { directory, authority }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn ca_file(&self) -> std::path::PathBuf {
        self.path().join("ca.pem")
    }

    fn issue(&self, uri: &str, names: &[&str], validity: Validity) -> IssuedCertificate {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        self.authority.issue(&identity(uri), &names, validity).unwrap()
    }

    fn files(&self, stem: &str, issued: &IssuedCertificate) -> TlsFiles {
        issued.save(self.path(), stem, &self.ca_file()).unwrap()
    }

    fn credentials(&self, stem: &str, issued: &IssuedCertificate) -> Arc<Credentials> {
        Credentials::load_at_any_time(&self.files(stem, issued), clock()).unwrap()
    }

    fn collector(&self) -> Arc<Credentials> {
        self.credentials("col", &self.issue("uitwijk://collector/NL/col-nl", &["127.0.0.1", "localhost"], valid()))
    }

    fn agent(&self) -> Arc<Credentials> {
        self.credentials("nl-1", &self.issue("uitwijk://agent/NL/1/nl-1", &[], valid()))
    }
}

/// A gRPC server that remembers who called.
struct Server {
    addr: SocketAddr,
    counters: Arc<ServerCounters>,
    peers: Arc<Mutex<Vec<PeerInfo>>>,
    stop: CancellationToken,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Server {
    async fn start(credentials: Arc<Credentials>, limits: ServerLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
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

    fn url(&self) -> String {
        format!("https://{}", self.addr)
    }
}

async fn call(url: &str, credentials: Arc<Credentials>) -> Result<(), ConnectError> {
    let channel = channel(url, credentials, ClientOptions::default()).await?;
    HealthClient::new(channel).check(HealthCheckRequest { service: String::new() }).await.unwrap();
    Ok(())
}

/// Text of an error with the port, directory and moments taken out.
fn settled(world: &World, error: &impl std::fmt::Display) -> String {
    let text = error.to_string().replace(&world.path().display().to_string(), "DIR");
    let mut out = String::new();
    for word in text.split(' ') {
        let (core, tail) = match word.strip_suffix([':', ',']) {
            Some(core) => (core, &word[core.len()..]),
            None => (word, ""),
        };
        out.push_str(match core {
            _ if core.starts_with("127.0.0.1:") => "ADDR",
            _ if core.len() >= 20 && core.ends_with('Z') => "TIME",
            _ => core,
        });
        out.push_str(tail);
        out.push(' ');
    }
    out.trim_end().to_owned()
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited ten seconds for: {what}");
}

#[tokio::test]
async fn a_good_pair_talks_and_the_server_knows_who_calls() {
    let world = World::new();
    let server = Server::start(world.collector(), ServerLimits::default()).await;
    let agent = world.agent();
    call(&server.url(), agent.clone()).await.unwrap();
    let peer = server.peers.lock().unwrap().pop().unwrap();
    assert_eq!(peer.identity, identity("uitwijk://agent/NL/1/nl-1"));
    assert_eq!(peer.certificate_expires, agent.expires());
    assert_eq!(peer.certificate_fingerprint, agent.fingerprint());
    assert_eq!(server.counters.established(), 1);
}
