//! Where do spans go?
//!
//! ```text
//!   OTEL_* say an endpoint? --no--> nowhere: no layer, no spans, no cost
//!            | yes
//!   span ends --> queue of the SDK (bounded, OTEL_BSP_*) --> OTLP over gRPC, on a runtime of its own
//! ```
//!
//! The exporter has its own small runtime, so spans can be flushed after that of the process has ended, and a
//! process without traces pays for neither.
//!
//! Read by us: `OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER`, `OTEL_EXPORTER_OTLP_[TRACES_]ENDPOINT`,
//! `OTEL_EXPORTER_OTLP_[TRACES_]PROTOCOL`. Read by the SDK: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`,
//! `OTEL_TRACES_SAMPLER[_ARG]`, `OTEL_BSP_*`, `OTEL_SPAN_*_LIMIT`, headers, timeout and compression of the exporter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, SdkTracer, SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor,
};
use tokio::runtime::Runtime;

/// The environment of the process, or what a test puts in its place.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What the variables ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// No traces.
    Off,
    /// To this endpoint.
    To(String),
    /// Something that cannot be done, and why.
    Impossible(String),
}

pub(crate) fn wish(env: Env<'_>) -> Wish {
    let set = |name: &str| env(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    let for_traces = |name: &str| {
        let (traces, all) = (format!("OTEL_EXPORTER_OTLP_TRACES_{name}"), format!("OTEL_EXPORTER_OTLP_{name}"));
        set(&traces).map(|value| (traces, value)).or_else(|| set(&all).map(|value| (all, value)))
    };
    if set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Wish::Off;
    }
    let exporter = set("OTEL_TRACES_EXPORTER");
    let endpoint = for_traces("ENDPOINT");
    match (exporter.as_deref(), &endpoint) {
        (Some("none"), _) | (None, None) => return Wish::Off,
        (Some("otlp") | None, _) => {}
        (Some(other), _) => {
            return Wish::Impossible(format!(
                "OTEL_TRACES_EXPORTER is {other:?}, but only otlp and none are known here"
            ));
        }
    }
    match for_traces("PROTOCOL") {
        Some((name, value)) if value != "grpc" => {
            return Wish::Impossible(format!(
                "{name} is {value:?}, but only grpc is spoken here: set it to grpc, and the endpoint to a gRPC port (4317 by custom)"
            ));
        }
        _ => {}
    }
    let (name, url) = endpoint.unwrap_or_else(|| ("the default".to_owned(), "http://localhost:4317".to_owned()));
    if !url.starts_with("http://") {
        return Wish::Impossible(format!(
            "{name} is {url:?}, but only http:// is spoken here: send to an OpenTelemetry collector on this machine or \
             network, and let it encrypt"
        ));
    }
    Wish::To(url)
}

/// What became of the spans. `ended = exported + failed + dropped + waiting`.
#[derive(Debug, Default)]
pub struct TraceCounts {
    ended: AtomicU64,
    exported: AtomicU64,
    failed: AtomicU64,
    down: AtomicBool,
}

impl TraceCounts {
    /// Sampled spans that ended.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// Spans that the receiver took.
    #[must_use]
    pub fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// Spans lost because the receiver did not take them.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// Counts what ends; the rest is the batch processor's business.
#[derive(Debug)]
struct CountingProcessor {
    counts: Arc<TraceCounts>,
    batch: BatchSpanProcessor,
}

impl SpanProcessor for CountingProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batch.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        self.counts.ended.fetch_add(1, Ordering::Relaxed);
        self.batch.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batch.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batch.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batch.set_resource(resource);
    }
}

/// Counts what arrives, and logs when the receiver goes away and comes back.
#[derive(Debug)]
struct CountingExporter {
    counts: Arc<TraceCounts>,
    endpoint: String,
    otlp: OtlpExporter,
}

impl SpanExporter for CountingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.otlp.export(batch).await;
        let counter = if result.is_ok() { &self.counts.exported } else { &self.counts.failed };
        counter.fetch_add(spans, Ordering::Relaxed);
        let was_down = self.counts.down.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Err(error) if !was_down => {
                tracing::warn!(endpoint = self.endpoint, %error, "traces cannot be delivered, spans are lost until they can");
            }
            Ok(()) if was_down => tracing::info!(endpoint = self.endpoint, "traces are delivered again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.otlp.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.otlp.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.otlp.set_resource(resource);
    }
}

/// The running export.
#[derive(Debug)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    pub(crate) counts: Arc<TraceCounts>,
    runtime: Option<Runtime>,
}

impl Traces {
    pub(crate) fn start(service: &str, endpoint: &str) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("traces")
            .enable_all()
            .build()
            .map_err(|error| format!("no thread for the exporter: {error}"))?;
        let inside = runtime.enter();
        let otlp =
            OtlpExporter::builder().with_tonic().with_endpoint(endpoint).build().map_err(|error| error.to_string())?;
        drop(inside);
        let counts = Arc::new(TraceCounts::default());
        let exporter = CountingExporter { counts: counts.clone(), endpoint: endpoint.to_owned(), otlp };
        let batch = BatchSpanProcessor::builder(exporter).build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(CountingProcessor { counts: counts.clone(), batch })
            .with_resource(resource(service))
            .build();
        Ok(Self { provider, counts, runtime: Some(runtime) })
    }

    pub(crate) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("uitwijk")
    }

    /// Sends what waits, within the limit.
    pub(crate) fn stop(&mut self, limit: Duration) {
        let Some(runtime) = self.runtime.take() else { return };
        if let Err(error) = self.provider.shutdown_with_timeout(limit) {
            tracing::warn!(%error, "some traces could not be delivered before the end");
        }
        runtime.shutdown_background();
    }
}

/// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` go first, then our own name.
fn resource(service: &str) -> Resource {
    let given = Resource::builder().build();
    let named = given
        .get_ref(&Key::from_static_str("service.name"))
        .is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let mut builder = Resource::builder();
    if !named {
        builder = builder.with_service_name(service.to_owned());
    }
    if given.get_ref(&Key::from_static_str("service.version")).is_none() {
        builder = builder.with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(variables: &[(&str, &str)]) -> Wish {
        wish(&|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_variables_decide() {
        let to = |url: &str| Wish::To(url.to_owned());
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4317");
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:4317");
        for (variables, expected) in [
            (vec![], Wish::Off),
            (vec![("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], Wish::Off),
            (vec![all], to("http://a:4317")),
            (vec![all, own], to("http://b:4317")),
            (vec![all, ("OTEL_SDK_DISABLED", "true")], Wish::Off),
            (vec![all, ("OTEL_TRACES_EXPORTER", "none")], Wish::Off),
            (vec![("OTEL_TRACES_EXPORTER", "otlp")], to("http://localhost:4317")),
            (vec![all, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], to("http://a:4317")),
        ] {
            assert_eq!(asked(&variables), expected, "{variables:?}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318");
        let said: Vec<String> = [
            vec![all, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")],
            vec![all, ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json")],
            vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "https://a:4317")],
            vec![all, ("OTEL_TRACES_EXPORTER", "console")],
        ]
        .iter()
        .map(|variables| match asked(variables) {
            Wish::Impossible(reason) => reason,
            other => panic!("{other:?}"),
        })
        .collect();
        insta::assert_snapshot!(said.join("\n"));
    }
}
