//! Who gets in, and what may they do there?

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

mod support;

use std::sync::Arc;

use support::{Home, agent, collector, connect, expired, month, operator, page, viewer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::transport::Channel;
use tonic::{Code, Status};
use uitwijk_identity::{ConnectError, Credentials, Identity};
use uitwijk_model::SystemClock;
use uitwijk_proto::v1;
use uitwijk_proto::v1::fleet_client::FleetClient;
use uitwijk_proto::v1::ingest_client::IngestClient;
use uitwijk_proto::v1::labels_client::LabelsClient;
use uitwijk_proto::v1::measurements_client::MeasurementsClient;
use uitwijk_proto::v1::policies_client::PoliciesClient;
use uitwijk_proto::v1::verdicts_client::VerdictsClient;

/// Each service once, as somebody.
async fn call_all(channel: Channel) -> Vec<(&'static str, Result<(), Status>)> {
    let mut calls = Vec::new();
    let plan = FleetClient::new(channel.clone()).watch_plan(v1::WatchPlanRequest::default()).await;
    calls.push(("Fleet/WatchPlan", plan.map(drop)));
    let agents = FleetClient::new(channel.clone()).list_agents(v1::ListAgentsRequest {}).await;
    calls.push(("Fleet/ListAgents", agents.map(drop)));
    let ledgers = FleetClient::new(channel.clone()).list_ledgers(v1::ListLedgersRequest::default()).await;
    calls.push(("Fleet/ListLedgers", ledgers.map(drop)));
    let verdicts = VerdictsClient::new(channel.clone()).list(v1::ListVerdictsRequest::default()).await;
    calls.push(("Verdicts/List", verdicts.map(drop)));
    let measurements = MeasurementsClient::new(channel.clone()).query(v1::QueryRequest::default()).await;
    calls.push(("Measurements/Query", measurements.map(drop)));
    let label = LabelsClient::new(channel.clone()).add(v1::AddLabelRequest::default()).await;
    calls.push(("Labels/Add", label.map(drop)));
    let labels = LabelsClient::new(channel.clone()).list(v1::ListLabelsRequest::default()).await;
    calls.push(("Labels/List", labels.map(drop)));
    let backtest = PoliciesClient::new(channel.clone()).backtest(v1::BacktestRequest::default()).await;
    calls.push(("Policies/Backtest", backtest.map(drop)));
    let compared = PoliciesClient::new(channel.clone()).compare(v1::CompareRequest::default()).await;
    calls.push(("Policies/Compare", compared.map(drop)));
    // A stream that ends before its Hello: whoever may call hears that, whoever may not hears so.
    let stream = match IngestClient::new(channel).stream(tokio_stream::empty()).await {
        Ok(mut answers) => answers.get_mut().message().await.map(drop),
        Err(status) => Err(status),
    };
    calls.push(("Ingest/Stream", stream));
    calls
}

#[tokio::test]
async fn each_role_may_call_what_the_table_says() {
    let home = Home::new();
    let running = home.start().await;
    let mut lines = Vec::new();
    for who in [agent("nl-1"), viewer(), operator(), Identity { name: "col-ie".to_owned(), ..collector() }] {
        for (method, result) in call_all(home.channel(&running, &who).await).await {
            let answer = match result {
                Err(status) if status.code() == Code::PermissionDenied => status.message().to_owned(),
                _ => "allowed".to_owned(),
            };
            lines.push(format!("{who} {method}: {answer}"));
        }
    }
    insta::assert_snapshot!(lines.join("\n"));
    running.stop("test").await.unwrap();
}

async fn refusal(home: &Home, credentials: Arc<Credentials>) -> String {
    let running = home.start().await;
    let error = connect(&running, credentials).await.unwrap_err();
    running.stop("test").await.unwrap();
    error.to_string()
}

#[tokio::test]
async fn whoever_has_an_expired_certificate_is_refused() {
    let home = Home::new();
    let credentials = home.credentials_for(&viewer(), expired());
    let error = refusal(&home, credentials).await;
    assert!(error.contains("expired"), "{error}");
}

#[tokio::test]
async fn whoever_has_a_certificate_of_another_authority_is_refused() {
    let (home, stranger) = (Home::new(), Home::new());
    // It trusts the collector, so that the refusal is the collector's.
    let files = stranger.files(&viewer(), month());
    let files = uitwijk_identity::TlsFiles { ca_file: home.path("ca.pem"), ..files };
    let error = refusal(&home, Credentials::load(&files, Arc::new(SystemClock)).unwrap()).await;
    assert!(error.contains("authority"), "{error}");
}

#[tokio::test]
async fn a_collector_that_shows_an_agents_certificate_does_not_start() {
    let mut home = Home::new();
    home.tls = home.files(&agent("nl-1"), month());
    let error = home.try_start(&[], Arc::new(SystemClock)).await.unwrap_err().to_string();
    assert!(
        error.contains("is for uitwijk://agent/NL/1/nl-1, a collector needs uitwijk://collector/REGION/NAME"),
        "{error}"
    );
    home.tls = home.files(&collector(), expired());
    let error = home.try_start(&[], Arc::new(SystemClock)).await.unwrap_err().to_string();
    assert!(error.contains("expired"), "{error}");
}

#[tokio::test]
async fn garbage_on_the_ports_harms_nobody() {
    let home = Home::new();
    let running = home.start().await;
    let addresses = running.addresses();
    for address in [addresses.listen, addresses.admin] {
        for garbage in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            &[0xff; 70_000],
            &[0x16, 0x03, 0x01, 0xff, 0xff],
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ] {
            let mut tcp = tokio::net::TcpStream::connect(address).await.unwrap();
            // The other side may hang up in the middle of it.
            let _ = tcp.write_all(garbage).await;
            let _ = tcp.shutdown().await;
            let _ = tcp.read_to_end(&mut Vec::new()).await;
        }
    }
    let channel = home.channel(&running, &viewer()).await;
    assert!(VerdictsClient::new(channel).list(v1::ListVerdictsRequest::default()).await.is_ok());
    let metrics = page(addresses.admin, "/metrics").await.1;
    assert!(metrics.contains("uitwijk_collector_handshakes_failed_total{reason=\"not_tls\"}"), "{metrics}");
    running.stop("test").await.unwrap();
}

