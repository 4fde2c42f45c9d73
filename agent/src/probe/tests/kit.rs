//! What do the tests share: servers, certificates, plans in small, and one way to look at a measurement?

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use uitwijk_model::plan::{ConnectOptions, Expectation, HttpProbe, HttpVersion, Probe, ProbeKind, TlsOptions};
use uitwijk_model::{
    ControlId, Elapsed, Measurement, Millis, Observer, Slot, SystemClock, Target, TargetKind, WallTime,
};

use crate::probe::{Prober, ProberEnv};

/// Long enough for anything that should succeed on a busy machine.
pub(super) const PATIENT: Millis = Millis(10_000);
/// How long to wait for what never comes.
pub(super) const BRIEF: Millis = Millis(150);

pub(super) fn env() -> ProberEnv {
    ProberEnv::new(Arc::new(SystemClock))
}

/// A target with everything at its default.
pub(super) fn target(kind: ProbeKind) -> Target {
    let control = TargetKind::Control { control: ControlId::new("test").unwrap() };
    let connect = ConnectOptions::default();
    let probe = Probe { kind, timeout: PATIENT, retries: 0, connect, tls: TlsOptions::default(), served: None };
    Target { id: control.id(), kind: control, probe, objective: PATIENT }
}

/// A `GET` of a URL.
pub(super) fn get(url: impl Into<String>) -> Target {
    http(url, |_| {})
}

/// A request that is changed in some way.
pub(super) fn http(url: impl Into<String>, change: impl FnOnce(&mut HttpProbe)) -> Target {
    let mut probe = HttpProbe {
        url: url.into(),
        method: "GET".to_owned(),
        headers: std::collections::BTreeMap::new(),
        body: None,
        version: HttpVersion::Auto,
        redirects_max: 0,
        body_bytes_max: 1024 * 1024,
        expect: Expectation::default(),
    };
    change(&mut probe);
    target(ProbeKind::Http(Box::new(probe)))
}

/// The same target, cut off soon.
pub(super) fn brief(mut target: Target) -> Target {
    target.probe.timeout = BRIEF;
    target
}

/// One attempt; checks what must hold for every measurement.
pub(super) async fn attempt(target: &Target) -> Measurement {
    attempt_in(&env(), target).await
}

/// One attempt with a chosen environment.
pub(super) async fn attempt_in(env: &ProberEnv, target: &Target) -> Measurement {
    let prober = Prober::new(target, env).unwrap();
    let scheduled = WallTime::from_millis(1_772_438_400_000);
    let observer = Observer { controls_seen: 3, ..Observer::default() };
    let measurement = prober.attempt(Slot(7), 1, scheduled, observer).await;
    assert_eq!((measurement.slot, measurement.attempt, measurement.scheduled), (Slot(7), 1, scheduled));
    assert_eq!((measurement.target.as_str(), measurement.observer), ("control:test", observer));
    let sum: u64 = measurement.phases.named().iter().filter_map(|(_, p)| p.map(Elapsed::as_micros)).sum();
    let total = measurement.total.map_or(0, Elapsed::as_micros);
    assert!(sum <= total, "{measurement:?}");
    assert_eq!(measurement.total.is_some(), measurement.outcome.is_measured());
    let limit = Elapsed::from(std::time::Duration::from(target.probe.timeout)).as_micros();
    assert!(total <= limit + 3_000_000, "{measurement:?}");
    measurement
}

/// Outcome, reason, status and the phases that were reached, such as `down wait_closed - connect send processing`.
pub(super) fn show(measurement: &Measurement) -> String {
    let status = measurement.http_status.map_or("-".to_owned(), |status| status.to_string());
    let reached = measurement.phases.named().into_iter().filter(|(_, phase)| phase.is_some());
    let mut words = vec![measurement.outcome.label().to_owned(), measurement.outcome.reason().to_owned(), status];
    words.retain(|word| !word.is_empty());
    words.extend(reached.map(|(name, _)| name.to_owned()));
    words.join(" ")
}

/// One attempt, shown.
pub(super) async fn check(target: &Target, expected: &str) {
    let measurement = attempt(target).await;
    assert_eq!(show(&measurement), expected, "{measurement:?}");
}

/// An address that refuses connections and stays ours for as long as it is held.
pub(super) struct Closed(TcpSocket);

impl Closed {
    pub(super) fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}

/// A server that does with each connection what the script says; the script owns it.
pub(super) async fn raw<F>(script: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    raw_at("127.0.0.1:0", script).await.unwrap()
}

