//! An access log line as JSON: the keys and values of Istio's default format, and the rule.

use crate::{
    access_log::{Entry, NO_DETAILS, text},
    text_line::version,
};
use http::Method;
use serde::Serialize;
use std::{borrow::Cow, fmt, net::SocketAddr};

/// In the order of their names, as Envoy writes them. What there is nothing to say of is null.
#[derive(Serialize)]
pub(crate) struct JsonLine<'e> {
    authority: Option<&'e str>,
    bytes_received: u64,
    bytes_sent: u64,
    /// Not known here.
    connection_termination_details: Option<&'e str>,
    downstream_local_address: SocketAddr,
    downstream_remote_address: SocketAddr,
    /// In milliseconds.
    duration: u64,
    malha_rule: Option<&'e str>,
    method: Option<&'e str>,
    path: Option<&'e str>,
    protocol: Option<&'static str>,
    request_id: Option<Cow<'e, str>>,
    requested_server_name: Option<&'e str>,
    response_code: u16,
    response_code_details: Option<&'e str>,
    /// `-` for none, as Envoy has it.
    response_flags: String,
    route_name: Option<&'e str>,
    start_time: String,
    upstream_cluster: Option<&'e str>,
    upstream_host: Option<SocketAddr>,
    upstream_local_address: Option<SocketAddr>,
    /// In milliseconds, as text, since Envoy takes it from a header.
    upstream_service_time: Option<String>,
    upstream_transport_failure_reason: Option<&'e str>,
    user_agent: Option<Cow<'e, str>>,
    x_forwarded_for: Option<Cow<'e, str>>,
}

impl<'e> JsonLine<'e> {
    pub(crate) fn of(entry: &'e Entry) -> Self {
        JsonLine {
            authority: entry.authority.as_deref(),
            bytes_received: entry.received,
            bytes_sent: entry.sent,
            connection_termination_details: None,
            downstream_local_address: entry.client.destination(),
            downstream_remote_address: entry.remote(),
            duration: u64::try_from(entry.duration.as_millis()).unwrap_or(u64::MAX),
            malha_rule: entry.rule.as_deref(),
            method: entry.method.as_ref().map(Method::as_str),
            path: entry.path.as_deref(),
            protocol: entry.version.map(version),
            request_id: entry.request_id.as_ref().map(text),
            requested_server_name: entry.server_name(),
            response_code: entry.code,
            response_code_details: Some(entry.details).filter(|details| *details != NO_DETAILS),
            response_flags: entry.flags.to_string(),
            route_name: entry.route_name.as_deref(),
            start_time: crate::time::Iso(entry.start).to_string(),
            upstream_cluster: entry.cluster.as_deref(),
            upstream_host: entry.upstream.as_ref().and_then(|ends| ends.peer),
            upstream_local_address: entry.upstream.as_ref().and_then(|ends| ends.local),
            upstream_service_time: entry.upstream_time.map(|time| time.as_millis().to_string()),
            upstream_transport_failure_reason: entry.transport_failure.as_deref(),
            user_agent: entry.user_agent.as_ref().map(text),
            x_forwarded_for: entry.forwarded_for.as_ref().map(text),
        }
    }
}

impl fmt::Display for JsonLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}