#[tokio::test]
async fn connections_beyond_the_limit_are_turned_away() {
    let home = Home::new();
    let running = home.try_start(&[("limits.connections_max", "2")], Arc::new(SystemClock)).await.unwrap();
    let first = home.channel(&running, &viewer()).await;
    let _second = home.channel(&running, &viewer()).await;
    let third = connect(&running, home.credentials(&viewer())).await;
    assert!(matches!(third, Err(ConnectError::Network { .. })), "{third:?}");
    assert!(VerdictsClient::new(first).list(v1::ListVerdictsRequest::default()).await.is_ok());
    running.stop("test").await.unwrap();
}

#[tokio::test]
async fn watchers_beyond_the_limit_are_told_the_setting() {
    let home = Home::new();
    let running = home.try_start(&[("limits.watchers_max", "1")], Arc::new(SystemClock)).await.unwrap();
    let mut client = VerdictsClient::new(home.channel(&running, &viewer()).await);
    let first = client.watch(v1::WatchVerdictsRequest::default()).await.unwrap();
    let status = client.watch(v1::WatchVerdictsRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.message(), "1 watchers are there already (limits.watchers_max)");
    drop(first);
    support::eventually("the place is free again", || {
        let mut client = client.clone();
        async move { client.watch(v1::WatchVerdictsRequest::default()).await.is_ok() }
    })
    .await;
    running.stop("test").await.unwrap();
}

#[tokio::test]
async fn a_question_that_is_too_long_is_refused() {
    let home = Home::new();
    let running = home.start().await;
    let mut client = VerdictsClient::new(home.channel(&running, &viewer()).await);
    let request = v1::GetVerdictRequest { episode: "x".repeat(100_000), ..Default::default() };
    assert_eq!(client.get(request).await.unwrap_err().code(), Code::OutOfRange);
    running.stop("test").await.unwrap();
}

#[tokio::test]
async fn reflection_and_health_answer() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    let home = Home::new();
    let running = home.start().await;
    let channel = home.channel(&running, &viewer()).await;
    drop(support::reflect(channel.clone()).await);
    let mut health = HealthClient::new(channel);
    for service in ["", "uitwijk.v1.Verdicts"] {
        let answer = health.check(HealthCheckRequest { service: service.to_owned() }).await.unwrap();
        assert_eq!(answer.into_inner().status, 1, "{service}");
    }
    // A watch of the health does not keep a stop waiting: it is told and ended.
    let mut watch = health.watch(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 1);
    running.stop("test").await.unwrap();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 2);
}

#[tokio::test]
async fn questions_about_nothing_say_what_there_is() {
    let home = Home::new();
    let running = home.start().await;
    let mut client = VerdictsClient::new(home.channel(&running, &viewer()).await);
    let mut lines = Vec::new();
    let mut note = |status: Status| lines.push(format!("{:?}: {}", status.code(), status.message()));
    note(
        client
            .get(v1::GetVerdictRequest { episode: "exchange/never".to_owned(), ..Default::default() })
            .await
            .unwrap_err(),
    );
    let timeline = |service: &str, from_us, to_us| v1::TimelineRequest {
        service: service.to_owned(),
        from_us,
        to_us,
        as_of_us: 0,
    };
    note(client.timeline(timeline("exchang", 0, 0)).await.unwrap_err());
    note(client.timeline(timeline("no name", 0, 0)).await.unwrap_err());
    note(client.timeline(timeline("exchange", 2, 1)).await.unwrap_err());
    let list = |page_size, page_token: &str| v1::ListVerdictsRequest {
        page_size,
        page_token: page_token.to_owned(),
        ..v1::ListVerdictsRequest::default()
    };
    let of = |service: &str| v1::ListVerdictsRequest { service: service.to_owned(), ..Default::default() };
    note(client.list(of("exchang")).await.unwrap_err());
    assert!(client.list(of("exchange")).await.is_ok(), "it is known, and nothing was ever wrong with it");
    let watched = |service: &str| v1::WatchVerdictsRequest { service: service.to_owned() };
    note(client.watch(watched("exchang")).await.map(drop).unwrap_err());
    note(client.watch(watched("no name")).await.map(drop).unwrap_err());
    note(client.list(list(1001, "")).await.unwrap_err());
    note(client.list(list(0, "gibberish")).await.unwrap_err());
    let mut client = MeasurementsClient::new(home.channel(&running, &viewer()).await);
    let query = v1::QueryRequest { page_token: "gibberish".to_owned(), ..v1::QueryRequest::default() };
    note(client.query(query).await.unwrap_err());
    let query = v1::QueryRequest { agent: "no name".to_owned(), ..v1::QueryRequest::default() };
    note(client.query(query).await.unwrap_err());
    insta::assert_snapshot!(lines.join("\n"));
    running.stop("test").await.unwrap();
}
