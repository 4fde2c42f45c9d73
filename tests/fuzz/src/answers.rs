//! What servers answer: an attempt ends in time, with a measurement that holds together and that a collector takes.
//!
//! Each input is sent by a server on the loopback to a real prober.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_rustls::TlsAcceptor;
use uitwijk_agent::probe::{Prober, ProberEnv};
use uitwijk_model::plan::{
    ConnectOptions, DnsProbe, DnsRecordType, Expectation, GrpcProbe, HttpProbe, HttpVersion, Probe, ProbeKind,
    ServedFrom, TcpProbe, TlsOptions, TlsProbe,
};
use uitwijk_model::{
    BootId, ControlId, Elapsed, Measurement, Millis, Observer, Slot, SystemClock, Target, TargetKind, WallTime,
};
use uitwijk_proto::columns::{self, Limits, Rows};
use uitwijk_proto::v1;

/// Servers of targets close at once, so nothing takes so long.
const TIMEOUT: Millis = Millis(2_000);
/// An answer that a resolver does not believe is waited out.
const DNS_TIMEOUT: Millis = Millis(60);

/// A response over HTTP/1.1, with everything that is read of one.
pub(crate) fn http1(data: &[u8]) {
    let data = data.to_vec();
    wait(async move {
        let address = serve(data).await;
        attempt(http(address, HttpVersion::Http11), TIMEOUT).await;
    });
}

/// The frames of a response over HTTP/2.
pub(crate) fn http2(data: &[u8]) {
    let data = data.to_vec();
    wait(async move {
        let address = serve(data).await;
        attempt(http(address, HttpVersion::Http2), TIMEOUT).await;
    });
}

/// The frames of an answer to a health check.
pub(crate) fn grpc(data: &[u8]) {
    let data = data.to_vec();
    wait(async move {
        let url = format!("http://{}", serve(data).await);
        attempt(ProbeKind::Grpc(GrpcProbe { url, service: "shop".to_owned() }), TIMEOUT).await;
    });
}

/// What a bare port says.
pub(crate) fn tcp(data: &[u8]) {
    let data = data.to_vec();
    wait(async move {
        let address = serve(data).await.to_string();
        let expect = Some("^220 .*ready".to_owned());
        attempt(ProbeKind::Tcp(TcpProbe { address, send: None, expect }), TIMEOUT).await;
    });
}

/// What a name server says: the first byte chooses the kind of record, the identity of the question is put in.
pub(crate) fn dns(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    let kinds = [DnsRecordType::A, DnsRecordType::Aaaa, DnsRecordType::Txt, DnsRecordType::Mx, DnsRecordType::Ns];
    let record = kinds[usize::from(*kind) % kinds.len()];
    let data = data.to_vec();
    wait(async move {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = server.local_addr().expect("its address");
        let serving = tokio::spawn(async move {
            let mut question = [0; 512];
            while let Ok((_, from)) = server.recv_from(&mut question).await {
                let mut answer = data.clone();
                let length = answer.len().min(2);
                answer[..length].copy_from_slice(&question[..length]);
                let _ = server.send_to(&answer, from).await;
            }
        });
        let probe =
            DnsProbe { server: Some(address), name: "here.test".to_owned(), record, expect: vec!["127.0.0.1".into()] };
        attempt(ProbeKind::Dns(probe), DNS_TIMEOUT).await;
        serving.abort();
    });
}

/// The certificate that a server presents in a handshake.
pub(crate) fn certificate(data: &[u8]) {
    let data = data.to_vec();
    wait(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let acceptor = TlsAcceptor::from(Arc::new(presenting(data)));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = acceptor.accept(stream).await;
            }
        });
        attempt(ProbeKind::Tls(TlsProbe { address, certificate_days_min: Some(10) }), TIMEOUT).await;
        serving.abort();
    });
}

#[derive(Debug)]
struct Presents(Arc<CertifiedKey>);

