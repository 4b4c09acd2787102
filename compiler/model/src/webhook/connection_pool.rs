//! What the webhook refuses of a connection pool, in a DestinationRule or a Sidecar.

use super::{
    Judge,
    durations::{check_duration, check_duration_or_none},
};
use crate::{
    Spanned,
    istio::destination_rule::{ConnectionPoolSettings, H2UpgradePolicy, HttpKeepalive, HttpSettings, TcpSettings},
    rules::{EXCLUSIVE_FIELDS, MISSING_FIELD, OUT_OF_RANGE},
};
use malha_syntax::Finding;
use std::fmt;

/// Judges the pool at `path`.
pub(super) fn check(pool: &Spanned<ConnectionPoolSettings>, path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    if pool.tcp.is_none() && pool.http.is_none() {
        let message = "a connection pool must limit something, and this one is empty";
        let help = "add `tcp` or `http`, or leave the connection pool out";
        judge.refuse(&MISSING_FIELD, path.to_string(), Judge::head(pool), message, help);
    }
    if let Some(tcp) = &pool.tcp {
        check_tcp(tcp, format_args!("{path}.tcp"), judge);
    }
    if let Some(http) = &pool.http {
        check_http(http, format_args!("{path}.http"), judge);
    }
}

fn check_tcp(tcp: &TcpSettings, path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    check_count(tcp.max_connections.as_ref(), "maxConnections", path, judge);
    check_duration(tcp.connect_timeout.as_ref(), format_args!("{path}.connectTimeout"), judge);
    check_duration(tcp.max_connection_duration.as_ref(), format_args!("{path}.maxConnectionDuration"), judge);
    check_duration_or_none(tcp.idle_timeout.as_ref(), format_args!("{path}.idleTimeout"), judge);
    if let Some(keepalive) = &tcp.tcp_keepalive {
        check_duration(keepalive.time.as_ref(), format_args!("{path}.tcpKeepalive.time"), judge);
        check_duration(keepalive.interval.as_ref(), format_args!("{path}.tcpKeepalive.interval"), judge);
    }
}

fn check_http(http: &HttpSettings, path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    check_count(http.http1_max_pending_requests.as_ref(), "http1MaxPendingRequests", path, judge);
    check_count(http.http2_max_requests.as_ref(), "http2MaxRequests", path, judge);
    check_count(http.max_requests_per_connection.as_ref(), "maxRequestsPerConnection", path, judge);
    check_count(http.max_retries.as_ref(), "maxRetries", path, judge);
    check_count(http.max_concurrent_streams.as_ref(), "maxConcurrentStreams", path, judge);
    check_duration(http.idle_timeout.as_ref(), format_args!("{path}.idleTimeout"), judge);
    let upgrade = http.h2_upgrade_policy.as_ref().filter(|policy| policy.value == H2UpgradePolicy::Upgrade);
    let keep = http.use_client_protocol.as_ref().filter(|keep| keep.value);
    if let (Some(upgrade), Some(keep)) = (upgrade, keep) {
        let message = "the client's version of HTTP cannot be kept where HTTP/1.1 is always upgraded";
        let finding = Finding::new(&EXCLUSIVE_FIELDS, judge.reader.location(keep.span), message)
            .field(format!("{path}.useClientProtocol"))
            .related(judge.reader.location(upgrade.span), "the upgrade is here")
            .help("remove `useClientProtocol` or `h2UpgradePolicy: UPGRADE`");
        judge.report(finding);
    }
    if let Some(keepalive) = &http.http2_keep_alive {
        check_keepalive(keepalive, format_args!("{path}.http2KeepAlive"), judge);
    }
}

/// Pings need both: how often, and how long to wait for the answer.
fn check_keepalive(keepalive: &Spanned<HttpKeepalive>, path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    for (name, duration) in [("interval", &keepalive.interval), ("timeout", &keepalive.timeout)] {
        if duration.is_some() {
            check_duration(duration.as_ref(), format_args!("{path}.{name}"), judge);
            continue;
        }
        let message = format!("`{name}` is missing, and pings need both `interval` and `timeout`");
        let help = format!("add `{name}`");
        judge.refuse(&MISSING_FIELD, format!("{path}.{name}"), Judge::head(keepalive), message, help);
    }
}

fn check_count(count: Option<&Spanned<i32>>, name: &str, path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    let Some(count) = count.filter(|count| count.value < 0) else { return };
    let message = format!("`{name}` is {}, and there cannot be fewer than none", count.value);
    let help = "write a positive number, or leave it out for the default";
    judge.refuse(&OUT_OF_RANGE, format!("{path}.{name}"), count.span, message, help);
}
