//! Do traces arrive, and do they join up across processes?
//!
//! The receiver is a real OTLP server in this test. The processes are real too: this test binary, started again with
//! the standard variables set, plays a part of its own; the last test follows the work of a whole fleet.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use uitwijk_telemetry::context::{add_link, current_traceparent, set_parent};
use uitwijk_telemetry::logging::{self, LogOptions};
use uitwijk_tests::fleet::{Fleet, FleetOptions};

/// A span and the attributes of the process that sent it.
#[derive(Debug, Clone)]
struct Arrived {
    resource: Vec<KeyValue>,
    span: Span,
}

impl Arrived {
    fn of_process(&self, key: &str) -> Option<String> {
        text_of(&self.resource, key)
    }
}

fn text_of(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        other => Some(format!("{other:?}")),
    }
}

#[derive(Debug, Clone, Default)]
struct Receiver {
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        for resource_spans in request.into_inner().resource_spans {
            let resource = resource_spans.resource.unwrap_or_default().attributes;
            let spans = resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans);
            let arrived = spans.map(|span| Arrived { resource: resource.clone(), span });
            self.arrived.lock().unwrap().extend(arrived);
        }
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Receiver {
    async fn start() -> (Self, SocketAddr) {
        let receiver = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let service = TraceServiceServer::new(receiver.clone());
        let serving = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
        (receiver, addr)
    }

    fn named(&self, name: &str) -> Option<Arrived> {
        self.arrived.lock().unwrap().iter().find(|arrived| arrived.span.name == name).cloned()
    }

    fn count(&self) -> usize {
        self.arrived.lock().unwrap().len()
    }
}

const PART: &str = "UITWIJK_TEST_TRACES_PART";
const PARENT: &str = "UITWIJK_TEST_TRACES_PARENT";

/// Plays a part in a process of its own; does nothing in an ordinary run.
#[test]
fn child() {
    let Ok(part) = std::env::var(PART) else { return };
    let guard = logging::init(&format!("uitwijk-{part}"), &LogOptions::default()).unwrap();
    match part.as_str() {
        "agent" => play_agent(),
        _ => play_collector(&std::env::var(PARENT).unwrap()),
    }
    guard.shutdown();
}

fn play_agent() {
    let attempt = tracing::info_span!(target: "uitwijk_agent", "attempt", target_id = "exchange/default@NL").entered();
    // Those of libraries stay out of it.
    tracing::info_span!(target: "hyper", "of a library").in_scope(|| ());
    println!("\ntraceparent={}", current_traceparent().unwrap_or_else(|| "none".to_owned()));
    drop(attempt);
}

fn play_collector(parent: &str) {
    let commit = tracing::info_span!(target: "uitwijk_collector", "commit");
    set_parent(&commit, parent);
    commit.in_scope(|| {
        let judge = tracing::info_span!(target: "uitwijk_collector", "judge");
        add_link(&judge, parent);
        judge.in_scope(|| tracing::info!(target: "uitwijk_collector", "judged"));
    });
}

async fn run(part: &str, variables: &[(&str, &str)]) -> (String, String) {
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    // Cleared, so that variables of the developer's own shell do not join in.
    command.args(["--exact", "child", "--nocapture"]).env_clear().env(PART, part).envs(variables.iter().copied());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(20), command.output()).await.unwrap().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{out}\n{err}");
    (out, err)
}