impl ResolvesServerCert for Presents {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

fn presenting(certificate: Vec<u8>) -> rustls::ServerConfig {
    // It belongs to no certificate: a handshake fails at its signature at the latest.
    static KEY: LazyLock<Vec<u8>> = LazyLock::new(|| rcgen::KeyPair::generate().expect("a key").serialize_der());
    let provider = rustls::crypto::ring::default_provider();
    let key = PrivatePkcs8KeyDer::from(KEY.clone()).into();
    let key = provider.key_provider.load_private_key(key).expect("our own key");
    let presented = CertifiedKey::new(vec![CertificateDer::from(certificate)], key);
    let builder = rustls::ServerConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_safe_default_protocol_versions().expect("versions of TLS");
    builder.with_no_client_auth().with_cert_resolver(Arc::new(Presents(Arc::new(presented))))
}

fn http(address: SocketAddr, version: HttpVersion) -> ProbeKind {
    let expect = serde_json::json!({
        "headers": [{"name": "x-kind", "matches": "^[a-z]+$"}],
        "body": [{"json": {"pointer": "/a/0/b", "equals": null}}, {"matches": "(?i)h.llo"}],
    });
    let expect: Expectation = serde_json::from_value(expect).expect("an expectation");
    ProbeKind::Http(Box::new(HttpProbe {
        url: format!("http://{address}/"),
        method: "GET".to_owned(),
        headers: std::collections::BTreeMap::new(),
        body: None,
        version,
        redirects_max: 2,
        body_bytes_max: 64 << 10,
        expect,
    }))
}

/// A server that sends these bytes on each connection, and closes.
async fn serve(data: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, data.clone()));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, data: Vec<u8>) {
    let mut request = [0; 4096];
    let _ = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut request)).await;
    let _ = stream.write_all(&data).await;
    let _ = stream.shutdown().await;
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

/// Does asynchronous work, in the runtime of this thread.
pub(crate) fn wait(work: impl Future<Output = ()>) {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(work));
}

/// One attempt, and what must hold of whatever it finds.
async fn attempt(kind: ProbeKind, timeout: Millis) {
    let control = TargetKind::Control { control: ControlId::new("test").expect("a name") };
    let served = ServedFrom {
        region_header: Some("x-region".to_owned()),
        zone_header: Some("x-zone".to_owned()),
        region_json: Some("/region".to_owned()),
        zone_json: Some("/zone".to_owned()),
        addresses: std::collections::BTreeMap::new(),
    };
    let served = matches!(kind, ProbeKind::Http(_)).then_some(served);
    let (connect, tls) = (ConnectOptions::default(), TlsOptions::default());
    let probe = Probe { kind, timeout, retries: 0, connect, tls, served };
    let target = Target { id: control.id(), kind: control, probe, objective: timeout };
    let prober = Prober::new(&target, &ProberEnv::new(Arc::new(SystemClock))).expect("a prober");
    let scheduled = WallTime::from_millis(1_772_438_400_000);
    let slot = Slot(scheduled.as_millis() / 10_000);
    let found = prober.attempt(slot, 0, scheduled, Observer::default()).await;
    let sum: u64 = found.phases.named().iter().filter_map(|(_, phase)| phase.map(Elapsed::as_micros)).sum();
    let total = found.total.map_or(0, Elapsed::as_micros);
    assert!(sum <= total, "{found:?}");
    assert_eq!(found.total.is_some(), found.outcome.is_measured(), "{found:?}");
    assert_eq!(taken(&found), found);
}

/// The measurement as a collector has it.
fn taken(found: &Measurement) -> Measurement {
    let batch = columns::batch(BootId(1), 1, &columns::encode(std::slice::from_ref(found)), v1::Compression::None);
    let rows = Rows::from_batch(&batch, &Limits::default()).expect("a batch that a collector takes");
    rows.row(0).expect("a row that a collector takes").to_measurement()
}