/// The same at a chosen address; fails where the machine has no such address.
pub(super) async fn raw_at<F>(
    address: &str,
    script: impl Fn(TcpStream) -> F + Send + 'static,
) -> std::io::Result<SocketAddr>
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            tokio::spawn(script(stream));
        }
    });
    Ok(address)
}

/// Keeps a connection open and silent until the test ends.
pub(super) async fn forever() {
    std::future::pending::<()>().await;
}

pub(super) type Answer = Response<Full<Bytes>>;

/// A response with a body.
pub(super) fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
    Response::builder().status(status).body(Full::new(body.into())).unwrap()
}

/// A response with headers.
pub(super) fn with_headers(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut answer = answer(status, body.to_owned());
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        answer.headers_mut().append(name, value.parse().unwrap());
    }
    answer
}

/// Speaks HTTP, of either version, on a stream.
pub(super) async fn speak<S, F>(stream: S, respond: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> Answer + Clone + Send + 'static,
{
    let service = service_fn(move |request| {
        let response = respond(request);
        async move { Ok::<_, Infallible>(response) }
    });
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

/// A web server without TLS.
pub(super) async fn web<F>(respond: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> Answer + Clone + Send + 'static,
{
    raw(move |stream| speak(stream, respond.clone())).await
}

/// A server behind TLS that does with each finished handshake what the script says.
pub(super) async fn secure<F>(
    config: ServerConfig,
    script: impl Fn(tokio_rustls::server::TlsStream<TcpStream>) -> F + Clone + Send + 'static,
) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let acceptor = TlsAcceptor::from(Arc::new(config));
    raw(move |stream| {
        let (acceptor, script) = (acceptor.clone(), script.clone());
        async move {
            if let Ok(tls) = acceptor.accept(stream).await {
                script(tls).await;
            }
        }
    })
    .await
}

/// A web server behind TLS that answers 200 `ok`, in the versions of HTTP that the configuration offers.
pub(super) async fn secure_web(config: ServerConfig) -> SocketAddr {
    secure(config, |tls| speak(tls, |_| answer(200, "ok"))).await
}

/// A private authority with its certificate in a file.
pub(super) struct Pki {
    dir: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key.
pub(super) struct Issued {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) chain_file: PathBuf,
    pub(super) key_file: PathBuf,
}

impl Pki {
    pub(super) fn new() -> Self {
        Self::named("authority of a test")
    }

    pub(super) fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.not_after = rcgen::date_time_ymd(2090, 1, 1);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        Self { dir, authority }
    }

    pub(super) fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A certificate for a name and the loopback, valid from one year to another.
    pub(super) fn issue(&self, name: &str, from: i32, to: i32) -> Issued {
        let mut params = CertificateParams::new(vec![name.to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        self.sign(name, &params)
    }

    /// A certificate for a name only.
    pub(super) fn issue_for(&self, name: &str) -> Issued {
        self.sign(name, &CertificateParams::new(vec![name.to_owned()]).unwrap())
    }

    fn sign(&self, name: &str, params: &CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        let (chain_file, key_file) = (self.file(&format!("{name}.pem")), self.file(&format!("{name}.key")));
        std::fs::write(&chain_file, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Issued { chain: vec![certificate.der().clone()], key: der, chain_file, key_file }
    }

    /// A good certificate for `localhost` and the loopback.
    pub(super) fn good(&self) -> Issued {
        self.issue("localhost", 2020, 2080)
    }

    /// TLS options that trust this authority.
    pub(super) fn trusted(&self) -> TlsOptions {
        TlsOptions { ca_file: Some(self.ca_file()), ..TlsOptions::default() }
    }

    /// A server configuration that wants client certificates of this authority.
    pub(super) fn demanding(
        &self,
        issued: Issued,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ServerConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
        let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
        builder.with_client_cert_verifier(verifier).with_single_cert(issued.chain, issued.key).unwrap()
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A server configuration with a certificate, offering these protocols.
pub(super) fn server_config(issued: Issued, alpn: &[&str]) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(issued.chain, issued.key).unwrap();
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    config
}

/// A request for the root of an HTTPS server, trusting the authority.
pub(super) fn https(pki: &Pki, address: SocketAddr) -> Target {
    https_named(pki, "127.0.0.1", address)
}

/// The same by another host name.
pub(super) fn https_named(pki: &Pki, host: &str, address: SocketAddr) -> Target {
    let mut target = get(format!("https://{host}:{}/", address.port()));
    target.probe.tls = pki.trusted();
    target
}
