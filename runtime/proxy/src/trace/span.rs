//! Spans, and OTLP's JSON for them.

use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Something that took its time, as part of a trace.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) trace: u128,
    pub(super) id: u64,
    pub(super) parent: Option<u64>,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) start: SystemTime,
    pub(super) end: SystemTime,
    pub(super) attributes: Attributes,
    pub(super) is_error: bool,
}

/// Whose view of a call it is; the numbers are OTLP's.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Server = 2,
    Client = 3,
}

/// Texts by name: Envoy has no other values.
#[derive(Debug, Default)]
pub(super) struct Attributes(Vec<(&'static str, String)>);

impl Attributes {
    pub(super) fn add(&mut self, name: &'static str, value: impl Display) {
        self.0.push((name, value.to_string()));
    }

    pub(super) fn add_some(&mut self, name: &'static str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }
}

/// The spans of one request, with the name of the service whose proxy it is.
#[derive(Debug)]
pub(super) struct Spans {
    pub(super) service: Arc<str>,
    pub(super) spans: Vec<Span>,
}

/// A request for a collector (`ExportTraceServiceRequest`).
pub(super) fn export_request(batch: &[Spans]) -> Value {
    let mut by_service: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for Spans { service, spans } in batch {
        by_service.entry(service).or_default().extend(spans.iter().map(span));
    }
    let resources = by_service.into_iter().map(|(service, spans)| {
        json!({
            "resource": { "attributes": [attribute("service.name", service)] },
            "scopeSpans": [{
                "scope": { "name": "malha", "version": env!("CARGO_PKG_VERSION") },
                "spans": spans,
            }],
        })
    });
    json!({ "resourceSpans": resources.collect::<Vec<_>>() })
}

fn attribute(name: &str, value: &str) -> Value {
    json!({ "key": name, "value": { "stringValue": value } })
}

/// Identifiers are hexadecimal there, and numbers of 64 bits are text.
fn span(span: &Span) -> Value {
    let attributes = span.attributes.0.iter().map(|(name, value)| attribute(name, value));
    json!({
        "traceId": format!("{:032x}", span.trace),
        "spanId": format!("{:016x}", span.id),
        "parentSpanId": span.parent.map(|parent| format!("{parent:016x}")).unwrap_or_default(),
        "name": span.name,
        "kind": span.kind as u8,
        "startTimeUnixNano": nanoseconds(span.start),
        "endTimeUnixNano": nanoseconds(span.end),
        "attributes": attributes.collect::<Vec<_>>(),
        "status": if span.is_error { json!({ "code": 2 }) } else { json!({}) },
    })
}

fn nanoseconds(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}
