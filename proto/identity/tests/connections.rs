//! Real sockets on loopback: who gets in, who does not, and what is each told?
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod world;

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use uitwijk_identity::{
    ClientOptions, ConnectError, Credentials, HandshakeFailure, IssuedCertificate, ServerLimits, channel,
    connect_error_of,
};
use world::{MovedClock, Server, World, call, check, days, identity, now, until};

async fn server(credentials: Arc<Credentials>) -> Server {
    Server::start(credentials, ServerLimits::default()).await
}

#[tokio::test]
async fn a_good_pair_talks_and_the_server_knows_who_calls() {
    let world = World::new();
    let server = server(world.collector()).await;
    let agent = world.agent();
    call(&server.url(), agent.clone()).await.unwrap();
    let peer = server.peers.lock().unwrap().pop().unwrap();
    assert_eq!(peer.identity, identity("uitwijk://agent/NL/1/nl-1"));
    assert_eq!(peer.certificate_expires, agent.expires());
    assert_eq!(peer.certificate_fingerprint, agent.fingerprint());
    assert_eq!((server.counters.accepted(), server.counters.established()), (1, 1));
    until("the connection to be closed", || server.counters.open() == 0).await;
}

#[tokio::test]
async fn a_client_of_another_authority_is_refused_and_told() {
    let (world, other) = (World::new(), World::new());
    let server = server(world.collector()).await;
    let mut files = other.agent_files(10);
    files.ca_file = world.ca_file();
    let stranger = Credentials::load(&files, now()).unwrap();
    let error = call(&server.url(), stranger).await.unwrap_err();
    world.settled(|| insta::assert_snapshot!(error));
    assert!(!error.is_passing());
    assert_eq!(server.counters.failed(HandshakeFailure::UnknownAuthority), 1);
    assert!(server.peers.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() {
    let (world, other) = (World::new(), World::new());
    let server = server(other.collector()).await;
    let error = call(&server.url(), world.agent()).await.unwrap_err();
    world.settled(|| insta::assert_snapshot!(error));
    until("the server to count it", || server.counters.failed(HandshakeFailure::Refused) == 1).await;
}

#[tokio::test]
async fn a_bundle_of_two_authorities_takes_the_clients_of_both() {
    let (world, other) = (World::new(), World::new());
    let bundle = format!("{}{}", world.authority.certificate_pem(), other.authority.certificate_pem());
    let mut files = world.collector_files();
    files.ca_file = world.path().join("bundle.pem");
    std::fs::write(&files.ca_file, bundle).unwrap();
    let server = server(Credentials::load(&files, now()).unwrap()).await;
    let mut rotated = other.agent_files(10);
    rotated.ca_file = world.ca_file();
    call(&server.url(), world.agent()).await.unwrap();
    call(&server.url(), Credentials::load(&rotated, now()).unwrap()).await.unwrap();
}

#[tokio::test]
async fn dates_are_checked_on_both_sides() {
    let world = World::new();
    let agent_files = world.agent_files(1);
    let collector_files = world.collector_files();
    let agent = || Credentials::load(&agent_files, now()).unwrap();

    let late = Credentials::load(&collector_files, MovedClock::in_days(2)).unwrap();
    let server_ahead = server(late).await;
    let expired = call(&server_ahead.url(), agent()).await.unwrap_err();
    assert_eq!(server_ahead.counters.failed(HandshakeFailure::Expired), 1);

    let new = world.files(
        "soon",
        &world.issue("uitwijk://agent/NL/1/soon", &[], {
            let mut validity = days(10);
            validity.not_before = validity.not_before.plus(world::DAY);
            validity
        }),
    );
    let server_now = server(Credentials::load(&collector_files, now()).unwrap()).await;
    let ahead = Credentials::load(&new, MovedClock::in_days(2)).unwrap();
    let not_yet = call(&server_now.url(), ahead).await.unwrap_err();
    assert_eq!(server_now.counters.failed(HandshakeFailure::NotYetValid), 1);

    let patient = world.files("patient", &world.issue("uitwijk://viewer/patient", &[], days(20)));
    let far_ahead = Credentials::load(&patient, MovedClock::in_days(15)).unwrap();
    let server_expired = call(&server_now.url(), far_ahead).await.unwrap_err();

    let own = Credentials::load_at_any_time(&agent_files, MovedClock::in_days(2)).unwrap();
    let own_expired = call(&server_now.url(), own).await.unwrap_err();

    let all = [expired, not_yet, server_expired, own_expired].map(|error| error.to_string()).join("\n");
    world.settled(|| insta::assert_snapshot!(all));
}

#[tokio::test]
async fn the_server_must_be_a_collector_of_the_right_name() {
    let world = World::new();
    let elsewhere = world.issue("uitwijk://collector/NL/col-nl", &["elsewhere.example"], days(10));
    let elsewhere = server(Credentials::load(&world.files("elsewhere", &elsewhere), now()).unwrap()).await;
    let wrong_name = call(&elsewhere.url(), world.agent()).await.unwrap_err();

    let both = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth, rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let uris = ["uitwijk://agent/NL/1/nl-9".to_owned()];
    let posing = world.authority.issue_uris("nl-9", &uris, both, &["127.0.0.1".to_owned()], days(10)).unwrap();
    let posing = server(Credentials::load(&world.files("posing", &posing), now()).unwrap()).await;
    let agent =
        Credentials::load(&world.files("nl-2", &world.issue("uitwijk://agent/NL/2/nl-2", &[], days(10))), now());
    let agent = agent.unwrap();
    let not_a_collector = call(&posing.url(), agent.clone()).await.unwrap_err();

    let named = ClientOptions { server_name: Some("elsewhere.example".to_owned()), ..ClientOptions::default() };
    check(channel(&elsewhere.url(), agent, named).await.unwrap()).await.unwrap();
    let all = [wrong_name, not_a_collector].map(|error| error.to_string()).join("\n");
    world.settled(|| insta::assert_snapshot!(all));
}

/// A client of any make, which shows this certificate, or none, and would resume sessions.
fn raw_client(world: &World, shown: Option<&IssuedCertificate>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(world.authority.certificate_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shown {
        None => config.with_no_client_auth(),
        Some(issued) => {
            let chain = vec![CertificateDer::from_pem_slice(issued.cert_pem.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn raw_connect(client: &TlsConnector, server: &Server) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(server.addr).await.unwrap();
    client.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap()
}

/// What it hears in place of the server's first byte.
async fn raw_refusal(world: &World, server: &Server, shown: Option<&IssuedCertificate>) -> String {
    let mut tls = raw_connect(&raw_client(world, shown), server).await;
    tls.read(&mut [0]).await.unwrap_err().to_string()
}

#[tokio::test]
async fn no_session_is_resumed_because_that_would_skip_the_check_of_the_certificate() {
    let world = World::new();
    let server = server(world.collector()).await;
    let client = raw_client(&world, Some(&world.issue("uitwijk://viewer/a", &[], days(1))));
    for _ in 0..2 {
        let mut tls = raw_connect(&client, &server).await;
        tls.read_exact(&mut [0; 9]).await.unwrap();
        assert_eq!(tls.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[tokio::test]
async fn a_client_without_a_name_is_refused_in_the_handshake() {
    let world = World::new();
    let server = server(world.collector()).await;
    let usage = || vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let uris = ["https://example.org".to_owned(), "uitwijk://viewer/a".to_owned(), "uitwijk://viewer/b".to_owned()];
    let nobody = world.authority.issue_uris("nobody", &uris[..1], usage(), &[], days(1)).unwrap();
    let many = world.authority.issue_uris("many", &uris, usage(), &[], days(1)).unwrap();
    let heard = [
        raw_refusal(&world, &server, None).await,
        raw_refusal(&world, &server, Some(&nobody)).await,
        raw_refusal(&world, &server, Some(&many)).await,
    ];
    insta::assert_snapshot!(heard.join("\n"));
    assert_eq!(server.counters.failed(HandshakeFailure::NoCertificate), 1);
    assert_eq!(server.counters.failed(HandshakeFailure::NoIdentity), 2);
}

#[tokio::test]
async fn garbage_and_silence_on_the_port_harm_nobody() {
    let world = World::new();
    let limits = ServerLimits { handshake_timeout: Duration::from_millis(100), ..ServerLimits::default() };
    let server = Server::start(world.collector(), limits).await;
    let mut garbage = TcpStream::connect(server.addr).await.unwrap();
    garbage.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let silent = TcpStream::connect(server.addr).await.unwrap();
    let gone = TcpStream::connect(server.addr).await.unwrap();
    drop(gone);
    call(&server.url(), world.agent()).await.unwrap();
    for reason in [HandshakeFailure::NotTls, HandshakeFailure::Timeout, HandshakeFailure::Closed] {
        until(reason.label(), || server.counters.failed(reason) == 1).await;
    }
    drop(silent);
    let counts = &server.counters;
    let failed: u64 = HandshakeFailure::ALL.into_iter().map(|reason| counts.failed(reason)).sum();
    assert_eq!(counts.accepted(), counts.established() + failed);
}

#[tokio::test]
async fn connections_and_handshakes_are_capped_apart() {
    let world = World::new();
    let limits = ServerLimits { connections_max: 1, handshakes_max: 2, ..ServerLimits::default() };
    let server = Server::start(world.collector(), limits).await;
    let agent = world.agent();
    let first = channel(&server.url(), agent.clone(), ClientOptions::default()).await.unwrap();
    let second = channel(&server.url(), agent, ClientOptions::default()).await.unwrap_err();
    world.settled(|| insta::assert_snapshot!(second));
    assert_eq!(server.counters.dropped_over_connections(), 1);

    let mut strangers = Vec::new();
    for _ in 0..5 {
        strangers.push(TcpStream::connect(server.addr).await.unwrap());
    }
    until("three of five strangers to be dropped", || server.counters.dropped_over_handshakes() == 3).await;
    check(first).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_reached_is_named() {
    let world = World::new();
    let agent = world.agent();
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed_url = format!("https://{}", closed.local_addr().unwrap());
    drop(closed);
    // Accepts nothing: the kernel completes the connection, and then nobody answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_url = format!("https://{}", silent.local_addr().unwrap());
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain_url = format!("https://{}", plain.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut tcp, _) = plain.accept().await.unwrap();
        let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = tcp.read(&mut [0; 1024]).await;
    });
    let quick = ClientOptions { connect_timeout: Duration::from_millis(200), ..ClientOptions::default() };
    let mut errors = Vec::new();
    for url in [
        closed_url.as_str(),
        &silent_url,
        &plain_url,
        "http://127.0.0.1:7443",
        "https://127.0.0.1",
        "https://127.0.0.1:7443/api",
        "https://me@127.0.0.1:7443",
        "collector.example:7443",
        "https://a b:1",
    ] {
        errors.push(channel(url, agent.clone(), quick.clone()).await.unwrap_err().to_string());
    }
    world.settled(|| insta::assert_snapshot!(errors.join("\n")));
}

#[tokio::test]
async fn a_channel_comes_back_with_new_certificates_after_a_restart_of_the_server() {
    let world = World::new();
    let files = world.collector_files();
    let first = server(Credentials::load(&files, now()).unwrap()).await;
    let addr = first.addr;
    let channel = channel(&first.url(), world.agent(), ClientOptions::default()).await.unwrap();
    check(channel.clone()).await.unwrap();
    first.stop.cancel();
    drop(first);
    // Calls fail with the reason until the server is back, then go through on the same channel.
    let refused = loop {
        let Err(status) = check(channel.clone()).await else { continue };
        if let Some(error) = connect_error_of(&status) {
            break error;
        }
    };
    assert!(matches!(refused, ConnectError::Refused { addr: at } if at == addr), "{refused}");
    let listener = tokio::net::TcpListener::bind(addr).await.unwrap();
    let _second = Server::on(listener, Credentials::load(&files, now()).unwrap(), ServerLimits::default());
    check(channel).await.unwrap();
}
