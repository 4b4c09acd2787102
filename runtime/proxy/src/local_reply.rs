//! Answers of the proxy's own: errors with Envoy's status, body and flags (semantics C.12).

use crate::flags::Flags;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};

/// What the proxy itself answers.
#[derive(Clone, Debug)]
pub(crate) struct LocalReply {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    pub(crate) flags: Flags,
    /// Envoy's response code details.
    pub(crate) details: &'static str,
    /// What a gRPC request is answered; none: what stands for the status.
    pub(crate) grpc_status: Option<u16>,
    /// Whether it is since too much is asked at once: clients are told so (semantics D38).
    pub(crate) is_overload: bool,
    /// Whether the connection ends with it, since what follows on it cannot be trusted.
    pub(crate) close: bool,
}

impl LocalReply {
    pub(crate) fn new(status: StatusCode, body: impl Into<Bytes>, flags: Flags, details: &'static str) -> Self {
        LocalReply { status, body: body.into(), flags, details, grpc_status: None, is_overload: false, close: false }
    }

    /// No virtual host, or no route of it.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "", Flags::NO_ROUTE, "route_not_found")
    }

    /// The destination names a cluster that is not there.
    pub(crate) fn no_cluster() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "", Flags::NO_CLUSTER, "cluster_not_found")
    }

    /// The cluster has no usable endpoint.
    pub(crate) fn no_healthy_upstream() -> Self {
        let flags = Flags::NO_HEALTHY_UPSTREAM;
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "no healthy upstream", flags, "no_healthy_upstream")
    }

    /// The route's timeout, or that of its last try (semantics C42, C55).
    pub(crate) fn timeout(details: &'static str) -> Self {
        let flags = Flags::UPSTREAM_TIMEOUT;
        Self::new(StatusCode::GATEWAY_TIMEOUT, "upstream request timeout", flags, details)
    }

    /// The client has sent nothing of its body for too long: the rest of it cannot be waited for.
    pub(crate) fn stream_timeout() -> Self {
        let reply = Self::new(StatusCode::REQUEST_TIMEOUT, "stream timeout", Flags::STREAM_IDLE, "stream_idle_timeout");
        LocalReply { close: true, ..reply }
    }

    /// A request that is not HTTP as Envoy reads it.
    pub(crate) fn bad_request(status: StatusCode, body: &'static str, details: &'static str) -> Self {
        LocalReply { close: true, ..Self::new(status, body, Flags::DOWNSTREAM_PROTOCOL_ERROR, details) }
    }

    /// A wish for a protocol that connections are not changed to (semantics A65).
    pub(crate) fn upgrade_failed() -> Self {
        LocalReply { close: true, ..Self::new(StatusCode::FORBIDDEN, "", Flags::default(), "upgrade_failed") }
    }

    /// The answer, in gRPC's form where the request is gRPC's; without the type of its text.
    pub(crate) fn response(&self, is_grpc: bool) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        if self.is_overload {
            headers.insert(OVERLOADED, HeaderValue::from_static("true"));
        }
        if is_grpc {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers
                .insert(GRPC_STATUS, HeaderValue::from(self.grpc_status.unwrap_or_else(|| grpc_status(self.status))));
            if let Some(message) = grpc_message(&self.body) {
                headers.insert(GRPC_MESSAGE, message);
            }
            return response;
        }
        *response.status_mut() = self.status;
        *response.body_mut() = self.body.clone();
        response
    }
}

pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Whether a request is gRPC's: `application/grpc`, alone or with a `+` suffix.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(CONTENT_TYPE) else { return false };
    matches!(content_type.as_bytes().strip_prefix(b"application/grpc"), Some([] | [b'+', ..]))
}

/// The gRPC status that stands for an HTTP status.
fn grpc_status(status: StatusCode) -> u16 {
    match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// A byte as `%XX`.
pub(crate) fn percent_encoded(byte: u8) -> [char; 3] {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0').to_ascii_uppercase();
    ['%', digit(byte >> 4), digit(byte & 15)]
}

/// The body as a `grpc-message`: what is not printable ASCII, and `%`, is percent-encoded.
fn grpc_message(body: &[u8]) -> Option<HeaderValue> {
    let mut message = String::new();
    for &byte in body {
        match byte {
            b'%' | 0..=0x1F | 0x7F.. => message.extend(percent_encoded(byte)),
            _ => message.push(char::from(byte)),
        }
    }
    if message.is_empty() { None } else { HeaderValue::try_from(message).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(content_type: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))])
    }

    #[test]
    fn plain_requests_get_status_and_text() {
        let response = LocalReply::no_healthy_upstream().response(false);
        assert_eq!(response.status(), 503);
        assert_eq!(response.body(), "no healthy upstream");
    }

    #[test]
    fn grpc_requests_get_200_and_a_grpc_status() {
        assert!(is_grpc(&request("application/grpc+proto")) && is_grpc(&request("application/grpc")));
        let response = LocalReply::timeout("response_timeout").response(true);
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[GRPC_STATUS], "14");
        assert_eq!(response.headers()[GRPC_MESSAGE], "upstream request timeout");
        assert!(response.body().is_empty());
        let response = LocalReply::not_found().response(true);
        assert_eq!(response.headers()[GRPC_STATUS], "12");
        assert!(!response.headers().contains_key(GRPC_MESSAGE));
        assert!(!is_grpc(&request("application/grpc-web")));
    }
}