fn traceparent(out: &str) -> String {
    let (_, rest) = out.split_once("traceparent=").unwrap();
    rest.lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn spans_of_two_processes_arrive_as_one_trace() {
    let (receiver, addr) = Receiver::start().await;
    let endpoint = format!("http://{addr}");
    let to = ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str());
    let (out, _) = run("agent", &[to, ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=trial")]).await;
    let parent = traceparent(&out);
    run("collector", &[to, ("OTEL_SERVICE_NAME", "judge-nl"), (PARENT, &parent)]).await;

    let [attempt, commit, judge] = ["attempt", "commit", "judge"].map(|name| receiver.named(name).expect(name));
    assert_eq!(attempt.of_process("service.name").as_deref(), Some("uitwijk-agent"));
    assert_eq!(attempt.of_process("service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(attempt.of_process("deployment.environment.name").as_deref(), Some("trial"));
    assert_eq!(commit.of_process("service.name").as_deref(), Some("judge-nl"));
    assert_eq!(text_of(&attempt.span.attributes, "target_id").as_deref(), Some("exchange/default@NL"));

    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(parent, format!("00-{}-{}-01", hex(&attempt.span.trace_id), hex(&attempt.span.span_id)));
    assert_eq!(commit.span.trace_id, attempt.span.trace_id);
    assert_eq!(commit.span.parent_span_id, attempt.span.span_id);
    assert_eq!(judge.span.trace_id, attempt.span.trace_id);
    assert_eq!(judge.span.parent_span_id, commit.span.span_id);
    assert_eq!(judge.span.links[0].span_id, attempt.span.span_id);
    assert_eq!(judge.span.events[0].name, "judged");
    assert_eq!(receiver.count(), 3, "spans of libraries arrived");
}

#[tokio::test]
async fn without_the_variables_or_without_samples_nothing_arrives() {
    let (receiver, addr) = Receiver::start().await;
    let endpoint = format!("http://{addr}");
    let to = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint.as_str());
    let (off, _) = run("agent", &[]).await;
    assert_eq!(traceparent(&off), "none");
    let (disabled, _) = run("agent", &[to, ("OTEL_SDK_DISABLED", "true")]).await;
    assert_eq!(traceparent(&disabled), "none");
    let (unsampled, _) = run("agent", &[to, ("OTEL_TRACES_SAMPLER", "always_off")]).await;
    assert!(traceparent(&unsampled).ends_with("-00"), "{unsampled}");
    let (http, log) = run("agent", &[to, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]).await;
    assert_eq!(traceparent(&http), "none");
    assert!(log.contains("only grpc is spoken here"), "{log}");
    assert_eq!(receiver.count(), 0);
}

#[tokio::test]
async fn a_receiver_that_is_away_costs_spans_but_not_the_process() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let (out, log) = run("agent", &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]).await;
    assert!(traceparent(&out).ends_with("-01"), "{out}");
    assert!(log.contains("traces cannot be delivered"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_the_spans_is_counted() {
    let (receiver, addr) = Receiver::start().await;
    let (dispatch, guard) =
        logging::dispatch("trial", &LogOptions::default(), Some(&format!("http://{addr}"))).unwrap();
    let counts = guard.trace_counts().unwrap();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(guard.metrics()));
    tracing::dispatcher::with_default(&dispatch, || {
        for _ in 0..10 {
            tracing::info_span!(target: "uitwijk_agent", "attempt").in_scope(|| ());
            tracing::debug_span!(target: "uitwijk_agent", "too fine").in_scope(|| ());
        }
    });
    tokio::task::spawn_blocking(move || guard.shutdown()).await.unwrap();
    assert_eq!((counts.ended(), counts.exported(), counts.failed()), (10, 10, 0));
    assert_eq!(receiver.count(), 10);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains("uitwijk_trace_spans_total{state=\"exported\"} 10\n"), "{text}");
    assert!(text.contains("uitwijk_log_lines_dropped_total 0\n"), "{text}");
}

/// A batch that an agent sent and the same batch as a collector took it, with a commit that holds it.
fn followed(arrived: &[Arrived]) -> Option<[Arrived; 3]> {
    let of = |service: &'static str, name: &'static str| {
        arrived.iter().filter(move |a| a.span.name == name && a.of_process("service.name").as_deref() == Some(service))
    };
    of("uitwijk-agent", "attempt").next()?;
    of("uitwijk-collector", "judgement").next()?;
    of("uitwijk-agent", "batch").find_map(|sent| {
        let is_child = |taken: &&Arrived| {
            taken.span.trace_id == sent.span.trace_id && taken.span.parent_span_id == sent.span.span_id
        };
        let taken = of("uitwijk-collector", "batch").find(is_child)?;
        let holds = |commit: &&Arrived| commit.span.links.iter().any(|link| link.span_id == taken.span.span_id);
        let commit = of("uitwijk-collector", "commit").find(holds)?;
        Some([sent, taken, commit].map(Arrived::clone))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_tells_its_work_from_the_attempt_to_the_judgement() {
    let (receiver, addr) = Receiver::start().await;
    let dir = tempfile::tempdir().unwrap();
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let options = FleetOptions {
        dir: dir.path().to_owned(),
        slot: Duration::from_millis(500),
        binary: env!("CARGO_BIN_EXE_uitwijk-fleet").into(),
        env: vec![
            variable("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{addr}")),
            variable("OTEL_BSP_SCHEDULE_DELAY", "200"),
        ],
        ..FleetOptions::default()
    };
    let mut fleet = Fleet::start(&options).await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let found = loop {
        if let Some(found) = followed(&receiver.arrived.lock().unwrap()) {
            break Some(found);
        }
        if tokio::time::Instant::now() > deadline {
            break None;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    fleet.stop().await.unwrap();
    let names: std::collections::BTreeSet<_> =
        receiver.arrived.lock().unwrap().iter().map(|a| (a.of_process("service.name"), a.span.name.clone())).collect();
    let [sent, taken, _] = found.unwrap_or_else(|| panic!("no batch was followed; there are {names:?}"));
    assert!(sent.span.attributes.iter().any(|attribute| attribute.key == "first_sequence"), "{sent:?}");
    assert!(text_of(&taken.span.attributes, "agent").is_some(), "{taken:?}");
}
