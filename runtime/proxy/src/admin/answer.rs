//! Which question gets which answer.

use super::{facts, prometheus, route, stats};
use crate::{metrics::lock, proxy::Handle};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::{net::IpAddr, sync::atomic::Ordering};

/// Answers one request to the admin server.
pub(super) async fn answer(handle: &Handle, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let shared = handle.shared();
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let query = parts.uri.query().unwrap_or_default();
    if !is_own_name(&parts.headers) {
        return text(StatusCode::FORBIDDEN, "the admin server answers to loopback names only\n");
    }
    if parts.method == Method::POST && is_cross_site(&parts.headers) {
        return text(StatusCode::FORBIDDEN, "a page of another site may not ask for this\n");
    }
    match (&parts.method, path) {
        (&Method::GET, "/") => text(StatusCode::OK, INDEX),
        (&Method::GET, "/healthz") => text(StatusCode::OK, "ok\n"),
        (&Method::GET, "/readyz") => {
            if shared.draining.load(Ordering::Relaxed) {
                text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
            } else {
                text(StatusCode::OK, "ready\n")
            }
        }
        (&Method::GET, "/metrics") => exposition(prometheus::render(handle)),
        (&Method::GET, "/stats" | "/stats/prometheus") => {
            match stats::Asked::of(query, path == "/stats/prometheus").map(|asked| stats::stats(handle, &asked)) {
                Ok(stats::Stats::Text(stats)) => text(StatusCode::OK, stats),
                Ok(stats::Stats::Json(stats)) => document(StatusCode::OK, &stats),
                Ok(stats::Stats::Prometheus(stats)) => exposition(stats),
                Err(message) => problem(StatusCode::BAD_REQUEST, &message),
            }
        }
        (&Method::GET, "/table") => document(StatusCode::OK, &facts::table(handle)),
        (&Method::GET, "/status") => document(StatusCode::OK, &facts::status(handle)),
        (&Method::GET, "/route") => match route::from_query(query) {
            Ok(request) => decide(handle, &request),
            Err(message) => problem(StatusCode::BAD_REQUEST, &message),
        },
        (&Method::POST, "/route") => {
            let limit = shared.options.limits.admin_body_bytes;
            match Limited::new(body, limit).collect().await {
                Ok(body) => match serde_json::from_slice(&body.to_bytes()) {
                    Ok(request) => decide(handle, &request),
                    Err(error) => problem(StatusCode::BAD_REQUEST, &format!("the body is no request: {error}")),
                },
                Err(error) => problem(StatusCode::PAYLOAD_TOO_LARGE, &error.to_string()),
            }
        }
        (&Method::POST, "/reload") => reload(handle).await,
        (&Method::POST, "/drain") => {
            handle.drain();
            text(StatusCode::OK, "draining\n")
        }
        (_, "/reload" | "/drain") => method_not_allowed("POST"),
        (&Method::GET, _) => {
            let name = path.trim_start_matches('/');
            let published = lock(&shared.documents).get(name).cloned();
            match published {
                Some(value) => document(StatusCode::OK, &value),
                None => problem(StatusCode::NOT_FOUND, &format!("there is nothing at {path}; / lists what there is")),
            }
        }
        _ => method_not_allowed("GET"),
    }
}

const INDEX: &str = "\
GET  /healthz   the process answers
GET  /readyz    it takes requests (503 while draining)
GET  /metrics   counters, for Prometheus
GET  /stats[?filter=REGEX][&usedonly][&format=json|prometheus]   the same by Envoy's names
GET  /table     the running table: proxies, listeners, rules with their hits
GET  /status    listeners, reloads, and what the last compile said
GET  /findings  what the compiler found
GET  /mock      calls of each stand-in
GET  /route?url=URL[&method=M][&via=V][&header=NAME:VALUE]...   which rule takes the request
POST /route     the same, for a request as JSON
POST /reload    compile and load again
POST /drain     stop listening, end connections after the request at hand
";

/// A page of the web must not be able to ask for a reload by a name that it points at loopback.
fn is_own_name(headers: &http::HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    host.to_str().is_ok_and(|host| is_local_or(host, |_| true))
}

/// Nor by a form or a simple fetch, which browsers send unasked, though they say where it comes from. What comes from
/// this machine, or from the very server that is asked, is its owner's.
fn is_cross_site(headers: &http::HeaderMap) -> bool {
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
    let is_own = |origin: &HeaderValue| {
        let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        authority.is_some_and(|(_, authority)| {
            host == Some(authority.as_bytes()) || is_local_or(authority, |ip| ip.is_loopback())
        })
    };
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    site == Some(b"cross-site") || headers.get_all(header::ORIGIN).iter().any(|origin| !is_own(origin))
}

/// Whether an authority, with or without a port, is a name of loopback, or an IP address that is `fit`.
fn is_local_or(authority: &str, fit: impl Fn(IpAddr) -> bool) -> bool {
    let name = malha_table::http::host_key(authority);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.ends_with(".localhost") || name.parse().is_ok_and(fit)
}

fn decide(handle: &Handle, request: &malha_table::Request) -> Response<Full<Bytes>> {
    match route::decide(handle, request) {
        Ok(decision) => document(StatusCode::OK, &decision),
        Err(message) => problem(StatusCode::UNPROCESSABLE_ENTITY, &message),
    }
}

async fn reload(handle: &Handle) -> Response<Full<Bytes>> {
    let Some(reload) = handle.shared().options.on_reload.clone() else {
        return problem(StatusCode::NOT_IMPLEMENTED, "this proxy was started without a way to load its table again");
    };
    match tokio::task::spawn_blocking(move || reload.call()).await {
        Ok(Ok(report)) => document(StatusCode::OK, &report),
        Ok(Err(message)) => problem(StatusCode::UNPROCESSABLE_ENTITY, &message),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "the reload panicked; the table at hand stays"),
    }
}

/// In Prometheus' text format.
fn exposition(metrics: String) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::OK, metrics);
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn problem(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    document(status, &json!({ "error": message }))
}

fn method_not_allowed(allowed: &'static str) -> Response<Full<Bytes>> {
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, &format!("only {allowed} is answered here"));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

fn document(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut response = text(status, format!("{value:#}\n"));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
