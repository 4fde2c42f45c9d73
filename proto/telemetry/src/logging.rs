//! What does a process log, and who traces it?

use std::fmt;
use std::io::IsTerminal as _;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::{Dispatch, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::losses::LossMetrics;
use crate::traces::{Env, TraceCounts, Traces, Wish, wish};
use crate::writer::Lines;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for collectors of logs.
    Json,
}

impl FromStr for LogFormat {
    type Err = LoggingError;

    fn from_str(text: &str) -> Result<Self, LoggingError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(LoggingError::Format(other.to_owned())),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogOptions {
    /// How lines look.
    pub format: LogFormat,
    /// Which events: a level, or directives such as `info,uitwijk_agent=debug`.
    pub filter: String,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// An unknown format.
    #[error("log.format {0:?} is not known: use text or json")]
    Format(String),
    /// A filter that cannot be read.
    #[error(
        "log.filter {filter:?} cannot be read: {reason}; write a level (error, warn, info, debug, trace) or directives such as info,uitwijk_agent=debug"
    )]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The thread that writes could not be started.
    #[error("cannot start the thread that writes the log: {0}")]
    Thread(std::io::Error),
    /// The process logs already.
    #[error("logging was set up before in this process")]
    Twice,
}

/// Keeps logs and traces flowing; see [`Guard::shutdown`].
#[derive(Debug)]
pub struct Guard {
    lines: Lines,
    traces: Option<Traces>,
}

/// The last lines and spans get this long to leave.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

impl Guard {
    /// Sends what waits, at most a few seconds. Also happens when the guard is dropped.
    pub fn shutdown(self) {
        drop(self);
    }

    /// What became of the spans; nothing when traces are off.
    #[must_use]
    pub fn trace_counts(&self) -> Option<Arc<TraceCounts>> {
        self.traces.as_ref().map(|traces| traces.counts.clone())
    }

    /// Both of the above as metrics, for the registry of the process.
    #[must_use]
    pub fn metrics(&self) -> LossMetrics {
        LossMetrics { lines: self.lines.clone(), spans: self.trace_counts() }
    }

    /// Log lines dropped because nobody read them.
    #[must_use]
    pub fn lines_dropped(&self) -> u64 {
        self.lines.dropped()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(traces) = &mut self.traces {
            traces.stop(FLUSH_LIMIT);
        }
        self.lines.flush(FLUSH_LIMIT);
    }
}

/// Sets up logging to stderr, and traces when the environment asks for them, for the whole process.
///
/// # Errors
/// When an option cannot be used, or it was done before.
pub fn init(service: &str, options: &LogOptions) -> Result<Guard, LoggingError> {
    let env = |name: &str| std::env::var(name).ok();
    let (dispatch, guard, trouble) = build(service, options, &env)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| LoggingError::Twice)?;
    if let Some(reason) = trouble {
        tracing::warn!(reason, "traces are asked for but stay off");
    }
    Ok(guard)
}

/// What [`init`] sets up, for a part of a process only; `endpoint` is where spans go, if anywhere.
///
/// # Errors
/// When an option cannot be used.
pub fn dispatch(
    service: &str,
    options: &LogOptions,
    endpoint: Option<&str>,
) -> Result<(Dispatch, Guard), LoggingError> {
    let env = |name: &str| endpoint.filter(|_| name == "OTEL_EXPORTER_OTLP_ENDPOINT").map(str::to_owned);
    let (dispatch, guard, _) = build(service, options, &env)?;
    Ok((dispatch, guard))
}

/// With the reason why traces stay off although they are asked for.
fn build(service: &str, options: &LogOptions, env: Env<'_>) -> Result<(Dispatch, Guard, Option<String>), LoggingError> {
    let lines = Lines::start(std::io::stderr()).map_err(LoggingError::Thread)?;
    let subscriber = Registry::default().with(log_layer(options, lines.clone())?);
    let (traces, trouble) = match wish(env) {
        Wish::Off => (None, None),
        Wish::Impossible(reason) => (None, Some(reason)),
        Wish::To(endpoint) => match Traces::start(service, &endpoint) {
            Ok(traces) => (Some(traces), None),
            Err(reason) => (None, Some(reason)),
        },
    };
    // An absent layer would still count as one that wants every span, so there are two kinds of subscriber.
    let dispatch = match &traces {
        None => Dispatch::new(subscriber),
        Some(traces) => Dispatch::new(subscriber.with(span_layer(traces))),
    };
    Ok((dispatch, Guard { lines, traces }, trouble))
}

fn span_layer<S>(traces: &Traces) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_opentelemetry::layer()
        .with_tracer(traces.tracer())
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(is_ours))
}

/// The spans of the project, not those of the libraries: the exporter's own would make more of themselves.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("uitwijk") && *metadata.level() <= Level::INFO
}

/// Events, and the questions whether one would be logged.
fn is_no_span(metadata: &Metadata<'_>) -> bool {
    !metadata.is_span()
}

/// Logs events only. A span that nobody traces is thereby wanted by no layer, and is not made at all.
fn log_layer<S>(options: &LogOptions, lines: Lines) -> Result<impl Layer<S> + use<S>, LoggingError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let filter = EnvFilter::builder()
        .parse(&options.filter)
        .map_err(|error| LoggingError::Filter { filter: options.filter.clone(), reason: error.to_string() })?;
    let base = tracing_subscriber::fmt::layer().with_writer(lines);
    let layer = match options.format {
        LogFormat::Text => base.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => base.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    };
    Ok(layer.with_filter(filter_fn(is_no_span).and(filter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_traces_off_a_span_is_not_made_even_when_everything_is_logged() {
        let options = LogOptions { filter: "trace".to_owned(), ..LogOptions::default() };
        let (dispatch, guard) = dispatch("trial", &options, None).unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            assert!(tracing::error_span!(target: "uitwijk_agent", "attempt").is_disabled());
            assert!(tracing::enabled!(target: "uitwijk_agent", Level::TRACE));
        });
        assert!(guard.trace_counts().is_none());
    }

    #[test]
    fn a_wrong_option_says_what_is_allowed() {
        let filter = LogOptions { filter: "info,uitwijk=loud".to_owned(), ..LogOptions::default() };
        let error = dispatch("trial", &filter, None).err().map(|error| error.to_string()).unwrap_or_default();
        insta::assert_snapshot!(format!("{error}\n{}", "xml".parse::<LogFormat>().unwrap_err()));
    }
}
