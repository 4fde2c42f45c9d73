//! A process from outside: its admin pages over a real socket, and the signals it gets.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uitwijk_telemetry::admin::{AdminState, serve};
use uitwijk_telemetry::signals::{Signal, Signals};
use uitwijk_telemetry::{Health, ProcessMetrics};

struct Admin {
    addr: SocketAddr,
    health: Health,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn admin(extra: Router) -> Admin {
    let mut registry = Registry::default();
    let counter = Counter::<u64>::default();
    registry.register("uitwijk_trial", "Things tried", counter.clone());
    registry.register_collector(Box::new(ProcessMetrics));
    counter.inc();
    let health = Health::waiting_for(["plan", "buffer"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let state = AdminState { registry: Arc::new(registry), health: health.clone(), extra };
    let stop = CancellationToken::new();
    let task = tokio::spawn(serve(listener, state, stop.clone()));
    Admin { addr, health, stop, task }
}

async fn ask(addr: SocketAddr, path: &str) -> (String, String) {
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    tcp.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn metrics_are_open_metrics_with_their_type() {
    let admin = admin(Router::new()).await;
    let (head, body) = ask(admin.addr, "/metrics").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    assert!(body.contains("uitwijk_trial_total 1\n"), "{body}");
    assert!(body.contains("process_resident_memory_bytes "), "{body}");
    assert!(body.ends_with("# EOF\n"), "{body}");
}

#[tokio::test]
async fn ready_lists_what_is_missing_and_healthy_does_not_care() {
    let admin = admin(Router::new().route("/extra", get(|| async { "more" }))).await;
    let (head, body) = ask(admin.addr, "/-/ready").await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert_eq!(body, "buffer: not started yet\nplan: not started yet\n");
    admin.health.set("plan", Err("no collector has answered yet".to_owned()));
    admin.health.set("buffer", Ok(()));
    assert_eq!(ask(admin.addr, "/-/ready").await.1, "plan: no collector has answered yet\n");
    admin.health.set("plan", Ok(()));
    assert_eq!(ask(admin.addr, "/-/ready").await.1, "ready\n");
    admin.health.set("buffer", Err("disk full".to_owned()));
    assert!(ask(admin.addr, "/-/ready").await.0.starts_with("HTTP/1.1 503"));
    assert_eq!(ask(admin.addr, "/-/healthy").await.1, "healthy\n");
    assert_eq!(ask(admin.addr, "/extra").await.1, "more");
    assert!(ask(admin.addr, "/nothing").await.0.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn it_stops_with_idle_and_with_stuck_connections_open() {
    let stuck = Router::new().route("/stuck", get(std::future::pending::<&'static str>));
    let admin = admin(stuck).await;
    let idle = TcpStream::connect(admin.addr).await.unwrap();
    let mut waiting = TcpStream::connect(admin.addr).await.unwrap();
    waiting.write_all(b"GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert_eq!(ask(admin.addr, "/-/healthy").await.1, "healthy\n");
    admin.stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), admin.task).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(admin.addr).await.is_err());
    for mut cut in [idle, waiting] {
        assert!(matches!(cut.read(&mut [0; 16]).await, Ok(0) | Err(_)));
    }
}

#[tokio::test]
async fn a_request_under_way_at_the_stop_gets_its_answer() {
    let (asked, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (asked.clone(), go.clone());
    let slow = get(move || async move {
        tell.notify_one();
        wait.notified().await;
        "done"
    });
    let admin = admin(Router::new().route("/slow", slow)).await;
    let asking = tokio::spawn(ask(admin.addr, "/slow"));
    asked.notified().await;
    admin.stop.cancel();
    // Once nobody is let in any more, the connection has heard of the stop too.
    while TcpStream::connect(admin.addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    go.notify_one();
    assert_eq!(asking.await.unwrap().1, "done");
    admin.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn signals_become_requests() {
    let mut signals = Signals::new().unwrap();
    for (name, expected) in
        [("HUP", Signal::Reload), ("TERM", Signal::Stop("SIGTERM")), ("INT", Signal::Stop("SIGINT"))]
    {
        let kill = format!("kill -{name} {}", std::process::id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        assert_eq!(signals.next().await, expected);
    }
}
