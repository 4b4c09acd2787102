//! A request as it is written to an endpoint.

use crate::{body::Sent, exchange::Exchange, grpc_timeout, local_reply::percent_encoded, outgoing::Outgoing};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri, Version,
    header::{HOST, TRANSFER_ENCODING, UPGRADE},
    uri::{Authority, Scheme},
};
use std::borrow::Cow;

pub(crate) const ATTEMPT_COUNT: HeaderName = HeaderName::from_static("x-envoy-attempt-count");
pub(crate) const EXPECTED_TIMEOUT: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");

/// One try's message: exactly one Host, and exactly one way of telling where its body ends. `length` is the body's, where
/// it is known.
pub(crate) fn message(
    exchange: &Exchange<'_>,
    outgoing: &Outgoing<'_>,
    length: Option<u64>,
    body: Sent,
) -> Request<Sent> {
    let mut request = Request::new(body);
    *request.method_mut() = exchange.head.method.clone();
    *request.uri_mut() = match &exchange.head.target {
        Some(as_it_came) if !outgoing.is_rewritten() => as_it_came.clone(),
        _ => request_target(&outgoing.path),
    };
    let mut headers = outgoing.for_message();
    if length.is_none() {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    *request.headers_mut() = headers;
    request
}

/// Whether HTTP/2 can say it: no wish for another protocol, and an authority as its codec knows them.
pub(crate) fn is_speakable(exchange: &Exchange<'_>, outgoing: &Outgoing<'_>) -> bool {
    !exchange.head.asks_for_upgrade && Authority::try_from(&*outgoing.authority).is_ok()
}

/// The same message in HTTP/2: the authority is part of its target, and frames say where its body ends. None: HTTP/2
/// cannot say it, as a wish for another protocol.
pub(crate) fn as_http2(request: &mut Request<Sent>, scheme: &str, authority: &str) -> Option<()> {
    if request.headers().contains_key(UPGRADE) {
        return None;
    }
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::try_from(scheme).ok()?);
    parts.authority = Some(Authority::try_from(authority).ok()?);
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    *request.version_mut() = Version::HTTP_2;
    request.body_mut().with_trailers();
    request.headers_mut().remove(HOST);
    request.headers_mut().remove(TRANSFER_ENCODING);
    Some(())
}

/// What a try after the first says anew; `expected` is in milliseconds.
pub(crate) fn tell_again(headers: &mut HeaderMap, attempt: u32, expected: Option<u64>) {
    if headers.contains_key(ATTEMPT_COUNT) {
        headers.insert(ATTEMPT_COUNT, HeaderValue::from(attempt));
    }
    if let Some(expected) = expected {
        headers.insert(EXPECTED_TIMEOUT, HeaderValue::from(expected));
        grpc_timeout::tell(headers, expected);
    }
}

/// A number as a header's value. The smallest, which most are, take no memory.
pub(crate) fn number(number: u64) -> HeaderValue {
    const SMALLEST: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let known = usize::try_from(number).ok().and_then(|number| SMALLEST.get(number));
    known.map_or_else(|| HeaderValue::from(number), |text| HeaderValue::from_static(text))
}

/// A rewritten path as a request target. What a path may not hold is percent-encoded; one without a leading slash gets
/// one, since hyper writes no other (Envoy does, and upstreams refuse it: semantics C13).
fn request_target(path: &str) -> Uri {
    let slashed = if path.starts_with('/') { Cow::Borrowed(path) } else { Cow::Owned(format!("/{path}")) };
    slashed.parse().unwrap_or_else(|_| {
        let mut encoded = String::with_capacity(slashed.len() + 16);
        for byte in slashed.bytes() {
            if byte.is_ascii_alphanumeric() || b"/?&=-._~!$'()*+,;:@%".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                encoded.extend(percent_encoded(byte));
            }
        }
        encoded.parse().unwrap_or_else(|_| Uri::from_static("/"))
    })
}
