//! How does a trace go on in another process?
//!
//! As one line of text, the `traceparent` of W3C Trace Context: `00-<trace, 32 hex>-<span, 16 hex>-<flags, 2 hex>`. It travels in
//! batches and with probes. Text that is not one is ignored: it says nothing, and must not cost a measurement.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// That of the current span; nothing when traces are off.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    traceparent_of(&Span::current())
}

/// That of a span; nothing when it is not traced.
#[must_use]
pub fn traceparent_of(span: &Span) -> Option<String> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let span = context.span();
    let ids = span.span_context();
    ids.is_valid().then(|| write(ids))
}

/// Makes a span the child of one elsewhere. To be called before the span is entered. `false` when the text is not a
/// `traceparent`, the span is not traced, or it began already.
pub fn set_parent(span: &Span, traceparent: &str) -> bool {
    if span.is_disabled() {
        return false;
    }
    let Some(remote) = parse(traceparent) else { return false };
    span.set_parent(Context::new().with_remote_span_context(remote)).is_ok()
}

/// Says that a span has to do with one elsewhere, as a commit has with every batch in it. `false` when the text is not
/// a `traceparent` or the span is not traced.
pub fn add_link(span: &Span, traceparent: &str) -> bool {
    if span.is_disabled() {
        return false;
    }
    let Some(remote) = parse(traceparent) else { return false };
    span.add_link(remote);
    true
}

fn write(ids: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", ids.trace_id(), ids.span_id(), ids.trace_flags().to_u8() & 1)
}

fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    // A later version may have more parts; version 0 has not, and ff never is one.
    let right_length = version != "00" || parts.next().is_none();
    if !(hex(version, 2) && version != "ff" && hex(trace, 32) && hex(span, 16) && hex(flags, 2) && right_length) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()? & 1);
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let ids = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    ids.is_valid().then_some(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_traceparent_is_taken() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(parse(good).map(|ids| write(&ids)).as_deref(), Some(good));
        assert!(parse("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later").is_some());
        for bad in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319é-b7ad6b716920333-01",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
